//! What Istio's objects say of one another and of the pods and services beside them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{filters, mutual, proxies};
use crate::Manifest;

/// What is wrong between the objects of one rendering.
pub fn across(all: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    let world = World::new(all);
    for manifest in all {
        let own: Vec<String> = match manifest.kind.as_str() {
            "VirtualService" => routes(&world, manifest),
            "DestinationRule" => rule(&world, manifest),
            "Gateway" if manifest.group() == "networking.istio.io" => servers(&world, manifest),
            _ => Vec::new(),
        };
        let own = own.into_iter().chain(selected(&world, manifest));
        problems.extend(own.map(|problem| format!("{manifest}: {problem}")));
    }
    problems.extend(filters::problems(all));
    problems.extend(mutual::problems(all));
    problems.extend(proxies::problems(all));
    problems
}

/// A label that tells the pods of one shop from those of the others in its cluster.
const NAMESPACE_LABEL: &str = "reprise/namespace";

/// What there is to refer to.
struct World<'a> {
    all: &'a [Manifest],
    /// Hosts with a port.
    hosts: BTreeSet<(String, u64)>,
}

/// Something below a value; empty if it is not there.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The pod templates of a rendering.
pub(super) fn templates(all: &[Manifest]) -> impl Iterator<Item = (&Manifest, &Value)> {
    all.iter().map(|m| (m, m.at("/spec/template"))).filter(|(_, template)| !template.is_null())
}

/// Whether labels are those that a selector wants.
pub(super) fn selects(selector: &Map<String, Value>, labels: &Value) -> bool {
    selector.iter().all(|(key, value)| labels[key] == *value)
}

impl<'a> World<'a> {
    fn new(all: &'a [Manifest]) -> Self {
        let mut hosts = BTreeSet::new();
        for manifest in all {
            let ports = |key: &str| {
                let ports = items(manifest.at("/spec/ports")).iter();
                ports.filter_map(|port| port[key].as_u64()).collect::<Vec<_>>()
            };
            match manifest.kind.as_str() {
                "Service" => {
                    let namespace = manifest.namespace.as_deref().unwrap_or("default");
                    let host = format!("{}.{namespace}.svc.cluster.local", manifest.name);
                    hosts.extend(ports("port").into_iter().map(|port| (host.clone(), port)));
                }
                "ServiceEntry" => {
                    for host in items(manifest.at("/spec/hosts")) {
                        let with = |port| (text(host).to_owned(), port);
                        hosts.extend(ports("number").into_iter().map(with));
                    }
                }
                _ => {}
            }
        }
        World { all, hosts }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|(known, _)| known == host)
    }

    fn kind(&self, kind: &str) -> impl Iterator<Item = &'a Manifest> {
        let kind = kind.to_owned();
        self.all.iter().filter(move |m| m.kind == kind)
    }
}

fn routes(world: &World<'_>, service: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    for name in items(service.at("/spec/gateways")) {
        if !world.kind("Gateway").any(|gateway| gateway.name == text(name)) {
            problems.push(format!("there is no Gateway {name}"));
        }
    }
    for rule in items(service.at("/spec/http")) {
        let at = |problem: String| format!("rule {}: {problem}", rule["name"]);
        if !rule["route"].is_null() && rule["retries"].is_null() {
            problems
                .push(at("without retries of its own it gets Istio's, which repeat writes".into()));
        }
        for route in items(&rule["route"]) {
            let to = &route["destination"];
            let (host, port) = (text(&to["host"]), to["port"]["number"].as_u64().unwrap_or(0));
            if !world.hosts.contains(&(host.to_owned(), port)) {
                problems.push(at(format!("nobody is {host}:{port}")));
            }
            if let Some(subset) = to["subset"].as_str() {
                let mut rules =
                    world.kind("DestinationRule").filter(|r| r.at("/spec/host") == host);
                let subsets = rules.next().map_or(&[][..], |r| items(r.at("/spec/subsets")));
                if !subsets.iter().any(|known| known["name"] == subset) {
                    problems
                        .push(at(format!("no DestinationRule has the subset {subset} of {host}")));
                }
            }
        }
    }
    problems
}

