//! What Gateways, routes and policies say of one another.

use serde_json::Value;

use super::All;
use crate::Manifest;
use crate::pods::list;

/// What is wrong with an object of the Gateway API or of Envoy Gateway.
pub(super) fn problems(all: &All, manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let mut need = |kind: &str, name: &Value| {
        let name = name.as_str().unwrap_or_default();
        if !all.has(kind, name) {
            problems.push(format!("there is no {kind} {name}"));
        }
    };
    match manifest.kind.as_str() {
        "Gateway" if manifest.group() == "gateway.networking.k8s.io" => {
            need("GatewayClass", manifest.at("/spec/gatewayClassName"));
            let parameters = manifest.at("/spec/infrastructure/parametersRef");
            if let Some(kind) = parameters["kind"].as_str() {
                need(kind, &parameters["name"]);
            }
        }
        "HTTPRoute" => {
            for parent in list(manifest.at("/spec/parentRefs")) {
                need(parent["kind"].as_str().unwrap_or("Gateway"), &parent["name"]);
            }
            problems.extend(backends(all, manifest));
        }
        _ => {
            let one = manifest.at("/spec/targetRef");
            for target in
                list(manifest.at("/spec/targetRefs")).chain((!one.is_null()).then_some(one))
            {
                need(target["kind"].as_str().unwrap_or_default(), &target["name"]);
            }
        }
    }
    if manifest.kind == "EnvoyPatchPolicy" {
        problems.extend(patches(all, manifest));
    }
    problems
}

fn backends(all: &All, route: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    for backend in list(route.at("/spec/rules")).flat_map(|rule| list(&rule["backendRefs"])) {
        let kind = backend["kind"].as_str().unwrap_or("Service");
        let name = backend["name"].as_str().unwrap_or_default();
        let found = all.manifests.iter().find(|other| other.kind == kind && other.name == name);
        let Some(found) = found else {
            problems.push(format!("there is no {kind} {name}"));
            continue;
        };
        let mut ports = list(found.at("/spec/ports"));
        if kind == "Service" && !ports.any(|port| port["port"] == backend["port"]) {
            problems.push(format!("Service {name} has no port {}", backend["port"]));
        }
    }
    problems
}

/// Patches of what Envoy Gateway does not make are reported in a status that nobody reads.
fn patches(all: &All, policy: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let gateway = policy.at("/spec/targetRef/name");
    for patch in list(policy.at("/spec/jsonPatches")) {
        let name = patch["name"].as_str().unwrap_or_default();
        let added = patch["operation"]["op"] == "add" && patch["operation"]["path"] == "";
        if !added && !made(all, gateway, name) {
            problems.push(format!("Envoy Gateway makes no {name}"));
        }
    }
    problems
}

/// Whether Envoy Gateway makes a listener or a cluster of this name for a Gateway, with
/// `XDSNameSchemeV2`.
fn made(all: &All, gateway: &Value, name: &str) -> bool {
    all.manifests.iter().any(|manifest| match manifest.kind.as_str() {
        "Gateway" if gateway == &*manifest.name => list(manifest.at("/spec/listeners"))
            .any(|listener| name == format!("tcp-{}", listener["port"])),
        "HTTPRoute" if list(manifest.at("/spec/parentRefs")).any(|p| &p["name"] == gateway) => {
            let namespace = manifest.namespace.as_deref().unwrap_or("default");
            let rules = list(manifest.at("/spec/rules")).count();
            (0..rules)
                .any(|rule| name == format!("httproute/{namespace}/{}/rule/{rule}", manifest.name))
        }
        _ => false,
    })
}
