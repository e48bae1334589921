//! The filter in Envoy Gateway: pinned, never bypassed, after all that may refuse, and with what only
//! a patch can say.

use serde_json::Value;

use super::policies;
use crate::pods::list;
use crate::{Manifest, filter_config};

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

pub(super) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for gateway in manifests.iter().filter(|manifest| manifest.kind == "Gateway") {
        for policy in policies(manifests, "EnvoyExtensionPolicy", gateway) {
            let wasm: Vec<_> = list(policy.at("/spec/wasm")).collect();
            for (index, plugin) in wasm.iter().enumerate() {
                let found = of_plugin(manifests, gateway, policy, index, plugin);
                problems.extend(found.into_iter().map(|problem| format!("{policy}: {problem}")));
            }
        }
        problems.extend(order(manifests, gateway));
    }
    problems
}

fn of_plugin(
    manifests: &[Manifest],
    gateway: &Manifest,
    policy: &Manifest,
    index: usize,
    plugin: &Value,
) -> Vec<String> {
    let mut problems = Vec::new();
    if plugin["failOpen"] == true {
        problems.push("failOpen lets requests past the filter".into());
    }
    let code = &plugin["code"];
    if ["http", "image"].iter().all(|source| code[source]["sha256"].is_null()) {
        problems.push("the module is not pinned: sha256 is missing".into());
    }
    if !plugin["config"]["role"].is_null() {
        problems.push("its own configuration must be one that the filter refuses".into());
    }
    let namespace = policy.namespace.as_deref().unwrap_or("default");
    let name = format!("envoyextensionpolicy/{namespace}/{}/wasm/{index}", policy.name);
    let patch = policies(manifests, "EnvoyPatchPolicy", gateway)
        .flat_map(|policy| list(policy.at("/spec/jsonPatches")))
        .find(|patch| replaces(patch, &name));
    let Some(patch) = patch else {
        problems.push(format!("no patch replaces the filter envoy.filters.http.wasm/{name}"));
        return problems;
    };
    let port = list(gateway.at("/spec/listeners")).find_map(|listener| listener["port"].as_u64());
    if port.is_none_or(|port| patch["name"] != format!("tcp-{port}")) {
        problems.push(format!("its patch is for {}, not for the port of {gateway}", patch["name"]));
    }
    let value = &patch["operation"]["value"];
    let wrong = filter_config::problems(value);
    problems.extend(wrong.into_iter().map(|wrong| format!("its patch: {wrong}")));
    problems
}

fn replaces(patch: &Value, filter: &str) -> bool {
    let operation = &patch["operation"];
    let wanted = format!(
        "..http_filters[?(@.name=='envoy.filters.http.wasm/{filter}')].typed_config.config"
    );
    patch["type"] == LISTENER && operation["op"] == "replace" && operation["jsonPath"] == wanted
}

/// What may refuse a request and stands behind wasm by default, in Envoy Gateway's order.
const REFUSING: [&str; 3] = [
    "envoy.filters.http.rbac",
    "envoy.filters.http.local_ratelimit",
    "envoy.filters.http.ratelimit",
];

/// By default Envoy Gateway puts rbac and the rate limits after wasm: what they refuse would have its
/// number already. A position that names a filter that is not there moves nothing, so there must be
/// one for each.
fn order(manifests: &[Manifest], gateway: &Manifest) -> Option<String> {
    policies(manifests, "EnvoyExtensionPolicy", gateway).next()?;
    let proxy = gateway.at("/spec/infrastructure/parametersRef/name");
    let proxy =
        manifests.iter().find(|other| other.kind == "EnvoyProxy" && proxy == &*other.name)?;
    let after: Vec<_> = list(proxy.at("/spec/filterOrder"))
        .filter(|position| position["name"] == "envoy.filters.http.wasm")
        .map(|position| position["after"].as_str().unwrap_or_default())
        .collect();
    (after != REFUSING).then(|| {
        format!("{proxy}: the filter must come after {}, in this order", REFUSING.join(", after "))
    })
}
