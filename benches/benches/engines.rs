//! The engines on the store in memory: what numbering, settling and granting cost without a disk.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use protocol::{Digest, Id, Incarnation, Link, Number, Position, Replica, Verdict, Word, pb};
use replay_log::journal::{self, Journal, JournalConfig};
use replay_log::log::{Input, Log, LogConfig, Output};
use replay_log::store::MemoryStore;
use replay_log::{Now, StreamId};

const STREAM: StreamId = StreamId(1);

fn log() -> Log {
    let config = LogConfig {
        service: "shop".to_string(),
        mirror_cluster: None,
        sole_gateway: true,
        takeover_ms: 500,
        delivery_parallel: 64,
        delivery_per_second: 0,
        handback_hold_ms: 300,
        mirror_grace_ms: 0,
        remember_ids_ms: 86_400_000,
        remember_ids_bytes: 1 << 28,
        session_idle_ms: 604_800_000,
        max_entries: 1_000_000,
        max_bytes: 1 << 30,
    };
    let mut log =
        Log::open(Box::new(MemoryStore::new()), config, [1; 16], Now::default()).expect("opens");
    let hello = pb::GatewayHello {
        version: protocol::VERSION,
        service: "shop".to_string(),
        gateway: vec![1],
    };
    step(&mut log, Now::default(), gateway(pb::gateway_request::Kind::Hello(hello)));
    log
}

fn gateway(kind: pb::gateway_request::Kind) -> Input {
    Input::Gateway {
        stream: STREAM,
        message: pb::GatewayRequest { kind: Some(kind), ends: vec![] },
    }
}

fn step(log: &mut Log, now: Now, input: Input) -> Vec<Output> {
    log.handle(now, input);
    log.commit(now).expect("commits")
}

fn word(replica: Replica, number: Number, link: Link) -> Word {
    Word {
        number: Some(number),
        status: 200,
        digest: Digest::of(b"ok"),
        at: Some(Position { number, link }),
        journal: Incarnation([1; 8]),
        ..Word::new(replica, Verdict::Ran)
    }
}

fn log_write(c: &mut Criterion) {
    let mut log = log();
    let mut i: u64 = 0;
    c.bench_function("log: append, end, deliver and settle one write of 1 kB", |b| {
        b.iter(|| {
            i += 1;
            let now = Now { mono_ms: i / 10, unix_ms: 1_700_000_000_000 };
            let session = format!("s{}", i % 2000);
            let append = pb::Append {
                token: i,
                session: session.clone(),
                id: format!("k{i}"),
                method: "POST".into(),
                path: "/items".into(),
                body: vec![b'x'; 1024],
                ..Default::default()
            };
            let outputs = step(&mut log, now, gateway(pb::gateway_request::Kind::Append(append)));
            let numbered = outputs.into_iter().find_map(|o| match o {
                Output::ToGateway {
                    message:
                        pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Appended(a)) },
                    ..
                } => a.outcome,
                _ => None,
            });
            let Some(pb::appended::Outcome::Numbered(n)) = numbered else { panic!("numbered") };
            let number = Number { epoch: n.epoch, seq: n.seq };
            let link = Link::from_wire(&n.link).expect("a link");
            let end = pb::End {
                session,
                epoch: n.epoch,
                seq: n.seq,
                kind: pb::end::Kind::Answered as i32,
                word: word(Replica::Primary, number, link).to_string(),
                token: i,
                route: n.route,
            };
            let ends = Input::Gateway {
                stream: STREAM,
                message: pb::GatewayRequest { kind: None, ends: vec![end] },
            };
            let outputs = step(&mut log, now, ends);
            let Some(Output::Deliver(d)) = outputs.into_iter().next() else { panic!("a delivery") };
            step(
                &mut log,
                now,
                Input::Delivered {
                    replica: d.replica,
                    session: d.session,
                    number,
                    word: Some(word(d.replica, number, link)),
                },
            );
        });
    });
}

fn journal_write(c: &mut Criterion) {
    let config = JournalConfig {
        service: "shop".to_string(),
        replica: Replica::Primary,
        remember_bytes: 1 << 24,
        session_idle_ms: 600_000,
        takeover_ms: None,
    };
    let mut journal = Journal::open(Box::new(MemoryStore::new()), config, [1; 16], Now::default())
        .expect("opens");
    let mut tell = |kind| {
        journal.handle(
            Now::default(),
            journal::Input::Guard {
                stream: STREAM,
                message: pb::GuardRequest { kind: Some(kind) },
            },
        );
        journal.commit(Now::default()).expect("commits")
    };
    tell(pb::guard_request::Kind::Hello(pb::GuardHello {
        version: protocol::VERSION,
        service: "shop".into(),
        replica: "primary".into(),
        owner: vec![1],
        running: vec![],
        gap_wait_ms: 800,
    }));
    let mut i: u64 = 0;
    let mut links = vec![Link::START; 2000];
    c.bench_function("journal: begin and outcome of one write", |b| {
        b.iter(|| {
            let s = (i % 2000) as usize;
            let seq = i / 2000 + 1;
            i += 1;
            links[s] = links[s].next(&Id::new("k").expect("an id"));
            let session = format!("s{s}");
            tell(pb::guard_request::Kind::Begin(pb::Begin {
                token: i,
                session: session.clone(),
                epoch: 1,
                seq,
                link: links[s].0.to_vec(),
                id: "k".into(),
                method: "POST".into(),
                run_timeout_ms: 5000,
                wait_ms: 800,
                ..Default::default()
            }));
            tell(pb::guard_request::Kind::Outcome(pb::Outcome {
                token: i,
                session,
                epoch: 1,
                seq,
                kind: pb::outcome::Kind::Ran as i32,
                status: 200,
                digest: vec![0; 8],
                response: Some(pb::Response {
                    status: 200,
                    headers: vec![],
                    body: vec![b'x'; 256],
                }),
            }));
        });
    });
}

criterion_group!(benches, log_write, journal_write);
criterion_main!(benches);