fn rule(world: &World<'_>, rule: &Manifest) -> Vec<String> {
    let host = text(rule.at("/spec/host"));
    let mut problems = Vec::new();
    if !world.knows(host) {
        problems.push(format!("nobody is {host}"));
    }
    let entry = world
        .kind("ServiceEntry")
        .find(|entry| items(entry.at("/spec/hosts")).iter().any(|known| known == host));
    let endpoints = entry.map_or(&[][..], |entry| items(entry.at("/spec/endpoints")));
    let regions: Vec<&Value> = endpoints.iter().map(|endpoint| &endpoint["locality"]).collect();
    let own: BTreeSet<&str> = templates(world.all)
        .map(|(_, t)| text(&t["metadata"]["labels"]["istio-locality"]))
        .collect();
    let empty = Map::new();
    for subset in items(rule.at("/spec/subsets")) {
        let at = |problem: String| format!("subset {}: {problem}", subset["name"]);
        let labels = subset["labels"].as_object().unwrap_or(&empty);
        if !endpoints.is_empty() && !endpoints.iter().any(|e| selects(labels, &e["labels"])) {
            problems.push(at("its labels are no endpoint's".into()));
        }
        let policy = &subset["trafficPolicy"];
        let setting = &policy["loadBalancer"]["localityLbSetting"];
        if !setting["failoverPriority"].is_null() {
            problems
                .push(at("istiod does not apply failoverPriority to hosts found by DNS".into()));
        }
        for failover in items(&setting["failover"]) {
            if policy["outlierDetection"].is_null() {
                problems.push(at("without outlierDetection istiod makes no priorities".into()));
            }
            if !policy["loadBalancer"]["consistentHash"].is_null() {
                problems.push(at("with a hash a retry goes to the same replica again".into()));
            }
            if !own.contains(text(&failover["from"])) {
                problems.push(at(format!("no pod has istio-locality {}", failover["from"])));
            }
            if !regions.contains(&&failover["to"]) {
                problems.push(at(format!("no endpoint is in {}", failover["to"])));
            }
        }
    }
    problems
}

fn servers(world: &World<'_>, gateway: &Manifest) -> Vec<String> {
    let empty = Map::new();
    let selector = gateway.at("/spec/selector").as_object().unwrap_or(&empty);
    let ports: BTreeSet<u64> = templates(world.all)
        .filter(|(_, template)| selects(selector, &template["metadata"]["labels"]))
        .flat_map(|(_, template)| items(&template["spec"]["containers"]))
        .flat_map(|container| items(&container["ports"]))
        .filter_map(|port| port["containerPort"].as_u64())
        .collect();
    let numbers = items(gateway.at("/spec/servers")).iter().map(|s| &s["port"]["number"]);
    let missing = numbers.filter(|number| !number.as_u64().is_some_and(|n| ports.contains(&n)));
    let mut problems: Vec<_> =
        missing.map(|number| format!("no selected pod has the port {number}")).collect();
    let own = selector.get(NAMESPACE_LABEL).and_then(Value::as_str);
    if own != gateway.namespace.as_deref() {
        problems.push(format!(
            "Istio looks for its pods in all namespaces: the selector needs {NAMESPACE_LABEL} with \
             this one's name"
        ));
    }
    problems
}

/// A selector that selects no pod is a mistake.
fn selected(world: &World<'_>, manifest: &Manifest) -> Vec<String> {
    if !manifest.group().ends_with("istio.io") {
        return Vec::new();
    }
    let selectors =
        ["/spec/selector/matchLabels", "/spec/workloadSelector/labels", "/spec/selector"];
    let selector = selectors.iter().find_map(|pointer| manifest.at(pointer).as_object());
    let Some(selector) = selector else { return Vec::new() };
    let mut labels = templates(world.all).map(|(_, template)| &template["metadata"]["labels"]);
    match labels.any(|labels| selects(selector, labels)) {
        true => Vec::new(),
        false => vec!["it selects no pod".into()],
    }
}
