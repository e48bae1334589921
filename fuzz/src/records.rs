//! What a store may hold after somebody else's hands were in it: a log and a journal open on it,
//! or say what is wrong.

use crate::frames;
use crate::messages::{START, append, gateway_hello, journal_config, log_config};
use protocol::{Id, Link, pb};
use replay_log::journal::{self, Journal, JournalConfig};
use replay_log::log::{Input, Log};
use replay_log::store::{MemoryStore, Store as _, Write};
use replay_log::{Now, StreamId};

/// Each step is a record: its kind is the length of its key, its bytes the key and the value.
pub fn run(bytes: &[u8]) {
    let mut store = MemoryStore::new();
    let records = frames::read(bytes).map(|(length, record)| {
        let (key, value) = record.split_at(usize::from(length).min(record.len()));
        Write::Put { key: key.to_vec(), value: value.to_vec() }
    });
    store.commit(&records.collect::<Vec<_>>()).expect("a store in memory takes everything");
    if let Ok(log) = Log::open(Box::new(store.copy()), log_config(), [7; 16], START) {
        write(log);
    }
    if let Ok(journal) = Journal::open(Box::new(store), journal_config(), [7; 16], START) {
        ask(journal);
    }
}

/// Goes on with what was opened, until it meets what it cannot read.
fn write(mut log: Log) {
    let stream = StreamId(1);
    let kinds = [gateway_hello(), append(1, "a"), append(2, "z")];
    let messages = kinds.map(|kind| pb::GatewayRequest { kind: Some(kind), ends: vec![] });
    let mut now = START;
    for message in messages {
        log.handle(now, Input::Gateway { stream, message });
        if log.commit(now).is_err() {
            return;
        }
    }
    for _ in 0..4 {
        now = Now { mono_ms: now.mono_ms + 100, unix_ms: now.unix_ms + 100 };
        log.handle(now, Input::Tick);
        if log.commit(now).is_err() {
            return;
        }
    }
    let _ = log.status();
}

fn ask(mut journal: Journal) {
    let stream = StreamId(1);
    for doubt in journal.status().in_doubt {
        let (session, number) = (doubt.session, doubt.number);
        let action = journal::Resolution::Skip;
        journal.handle(START, journal::Input::Resolve { session, number, action });
    }
    let JournalConfig { service, replica, .. } = journal_config();
    let hello = pb::GuardHello {
        version: protocol::VERSION,
        service,
        replica: replica.name().into(),
        owner: vec![1; 16],
        running: vec![],
        gap_wait_ms: 80,
    };
    let begin = pb::Begin {
        token: 1,
        session: "s".into(),
        epoch: 9,
        seq: 2,
        link: Link::START.0.to_vec(),
        id: "b".into(),
        method: "PUT".into(),
        path: "/x".into(),
        ..pb::Begin::default()
    };
    for kind in [pb::guard_request::Kind::Hello(hello), pb::guard_request::Kind::Begin(begin)] {
        let message = pb::GuardRequest { kind: Some(kind) };
        journal.handle(START, journal::Input::Guard { stream, message });
        if journal.commit(START).is_err() {
            return;
        }
    }
    let later = Now { mono_ms: START.mono_ms + 100_000, ..START };
    journal.handle(later, journal::Input::Tick);
    let _ = (journal.commit(later), journal.status());
}

/// Stores that a log and a journal left behind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![dump(&used_log()), dump(&used_journal())];
    seeds.extend(extremes());
    seeds
}

