//! Every overlay renders, and nothing in it is wrong; what is made wrong is found.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use manifests::{Manifest, problems, problems_between, render};
use xtask::repo;

/// `k8s/` as it is handed out, with a stand-in for the filter.
fn laid_out() -> Result<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let filter = dir.path().join("reprise_filter.wasm");
    std::fs::write(&filter, b"\0asm")?;
    let k8s = dir.path().join("k8s");
    xtask::dist::lay_out_k8s(&filter, &k8s)?;
    Ok((dir, k8s))
}

const OVERLAYS: [&str; 4] =
    ["plain-envoy/edge", "plain-envoy/cloud", "envoy-gateway/edge", "envoy-gateway/cloud"];

fn all_problems(manifests: &[Manifest]) -> Vec<String> {
    let mut found: Vec<String> = manifests.iter().flat_map(problems).collect();
    found.extend(problems_between(manifests));
    found
}

#[test]
fn nothing_is_wrong_in_any_overlay() -> Result<()> {
    let (_dir, k8s) = laid_out()?;
    let mut found = Vec::new();
    for overlay in OVERLAYS {
        let mut manifests = render(&k8s.join("overlays").join(overlay))?;
        manifests.extend(render(&k8s.join("overlays/observability"))?);
        let problems = all_problems(&manifests);
        found.extend(problems.into_iter().map(|problem| format!("{overlay}: {problem}")));
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
