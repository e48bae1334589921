//! The walk-through with func-e runs as it stands.

use anyhow::{Context as _, Result, ensure};
use std::os::unix::fs::symlink;
use std::process::Command;
use tests::till_binary;
use xtask::tools::Tools;
use xtask::{repo, walkthrough};

/// A network and processes of their own: the document's ports are free, and nothing outlives it.
const APART: [&str; 4] = ["--net", "--pid", "--fork", "--kill-child"];

#[test]
fn the_commands_with_func_e_run_as_they_stand() -> Result<()> {
    let allowed = Command::new("unshare").args(APART).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine lets nobody make a network of their own (unshare --net)");
        return Ok(());
    }
    let tools = Tools::find(None)?;
    let dir = tempfile::tempdir()?;
    for (there, place) in [
        (repo::root().join("envoy-configs"), "envoy-configs"),
        (tools.filter.clone(), "target/filter/reprise_filter.wasm"),
        (tools.reprise.clone(), "target/release/reprise"),
        (till_binary()?, "target/debug/till"),
    ] {
        let place = dir.path().join(place);
        std::fs::create_dir_all(place.parent().context("has a parent")?)?;
        symlink(there.canonicalize()?, place)?;
    }
    // What cargo would build is there; `func-e run` is the Envoy that these tests have.
    let script = format!(
        "ip link set lo up\ncargo() {{ :; }}\nfunc-e() {{ shift; exec \"$ENVOY\" --log-level error \"$@\"; }}\n{}",
        walkthrough::script("docs/walkthrough-func-e.md")?
    );
    let output = Command::new("timeout")
        .args(["60", "unshare"])
        .args(APART)
        .args(["bash", "-euc", &script])
        .current_dir(dir.path())
        .env("ENVOY", &tools.envoy)
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {printed}\n{said}", output.status);
    let answers = printed.matches("HTTP/1.1 200 OK").count();
    ensure!(answers == 3, "three writes are acknowledged: {printed}");
    ensure!(printed.contains("x-reprise-replayed: remembered"), "the retry ran again: {printed}");
    ensure!(printed.contains("AWAY"), "the status shows no cut: {printed}");
    let same = printed.matches("\"count\":2,\"last\":\"while cut\"").count();
    ensure!(same == 2, "both replicas have both writes: {printed}");
    Ok(())
}
