//! Clusters.

use crate::yaml::{Ports, address, at, deep, items, micros, number, only, single, text};
use host_sim::envoy::{Cluster, Host, Ping};
use host_sim::kernel::Micros;
use serde_json::{Value, json};

/// The figures of a health check.
#[derive(PartialEq)]
pub struct Check {
    pub interval: Micros,
    pub timeout: Micros,
    pub unhealthy: u32,
    pub healthy: u32,
}

/// A cluster, and how it is checked if it is.
pub fn cluster(value: &Value, ports: Ports) -> (Cluster, Option<Check>) {
    only(
        value,
        &[
            "name",
            "type",
            "connect_timeout",
            "close_connections_on_host_health_failure",
            "common_lb_config",
            "health_checks",
            "typed_extension_protocol_options",
            "load_assignment",
        ],
        &["per_connection_buffer_limit_bytes", "circuit_breakers"],
    );
    assert_eq!(at(value, "type"), "STATIC");
    let name = text(at(value, "name")).to_string();
    let check = value.get("health_checks").map(|checks| check(single(checks)));
    // Who is not healthy is left, and nobody panics.
    let wanted =
        check.is_some().then_some((true, json!({"healthy_panic_threshold": {"value": 0}})));
    let left = value.get("close_connections_on_host_health_failure").and_then(Value::as_bool);
    let found = left.zip(value.get("common_lb_config").cloned());
    assert_eq!(found, wanted, "{name}");

    let assignment = at(value, "load_assignment");
    only(assignment, &["cluster_name", "endpoints"], &[]);
    assert_eq!(at(assignment, "cluster_name"), &name);
    let endpoints = items(at(assignment, "endpoints"));
    let hosts = (0_u32..).zip(endpoints).map(|(n, endpoint)| {
        only(endpoint, &["priority", "lb_endpoints"], &[]);
        assert_eq!(endpoint.get("priority").map_or(0, number), n, "{name}");
        let endpoint = at(single(at(endpoint, "lb_endpoints")), "endpoint");
        only(endpoint, &["address", "health_check_config"], &[]);
        let unchecked = endpoint
            .get("health_check_config")
            .is_some_and(|config| config == &json!({"disable_active_health_check": true}));
        Host { addr: address(endpoint, ports), checked: check.is_some() && !unchecked }
    });
    let hosts = hosts.collect();
    let (shared, idle, ping) = protocol(at(value, "typed_extension_protocol_options"));
    let connect = micros(at(value, "connect_timeout"));
    (Cluster { name, hosts, shared, connect, idle, ping }, check)
}

fn check(value: &Value) -> Check {
    only(
        value,
        &["interval", "timeout", "no_traffic_interval", "unhealthy_threshold", "healthy_threshold"],
        &["http_health_check"],
    );
    assert_eq!(at(value, "interval"), at(value, "no_traffic_interval"));
    Check {
        interval: micros(at(value, "interval")),
        timeout: micros(at(value, "timeout")),
        unhealthy: number(at(value, "unhealthy_threshold")),
        healthy: number(at(value, "healthy_threshold")),
    }
}

fn protocol(value: &Value) -> (bool, Option<Micros>, Option<Ping>) {
    let options = at(value, "envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
    only(options, &["common_http_protocol_options", "explicit_http_config"], &["@type"]);
    let idle = options.get("common_http_protocol_options").map(|common| {
        only(common, &["idle_timeout"], &[]);
        micros(at(common, "idle_timeout"))
    });
    let config = at(options, "explicit_http_config");
    only(config, &["http_protocol_options", "http2_protocol_options"], &[]);
    let Some(http2) = config.get("http2_protocol_options") else { return (false, idle, None) };
    let windows = ["initial_stream_window_size", "initial_connection_window_size"];
    only(http2, &["connection_keepalive"], &windows);
    let ping = http2.get("connection_keepalive").map(|ping| {
        only(ping, &["interval", "timeout", "interval_jitter"], &[]);
        assert_eq!(deep(ping, &["interval_jitter", "value"]), 0);
        Ping { interval: micros(at(ping, "interval")), timeout: micros(at(ping, "timeout")) }
    });
    (true, idle, ping)
}
