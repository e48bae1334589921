//! The Envoy configurations in the overlays are those under `envoy-configs/`, and the real Envoy
//! takes them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use manifests::plain_envoy;
use serde_json::Value;
use xtask::{repo, tools};

type Derive = fn(&str) -> Result<Value>;

const FILES: [(&str, &str, Derive); 3] = [
    ("k8s/overlays/plain-envoy/edge/envoy.yaml", "edge.yaml", plain_envoy::gateway),
    ("k8s/components/guard-secondary/envoy.yaml", "edge.yaml", plain_envoy::guard_secondary),
    ("k8s/components/guard-primary/envoy.yaml", "cloud.yaml", plain_envoy::guard_primary),
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
    for (path, template, derive) in FILES {
        let now = derived(template, derive)?;
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(repo::root().join(path), now)?;
            continue;
        }
        ensure!(now == read(path)?, "{path} is old: see its first lines");
    }
    Ok(())
}
