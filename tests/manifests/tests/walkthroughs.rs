//! The commands of the walk-throughs that need no cluster run as they stand.

mod laid_out;

use std::process::Command;

use anyhow::{Context, Result, ensure};
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
fn the_commands_for_a_shop_in_a_namespace_of_its_own_run_as_they_stand() -> Result<()> {
    let printed = run("k8s/README.md")?;
    ensure!(printed.contains("spiffe://cluster.local/ns/kiosk-17/sa/shop"), "{printed}");
    Ok(())
}
