//! Listeners, their plugins and routes.

use crate::yaml::{at, deep, items, micros, number, only, single, text, texts};
use host_sim::envoy::{Listener, Match, Plugin, Retry, Route, Way};
use host_sim::kernel::{Port, SECOND};
use serde_json::{Value, json};

/// What Envoy gives a route that names no timeout.
const USUAL: u64 = 15 * SECOND;

pub fn listener(value: &Value) -> Listener {
    let set_up = ["address", "enable_reuse_port", "connection_balance_config"];
    only(
        value,
        &["name", "filter_chains"],
        &[&set_up[..], &["per_connection_buffer_limit_bytes"]].concat(),
    );
    let port = match text(at(value, "name")) {
        "clients" => Port::Clients,
        "delivery" => Port::Delivery,
        "guard-secondary" | "guard-primary" => Port::Guard,
        other => panic!("what is {other}?"),
    };
    let manager = single(at(single(at(value, "filter_chains")), "filters"));
    assert_eq!(at(manager, "name"), "envoy.filters.network.http_connection_manager");
    let manager = at(manager, "typed_config");
    only(
        manager,
        &["stream_idle_timeout", "http_filters", "route_config"],
        &[
            "@type",
            "stat_prefix",
            "use_remote_address",
            "server_header_transformation",
            "normalize_path",
            "merge_slashes",
            "path_with_escaped_slashes_action",
            "common_http_protocol_options",
            "http2_protocol_options",
            "max_request_headers_kb",
            "generate_request_id",
            "request_headers_timeout",
            "request_timeout",
            "delayed_close_timeout",
        ],
    );
    let plugin = match items(at(manager, "http_filters")) {
        [plugin, router] => {
            is_router(router);
            Some(self::plugin(at(plugin, "typed_config")))
        }
        [router] => {
            is_router(router);
            None
        }
        other => panic!("unknown filters: {other:?}"),
    };
    let (routes, removes) = routes(at(manager, "route_config"));
    let idle = micros(at(manager, "stream_idle_timeout"));
    Listener { port, plugin, idle, routes, removes }
}

fn is_router(value: &Value) {
    assert_eq!(at(value, "name"), "envoy.filters.http.router");
    only(at(value, "typed_config"), &[], &["@type", "suppress_envoy_headers"]);
}

fn plugin(value: &Value) -> Plugin {
    only(value, &["config"], &["@type"]);
    let config = at(value, "config");
    only(
        config,
        &[
            "name",
            "root_id",
            "failure_policy",
            "allow_on_headers_stop_iteration",
            "vm_config",
            "configuration",
        ],
        &[],
    );
    // The simulated ones are always so.
    assert_eq!(at(config, "failure_policy"), "FAIL_RELOAD");
    only(at(config, "vm_config"), &["vm_id"], &["runtime", "code"]);
    assert_eq!(deep(config, &["vm_config", "vm_id"]), at(config, "name"), "a VM of its own");
    let stop_iteration = at(config, "allow_on_headers_stop_iteration").as_bool();
    Plugin {
        name: text(at(config, "name")).into(),
        root_id: text(at(config, "root_id")).into(),
        configuration: text(deep(config, &["configuration", "value"])).into(),
        stop_iteration: stop_iteration.expect("a flag"),
    }
}

/// The routes and the headers that they remove.
fn routes(value: &Value) -> (Vec<Route>, Vec<String>) {
    only(value, &["virtual_hosts"], &["name"]);
    let host = single(at(value, "virtual_hosts"));
    only(host, &["domains", "routes", "request_headers_to_remove"], &["name"]);
    assert_eq!(at(host, "domains"), &json!(["*"]));
    let all = items(at(host, "routes"));
    let (refused, all) = match all.split_last() {
        Some((last, rest)) if last.get("direct_response").is_some() => (Some(last), rest),
        _ => (None, all),
    };
    if let Some(refused) = refused {
        assert_eq!(deep(refused, &["direct_response", "status"]), 404, "as where nothing matches");
        assert_eq!(at(refused, "match"), &json!({"prefix": "/"}));
    }
    let removed = |value: &Value| value.get("request_headers_to_remove").map(texts);
    let mut removes: Vec<_> = all.iter().filter_map(removed).collect();
    assert!(removes.is_empty() || removes.len() == all.len(), "all remove, or none does");
    removes.extend(removed(host));
    removes.dedup();
    assert_eq!(removes.len(), 1, "all remove the same");
    (all.iter().map(route).collect(), removes.concat())
}

