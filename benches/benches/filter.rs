//! What the filter does per request, without Envoy: one write through a gateway and through a
//! guard, a read from the table, the table alone, and the messages.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use filter_core::config::{self, Config};
use filter_core::effects::{Effect, Flow};
use filter_core::gateway::Gateway;
use filter_core::guard::Guard;
use filter_core::http::Header;
use filter_core::ports::{CasMismatch, Cx, Now, Ports};
use filter_core::table::{Slot, Table};
use prost::Message as _;
use protocol::{
    Digest, Incarnation, Link, Number, Position, Replica, SessionKey, Verdict, Word, pb,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;

/// Shared data as one Envoy has it.
#[derive(Default)]
struct Shared(RefCell<BTreeMap<String, (Vec<u8>, u32)>>);

impl Ports for Shared {
    fn shared_get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.0.borrow().get(key).map_or((None, None), |(v, n)| (Some(v.clone()), Some(*n)))
    }
    fn shared_set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), CasMismatch> {
        let mut map = self.0.borrow_mut();
        let now = map.get(key).map(|(_, n)| *n);
        if now != version {
            return Err(CasMismatch);
        }
        map.insert(key.to_string(), (value.to_vec(), now.unwrap_or(0) + 1));
        Ok(())
    }
    fn random(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}

fn with<T>(shared: &Shared, effects: &mut Vec<Effect>, f: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    effects.clear();
    f(&mut Cx { now: Now { wall_ms: 1_700_000_000_000, mono_ms: 1000 }, ports: shared, effects })
}

fn headers(more: &[(&str, &str)]) -> Vec<Header> {
    let usual = [
        (":method", "POST"),
        (":path", "/items?x=1"),
        (":authority", "shop.example"),
        (":scheme", "http"),
        ("user-agent", "bench/1.0"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
        ("x-request-id", "6b1f0a5e-1111-2222-3333-444455556666"),
    ];
    usual.iter().chain(more).map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect()
}

fn gateway(shared: &Shared) -> Gateway {
    let text = br#"{"role":"gateway","service":"shop","session":{"header":"x-session-id"},"replay_log":{"cluster":"replay-log"}}"#;
    let Ok(Config::Gateway(config)) = config::parse(text, |_| None) else {
        panic!("a gateway's configuration")
    };
    let mut gateway = Gateway::new(*config);
    let mut effects = vec![];
    with(shared, &mut effects, |cx| gateway.tick(cx));
    with(shared, &mut effects, |cx| gateway.stream_opened(cx, 1));
    let welcome = pb::GatewayWelcome {
        version: protocol::VERSION,
        sole: true,
        log: vec![1; 8],
        ..Default::default()
    };
    let message = pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Welcome(welcome)) };
    with(shared, &mut effects, |cx| gateway.stream_message(cx, 1, &message.encode_to_vec()));
    gateway
}

fn sent<M: prost::Message + Default>(effects: &[Effect]) -> Option<M> {
    effects.iter().find_map(|e| match e {
        Effect::Send(_, bytes) => M::decode(bytes.as_slice()).ok(),
        _ => None,
    })
}

fn write_through_a_gateway(c: &mut Criterion) {
    let shared = Shared::default();
    let mut gateway = gateway(&shared);
    let (mut seq, mut link, mut effects) = (0, Link::START, vec![]);
    let body = vec![b'x'; 1024];
    c.bench_function("gateway: one write of 1 kB, append to answer", |b| {
        b.iter(|| {
            seq += 1;
            let exchange = seq as u32;
            let request = headers(&[("x-session-id", "s-17"), ("idempotency-key", "k")]);
            let flow = with(&shared, &mut effects, |cx| {
                gateway.request_headers(cx, exchange, request, false)
            });
            assert_eq!(flow, Flow::Pause);
            with(&shared, &mut effects, |cx| {
                gateway.request_body(cx, exchange, 1024, true, || body.clone())
            });
            let Some(pb::gateway_request::Kind::Append(append)) =
                sent::<pb::GatewayRequest>(&effects).and_then(|m| m.kind)
            else {
                panic!("an append: {effects:?}")
            };
            link = link.next(&protocol::Id::new(append.id).expect("an id"));
            let numbered = pb::Numbered {
                epoch: 1,
                seq,
                link: link.0.to_vec(),
                route: 1,
                ..Default::default()
            };
            let appended = pb::Appended {
                token: append.token,
                outcome: Some(pb::appended::Outcome::Numbered(numbered)),
            };
            let reply =
                pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Appended(appended)) }
                    .encode_to_vec();
            with(&shared, &mut effects, |cx| gateway.stream_message(cx, 1, &reply));
            let number = Number { epoch: 1, seq };
            let word = Word {
                number: Some(number),
                status: 200,
                digest: Digest::of(b"ok"),
                at: Some(Position { number, link }),
                journal: Incarnation([1; 8]),
                ..Word::new(Replica::Primary, Verdict::Ran)
            };
            let answer = vec![
                (":status".to_string(), b"200".to_vec()),
                ("x-reprise-word".to_string(), word.to_string().into_bytes()),
            ];
            with(&shared, &mut effects, |cx| gateway.response_headers(cx, exchange, &answer));
            with(&shared, &mut effects, |cx| gateway.done(cx, exchange));
        });
    });
    c.bench_function("gateway: one read from the table", |b| {
        b.iter(|| {
            let mut request = headers(&[("x-session-id", "s-17")]);
            request[0].1 = b"GET".to_vec();
            let flow =
                with(&shared, &mut effects, |cx| gateway.request_headers(cx, 1, request, true));
            assert_eq!(flow, Flow::Continue);
            with(&shared, &mut effects, |cx| gateway.done(cx, 1));
        });
    });
}

