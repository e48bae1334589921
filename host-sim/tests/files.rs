//! The simulated Envoys are the ones that are shipped: `envoy-configs/edge.yaml` and
//! `cloud.yaml`, read into the simulator's own types, are what the simulator builds for the
//! detection time in those files.

#[path = "files/clusters.rs"]
mod clusters;
#[path = "files/listeners.rs"]
mod listeners;
#[path = "files/yaml.rs"]
mod yaml;

use host_sim::envoy::{CloudHosts, Config, EdgeHosts, HealthCheck};
use host_sim::kernel::{Addr, NodeId, Port};
use host_sim::stack::Plugins;
use serde_json::Value;
use yaml::{Ports, at, items, only};

/// The detection time in the files, milliseconds.
const DETECT: u64 = 1_000;
const EDGE: &str = include_str!("../../envoy-configs/edge.yaml");
const CLOUD: &str = include_str!("../../envoy-configs/cloud.yaml");

const PRIMARY_GUARD: Addr = Addr { node: NodeId(1), port: Port::Guard };
const SECONDARY_GUARD: Addr = Addr { node: NodeId(2), port: Port::Guard };
const PRIMARY: Addr = Addr { node: NodeId(3), port: Port::Service };
const SECONDARY: Addr = Addr { node: NodeId(4), port: Port::Service };
const EDGE_REPRISE: Addr = Addr { node: NodeId(5), port: Port::Grpc };
const CLOUD_REPRISE: Addr = Addr { node: NodeId(6), port: Port::Grpc };
/// Where the ports of the files lead.
const PORTS: Ports = &[
    (7503, PRIMARY_GUARD),
    (7403, SECONDARY_GUARD),
    (9001, PRIMARY),
    (9002, SECONDARY),
    (7400, EDGE_REPRISE),
    (7500, CLOUD_REPRISE),
];

/// A file as the simulator would have it, without the plugins' configurations.
fn read(text: &str) -> (Config, Value) {
    let file = yaml::parse(text);
    only(&file, &["static_resources"], &["node", "admin"]);
    let resources = at(&file, "static_resources");
    only(resources, &["listeners", "clusters"], &[]);
    let read = items(at(resources, "clusters")).iter().map(|c| clusters::cluster(c, PORTS));
    let (clusters, checks): (Vec<_>, Vec<_>) = read.unzip();
    let mut checks = checks.into_iter().flatten();
    let health = checks.next();
    assert!(checks.all(|check| Some(check) == health), "one kind of health check");
    let health = health.map(|times| HealthCheck {
        of: PRIMARY_GUARD,
        service: PRIMARY.node,
        interval: times.interval,
        timeout: times.timeout,
        unhealthy: times.unhealthy,
        healthy: times.healthy,
    });
    let listeners = items(at(resources, "listeners"));
    let mut config = Config {
        workers: 1,
        listeners: listeners.iter().map(listeners::listener).collect(),
        clusters,
        health,
    };
    let plugins = config.listeners.iter_mut().filter_map(|listener| {
        let plugin = listener.plugin.as_mut()?;
        let configuration = std::mem::take(&mut plugin.configuration);
        let configuration = serde_json::from_str(&configuration).expect("a configuration");
        Some((plugin.name.clone(), configuration))
    });
    let plugins = Value::Object(plugins.collect());
    (config, plugins)
}

/// What a simulator sets must be what the file sets; what only the file sets is a default there.
fn same_plugin(simulated: &str, file: &Value) {
    let simulated: Value = serde_json::from_str(simulated).unwrap();
    for (key, value) in simulated.as_object().unwrap() {
        assert_eq!(value, at(file, key), "{key}");
    }
    for (key, value) in file.as_object().unwrap() {
        let default = match key.as_str() {
            "limits" => serde_json::json!({"body_bytes": 1_048_576, "sessions": 16_384}),
            "remember" => serde_json::json!({"response_bytes": 65_536}),
            "in_doubt" => serde_json::json!({"default": "by_method"}),
            _ => at(&simulated, key).clone(),
        };
        assert_eq!(value, &default, "{key}");
    }
}

fn plugins() -> Plugins {
    let load = "{sessions: 1, writes_per_second: 1}";
    let scenario = format!("{{name: plain, duration_ms: 1, detect_ms: {DETECT}, load: {load}}}");
    Plugins::of(&scenario::read(&scenario).expect("a scenario"))
}

#[test]
fn the_simulated_edge_is_the_one_in_edge_yaml() {
    let (file, configurations) = read(EDGE);
    let hosts = EdgeHosts {
        primary_guard: PRIMARY_GUARD,
        primary: PRIMARY.node,
        secondary_guard: SECONDARY_GUARD,
        replica: SECONDARY,
        reprise: EDGE_REPRISE,
    };
    let simulated = Config::edge(DETECT, 1, String::new(), Some(String::new()), &hosts);
    assert_eq!(file.listeners, simulated.listeners);
    assert_eq!(file.clusters, simulated.clusters);
    assert_eq!(file, simulated);
    let plugins = plugins();
    same_plugin(&plugins.gateway, at(&configurations, "reprise-gateway"));
    same_plugin(&plugins.secondary_guard, at(&configurations, "reprise-guard"));
}

#[test]
fn the_simulated_cloud_is_the_one_in_cloud_yaml() {
    let (file, configurations) = read(CLOUD);
    let hosts = CloudHosts { replica: PRIMARY, reprise: CLOUD_REPRISE };
    let simulated = Config::cloud(DETECT, 1, String::new(), &hosts);
    assert_eq!(file, simulated);
    same_plugin(&plugins().primary_guard, at(&configurations, "reprise-guard"));
}

#[test]
fn a_second_gateway_is_an_edge_with_its_listener_for_clients_alone() {
    let addr = SECONDARY_GUARD;
    let hosts = EdgeHosts {
        primary_guard: PRIMARY_GUARD,
        primary: PRIMARY.node,
        secondary_guard: addr,
        replica: addr,
        reprise: addr,
    };
    let both = |guard| Config::edge(DETECT, 2, "{}".into(), guard, &hosts);
    let (whole, second) = (both(Some(String::new())), both(None));
    assert_eq!(second.listeners, whole.listeners[..1]);
    assert_eq!(Config { listeners: whole.listeners, ..second }, both(Some(String::new())));
}
