//! The records of the current version, kept as they were written: a build must go on reading
//! them, and must go on writing the same bytes or raise its version.
//!
//! `KEEP_FORMATS=1 cargo nextest run -p replay-log formats` writes the files anew, after a change
//! that raised a version; the files of older versions stay.

#[path = "../support/mod.rs"]
mod support;

use protocol::{Number, Position, Replica, pb};
use replay_log::journal::{Input, Journal, JournalConfig};
use replay_log::log::Log;
use replay_log::store::{MemoryStore, Store, Write};
use replay_log::{Now, StreamId};
use std::path::PathBuf;
use support::{Desk, GATEWAY, IDLE_MS, config, ran};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |n: usize| u8::from_str_radix(&text[n..n + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name)
}

/// Every record of a store, a line each: key and value.
fn dump(store: &MemoryStore) -> String {
    let mut lines = String::new();
    store
        .scan(b"", &mut |key, value| {
            lines += &format!("{} {}\n", hex(key), hex(value));
            Ok(true)
        })
        .expect("a store in memory can be read");
    lines
}

fn kept(name: &str) -> MemoryStore {
    let text = std::fs::read_to_string(file(name)).expect("a kept file");
    let records = text.lines().map(|line| {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        Write::Put { key: unhex(key), value: unhex(value) }
    });
    let mut store = MemoryStore::new();
    store.commit(&records.collect::<Vec<_>>()).expect("a store in memory takes everything");
    store
}

/// The kept bytes are what this build writes.
fn is_as_kept(name: &str, store: &MemoryStore) {
    let now = dump(store);
    if std::env::var_os("KEEP_FORMATS").is_some() {
        std::fs::write(file(name), &now).expect("writes the file");
    }
    let kept = std::fs::read_to_string(file(name)).expect("a kept file");
    assert!(now == kept, "{name}: written is\n{now}kept is\n{kept}");
}

/// A log with a record of every kind.
fn log() -> Desk {
    let mut desk = Desk::new();
    desk.whole_write("settled", "a");
    let n = desk.number("forced", "a");
    desk.answered("forced", &n, Replica::Primary);
    // A guard stands beyond the end of the log: the store is taken for an old copy.
    let beyond =
        Position { number: Number { epoch: n.epoch, seq: 9 }, link: protocol::Link([1; 16]) };
    let mut word = ran(Replica::Primary, &n, 200);
    word.at = Some(beyond);
    desk.end("forced", &n, pb::end::Kind::Answered, Some(word));
    desk.drain();
    desk.whole_write("follows", "a");
    desk.pass(IDLE_MS);
    desk.number("follows", "b");
    let n = desk.number("behind", "a");
    desk.answered("behind", &n, Replica::Secondary);
    desk.number("behind", "b");
    let append = desk.append_message("withdrawn", "a", "a");
    let token = append.token;
    desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
    let cancel = pb::Cancel { token, session: "withdrawn".into(), id: "a".into() };
    desk.message(GATEWAY, pb::gateway_request::Kind::Cancel(cancel));
    desk.pass(100);
    desk.log.flush(desk.now).expect("flushes");
    desk
}

#[test]
fn the_logs_records_are_written_as_they_are_kept() {
    is_as_kept("log-2.records", &log().store);
}

#[test]
fn the_logs_kept_records_are_read() {
    let now = Now { mono_ms: 1, unix_ms: 1_700_000_100_000 };
    let log = Log::open(Box::new(kept("log-2.records")), config(), [7; 16], now).expect("opens");
    let status = log.status();
    assert_eq!((status.entries, status.ids), (4, 2));
    assert_eq!(status.quarantined.len(), 1);
    assert_eq!(status.backlog, [4, 3]);
}

