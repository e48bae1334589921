//! VirtualServices become routes.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::mesh::Mesh;
use super::{clusters, items, only, port, text};

/// The route configuration of a Gateway's port.
pub fn of_gateway(mesh: &Mesh<'_>, gateway: &str, number: u16) -> Result<Value> {
    let mut routes = Vec::new();
    for service in mesh.kind("VirtualService") {
        let spec = service.at("/spec");
        only(spec, &["hosts", "gateways", "exportTo", "http"], "a VirtualService")?;
        if items(&spec["gateways"]).iter().any(|name| name == gateway) {
            ensure!(spec["hosts"] == json!(["*"]), "{service}: hosts other than *");
            for http in items(&spec["http"]) {
                routes.extend(of_http(mesh, http).with_context(|| service.to_string())?);
            }
        }
    }
    ensure!(!routes.is_empty(), "no VirtualService has routes for the Gateway {gateway}");
    Ok(json!({
        "name": format!("https.{number}.{gateway}"),
        "validate_clusters": false,
        "virtual_hosts": [{"name": format!("*:{number}"), "domains": ["*"], "routes": routes}],
    }))
}

/// The routes of one rule: one for each of its matches.
fn of_http(mesh: &Mesh<'_>, http: &Value) -> Result<Vec<Value>> {
    let known = ["name", "match", "headers", "route", "directResponse", "timeout", "retries"];
    only(http, &known, "a rule")?;
    let always = [Value::Null];
    let matches = if http["match"].is_null() { &always[..] } else { items(&http["match"]) };
    matches.iter().map(|matched| of_match(mesh, http, matched)).collect()
}

fn of_match(mesh: &Mesh<'_>, http: &Value, matched: &Value) -> Result<Value> {
    only(matched, &["headers", "method"], "a match")?;
    let empty = Map::new();
    let headers = matched["headers"].as_object().unwrap_or(&empty);
    let mut wanted: Vec<Value> =
        headers.iter().map(|(name, text)| header(name, text)).collect::<Result<_>>()?;
    if !matched["method"].is_null() {
        wanted.push(header(":method", &matched["method"])?);
    }
    let mut route = json!({"name": http["name"], "match": {"prefix": "/", "headers": wanted}});
    only(&http["headers"], &["request"], "headers")?;
    only(&http["headers"]["request"], &["remove"], "headers")?;
    if let Some(remove) = http["headers"]["request"].get("remove") {
        route["request_headers_to_remove"] = remove.clone();
    }
    match &http["directResponse"] {
        Value::Null => route["route"] = action(mesh, http)?,
        direct => {
            only(direct, &["status", "body"], "a direct response")?;
            route["direct_response"] = json!({
                "status": direct["status"],
                "body": {"inline_string": direct["body"]["string"]},
            });
        }
    }
    Ok(route)
}

fn header(name: &str, wanted: &Value) -> Result<Value> {
    only(wanted, &["exact", "regex"], "a match of a header")?;
    Ok(match (&wanted["exact"], &wanted["regex"]) {
        (Value::String(exact), _) => json!({"name": name, "string_match": {"exact": exact}}),
        (_, Value::String(regex)) => {
            json!({"name": name, "string_match": {"safe_regex": {"regex": regex}}})
        }
        _ => bail!("the header {name} is matched by nothing"),
    })
}

fn action(mesh: &Mesh<'_>, http: &Value) -> Result<Value> {
    let [route] = items(&http["route"]) else { bail!("more than one destination") };
    only(route, &["destination"], "a route")?;
    let to = &route["destination"];
    only(to, &["host", "subset", "port"], "a destination")?;
    let (host, number) = (text(&to["host"]), port(&to["port"]["number"]));
    // Istio's own are two more tries at the same replica.
    ensure!(http["retries"].is_object(), "no retries of its own");
    let mut action = json!({
        "cluster": clusters::outbound(number, text(&to["subset"]), host),
        "timeout": if http["timeout"].is_null() { "0s" } else { text(&http["timeout"]) },
    });
    let hash = clusters::session_header(mesh, host);
    if let Some(policy) = retries(&http["retries"], hash.is_some())? {
        action["retry_policy"] = policy;
    }
    if let Some(name) = hash {
        action["hash_policy"] = json!([{"header": {"header_name": name}}]);
    }
    Ok(action)
}

/// `None` turns them off.
fn retries(from: &Value, hashed: bool) -> Result<Option<Value>> {
    let known = [
        "attempts",
        "perTryTimeout",
        "retryOn",
        "retryRemoteLocalities",
        "retryIgnorePreviousHosts",
        "backoff",
    ];
    only(from, &known, "retries")?;
    if from["attempts"].as_u64().context("retries without attempts")? == 0 {
        return Ok(None);
    }
    let reasons = text(&from["retryOn"]).split(',').map(str::trim);
    let (codes, words): (Vec<_>, Vec<_>) = reasons.partition(|word| word.parse::<u16>().is_ok());
    let codes: Vec<u16> = codes.iter().filter_map(|code| code.parse().ok()).collect();
    let mut policy = json!({
        "retry_on": words.join(","),
        "num_retries": from["attempts"],
        "host_selection_retry_max_attempts": 5,
    });
    if !codes.is_empty() {
        policy["retriable_status_codes"] = json!(codes);
    }
    if let Some(timeout) = from.get("perTryTimeout") {
        policy["per_try_timeout"] = timeout.clone();
    }
    if let Some(backoff) = from.get("backoff") {
        policy["retry_back_off"] = json!({"base_interval": backoff});
    }
    if from["retryIgnorePreviousHosts"].as_bool().unwrap_or(!hashed) {
        policy["retry_host_predicate"] = json!([{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }]);
    }
    if from["retryRemoteLocalities"] == true {
        policy["retry_priority"] = json!({
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 2,
            },
        });
    }
    Ok(Some(policy))
}
