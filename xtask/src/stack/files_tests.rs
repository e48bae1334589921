use std::net::{Ipv4Addr, SocketAddr};

use super::super::options::{Mirror, SessionSource};
use super::super::template::seconds;
use super::*;

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The places that the files under `envoy-configs/` name themselves.
fn as_they_stand() -> Places {
    Places {
        clients: 8080,
        delivery: 7402,
        guard_secondary: 7403,
        guard_primary: 7503,
        primary_via: at(7503),
        edge_admin: 7409,
        cloud_admin: 7509,
        log_grpc: 7400,
        log_admin: 7401,
        journal_grpc: 7500,
        journal_admin: 7501,
        second: None,
        guards: None,
        apart: None,
    }
}

fn options() -> StackOptions {
    StackOptions::new(at(9001), at(9002), "/nowhere")
}

/// A file without its comments, quotes and forms of writing a duration or JSON.
fn plain(yaml: &str) -> String {
    let mut out = String::new();
    for line in yaml.lines() {
        let line = line.split("# @").next().unwrap_or_default();
        if line.trim_start().starts_with('#') {
            continue;
        }
        out.extend(line.chars().filter(|c| !c.is_whitespace() && *c != '"'));
    }
    for ms in [125, 250, 500, 1000, 2000, 4000, 15_000] {
        let short = format!("{}s", ms as f64 / 1000.0);
        out = out.replace(&format!(":{short}"), &format!(":{}", seconds(ms)));
    }
    // serde_json sorts keys: compare the letters.
    let mut letters: Vec<char> = out.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

#[test]
fn the_defaults_render_the_files_as_they_stand() {
    let (options, places) = (options(), as_they_stand());
    let filter = Path::new("target/filter/reprise_filter.wasm");
    let edge = edge_yaml(&options, &places, filter).unwrap();
    assert_eq!(plain(&edge), plain(&template("edge.yaml").unwrap()));
    let cloud = cloud_yaml(&options, &places, filter).unwrap();
    assert_eq!(plain(&cloud), plain(&template("cloud.yaml").unwrap()));
}

#[test]
fn the_defaults_of_reprise_are_the_files_as_they_stand() {
    let (options, places) = (options(), as_they_stand());
    for (name, text) in [
        ("edge.toml", edge_toml(&options, &places).unwrap()),
        ("cloud.toml", cloud_toml(&options, &places).unwrap()),
    ] {
        let mut ours: toml::Table = toml::from_str(&text).unwrap();
        let theirs: toml::Table = toml::from_str(&template(name).unwrap()).unwrap();
        ours.insert("data".into(), theirs["data"].clone());
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn the_default_body_limit_is_the_templates() {
    let edge = template("edge.yaml").unwrap();
    assert_eq!(edge.matches(&format!("\"body_bytes\": {BODY_BYTES}")).count(), 2);
    assert_eq!(buffer_bytes(&options()), 2 * BODY_BYTES);
}

#[test]
fn what_is_chosen_reaches_the_files() {
    let mut options = options();
    options.session = SessionSource::Cookie("sid".into());
    options.mirror = Mirror::Envoy;
    options.detect_ms = 400;
    options.gateway_extra =
        json!({"limits": {"body_bytes": 4_000_000}, "strict": true}).as_object().cloned().unwrap();
    options.guard_extra = json!({"in_doubt": {"default": "hold"}}).as_object().cloned().unwrap();
    options.log_extra.insert("takeover_ms".into(), 77.into());
    let mut places = as_they_stand();
    places.primary_via = at(6000);

    let edge = edge_yaml(&options, &places, Path::new("/x/f.wasm")).unwrap();
    for part in [
        "\"cookie\": \"sid\"",
        "\"strict\": true",
        "\"body_bytes\": 4000000",
        "per_connection_buffer_limit_bytes: 8000000",
        "per_try_timeout: 0.400s",
        "\"gap_wait_ms\": 320",
        "port_value: 6000",
        "\"default\": \"hold\"",
        "filename: \"/x/f.wasm\"",
    ] {
        assert!(edge.contains(part), "{part} is not in:\n{edge}");
    }
    assert!(!edge.contains("x-session-id"), "{edge}");
    let mut lines = edge.lines().filter(|line| !line.starts_with('#'));
    assert!(lines.all(|line| !line.contains("# @")), "every marker is filled");

    let toml: toml::Table = toml::from_str(&edge_toml(&options, &places).unwrap()).unwrap();
    assert_eq!(toml["log"]["mirror"].as_str(), Some("envoy"));
    assert_eq!(toml["log"]["takeover_ms"].as_integer(), Some(77));
    assert_eq!(toml["log"]["delivery_timeout_ms"].as_integer(), Some(800));
}

#[test]
fn renamed_headers_reach_delivery_and_the_routes() {
    let mut options = options();
    let headers = json!({"stamp": "x-trace-key", "route": "x-reprise-route-2", "id": "x-id"});
    options.gateway_extra.insert("headers".into(), headers);
    let places = as_they_stand();
    let toml: toml::Table = toml::from_str(&edge_toml(&options, &places).unwrap()).unwrap();
    let log = toml::toml! { stamp = "x-trace-key" route = "x-reprise-route-2" };
    assert_eq!(toml["log"]["headers"].as_table(), Some(&log));
    let edge = edge_yaml(&options, &places, Path::new("f")).unwrap();
    assert!(edge.contains("{name: x-reprise-route-2, string_match"), "{edge}");
    assert_eq!(edge.matches("x-reprise-route").count(), edge.matches("x-reprise-route-2").count());
    assert!(!edge.contains("x-reprise-route-2-2"), "{edge}");
    assert_eq!(edge.matches("\"x-trace-key\"").count(), 2, "both roles: {edge}");
}

#[test]
fn a_bare_envoy_has_the_times_of_the_edge() {
    let dir = tempfile::tempdir().unwrap();
    write_bare(&BareOptions::new(at(1), at(2), dir.path()), 3, 4).unwrap();
    let bare = std::fs::read_to_string(dir.path().join("bare.yaml")).unwrap();
    let edge = edge_yaml(&options(), &as_they_stand(), Path::new("f")).unwrap();
    for key in ["per_try_timeout", "interval", "connect_timeout", "stream_idle_timeout"] {
        let value = |text: &str| {
            let line = text.lines().find(|l| l.trim_start_matches([' ', '-']).starts_with(key));
            line.map(|l| l.trim_start_matches([' ', '-']).to_owned())
        };
        assert!(value(&bare).is_some(), "{key}");
        assert_eq!(value(&bare), value(&edge));
    }
}

#[test]
fn a_detection_time_too_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.data = dir.path().into();
    options.detect_ms = 20;
    let error = write(&options, &as_they_stand(), Path::new("f")).unwrap_err();
    assert!(error.to_string().contains("100 ms"), "{error}");
}
