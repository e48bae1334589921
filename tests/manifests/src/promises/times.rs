//! The chain of times, through the objects that each has its own part of: takeover < gap wait <
//! per-try timeout < route timeout < stream idle timeout.

use std::time::Duration;

use serde_json::Value;

use super::{file, policies, reprise};
use crate::Manifest;
use crate::pods::list;

pub(super) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let chain = [
        ("takeover_ms", takeover(manifests)),
        ("gap_wait_ms", gap_wait(manifests)),
        ("the per-try timeout", per_try(manifests)),
        ("the route timeout", route(manifests)),
        ("the stream idle timeout", idle(manifests)),
    ];
    let known: Vec<_> = chain
        .iter()
        .filter(|(_, times)| !times.is_empty())
        .map(|(name, times)| (name, times))
        .collect();
    let mut problems = Vec::new();
    for pair in known.windows(2) {
        if let [(name, times), (next_name, next)] = pair
            && let (Some(longest), Some(shortest)) = (times.iter().max(), next.iter().min())
            && longest >= shortest
        {
            problems.push(format!(
                "{name} ({longest:?}) must be shorter than {next_name} ({shortest:?})"
            ));
        }
    }
    problems
}

fn takeover(manifests: &[Manifest]) -> Vec<Duration> {
    let ms = || reprise(manifests)?.get("log")?.get("takeover_ms")?.as_integer();
    ms().and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis).into_iter().collect()
}

fn gap_wait(manifests: &[Manifest]) -> Vec<Duration> {
    let Some(config) = file(manifests, "guard-envoy", "envoy.yaml") else { return Vec::new() };
    let Ok(config) = serde_saphyr::from_str::<Value>(config) else { return Vec::new() };
    let mut found = Vec::new();
    strings(&config, &mut |text| {
        let plugin: Option<Value> = serde_json::from_str(text).ok();
        found
            .extend(plugin.and_then(|p| p.get("gap_wait_ms")?.as_u64()).map(Duration::from_millis));
    });
    found
}

fn strings(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, see)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, see)),
        _ => {}
    }
}

fn per_try(manifests: &[Manifest]) -> Vec<Duration> {
    let policies = manifests.iter().filter(|manifest| manifest.kind == "BackendTrafficPolicy");
    policies.filter_map(|policy| duration(policy.at("/spec/retry/perRetry/timeout"))).collect()
}

/// Of the routes that have one at all, and are retried: reads may stream.
fn route(manifests: &[Manifest]) -> Vec<Duration> {
    let retried = |route: &&Manifest| {
        let mut policies = policies(manifests, "BackendTrafficPolicy", route);
        route.kind == "HTTPRoute"
            && policies.any(|policy| !policy.at("/spec/retry/perRetry/timeout").is_null())
    };
    let rules = manifests.iter().filter(retried).flat_map(|route| list(route.at("/spec/rules")));
    rules
        .filter_map(|rule| duration(&rule["timeouts"]["request"]))
        .filter(|time| !time.is_zero())
        .collect()
}

fn idle(manifests: &[Manifest]) -> Vec<Duration> {
    let policies = manifests.iter().filter(|manifest| manifest.kind == "ClientTrafficPolicy");
    policies
        .filter_map(|policy| duration(policy.at("/spec/timeout/http/streamIdleTimeout")))
        .collect()
}

fn duration(value: &Value) -> Option<Duration> {
    let time: gateway_api::Duration = value.as_str()?.parse().ok()?;
    u64::try_from(time.as_millis()).ok().map(Duration::from_millis)
}
