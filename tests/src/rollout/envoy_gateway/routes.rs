//! HTTPRoutes and their BackendTrafficPolicies become routes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::{Map, Value, json};

use super::gateway::Gateway;
use super::units::{duration, same, set};
use super::{clusters, filters, items, only, policy, text};

/// One route of one host.
#[derive(Debug)]
pub struct Route<'a> {
    /// The HTTPRoute that it is of.
    pub manifest: &'a Manifest,
    /// The rule that it is of.
    pub rule: &'a Value,
    /// Where it leads.
    pub cluster: String,
    host: String,
    /// What Envoy gets.
    made: Value,
}

/// The routes of the Gateway in the order in which they are tried.
pub fn all<'a>(gateway: &Gateway<'a>) -> Result<Vec<Route<'a>>> {
    let mut all = Vec::new();
    for route in gateway.all.iter().filter(|m| m.kind == "HTTPRoute") {
        let spec = route.at("/spec");
        only(spec, &["parentRefs", "hostnames", "rules"], "an HTTPRoute")?;
        let mut own = false;
        for parent in items(&spec["parentRefs"]) {
            only(parent, &["name"], "a parent")?;
            own |= parent["name"] == gateway.own.name.as_str();
        }
        if own {
            of_route(gateway, route, &mut all).with_context(|| route.to_string())?;
        }
    }
    ensure!(!all.is_empty(), "{}: no HTTPRoute", gateway.own);
    // All paths are the same here, so the number of headers decides; a method is one of them.
    all.sort_by_key(|route| Reverse(items(&route.made["match"]["headers"]).len()));
    Ok(all)
}

fn of_route<'a>(
    gateway: &Gateway<'a>,
    route: &'a Manifest,
    all: &mut Vec<Route<'a>>,
) -> Result<()> {
    let hosts = hostnames(text(&gateway.listener()?["hostname"]), route.at("/spec/hostnames"));
    ensure!(!hosts.is_empty(), "no host of the route is one of the listener");
    for (number, rule) in items(route.at("/spec/rules")).iter().enumerate() {
        let known = ["name", "matches", "filters", "timeouts", "backendRefs"];
        only(rule, &known, "a rule")?;
        let cluster = format!("httproute/{}/{}/rule/{number}", gateway.namespace(), route.name);
        let always = [json!({})];
        let matches = if rule["matches"].is_null() { &always[..] } else { items(&rule["matches"]) };
        for (index, matched) in matches.iter().enumerate() {
            for host in &hosts {
                let mut made = json!({
                    "name": format!("{cluster}/match/{index}/{}", host.replace('.', "_")),
                    "match": {"prefix": "/", "headers": headers(matched)?},
                    "route": action(gateway, route, rule, &cluster)?,
                });
                if let Some(remove) = removed(rule)? {
                    made["request_headers_to_remove"] = remove.clone();
                }
                let on = json!({
                    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                    "config": {},
                });
                let names = filters::names(gateway, route)?;
                let on: Map<_, _> = names.into_iter().map(|name| (name, on.clone())).collect();
                if !on.is_empty() {
                    made["typed_per_filter_config"] = on.into();
                }
                let (cluster, host) = (cluster.clone(), host.clone());
                all.push(Route { manifest: route, rule, cluster, host, made });
            }
        }
    }
    Ok(())
}

/// The hosts that both a listener and a route are for.
fn hostnames(listener: &str, route: &Value) -> Vec<String> {
    let within = |name: &str, wildcard: &str| {
        let suffix = wildcard.strip_prefix('*');
        suffix.is_some_and(|suffix| name.ends_with(suffix) && name.len() > suffix.len())
    };
    let common = |own: &str| match listener {
        "" => Some(own.to_owned()),
        _ if own == listener || within(own, listener) => Some(own.to_owned()),
        _ if within(listener, own) => Some(listener.to_owned()),
        _ => None,
    };
    match items(route) {
        [] if listener.is_empty() => vec!["*".to_owned()],
        [] => vec![listener.to_owned()],
        own => own.iter().filter_map(|own| common(text(own))).collect(),
    }
}

fn headers(matched: &Value) -> Result<Vec<Value>> {
    only(matched, &["path", "method", "headers"], "a match")?;
    let path = &matched["path"];
    only(path, &["type", "value"], "a match of a path")?;
    let all = json!({"type": "PathPrefix", "value": "/"});
    ensure!(path.is_null() || *path == all, "a match of a path: {path}");
    let mut made = Vec::new();
    for header in items(&matched["headers"]) {
        only(header, &["name", "value"], "a match of a header")?;
        let exact = json!({"exact": header["value"]});
        made.push(json!({"name": header["name"], "string_match": exact}));
    }
    if let Some(method) = matched["method"].as_str() {
        made.push(json!({"name": ":method", "string_match": {"exact": method}}));
    }
    Ok(made)
}