fn route(value: &Value) -> Route {
    let other = ["name", "request_body_buffer_limit"];
    only(value, &["match", "route", "request_headers_to_remove"], &other);
    let route = at(value, "route");
    only(
        route,
        &["cluster", "timeout", "idle_timeout", "retry_policy", "request_mirror_policies"],
        &[],
    );
    // Zero is none.
    let timeout = Some(route.get("timeout").map_or(USUAL, micros)).filter(|timeout| *timeout > 0);
    let mirror = route.get("request_mirror_policies").map(single);
    if let Some(mirror) = mirror {
        only(mirror, &["cluster_header"], &["disable_shadow_host_suffix_append"]);
        assert_eq!(at(mirror, "cluster_header"), "x-reprise-mirror");
    }
    Route {
        matches: matches(at(value, "match")),
        cluster: text(at(route, "cluster")).into(),
        way: Way {
            timeout,
            idle: route.get("idle_timeout").map(micros),
            retry: route.get("retry_policy").map(retry),
            mirror: mirror.is_some(),
        },
    }
}

fn matches(value: &Value) -> Match {
    only(value, &["prefix", "headers"], &[]);
    let mut matches = Match { prefix: text(at(value, "prefix")).into(), ..Match::default() };
    for header in value.get("headers").map_or(&[][..], items) {
        only(header, &["name", "string_match"], &[]);
        let name = text(at(header, "name"));
        let wanted = at(header, "string_match");
        if name == ":method" {
            assert_eq!(deep(wanted, &["safe_regex", "regex"]), "POST|PUT|PATCH|DELETE");
            matches.write = true;
        } else {
            let value = text(at(wanted, "exact")).to_string();
            let before = matches.header.replace((name.to_string(), value));
            assert_eq!(before, None, "one header");
        }
    }
    matches
}

fn retry(value: &Value) -> Retry {
    only(
        value,
        &[
            "retry_on",
            "retriable_status_codes",
            "num_retries",
            "per_try_timeout",
            "retry_back_off",
            "retry_priority",
        ],
        &[],
    );
    let on: Vec<&str> = text(at(value, "retry_on")).split(',').collect();
    for condition in &on {
        let known = ["connect-failure", "reset", "refused-stream", "retriable-status-codes"];
        assert!(known.contains(condition), "{condition}");
    }
    let busy = on.contains(&"retriable-status-codes");
    let codes = value.get("retriable_status_codes");
    assert_eq!(codes, busy.then_some(&json!([503])), "of a status, 503 alone");
    let elsewhere = value.get("retry_priority").map(|priority| {
        assert_eq!(at(priority, "name"), "envoy.retry_priorities.previous_priorities");
        assert_eq!(deep(priority, &["typed_config", "update_frequency"]), 1);
    });
    let wait = value.get("retry_back_off").map_or(Retry::WAIT, |wait| {
        only(wait, &["base_interval", "max_interval"], &[]);
        [micros(at(wait, "base_interval")), micros(at(wait, "max_interval"))]
    });
    Retry {
        times: number(at(value, "num_retries")),
        per_try: value.get("per_try_timeout").map(micros),
        connect: on.contains(&"connect-failure"),
        reset: on.contains(&"reset"),
        busy,
        elsewhere: elsewhere.is_some(),
        wait,
    }
}
