//! The commands of the walk-throughs that need no cluster run as they stand.

mod laid_out;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use laid_out::LaidOut;
use xtask::{tools, walkthrough};

/// Runs a document's blocks where `cargo xtask dist` has been; returns what they print.
fn run(document: &str) -> Result<String> {
    let k8s = LaidOut::new()?;
    let kubectl = tools::find_kubectl()?;
    let bin = kubectl.parent().context("kubectl has no directory")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([bin.to_owned()].into_iter().chain(std::env::split_paths(&path)))?;
    // What the tasks make is there: they have tests of their own.
    let script = format!("cargo() {{ :; }}\n{}", walkthrough::script(document)?);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(k8s.workplace())
        .env("PATH", path)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{document}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_commands_for_envoy_gateway_run_as_they_stand() -> Result<()> {
    let printed = run("docs/walkthrough-envoy-gateway.md")?;
    ensure!(printed.lines().next() == Some("5"), "five HTTPRoutes: {printed}");
    ensure!(printed.contains("image: registry.example/till:7"), "{printed}");
    Ok(())
}

#[test]
fn the_commands_for_istio_run_as_they_stand() -> Result<()> {
    let printed = run("docs/walkthrough-istio.md")?;
    ensure!(printed.contains("kind: WasmPlugin"), "{printed}");
    Ok(())
}

#[test]
fn the_pod_that_seeds_is_one_that_the_namespace_admits() -> Result<()> {
    let page = std::fs::read_to_string(xtask::repo::root().join("docs/seeding.md"))?;
    let (_, block) = page.split_once("```yaml\n").context("a block of YAML")?;
    let (own, _) = block.split_once("```").context("its end")?;
    let pods = manifests::parse(own)?;
    for pod in &pods {
        let problems = manifests::problems(pod);
        ensure!(problems.is_empty(), "{problems:?}");
    }
    let k8s = LaidOut::new()?.render("plain-envoy/edge")?;
    let reprise = k8s.iter().find(|m| m.kind == "StatefulSet").context("a StatefulSet")?;
    let theirs = reprise.at("/spec/template/spec");
    let [pod] = &pods[..] else { bail!("one pod") };
    for same in ["/securityContext", "/containers/0/securityContext", "/containers/0/volumeMounts"]
    {
        let pointer = format!("/spec{same}");
        ensure!(Some(pod.at(&pointer)) == theirs.pointer(same), "{same} is not as reprise has it");
    }
    Ok(())
}

#[test]
fn the_commands_for_a_shop_in_a_namespace_of_its_own_run_as_they_stand() -> Result<()> {
    let printed = run("k8s/README.md")?;
    ensure!(printed.contains("spiffe://cluster.local/ns/kiosk-17/sa/shop"), "{printed}");
    Ok(())
}
