//! The configuration of Istio's proxies, an annotation of their pods, field by field from
//! mesh/v1alpha1/proxy.proto of Istio's API: of its fields those that are used here.
#![allow(dead_code, reason = "the fields are there to be read from YAML, not by us")]

use serde::Deserialize;
use serde_json::Value;

use super::across::{templates, text};
use crate::pods::list;
use crate::{Manifest, strict};

/// How long what a proxy has under way may take, seconds: longer than a guard lets its service
/// (`run_timeout_ms`), and than a gateway waits for the log and a replica.
const UNDER_WAY_S: u64 = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyConfig {
    hold_application_until_proxy_starts: Option<bool>,
    termination_drain_duration: Option<String>,
    proxy_stats_matcher: Option<ProxyStatsMatcher>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyStatsMatcher {
    inclusion_prefixes: Option<Vec<String>>,
    inclusion_suffixes: Option<Vec<String>>,
    inclusion_regexps: Option<Vec<String>>,
}

/// What is wrong with how proxies end and what they count.
pub(super) fn problems(all: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for (manifest, template) in templates(all) {
        let at = |problem| format!("{manifest}: proxy.istio.io/config: {problem}");
        let text = text(&template["metadata"]["annotations"]["proxy.istio.io/config"]);
        let config = match serde_saphyr::from_str::<Value>(text) {
            _ if text.is_empty() => Value::Null,
            Ok(config) => config,
            Err(error) => {
                problems.push(at(error.to_string()));
                continue;
            }
        };
        if !config.is_null() {
            problems.extend(strict::typed::<ProxyConfig>(&config).into_iter().map(at));
        }
        if serves(template) {
            problems.extend(ends(&config, template).map(at));
        }
    }
    problems
}

/// Whether requests go through the proxy of these pods.
fn serves(template: &Value) -> bool {
    let metadata = &template["metadata"];
    let filters = list(&template["spec"]["volumes"])
        .any(|volume| text(&volume["configMap"]["name"]).starts_with("reprise-filter"));
    let gateway = metadata["annotations"]["inject.istio.io/templates"] == "gateway";
    metadata["labels"]["sidecar.istio.io/inject"] == "true" && (filters || gateway)
}

fn ends(config: &Value, template: &Value) -> Option<String> {
    let drain = config["terminationDrainDuration"].as_str().unwrap_or("5s");
    let drain_s = drain.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok());
    let grace_s = template["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    match drain_s {
        None => Some(format!("terminationDrainDuration is {drain}, no whole seconds")),
        Some(drain_s) if drain_s < UNDER_WAY_S => {
            Some(format!("it ends after {drain}, which must be {UNDER_WAY_S}s at least"))
        }
        Some(drain_s) if drain_s >= grace_s => {
            Some(format!("it drains for {drain}, and is killed after {grace_s} s"))
        }
        Some(_) => None,
    }
}
