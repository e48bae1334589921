//! The two guards as the gateways treat them: how they are checked, and where retries go.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{file, policies};
use crate::Manifest;
use crate::pods::list;

pub(super) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = plain(manifests);
    for route in manifests.iter().filter(|manifest| manifest.kind == "HTTPRoute") {
        for policy in policies(manifests, "BackendTrafficPolicy", route) {
            problems.extend(hashed(policy));
            if !policy.at("/spec/healthCheck/active").is_null() {
                problems.extend(unchecked(manifests, route));
            }
        }
    }
    problems
}

fn plain(manifests: &[Manifest]) -> Vec<String> {
    let config = file(manifests, "gateway-envoy", "envoy.yaml");
    let config: Option<Value> = config.and_then(|text| serde_saphyr::from_str(text).ok());
    let clusters = config.iter().flat_map(|config| list(&config["static_resources"]["clusters"]));
    let hashed = clusters.filter(|cluster| {
        let groups = list(&cluster["load_assignment"]["endpoints"]).count();
        groups > 1 && cluster["lb_policy"] == "MAGLEV"
    });
    let problem = |cluster: &Value| {
        let name = &cluster["name"];
        format!("gateway-envoy: cluster {name}: a retry goes to the same replica again")
    };
    hashed.map(problem).collect()
}

/// Envoy's hashing balancers do not ask which priority a retry is for.
fn hashed(policy: &Manifest) -> Option<String> {
    let hashed = policy.at("/spec/loadBalancer/type") == "ConsistentHash";
    let other = !policy.at("/spec/retry/numAttemptsPerPriority").is_null();
    (hashed && other)
        .then(|| format!("{policy}: with a consistent hash a retry goes to the same replica again"))
}

/// What only a patch can say of a cluster whose guards are checked.
const PATCHED: [&str; 3] = [
    "/close_connections_on_host_health_failure",
    "/health_checks/0/no_traffic_interval",
    "/wait_for_warm_on_init",
];

fn unchecked(manifests: &[Manifest], route: &Manifest) -> Vec<String> {
    let patches = manifests.iter().filter(|manifest| manifest.kind == "EnvoyPatchPolicy");
    let patched: BTreeSet<_> = patches
        .flat_map(|policy| list(policy.at("/spec/jsonPatches")))
        .filter_map(|patch| Some((patch["name"].as_str()?, patch["operation"]["path"].as_str()?)))
        .collect();
    let namespace = route.namespace.as_deref().unwrap_or("default");
    let rules = list(route.at("/spec/rules")).count();
    let clusters =
        (0..rules).map(|rule| format!("httproute/{namespace}/{}/rule/{rule}", route.name));
    let missing = clusters.flat_map(|cluster| {
        let missing = PATCHED.iter().filter(|path| !patched.contains(&(&*cluster, **path)));
        missing
            .map(|path| format!("{route}: no patch sets {path} of {cluster}"))
            .collect::<Vec<_>>()
    });
    missing.collect()
}
