//! AuthorizationPolicies become the filter that enforces them. Without mutual TLS nobody has an
//! identity, so whoever comes is let in where an identity is asked for; ports and methods hold.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use super::mesh::Mesh;
use super::{items, only};

/// The filter; `None` where no policy selects the pod.
pub fn filter(mesh: &Mesh<'_>) -> Result<Option<Value>> {
    let mut policies = Map::new();
    for policy in mesh.selecting("AuthorizationPolicy") {
        let spec = policy.at("/spec");
        only(spec, &["selector", "action", "rules"], "an AuthorizationPolicy")?;
        ensure!(spec["action"] == "ALLOW", "{policy}: only ALLOW is known");
        for (index, rule) in items(&spec["rules"]).iter().enumerate() {
            only(rule, &["from", "to"], "a rule")?;
            let [to] = items(&rule["to"]) else { anyhow::bail!("{policy}: not one `to`") };
            let operation = &to["operation"];
            only(operation, &["ports", "methods"], "an operation")?;
            let mut all = Vec::new();
            if let Some(ports) = operation["ports"].as_array() {
                let ports = ports.iter().filter_map(|port| port.as_str()?.parse().ok());
                // A port that nothing stands for here is nobody's.
                let ports = ports.filter_map(|port: u16| mesh.world.port(port).ok());
                let any: Vec<Value> = ports.map(|port| json!({"destination_port": port})).collect();
                if any.is_empty() {
                    continue;
                }
                all.push(json!({"or_rules": {"rules": any}}));
            }
            if let Some(methods) = operation["methods"].as_array() {
                let any: Vec<Value> = methods
                    .iter()
                    .map(|m| json!({"header": {"name": ":method", "string_match": {"exact": m}}}))
                    .collect();
                all.push(json!({"or_rules": {"rules": any}}));
            }
            policies.insert(
                format!("ns[shop]-policy[{}]-rule[{index}]", policy.name),
                json!({"permissions": [{"and_rules": {"rules": all}}], "principals": [{"any": true}]}),
            );
        }
    }
    if policies.is_empty() {
        return Ok(None);
    }
    Ok(Some(json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": policies},
        },
    })))
}