/// Records with the highest numbers that there are.
fn extremes() -> Vec<Vec<u8>> {
    const MOST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let number = |tag: u8| [&[tag << 3][..], &MOST].concat();
    let link = |tag: u8| [&[tag << 3 | 2, 16][..], &[5; 16]].concat();
    let record = |key: &[u8], value: Vec<u8>| (key.len() as u8, [key, &value].concat());
    // Format 1 of a service called shop, whose epochs are at their end.
    let shop = [&[8, 1, 18, 4][..], b"shop"].concat();
    let meta = record(b"m", [shop.clone(), number(4)].concat());
    let session = |rest: &[u8]| {
        let numbers = [&[8, 9][..], &number(2), &link(3), &number(4), &number(5), rest].concat();
        record(b"ss", numbers)
    };
    let position = [&[10, 31, 8, 9][..], &number(2), &link(3)].concat();
    let flight = [&[42, 36, 8, 9][..], &number(2), &link(3), &[40, 1, 64, 0, 80, 1]].concat();
    let journal = record(b"meta", [shop, [&[26, 7][..], b"primary"].concat()].concat());
    let last = |rest: &[u8]| record(b"s/s", [&position, rest].concat());
    vec![
        frames::write([meta]),
        frames::write([session(&[])]),
        frames::write([session(&[48, 1]), record(b"sz", vec![8, 9, 16, 1])]),
        frames::write([journal.clone(), last(&[])]),
        frames::write([journal, last(&flight)]),
    ]
}

fn dump(store: &MemoryStore) -> Vec<u8> {
    let mut records = Vec::new();
    let scanned = store.scan(b"", &mut |key, value| {
        let length = u8::try_from(key.len()).unwrap_or(u8::MAX);
        records.push((length, [key, value].concat()));
        Ok(true)
    });
    scanned.expect("a store in memory reads everything");
    frames::write(records)
}

fn used_log() -> MemoryStore {
    let store = MemoryStore::new();
    let mut log = Log::open(Box::new(store.clone()), log_config(), [7; 16], START)
        .expect("an empty store opens");
    write_some(&mut log);
    store
}

fn write_some(log: &mut Log) {
    let stream = StreamId(1);
    let link = Link::START.next(&Id::new("a").expect("an id"));
    let epoch = START.unix_ms + 1;
    let end = |seq, replica: &str| pb::End {
        session: "s".into(),
        epoch,
        seq,
        kind: pb::end::Kind::Answered.into(),
        word: format!(
            "v=1;replica={replica};verdict=ran;number={epoch}.{seq};status=200;digest=0101010101010101;at={epoch}.{seq}.{link}"
        ),
        token: seq,
        route: pb::Route::Primary.into(),
    };
    let messages = [
        (Some(gateway_hello()), vec![]),
        (Some(append(1, "a")), vec![]),
        (Some(append(2, "b")), vec![]),
        (None, vec![end(1, "primary"), end(1, "secondary")]),
        (Some(append(3, "c")), vec![]),
    ];
    for (kind, ends) in messages {
        log.handle(START, Input::Gateway { stream, message: pb::GatewayRequest { kind, ends } });
        log.commit(START).expect("a store in memory takes everything");
    }
    log.flush(START).expect("a store in memory takes everything");
}

fn used_journal() -> MemoryStore {
    use pb::guard_request::Kind;
    let store = MemoryStore::new();
    let mut journal = Journal::open(Box::new(store.clone()), journal_config(), [7; 16], START)
        .expect("an empty store opens");
    let JournalConfig { service, replica, .. } = journal_config();
    let (version, replica) = (protocol::VERSION, replica.name().to_string());
    let owner = vec![1; 16];
    let gap_wait_ms = 80;
    let hello = pb::GuardHello { version, service, replica, owner, running: vec![], gap_wait_ms };
    let mut link = Link::START;
    let mut kinds = vec![Kind::Hello(hello)];
    for (seq, id) in [(1, "a"), (2, "b")] {
        let id = Id::new(id).expect("an id");
        link = link.next(&id);
        kinds.push(Kind::Begin(pb::Begin {
            token: seq,
            session: "s".into(),
            epoch: 9,
            seq,
            link: link.0.to_vec(),
            id: id.to_string(),
            method: "POST".into(),
            path: "/x".into(),
            run_timeout_ms: 100,
            ..pb::Begin::default()
        }));
        if seq == 1 {
            kinds.push(Kind::Outcome(pb::Outcome {
                token: 9,
                session: "s".into(),
                epoch: 9,
                seq,
                kind: pb::outcome::Kind::Ran.into(),
                status: 200,
                digest: vec![1; 8],
                response: None,
            }));
        }
    }
    for kind in kinds {
        let message = pb::GuardRequest { kind: Some(kind) };
        journal.handle(START, journal::Input::Guard { stream: StreamId(1), message });
        journal.commit(START).expect("a store in memory takes everything");
    }
    store
}
