//! The configuration of our filter as it reaches Envoy, whoever puts it there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::pods::list;

const MODULE: &str = "/var/lib/reprise/reprise_filter.wasm";

/// What is wrong with a plugin's configuration (`envoy.extensions.wasm.v3.PluginConfig`).
pub(crate) fn problems(config: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if config["allow_on_headers_stop_iteration"] != true {
        problems.push("without allow_on_headers_stop_iteration a request with a body hangs".into());
    }
    if config["failure_policy"] != "FAIL_RELOAD" {
        problems.push("failure_policy is not FAIL_RELOAD".into());
    }
    if config["vm_config"]["code"]["local"]["filename"] != MODULE {
        problems.push("it does not load the file of the node".into());
    }
    problems.extend(capabilities(&config["capability_restriction_config"]));
    problems.extend(own(config));
    problems
}

/// What is not allowed is not called, and Envoy says nothing of it.
fn capabilities(restriction: &Value) -> Option<String> {
    let allowed = restriction["allowed_capabilities"].as_object();
    let Some(allowed) = allowed else {
        return Some("it does not restrict what the module may call".into());
    };
    let allowed: BTreeSet<String> = allowed.keys().cloned().collect();
    match xtask::dist::capabilities() {
        Ok(needed) if needed == allowed => None,
        Ok(needed) => {
            let different: Vec<_> = needed.symmetric_difference(&allowed).collect();
            Some(format!("allowed_capabilities and filter/capabilities.txt differ: {different:?}"))
        }
        Err(error) => Some(format!("{error:#}")),
    }
}

/// What the filter itself says of its configuration, where its environment is as declared.
fn own(config: &Value) -> Vec<String> {
    let Some(text) = config["configuration"]["value"].as_str() else {
        return vec!["its configuration is not the filter's, as JSON in a text".into()];
    };
    let declared = variables(&config["vm_config"]["environment_variables"]);
    let variable = |name: &str| declared.contains(name).then(|| "set".to_owned());
    filter_core::config::parse(text.as_bytes(), variable).err().unwrap_or_default()
}

/// The variables that an Envoy gives a module (`envoy.extensions.wasm.v3.EnvironmentVariables`).
pub(crate) fn variables(environment: &Value) -> BTreeSet<&str> {
    let of_host = list(&environment["host_env_keys"]).filter_map(Value::as_str);
    let given = environment["key_values"].as_object().into_iter().flatten();
    of_host.chain(given.map(|(name, _)| name.as_str())).collect()
}
