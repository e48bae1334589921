//! Our filters in Istio: pinned, behind what may refuse a request, and replaced by the whole
//! filter under every name that Istio gives them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::across::{items, selects, templates, text};
use crate::{Manifest, filter_config};

const MOUNT: &str = "sidecar.istio.io/userVolumeMount";

/// What is wrong with the filters of a rendering.
pub(super) fn problems(all: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    let plugins =
        all.iter().filter(|m| ["WasmPlugin", "TrafficExtension"].contains(&m.kind.as_str()));
    for plugin in plugins {
        let spec = plugin.at("/spec");
        let own = pinned(wasm(plugin)).into_iter().chain(placed(spec)).chain(replaced(all, plugin));
        let own = own.chain(mounted(all, plugin));
        problems.extend(own.map(|problem| format!("{plugin}: {problem}")));
    }
    problems
}

/// Where a plugin says what its module is.
fn wasm(plugin: &Manifest) -> &Value {
    plugin.at(if plugin.kind == "WasmPlugin" { "/spec" } else { "/spec/wasm" })
}

fn pinned(wasm: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let sha256 = text(&wasm["sha256"]);
    let hex = sha256.len() == 64 && sha256.chars().all(|c| c.is_ascii_hexdigit());
    if !hex || sha256.chars().all(|c| c == '0') {
        problems.push("sha256 pins nothing".into());
    }
    if text(&wasm["url"]).ends_with("VERSION") {
        problems.push("url names no release".into());
    }
    if wasm["failStrategy"] != "FAIL_RELOAD" {
        problems.push(format!("failStrategy is {}, not FAIL_RELOAD", wasm["failStrategy"]));
    }
    if !wasm["pluginConfig"]["role"].is_null() || wasm["pluginConfig"]["replaced-by"].is_null() {
        problems.push(
            "pluginConfig must be one that the filter refuses: unreplaced it would hang".into(),
        );
    }
    problems
}

fn placed(spec: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if ["AUTHN", "AUTHZ"].contains(&text(&spec["phase"])) {
        problems.push(format!("phase {} is before what may refuse a request", spec["phase"]));
    }
    if spec["priority"].as_i64() >= Some(0) || spec["priority"].is_null() {
        problems.push("priority must be negative: last of its phase".into());
    }
    if items(&spec["match"]).iter().all(|one| items(&one["ports"]).is_empty()) {
        problems.push("match names no ports: deliveries would be numbered again".into());
    }
    problems
}

/// The names under which Istio has a filter.
fn names(plugin: &Manifest) -> Vec<String> {
    let namespace = plugin.namespace.as_deref().unwrap_or("default");
    let own = format!("{namespace}.{}", plugin.name);
    let extension = format!("extensions.istio.io/trafficextension/{own}");
    match plugin.kind.as_str() {
        "WasmPlugin" => vec![
            format!("extensions.istio.io/wasmplugin/{own}"),
            format!("{extension}~istio-translated-wasmplugin"),
        ],
        _ => vec![extension],
    }
}

fn replaced(all: &[Manifest], plugin: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let mut configs: Vec<&Value> = Vec::new();
    let declared = declared(plugin);
    for name in names(plugin) {
        let found = patches(all).find(|patch| {
            patch.pointer("/match/listener/filterChain/filter/subFilter/name")
                == Some(&name.as_str().into())
        });
        let Some(patch) = found else {
            problems.push(format!("no EnvoyFilter replaces {name}"));
            continue;
        };
        let config = &patch["patch"]["value"]["typed_config"]["config"];
        let mut wrong = |what: &str| problems.push(format!("the patch of {name}: {what}"));
        if patch["patch"]["operation"] != "REPLACE" {
            wrong("istiod does nothing but REPLACE to a filter that comes later");
        }
        if config["vm_config"]["vm_id"] != plugin.name.as_str() {
            wrong("vm_id is not its own");
        }
        if environment(config) != declared {
            wrong("environment_variables are not those of vmConfig.env");
        }
        for problem in filter_config::problems(config) {
            wrong(&problem);
        }
        configs.push(config);
    }
    if configs.windows(2).any(|pair| pair[0] != pair[1]) {
        problems.push("its patches differ".into());
    }
    problems
}

/// The variables of a plugin, as Envoy is told of them: a value, or none if it is the host's.
fn declared(plugin: &Manifest) -> BTreeMap<&str, &Value> {
    let all = items(&wasm(plugin)["vmConfig"]["env"]).iter();
    all.map(|one| (text(&one["name"]), &one["value"])).collect()
}

/// As [`declared`], of what Envoy is told.
fn environment(config: &Value) -> BTreeMap<&str, &Value> {
    let variables = &config["vm_config"]["environment_variables"];
    let all = filter_config::variables(variables).into_iter();
    all.map(|name| (name, &variables["key_values"][name])).collect()
}

fn patches(all: &[Manifest]) -> impl Iterator<Item = &Value> {
    let filters = all.iter().filter(|m| m.kind == "EnvoyFilter");
    let patches = filters.flat_map(|m| items(m.at("/spec/configPatches")));
    patches.filter(|patch| patch["applyTo"] == "HTTP_FILTER")
}

/// The pods that a plugin selects have the file; those of a guard reach their service.
fn mounted(all: &[Manifest], plugin: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let Some(selector) = plugin.at("/spec/selector/matchLabels").as_object() else {
        return vec!["it selects every pod".into()];
    };
    for (workload, template) in templates(all) {
        let (labels, spec) = (&template["metadata"]["labels"], &template["spec"]);
        if !selects(selector, labels) {
            continue;
        }
        if labels["sidecar.istio.io/inject"] != "true" {
            problems.push(format!("{workload}: nothing is injected"));
        }
        let annotations = &template["metadata"]["annotations"];
        let gateway = annotations["inject.istio.io/templates"] == "gateway";
        let volume = items(&spec["volumes"])
            .iter()
            .find(|volume| text(&volume["configMap"]["name"]).starts_with("reprise-filter"));
        let volume = volume.map_or("", |volume| text(&volume["name"]));
        let path = match gateway {
            true => {
                let mounts =
                    items(&spec["containers"]).iter().flat_map(|c| items(&c["volumeMounts"]));
                let mut ours = mounts.filter(|mount| mount["name"] == volume);
                ours.next().map(|mount| mount["mountPath"].clone())
            }
            false => {
                let mounts: Value =
                    serde_json::from_str(text(&annotations[MOUNT])).unwrap_or_default();
                Some(mounts[volume]["mountPath"].clone())
            }
        };
        if path != Some("/var/lib/reprise".into()) {
            problems.push(format!("{workload}: its proxy does not mount the filter"));
        }
        if !gateway && !has_own_way_in(all, labels) {
            problems.push(format!(
                "{workload}: without a Sidecar with a defaultEndpoint its guard reaches no service"
            ));
        }
    }
    problems
}

fn has_own_way_in(all: &[Manifest], labels: &Value) -> bool {
    all.iter().filter(|m| m.kind == "Sidecar").any(|sidecar| {
        let selector = sidecar.at("/spec/workloadSelector/labels").as_object();
        let ingress = items(sidecar.at("/spec/ingress"));
        selector.is_some_and(|selector| selects(selector, labels))
            && ingress.iter().any(|one| !one["defaultEndpoint"].is_null())
    })
}
