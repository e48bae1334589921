//! The gateway against a fake Envoy and a scripted log.

mod answers;
mod leaving;
mod reads;
mod requests;
mod streams;
mod swarm;
mod writes;

use super::Gateway;
use crate::config::{Config, parse};
use crate::effects::Exchange;
use crate::testing::{Host, Worker};
use prost::Message as _;
use protocol::pb::gateway_request::Kind;
use protocol::pb::{self, Route};
use protocol::{Link, Stamp};

type W = Worker<Gateway>;

const CONFIG: &str = r#"{"role":"gateway","service":"shop","session":{"header":"x-session-id"},
    "replay_log":{"cluster":"replay-log","timeout_ms":1000},
    "limits":{"body_bytes":100,"sessions":64},
    "routes":[{"match":"POST /pay","when_cut":"refuse"},{"match":"/telemetry","replicate":false}]}"#;

fn gateway(config: &str) -> Gateway {
    match parse(config.as_bytes(), |_| None) {
        Ok(Config::Gateway(config)) => Gateway::new(*config),
        other => panic!("{other:?}"),
    }
}

/// A worker that has not opened its stream.
fn fresh(host: &Host) -> W {
    Worker::new(host, gateway(CONFIG))
}

fn welcome(sole: bool) -> pb::GatewayResponse {
    let kind = pb::gateway_response::Kind::Welcome(pb::GatewayWelcome {
        version: 1,
        error: String::new(),
        log: vec![7; 8],
        sole,
        mirror_cluster: String::new(),
    });
    pb::GatewayResponse { kind: Some(kind) }
}

/// A worker whose stream is ready, with all that took removed.
fn ready(host: &Host) -> W {
    let mut w = fresh(host);
    connect(&mut w, true);
    w
}

/// Opens the stream by a request that leaves again, and welcomes it.
fn connect(w: &mut W, sole: bool) {
    w.head(u32::MAX, &get("warm-up", "/"), true);
    w.leave(u32::MAX);
    w.exchanges.remove(&u32::MAX);
    w.tick();
    assert!(matches!(sent(w)[..], [pb::GatewayRequest { kind: Some(Kind::Hello(_)), .. }]));
    w.message(&welcome(sole));
    sent(w);
}

/// What was sent since the last look.
fn sent(w: &mut W) -> Vec<pb::GatewayRequest> {
    let messages = std::mem::take(&mut w.sent);
    messages.iter().map(|(_, m)| pb::GatewayRequest::decode(m.as_slice()).unwrap()).collect()
}

fn kinds(w: &mut W) -> Vec<Kind> {
    sent(w).into_iter().filter_map(|m| m.kind).collect()
}

/// The one Append that was sent since the last look.
fn append(w: &mut W) -> pb::Append {
    match kinds(w).as_slice() {
        [Kind::Append(append)] => append.clone(),
        other => panic!("{other:?}"),
    }
}

fn locate(w: &mut W) -> pb::Locate {
    match kinds(w).as_slice() {
        [Kind::Locate(locate)] => locate.clone(),
        other => panic!("{other:?}"),
    }
}

fn ends(w: &mut W) -> Vec<pb::End> {
    w.tick();
    sent(w).into_iter().flat_map(|m| m.ends).collect()
}

fn post<'a>(session: &'a str, id: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "shop"),
        (":scheme", "http"),
        ("x-session-id", session),
        ("idempotency-key", id),
    ]
}

fn get<'a>(session: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", "GET"), (":path", path), (":authority", "shop"), ("x-session-id", session)]
}

fn number(seq: u64) -> pb::Numbered {
    pb::Numbered {
        epoch: 1,
        seq,
        link: Link([seq as u8; 16]).0.to_vec(),
        route: Route::Primary.into(),
        received_ms: 1234,
        ..pb::Numbered::default()
    }
}

fn appended(token: u64, outcome: pb::appended::Outcome) -> pb::GatewayResponse {
    let appended = pb::Appended { token, outcome: Some(outcome) };
    pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Appended(appended)) }
}

fn numbered(token: u64, numbered: pb::Numbered) -> pb::GatewayResponse {
    appended(token, pb::appended::Outcome::Numbered(numbered))
}

fn located(token: u64, seq: u64, route: Route) -> pb::GatewayResponse {
    let last = (seq > 0).then(|| pb::Position { epoch: 1, seq, link: vec![0; 16] });
    let located = pb::Located { token, last, route: route.into() };
    pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Located(located)) }
}

fn moved(session: &str, route: Route) -> pb::GatewayResponse {
    let moved = pb::Moved { session: session.into(), route: route.into() };
    pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Moved(moved)) }
}

fn stamp(w: &W, e: Exchange) -> Stamp {
    Stamp::parse(&w.seen(e).header("x-reprise-stamp").expect("no stamp")).expect("a bad stamp")
}

fn route(w: &W, e: Exchange) -> String {
    w.seen(e).header("x-reprise-route").expect("no route")
}

/// A write of session `s` with this number, on its way to a replica.
fn released(w: &mut W, e: Exchange, seq: u64) {
    released_as(w, e, number(seq));
}

fn released_as(w: &mut W, e: Exchange, as_number: pb::Numbered) {
    let id = format!("id-{e}");
    w.request(e, &post("s", &id, "/a"), b"x");
    let token = append(w).token;
    w.message(&numbered(token, as_number));
    assert!(w.seen(e).passed);
}

fn word(verdict: &str, replica: &str, seq: u64) -> String {
    format!(
        "v=1;replica={replica};verdict={verdict};number=1.{seq};status=200;digest=0011223344556677"
    )
}