/// The request's headers that a rule removes.
fn removed(rule: &Value) -> Result<Option<&Value>> {
    let mut found = None;
    for filter in items(&rule["filters"]) {
        only(filter, &["type", "requestHeaderModifier"], "a filter of a rule")?;
        only(&filter["requestHeaderModifier"], &["remove"], "a change of headers")?;
        ensure!(found.is_none(), "several changes of headers");
        found = filter["requestHeaderModifier"].get("remove");
    }
    Ok(found)
}

fn action(gateway: &Gateway<'_>, route: &Manifest, rule: &Value, cluster: &str) -> Result<Value> {
    let mut action = json!({
        "cluster": cluster,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    });
    only(&rule["timeouts"], &["request"], "the timeouts of a rule")?;
    set(&mut action, "timeout", &rule["timeouts"]["request"], duration)?;
    let none = Value::Null;
    let policy = policy::of_the_route(gateway, "BackendTrafficPolicy", route)?;
    let backend = policy.map(clusters::spec).transpose()?.unwrap_or(&none);
    let idle = &backend["timeout"]["http"]["streamIdleTimeout"];
    set(&mut action, "idle_timeout", idle, duration)?;
    let mut clients = policy::of_the_gateway(gateway, "ClientTrafficPolicy");
    if idle.is_null()
        && !clients.any(|p| !p.at("/spec/timeout/http/streamIdleTimeout").is_null())
        && let Some(timeout) = action["timeout"].as_str()
    {
        // Envoy Gateway's own: an hour, or none where the whole has no limit.
        action["idle_timeout"] = json!(if timeout == "0.000s" { "0s" } else { "3600s" });
    }
    let hash: Vec<Value> = items(&backend["loadBalancer"]["consistentHash"]["headers"])
        .iter()
        .map(|header| json!({"header": {"header_name": header["name"]}}))
        .collect();
    if !hash.is_empty() {
        action["hash_policy"] = hash.into();
    }
    if !backend["retry"].is_null() {
        action["retry_policy"] = retries(&backend["retry"])?;
    }
    Ok(action)
}

fn retries(from: &Value) -> Result<Value> {
    only(from, &["numRetries", "numAttemptsPerPriority", "retryOn", "perRetry"], "retry")?;
    let mut made = json!({
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": 2,
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }],
        "host_selection_retry_max_attempts": 5,
    });
    set(&mut made, "num_retries", &from["numRetries"], same)?;
    if let Some(attempts) = from["numAttemptsPerPriority"].as_u64().filter(|n| *n > 0) {
        made["retry_priority"] = json!({
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": attempts,
            },
        });
    }
    let on = &from["retryOn"];
    only(on, &["triggers", "httpStatusCodes"], "retryOn")?;
    if !on.is_null() {
        let known = ["connect-failure", "reset", "refused-stream", "retriable-status-codes"];
        let triggers: Vec<&str> = items(&on["triggers"]).iter().map(text).collect();
        if let Some(other) = triggers.iter().find(|trigger| !known.contains(trigger)) {
            bail!("the trigger {other}");
        }
        if !triggers.is_empty() {
            made["retry_on"] = json!(triggers.join(","));
        }
        made["retriable_status_codes"] = json!(items(&on["httpStatusCodes"]));
    }
    let per = &from["perRetry"];
    only(per, &["timeout", "backOff"], "perRetry")?;
    only(&per["backOff"], &["baseInterval", "maxInterval"], "backOff")?;
    set(&mut made, "per_try_timeout", &per["timeout"], duration)?;
    if !per["backOff"].is_null() {
        let mut back_off = json!({});
        set(&mut back_off, "base_interval", &per["backOff"]["baseInterval"], duration)?;
        set(&mut back_off, "max_interval", &per["backOff"]["maxInterval"], duration)?;
        made["retry_back_off"] = back_off;
    }
    Ok(made)
}

/// One virtual host for each host.
pub fn hosts(routes: &[Route<'_>]) -> Vec<Value> {
    let mut all: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for route in routes {
        all.entry(&route.host).or_default().push(&route.made);
    }
    let host = |(host, routes): (&str, Vec<&Value>)| json!({"name": host.replace('.', "_"), "domains": [host], "routes": routes});
    all.into_iter().map(host).collect()
}
