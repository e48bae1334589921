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
        let here = pods.map(|pods| pods.at("/spec/template/metadata/labels/reprise~1replica"));
        let backlog = "/spec/metrics/1/external/metric/selector/matchLabels/replica";
        let asked = scaler.map(|scaler| scaler.at(backlog));
        ensure!(asked == here && asked.is_some_and(|a| a.is_string()), "{overlay}: {asked:?}");
    }
    Ok(())
}

#[test]
fn a_cluster_without_the_prometheus_operator_is_given_nothing_of_its_kinds() -> Result<()> {
    let k8s = LaidOut::new()?;
    for overlay in OVERLAYS {
        let all = k8s.render_with(overlay, "without-prometheus-operator")?;
        let problems = manifests::all_problems(&all);
        ensure!(problems.is_empty(), "{overlay}: {}", problems.join("\n"));
        let of_its = all.iter().find(|manifest| manifest.group() == "monitoring.coreos.com");
        ensure!(of_its.is_none(), "{overlay}: {of_its:?}");
    }
    Ok(())
}

#[test]
fn a_shop_may_have_a_namespace_of_its_own() -> Result<()> {
    let k8s = LaidOut::new()?.in_namespace("kiosk-17")?;
    let mut found = Vec::new();
    for overlay in OVERLAYS {
        let all = k8s.render(overlay)?;
        let problems = manifests::all_problems(&all);
        found.extend(problems.into_iter().map(|problem| format!("{overlay}: {problem}")));
        for manifest in &all {
            let elsewhere = manifest.namespace.as_deref().is_some_and(|own| own != "kiosk-17");
            let text = manifest.value.to_string();
            let names = ["shop.svc", "ns/shop/", "/shop.", "/shop/", ".shop.internal"];
            let named = names.iter().find(|name| text.contains(**name));
            if elsewhere || named.is_some() {
                found.push(format!("{overlay}: {manifest} is in another namespace, or {named:?}"));
            }
        }
        let namespaces: Vec<_> = all.iter().filter(|m| m.kind == "Namespace").collect();
        ensure!(namespaces.iter().all(|m| m.name == "kiosk-17"), "{overlay}: {namespaces:?}");
        ensure!(!namespaces.is_empty(), "{overlay} makes no namespace");
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn a_namespace_that_cannot_be_is_refused_and_nothing_is_overwritten() -> Result<()> {
    let k8s = LaidOut::new()?;
    for name in ["", "Kiosk", "-a", "a-", "a.b", "a b", &"a".repeat(64)] {
        ensure!(k8s.in_namespace(name).is_err(), "{name:?} was taken");
    }
    let script = k8s.workplace().join("target/dist/k8s/in-namespace.sh");
    let made = std::process::Command::new("sh").arg(script).args(["a", "/tmp"]).output()?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.code() == Some(2) && said.contains("must not exist yet"), "{said}");
    Ok(())
}
