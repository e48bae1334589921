//! TrafficExtension, field by field from extensions/v1alpha1/traffic_extension.proto of Istio's
//! API, 1.30.
#![allow(dead_code, reason = "the fields are there to be read from YAML, not by us")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::Manifest;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrafficExtensionSpec {
    selector: Option<Selector>,
    target_refs: Option<Vec<TargetRef>>,
    phase: Option<Phase>,
    priority: Option<i32>,
    #[serde(rename = "match")]
    matches: Option<Vec<TrafficSelector>>,
    wasm: Option<Wasm>,
    lua: Option<Lua>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct TargetRef {
    group: Option<String>,
    kind: String,
    name: String,
    namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Phase {
    Unspecified,
    Authn,
    Authz,
    Stats,
}

#[derive(Debug, Deserialize)]
struct TrafficSelector {
    mode: Option<Mode>,
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Mode {
    Undefined,
    Client,
    Server,
    ClientAndServer,
}

#[derive(Debug, Deserialize)]
struct Port {
    number: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wasm {
    url: String,
    sha256: Option<String>,
    image_pull_policy: Option<PullPolicy>,
    image_pull_secret: Option<String>,
    verification_key: Option<String>,
    plugin_config: Option<BTreeMap<String, Value>>,
    plugin_name: Option<String>,
    fail_strategy: Option<FailStrategy>,
    vm_config: Option<VmConfig>,
    #[serde(rename = "type")]
    kind: Option<PluginType>,
}

#[derive(Debug, Deserialize)]
enum PullPolicy {
    #[serde(rename = "UNSPECIFIED_POLICY")]
    Unspecified,
    IfNotPresent,
    Always,
}

#[derive(Debug, Deserialize)]
enum FailStrategy {
    #[serde(rename = "FAIL_CLOSE")]
    Close,
    #[serde(rename = "FAIL_OPEN")]
    Open,
    #[serde(rename = "FAIL_RELOAD")]
    Reload,
}

#[derive(Debug, Deserialize)]
struct VmConfig {
    env: Option<Vec<EnvVar>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvVar {
    name: String,
    value: Option<String>,
    value_from: Option<EnvSource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EnvSource {
    Inline,
    Host,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum PluginType {
    #[serde(rename = "UNSPECIFIED_PLUGIN_TYPE")]
    Unspecified,
    Http,
    Network,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lua {
    inline_code: String,
}

/// The two rules that the definition has beside its fields.
pub(super) fn problems(manifest: &Manifest) -> Vec<String> {
    let has = |field: &str| !manifest.at(&format!("/spec/{field}")).is_null();
    let mut problems = Vec::new();
    if has("selector") && has("targetRefs") {
        problems.push("spec: only one of selector and targetRefs may be set".into());
    }
    if has("wasm") == has("lua") {
        problems.push("spec: exactly one of wasm and lua must be set".into());
    }
    problems
}
