//! Which policies concern a Gateway or a route of it.

use anyhow::{Result, ensure};
use manifests::Manifest;
use serde_json::Value;

use super::gateway::Gateway;
use super::{items, only};

/// The policies of a kind that target the Gateway.
pub fn of_the_gateway<'a>(
    gateway: &Gateway<'a>,
    kind: &str,
) -> impl Iterator<Item = &'a Manifest> + use<'a> {
    targeting(gateway, kind, "Gateway", &gateway.own.name)
}

/// The one policy of a kind that counts for a route: its own, or that of the Gateway.
pub fn of_the_route<'a>(
    gateway: &Gateway<'a>,
    kind: &str,
    route: &Manifest,
) -> Result<Option<&'a Manifest>> {
    let own: Vec<_> = targeting(gateway, kind, "HTTPRoute", &route.name).collect();
    let found = if own.is_empty() { of_the_gateway(gateway, kind).collect() } else { own };
    // Of several, only the oldest counts.
    ensure!(found.len() <= 1, "{route} has several of {kind}");
    Ok(found.first().copied())
}

fn targeting<'a>(
    gateway: &Gateway<'a>,
    kind: &str,
    target: &str,
    name: &str,
) -> impl Iterator<Item = &'a Manifest> + use<'a> {
    let (kind, target, name) = (kind.to_owned(), target.to_owned(), name.to_owned());
    gateway.all.iter().filter(move |policy| {
        let one = policy.at("/spec/targetRef");
        let targets = items(policy.at("/spec/targetRefs")).iter().chain([one]);
        policy.kind == kind
            && targets.into_iter().any(|t| t["kind"] == *target && t["name"] == *name)
    })
}

/// The body of a policy without its targets, whose fields must be known.
pub fn spec<'a>(policy: &'a Manifest, known: &[&str]) -> Result<&'a Value> {
    let spec = policy.at("/spec");
    let all: Vec<&str> = known.iter().copied().chain(["targetRefs"]).collect();
    only(spec, &all, &policy.to_string())?;
    for target in items(&spec["targetRefs"]) {
        only(target, &["group", "kind", "name"], "a target")?;
    }
    Ok(spec)
}
