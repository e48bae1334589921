//! The guard against a fake Envoy and a scripted journal.

mod duplicates;
mod leaving;
mod outcomes;
mod reads;
mod requests;
mod runs;
mod streams;
mod swarm;

use super::Guard;
use crate::config::{Config, parse};
use crate::effects::Exchange;
use crate::http::Header;
use crate::testing::{Host, Worker, headers};
use prost::Message as _;
use protocol::pb::begun::Verdict as Grant;
use protocol::pb::guard_request::Kind;
use protocol::pb::{self, guard_response};
use protocol::{Digest, Verdict, Word};

type W = Worker<Guard>;

const CONFIG: &str = r#"{"role":"guard","service":"shop","replica":"primary",
    "journal":{"cluster":"journal"},"service_cluster":"replica","run_timeout_ms":2000,
    "gap_wait_ms":400,"remember":{"response_bytes":50},"limits":{"body_bytes":100,"sessions":64},
    "in_doubt":{"routes":[{"match":"POST /telemetry","policy":"redo"}]}}"#;

fn fresh(host: &Host) -> W {
    match parse(CONFIG.as_bytes(), |_| None) {
        Ok(Config::Guard(config)) => Worker::new(host, Guard::new(*config)),
        other => panic!("{other:?}"),
    }
}

fn response(kind: guard_response::Kind) -> pb::GuardResponse {
    pb::GuardResponse { kind: Some(kind) }
}

fn welcome() -> pb::GuardResponse {
    welcome_of(9)
}

/// The welcome of a journal in this life.
fn welcome_of(life: u8) -> pb::GuardResponse {
    let welcome = pb::GuardWelcome { version: 1, error: String::new(), journal: vec![life; 8] };
    response(guard_response::Kind::Welcome(welcome))
}

/// The stream is lost, and the journal that comes back is in this life.
fn again(w: &mut W, life: u8) {
    w.lose_stream();
    w.pass(1000);
    kinds(w);
    w.message(&welcome_of(life));
}

/// A worker whose stream is ready, with all that took removed.
fn ready(host: &Host) -> W {
    let mut w = fresh(host);
    w.head(u32::MAX, &[(":method", "GET"), (":path", "/"), ("x-reprise-stamp", PROBE)], true);
    w.leave(u32::MAX);
    w.tick();
    w.message(&welcome());
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]));
    w
}

const PROBE: &str = "v=1;kind=probe";

/// What was sent since the last look.
fn kinds(w: &mut W) -> Vec<Kind> {
    let messages = std::mem::take(&mut w.sent);
    let decode = |m: &[u8]| pb::GuardRequest::decode(m).unwrap().kind.unwrap();
    messages.iter().map(|(_, m)| decode(m)).collect()
}

fn begin(w: &mut W) -> pb::Begin {
    match kinds(w).as_slice() {
        [Kind::Begin(begin)] => begin.clone(),
        other => panic!("{other:?}"),
    }
}

fn outcome(w: &mut W) -> pb::Outcome {
    match kinds(w).as_slice() {
        [Kind::Outcome(outcome)] => outcome.clone(),
        other => panic!("{other:?}"),
    }
}

fn stamp(seq: u64) -> String {
    let link = "ab".repeat(16);
    format!("v=1;kind=write;session=s;number=1.{seq};link={link};id=k{seq};time=1234")
}

fn write(stamp: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "POST"),
        (":path", "/a?x=1"),
        (":authority", "shop"),
        (":scheme", "http"),
        ("x-reprise-stamp", stamp),
        ("x-reprise-route", "primary"),
        ("x-reprise-id", "forged"),
        ("accept", "*/*"),
        ("connection", "close"),
        ("content-length", "1"),
    ]
}

fn at(seq: u64) -> pb::Position {
    pb::Position { epoch: 1, seq, link: vec![5; 16] }
}

fn begun(token: u64, verdict: Grant) -> pb::Begun {
    pb::Begun { token, verdict: verdict.into(), ..pb::Begun::default() }
}

fn grant(w: &mut W, token: u64) {
    w.message(&response(guard_response::Kind::Begun(begun(token, Grant::Run))));
}

fn noted(w: &mut W, token: u64, seq: u64) {
    let noted = pb::Noted { token, at: Some(at(seq)) };
    w.message(&response(guard_response::Kind::Noted(noted)));
}

/// A write of this number, asked about; gives its token.
fn asked(w: &mut W, e: Exchange, seq: u64) -> u64 {
    w.request(e, &write(&stamp(seq)), b"x");
    begin(w).token
}

/// A write of this number, on its way to the service; gives its token.
fn dispatched(w: &mut W, e: Exchange, seq: u64) -> u64 {
    let token = asked(w, e, seq);
    grant(w, token);
    assert_eq!(w.dispatched.pop().expect("not dispatched").token, token);
    token
}

fn answer(status: &str) -> Vec<Header> {
    headers(&[
        (":status", status),
        ("content-type", "text/plain"),
        ("content-length", "2"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("connection", "close"),
        ("x-reprise-word", "v=1;replica=secondary;verdict=ran"),
        ("x-envoy-upstream-service-time", "3"),
    ])
}

fn end(w: &mut W, token: u64, headers: Vec<Header>, body: &[u8]) {
    let body = body.to_vec();
    w.other(|guard, cx| guard.call_ended(cx, token, headers, body));
}

/// A write of this number, run and noted.
fn ran(w: &mut W, e: Exchange, seq: u64) {
    let token = dispatched(w, e, seq);
    end(w, token, answer("200"), b"ok");
    noted(w, token, seq);
    kinds(w);
}

fn word(w: &W, e: Exchange) -> Word {
    Word::parse(&w.seen(e).reply_header("x-reprise-word").expect("no word")).expect("a bad word")
}

fn verdict(w: &W, e: Exchange) -> (u16, Verdict) {
    (w.seen(e).reply.as_ref().expect("no reply").status, word(w, e).verdict)
}
