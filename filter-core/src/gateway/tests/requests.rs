//! What is refused before the log hears of it, and what passes by.

use super::*;
use crate::metrics::Metric;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn our_headers_from_clients_are_removed_and_counted() {
    let mut w = ready(&Host::new());
    let mut list = get("s", "/");
    list.extend([
        ("x-reprise-stamp", "v=1;kind=bypass"),
        ("x-reprise-route", "secondary"),
        ("x-reprise-anything", "1"),
        ("x-reprise-anything", "2"),
    ]);
    w.head(1, &list, true);
    let token = locate(&mut w).token;
    w.message(&located(token, 0, Route::Primary));
    assert_eq!(w.count(Metric::HeadersRemoved), 4);
    assert_eq!(w.seen(1).header("x-reprise-anything"), None);
    assert_eq!(route(&w, 1), "primary");
    assert!(matches!(stamp(&w, 1), Stamp::Read { .. }));
}

#[test]
fn a_strict_gateway_refuses_our_headers_from_clients() {
    let config = CONFIG.replace("\"routes\"", "\"strict\":true,\"routes\"");
    let mut w = Worker::new(&Host::new(), gateway(&config));
    let mut list = get("s", "/");
    list.push(("x-reprise-foo", "1"));
    w.head(1, &list, true);
    assert_eq!(w.seen(1).problem(), (400, "reserved-header".into()));
}

#[test]
fn configured_header_names_are_ours_too() {
    let config = CONFIG.replace("\"routes\"", "\"headers\":{\"id\":\"x-trace-key\"},\"routes\"");
    let mut w = Worker::new(&Host::new(), gateway(&config));
    connect(&mut w, true);
    let mut list = post("s", "k", "/a");
    list.push(("x-trace-key", "forged"));
    w.request(1, &list, b"x");
    let append = append(&mut w);
    assert!(append.headers.iter().all(|h| h.name != "x-trace-key"));
    w.message(&numbered(append.token, number(1)));
    assert_eq!(w.seen(1).header("x-trace-key"), Some("k".into()));
}

#[test]
fn a_request_without_a_session_is_refused_once_its_body_has_ended() {
    let mut w = ready(&Host::new());
    let list = [(":method", "POST"), (":path", "/a")];
    w.head(1, &list, false);
    w.body(1, b"abc", false);
    assert!(w.seen(1).reply.is_none(), "too early: HTTP/1 would break the connection");
    w.body(1, b"def", true);
    assert_eq!(w.seen(1).problem(), (400, "no-session".into()));
    assert!(sent(&mut w).is_empty());
}

#[test]
fn a_bad_session_key_or_id_is_refused() {
    let mut w = ready(&Host::new());
    let long = "x".repeat(257);
    w.request(1, &post(&long, "k", "/a"), b"x");
    w.request(2, &post("s", &long, "/a"), b"x");
    let mut twice = post("s", "k", "/a");
    twice.push(("idempotency-key", "other"));
    w.request(3, &twice, b"x");
    for e in 1..=3 {
        assert_eq!(w.seen(e).problem(), (400, "invalid-id".into()), "{e}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_after_its_end_and_not_kept() {
    let mut w = ready(&Host::new());
    w.head(1, &post("s", "k", "/a"), false);
    for _ in 0..5 {
        w.body(1, &[0; 60], false);
    }
    assert!(w.seen(1).reply.is_none());
    w.body(1, &[], true);
    assert_eq!(w.seen(1).problem(), (413, "body-too-large".into()));
    assert!(sent(&mut w).is_empty());
}

#[test]
fn a_body_at_the_limit_is_taken_and_one_more_byte_is_not() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k1", "/a"), &[0; 100]);
    assert_eq!(append(&mut w).body.len(), 100);
    w.request(2, &post("s", "k2", "/a"), &[0; 101]);
    assert_eq!(w.seen(2).problem().0, 413);
}

#[test]
fn a_known_length_over_the_limit_is_refused_and_a_huge_one_at_once() {
    let mut w = ready(&Host::new());
    let mut list = post("s", "k", "/a");
    list.push(("content-length", "101"));
    w.head(1, &list, false);
    assert!(w.seen(1).reply.is_none());
    w.body(1, &[0; 101], true);
    assert_eq!(w.seen(1).problem().0, 413);
    list.pop();
    list.push(("content-length", "801"));
    w.head(2, &list, false);
    assert_eq!(w.seen(2).problem().0, 413);
}

#[test]
fn an_endless_body_is_cut_off() {
    let mut w = ready(&Host::new());
    w.head(1, &post("s", "k", "/a"), false);
    let mut parts = 0;
    while w.seen(1).reply.is_none() {
        w.body(1, &[0; 60], false);
        parts += 1;
    }
    assert!(parts < 20, "{parts}");
}

#[test]
fn trailers_end_a_body() {
    let mut w = ready(&Host::new());
    w.head(1, &post("s", "k", "/a"), false);
    w.body(1, b"abc", false);
    w.trailers(1);
    assert_eq!(append(&mut w).body, b"abc");
    w.head(2, &[(":method", "POST"), (":path", "/a")], false);
    w.trailers(2);
    assert_eq!(w.seen(2).problem().0, 400);
}

#[test]
fn what_is_not_replicated_passes_without_a_session_and_without_the_log() {
    let mut w = fresh(&Host::new());
    w.request(1, &[(":method", "POST"), (":path", "/telemetry")], b"x");
    w.request(2, &[(":method", "GET"), (":path", "/telemetry/x")], b"");
    assert!(w.seen(1).passed && w.seen(2).passed);
    assert_eq!((route(&w, 1), route(&w, 2)), ("primary-only".into(), "primary".into()));
    assert_eq!(stamp(&w, 1), Stamp::Bypass);
    assert_eq!(stamp(&w, 2), Stamp::Bypass);
    w.pass(100);
    assert_eq!(w.opened, 0);
}

#[test]
fn more_held_requests_than_the_limit_are_refused_without_a_trace() {
    let mut w = fresh(&Host::new());
    let most = protocol::limits::HELD_REQUESTS as u32;
    for e in 0..most {
        w.request(e, &post("s", "k", "/a"), b"x");
    }
    assert!(w.seen(most - 1).reply.is_none());
    w.request(most, &post("s", "k", "/a"), b"x");
    assert_eq!(w.seen(most).problem(), (503, "log-unavailable".into()));
    w.leave(0);
    w.request(most + 1, &post("s", "k", "/a"), b"x");
    assert!(w.seen(most + 1).reply.is_none());
}
