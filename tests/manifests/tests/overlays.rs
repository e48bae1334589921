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

#[test]
fn a_service_whose_pods_share_their_state_is_scaled_at_either_site() -> Result<()> {
    let k8s = LaidOut::new()?;
    for overlay in OVERLAYS {
        let all = k8s.render_with(overlay, "autoscaling-service")?;
        let found = manifests::all_problems(&all);
        ensure!(found.is_empty(), "{overlay}: {}", found.join("\n"));
        let scaled = |kind: &str| all.iter().find(|m| m.kind == kind && m.name == "shop");
        let (scaler, pods) = (scaled("HorizontalPodAutoscaler"), scaled("Deployment"));
        ensure!(scaler.is_some(), "{overlay} has no autoscaler of the service");
        let replicas = pods.map(|pods| &pods.value["spec"]["replicas"]);
        ensure!(replicas.is_some_and(serde_json::Value::is_null), "{overlay} says how many too");
    }
    Ok(())
}
