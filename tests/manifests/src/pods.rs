//! The pods that a rendering leads to: those of its own workloads, and those that Envoy Gateway
//! makes for its Gateways.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Manifest;

/// A kind of pod.
#[derive(Debug)]
pub(crate) struct Pod<'a> {
    /// What it is a pod of.
    pub(crate) of: &'a Manifest,
    pub(crate) labels: BTreeMap<String, String>,
    /// Numbers of container ports, and their names where they have some.
    pub(crate) ports: Vec<(Option<String>, u64)>,
    /// Null for those that Envoy Gateway makes.
    pub(crate) spec: &'a Value,
    /// Whether something else adds containers and ports: what is not seen may be there.
    pub(crate) injected: bool,
}

/// Prometheus reads Envoy Gateway's Envoys here.
const ENVOY_GATEWAY_METRICS: (&str, u64) = ("metrics", 19001);

pub(crate) fn pods(all: &[Manifest]) -> Vec<Pod<'_>> {
    all.iter()
        .filter_map(|manifest| of_workload(manifest).or_else(|| of_proxy(manifest, all)))
        .collect()
}

fn of_workload(manifest: &Manifest) -> Option<Pod<'_>> {
    if !["Deployment", "StatefulSet", "DaemonSet"].contains(&manifest.kind.as_str()) {
        return None;
    }
    let template = manifest.at("/spec/template");
    let spec = &template["spec"];
    let labels = strings(&template["metadata"]["labels"]);
    let injected = labels.keys().any(|key| key.starts_with("sidecar.istio.io/"))
        || strings(&template["metadata"]["annotations"])
            .keys()
            .any(|key| key.contains("istio.io/"));
    let ports = containers(spec)
        .flat_map(|container| list(&container["ports"]))
        .filter_map(|port| {
            let name = port["name"].as_str().map(str::to_owned);
            Some((name, port["containerPort"].as_u64()?))
        })
        .collect();
    Some(Pod { of: manifest, labels, ports, spec, injected })
}

fn of_proxy<'a>(proxy: &'a Manifest, all: &[Manifest]) -> Option<Pod<'a>> {
    if proxy.kind != "EnvoyProxy" {
        return None;
    }
    let deployment = proxy.at("/spec/provider/kubernetes/envoyDeployment");
    let mut labels = strings(&deployment["pod"]["labels"]);
    labels.insert("app.kubernetes.io/managed-by".into(), "envoy-gateway".into());
    let gateways = all.iter().filter(|gateway| {
        gateway.kind == "Gateway"
            && gateway.at("/spec/infrastructure/parametersRef/name") == &*proxy.name
    });
    let listeners = gateways.flat_map(|gateway| list(gateway.at("/spec/listeners")));
    let mut ports: Vec<_> =
        listeners.filter_map(|listener| Some((None, listener["port"].as_u64()?))).collect();
    ports.push((Some(ENVOY_GATEWAY_METRICS.0.into()), ENVOY_GATEWAY_METRICS.1));
    Some(Pod { of: proxy, labels, ports, spec: &Value::Null, injected: false })
}

/// All containers of a pod, sidecars too.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    list(&spec["initContainers"]).chain(list(&spec["containers"]))
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether a label selector, or the plain labels of a Service's, picks these labels.
pub(crate) fn picks(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let wanted = if plain { strings(selector) } else { strings(&selector["matchLabels"]) };
    let equal = wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && list(&selector["matchExpressions"]).all(|expression| {
            let value = expression["key"].as_str().and_then(|key| labels.get(key));
            let listed = list(&expression["values"])
                .any(|wanted| wanted.as_str() == value.map(String::as_str) && value.is_some());
            match expression["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}