#[test]
fn a_log_of_another_version_is_refused_and_not_touched() {
    let mut newer = kept("log-2.records");
    let mut meta = newer.get(b"m").expect("reads").expect("is there");
    assert_eq!(meta[..2], [8, 2], "field 1, version 2");
    meta[1] = 3;
    newer.commit(&[Write::Put { key: b"m".to_vec(), value: meta }]).expect("commits");
    for (version, store) in [(1, kept("log-1.records")), (3, newer)] {
        let before = dump(&store);
        let now = Now { mono_ms: 1, unix_ms: 1_700_000_100_000 };
        let Err(error) = Log::open(Box::new(store.clone()), config(), [7; 16], now) else {
            panic!("a log of version {version} was opened");
        };
        let why = format!("format is {version}, this build reads 2");
        assert!(error.to_string().contains(&why), "{error}");
        assert_eq!(dump(&store), before);
    }
}

fn journal_config() -> JournalConfig {
    JournalConfig {
        service: "shop".into(),
        replica: Replica::Primary,
        remember_bytes: 1 << 20,
        session_idle_ms: 60_000,
        takeover_ms: Some(500),
    }
}

/// A journal with a session at rest and one with a write in flight.
fn journal() -> MemoryStore {
    let store = MemoryStore::new();
    let now = Now { mono_ms: 1, unix_ms: 1_700_000_000_000 };
    let mut journal =
        Journal::open(Box::new(store.clone()), journal_config(), [9; 16], now).expect("opens");
    let mut ask = |kind| {
        let message = pb::GuardRequest { kind: Some(kind) };
        journal.handle(now, Input::Guard { stream: StreamId(1), message });
        journal.commit(now).expect("commits");
    };
    ask(pb::guard_request::Kind::Hello(pb::GuardHello {
        version: protocol::VERSION,
        service: "shop".into(),
        replica: "primary".into(),
        owner: vec![1],
        gap_wait_ms: 800,
        ..Default::default()
    }));
    for session in ["rests", "runs"] {
        let id = protocol::Id::new("i").expect("an id");
        ask(pb::guard_request::Kind::Begin(pb::Begin {
            token: 1,
            session: session.into(),
            epoch: 5,
            seq: 1,
            link: protocol::Link::START.next(&id).0.to_vec(),
            id: "i".into(),
            method: "POST".into(),
            path: "/pay".into(),
            log: vec![1; 8],
            in_doubt: pb::InDoubtPolicy::ByMethod.into(),
            run_timeout_ms: 5000,
            ..Default::default()
        }));
    }
    ask(pb::guard_request::Kind::Outcome(pb::Outcome {
        session: "rests".into(),
        epoch: 5,
        seq: 1,
        kind: pb::outcome::Kind::Ran.into(),
        status: 201,
        digest: vec![4; 8],
        ..Default::default()
    }));
    store
}

#[test]
fn the_journals_records_are_written_as_they_are_kept() {
    is_as_kept("journal-1.records", &journal());
}

#[test]
fn the_journals_kept_records_are_read() {
    let store = kept("journal-1.records");
    let now = Now { mono_ms: 1, unix_ms: 1_700_000_100_000 };
    let journal = Journal::open(Box::new(store), journal_config(), [8; 16], now).expect("opens");
    let status = journal.status();
    assert_eq!((status.sessions, status.running), (2, 1));
}

#[test]
fn a_journal_of_another_version_is_refused_and_not_touched() {
    let mut store = kept("journal-1.records");
    let mut meta = store.get(b"meta").expect("reads").expect("is there");
    assert_eq!(meta[..2], [8, 1], "field 1, version 1");
    meta[1] = 2;
    store.commit(&[Write::Put { key: b"meta".to_vec(), value: meta }]).expect("commits");
    let before = dump(&store);
    let now = Now { mono_ms: 1, unix_ms: 1_700_000_100_000 };
    let opened = Journal::open(Box::new(store.clone()), journal_config(), [8; 16], now);
    let Err(error) = opened else { panic!("a journal of version 2 was opened") };
    assert!(error.to_string().contains("version 2, this build knows version 1 only"), "{error}");
    assert_eq!(dump(&store), before);
}
