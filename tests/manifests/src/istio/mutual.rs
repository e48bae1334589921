//! Nobody speaks in plain text, and everybody knows whom they speak to.

use serde_json::Value;

use super::across::{items, text};
use crate::Manifest;

/// Ports that anybody may read from: they tell figures and nothing else.
const FIGURES: [&str; 1] = ["7408"];

/// What is wrong with who may speak to whom.
pub(super) fn problems(all: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    let kind = |kind: &'static str| all.iter().filter(move |m| m.kind == kind);
    let whole = kind("PeerAuthentication").filter(|m| m.at("/spec/selector").is_null());
    let in_istio = all.iter().any(|m| m.group().ends_with("istio.io"));
    if in_istio && whole.count() == 0 {
        problems.push("no PeerAuthentication is for the whole namespace".into());
    }
    for manifest in kind("PeerAuthentication") {
        if manifest.at("/spec/mtls/mode") != "STRICT" {
            problems.push(format!("{manifest}: mtls is not STRICT"));
        }
        for (port, mtls) in manifest.at("/spec/portLevelMtls").as_object().into_iter().flatten() {
            if mtls["mode"] != "STRICT" && !FIGURES.contains(&port.as_str()) {
                problems.push(format!("{manifest}: port {port} is not STRICT"));
            }
        }
    }
    for rule in kind("DestinationRule") {
        let tls = rule.at("/spec/trafficPolicy/tls");
        let own = items(rule.at("/spec/subsets")).iter().map(|s| &s["trafficPolicy"]["tls"]);
        for tls in std::iter::once(tls).chain(own.filter(|tls| !tls.is_null())) {
            problems.extend(client(tls).map(|problem| format!("{rule}: {problem}")));
        }
    }
    for policy in kind("AuthorizationPolicy") {
        let rules = items(policy.at("/spec/rules")).iter();
        let from = rules.flat_map(|rule| items(&rule["from"]));
        let names = from.flat_map(|from| items(&from["source"]["principals"]));
        for name in names.filter(|name| !is_identity(text(name))) {
            problems.push(format!("{policy}: {name} is not DOMAIN/ns/NAMESPACE/sa/ACCOUNT"));
        }
    }
    problems
}

fn client(tls: &Value) -> Option<String> {
    if tls["mode"] != "ISTIO_MUTUAL" {
        return Some("tls is not ISTIO_MUTUAL".into());
    }
    let names = items(&tls["subjectAltNames"]);
    if names.is_empty() {
        return Some("subjectAltNames pin nobody".into());
    }
    let wrong =
        |name: &&Value| text(name).strip_prefix("spiffe://").is_none_or(|n| !is_identity(n));
    names.iter().find(wrong).map(|name| format!("{name} is no identity"))
}

fn is_identity(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    matches!(parts[..], [domain, "ns", namespace, "sa", account]
        if ![domain, namespace, account].iter().any(|part| part.is_empty()))
}