fn write_through_a_guard(c: &mut Criterion) {
    let shared = Shared::default();
    let text = br#"{"role":"guard","service":"shop","replica":"primary","journal":{"cluster":"journal"},"service_cluster":"replica"}"#;
    let Ok(Config::Guard(config)) = config::parse(text, |_| None) else {
        panic!("a guard's configuration")
    };
    let mut guard = Guard::new(*config);
    let mut effects = vec![];
    with(&shared, &mut effects, |cx| guard.tick(cx));
    with(&shared, &mut effects, |cx| guard.stream_opened(cx, 1));
    let welcome =
        pb::GuardWelcome { version: protocol::VERSION, journal: vec![1; 8], ..Default::default() };
    let message = pb::GuardResponse { kind: Some(pb::guard_response::Kind::Welcome(welcome)) };
    with(&shared, &mut effects, |cx| guard.stream_message(cx, 1, &message.encode_to_vec()));
    let (mut seq, mut link) = (0, Link::START);
    let body = vec![b'x'; 1024];
    c.bench_function("guard: one write of 1 kB, begin to answer", |b| {
        b.iter(|| {
            seq += 1;
            let exchange = seq as u32;
            link = link.next(&protocol::Id::new("k").expect("an id"));
            let stamp = format!(
                "v=1;kind=write;session=s-17;number=1.{seq};link={link};id=k;time=1700000000000"
            );
            let request = headers(&[("x-reprise-stamp", &stamp)]);
            with(&shared, &mut effects, |cx| guard.request_headers(cx, exchange, request, false));
            with(&shared, &mut effects, |cx| {
                guard.request_body(cx, exchange, 1024, true, || body.clone())
            });
            let Some(pb::guard_request::Kind::Begin(begin)) =
                sent::<pb::GuardRequest>(&effects).and_then(|m| m.kind)
            else {
                panic!("a begin: {effects:?}")
            };
            let begun = pb::Begun {
                token: begin.token,
                verdict: pb::begun::Verdict::Run as i32,
                ..Default::default()
            };
            let reply = pb::GuardResponse { kind: Some(pb::guard_response::Kind::Begun(begun)) }
                .encode_to_vec();
            with(&shared, &mut effects, |cx| guard.stream_message(cx, 1, &reply));
            let Some(call) = effects.iter().find_map(|e| match e {
                Effect::Dispatch(d) => Some(d.token),
                _ => None,
            }) else {
                panic!("a dispatch: {effects:?}")
            };
            with(&shared, &mut effects, |cx| guard.dispatched(cx, call, true));
            let answer = vec![
                (":status".to_string(), b"200".to_vec()),
                ("x-envoy-upstream-service-time".to_string(), b"1".to_vec()),
            ];
            with(&shared, &mut effects, |cx| {
                guard.call_ended(cx, call, answer, b"{\"count\":1}".to_vec())
            });
            let Some(pb::guard_request::Kind::Outcome(outcome)) =
                sent::<pb::GuardRequest>(&effects).and_then(|m| m.kind)
            else {
                panic!("an outcome: {effects:?}")
            };
            let noted = pb::Noted {
                token: outcome.token,
                at: Some(pb::Position { epoch: 1, seq, link: link.0.to_vec() }),
            };
            let reply = pb::GuardResponse { kind: Some(pb::guard_response::Kind::Noted(noted)) }
                .encode_to_vec();
            with(&shared, &mut effects, |cx| guard.stream_message(cx, 1, &reply));
            with(&shared, &mut effects, |cx| guard.done(cx, exchange));
        });
    });
}

fn table(c: &mut Criterion) {
    let shared = Shared::default();
    let table = Table::new("t".to_string(), 16_384);
    let sessions: Vec<SessionKey> =
        (0..2000).map(|i| SessionKey::new(format!("session-{i}")).expect("a key")).collect();
    let mut i = 0;
    c.bench_function("table: raise one of 2,000 sessions", |b| {
        b.iter(|| {
            i += 1;
            let last = Number { epoch: 1, seq: i as u64 };
            table.update(&shared, &sessions[i % 2000], |_| Some(Slot { last, mark: 0 }))
        });
    });
    c.bench_function("table: look up one of 2,000 sessions", |b| {
        b.iter(|| {
            i += 1;
            black_box(table.get(&shared, &sessions[i % 2000]))
        });
    });
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for size in [1024_usize, 7 * 1024] {
        let append = pb::Append {
            token: 1,
            session: "s-17".into(),
            id: "k".into(),
            method: "POST".into(),
            path: "/items".into(),
            body: vec![b'x'; size],
            headers: headers(&[])
                .into_iter()
                .map(|(name, value)| pb::Header { name, value })
                .collect(),
            ..Default::default()
        };
        let message = pb::GatewayRequest {
            kind: Some(pb::gateway_request::Kind::Append(append)),
            ends: vec![],
        };
        let bytes = message.encode_to_vec();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("encode an append of {size} bytes"), |b| {
            b.iter(|| black_box(message.encode_to_vec()))
        });
        group.bench_function(format!("decode an append of {size} bytes"), |b| {
            b.iter(|| pb::GatewayRequest::decode(black_box(bytes.as_slice())))
        });
    }
    group.finish();
}

criterion_group!(benches, write_through_a_gateway, write_through_a_guard, table, codec);
criterion_main!(benches);
