//! The Envoy configurations in the overlays are those under `envoy-configs/`, and the real Envoy
//! takes them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use manifests::plain_envoy;
use serde_json::Value;
use xtask::repo;

type Derive = fn(&str) -> Result<Value>;

const DERIVED: [(&str, &str, Derive); 3] = [
    ("k8s/overlays/plain-envoy/edge/envoy.yaml", "edge.yaml", plain_envoy::gateway),
    ("k8s/components/guard-secondary/envoy.yaml", "edge.yaml", plain_envoy::guard_secondary),
    ("k8s/components/guard-primary/envoy.yaml", "cloud.yaml", plain_envoy::guard_primary),
];

const WRITTEN: [&str; 2] = [
    "k8s/overlays/plain-envoy/cloud/envoy.yaml",
    "k8s/overlays/envoy-gateway/edge/module-envoy.yaml",
];

fn read(path: &str) -> Result<String> {
    let path = repo::root().join(path);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

fn derived(template: &str, derive: Derive) -> Result<String> {
    let value = derive(&read(&format!("envoy-configs/{template}"))?)?;
    let yaml = serde_saphyr::to_string(&value)?;
    Ok(format!(
        "# @generated from envoy-configs/{template}: change that one, then\n\
         # UPDATE_GENERATED=1 cargo test -p manifests --test plain_envoy\n{yaml}"
    ))
}

#[test]
fn the_files_are_what_is_derived_from_envoy_configs() -> Result<()> {
    for (path, template, derive) in DERIVED {
        let now = derived(template, derive)?;
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(repo::root().join(path), now)?;
            continue;
        }
        ensure!(now == read(path)?, "{path} is old: see its first lines");
    }
    Ok(())
}

/// `text` with the paths of the pod moved below `dir`.
fn moved(text: &str, dir: &Path) -> String {
    let dir = dir.display();
    text.replace("/etc/envoy/", &format!("{dir}/envoy/"))
        .replace("/etc/site-tls", &format!("{dir}/tls"))
        .replace("/var/lib/reprise/", &format!("{dir}/module/"))
}

#[test]
fn the_real_envoy_takes_every_configuration() -> Result<()> {
    let envoy = xtask::tools::find_envoy(None)?;
    let dir = tempfile::tempdir()?;
    for sub in ["envoy", "tls", "module"] {
        std::fs::create_dir(dir.path().join(sub))?;
    }
    // The real filter, which reads its configuration here too.
    let filter = xtask::tools::find_filter()?;
    std::fs::copy(filter, dir.path().join("module/reprise_filter.wasm"))?;
    for secret in ["site-certificate.yaml", "peers.yaml"] {
        let text = moved(&read(&format!("k8s/overlays/plain-envoy/edge/{secret}"))?, dir.path());
        std::fs::write(dir.path().join("envoy").join(secret), text)?;
    }
    for path in DERIVED.iter().map(|(path, ..)| path).chain(&WRITTEN) {
        let config = dir.path().join("envoy.yaml");
        std::fs::write(&config, moved(&read(path)?, dir.path()))?;
        let output =
            Command::new(&envoy).args(["--mode", "validate", "-c"]).arg(&config).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{path}: {said}");
    }
    Ok(())
}
