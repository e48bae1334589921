//! Every overlay renders, and nothing in it is wrong.

mod laid_out;

use anyhow::{Result, ensure};
use laid_out::LaidOut;

/// Every overlay of a site. Each is checked together with what watches it.
const OVERLAYS: [&str; 6] = [
    "plain-envoy/edge",
    "plain-envoy/cloud",
    "envoy-gateway/edge",
    "envoy-gateway/cloud",
    "edge-istio",
    "cloud-istio",
];

#[test]
fn nothing_is_wrong_in_any_overlay() -> Result<()> {
    let k8s = LaidOut::new()?;
    let mut found = Vec::new();
    for overlay in OVERLAYS {
        let problems = manifests::all_problems(&k8s.render(overlay)?);
        found.extend(problems.into_iter().map(|problem| format!("{overlay}: {problem}")));
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
