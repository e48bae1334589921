//! What reaches the disk, when, and what happens when it does not.

use crate::rig::*;
use protocol::pb::begun::Verdict;
use protocol::pb::guard_request::Kind as Ask;
use protocol::pb::outcome::Kind;
use protocol::{Replica, pb};
use replay_log::StreamId;
use replay_log::journal::{Input, Journal, JournalConfig, Output};
use replay_log::store::{MemoryStore, Store, StoreError, StoreStats, Visit, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[derive(Clone, Default)]
struct Faults {
    commits: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    fail_commit: Arc<AtomicBool>,
    fail_get: Arc<AtomicBool>,
}

/// A store that counts, and fails when told to.
struct Faulty(MemoryStore, Faults);

impl Store for Faulty {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        self.1.commits.fetch_add(1, Ordering::Relaxed);
        self.1.writes.fetch_add(batch.len(), Ordering::Relaxed);
        if self.1.fail_commit.swap(false, Ordering::Relaxed) {
            let cause = "no room".to_string();
            return Err(StoreError::Commit { path: "x".into(), writes: batch.len(), cause });
        }
        self.0.commit(batch)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.1.fail_get.load(Ordering::Relaxed) {
            let key = "6b".to_string();
            return Err(StoreError::Damaged { path: "x".into(), key, cause: "torn".into() });
        }
        self.0.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(prefix, visit)
    }

    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

fn faulty() -> (Rig, Faults) {
    let mut rig = Rig::new();
    let faults = Faults::default();
    let store = Box::new(Faulty(rig.store.clone(), faults.clone()));
    rig.journal = Journal::open(store, config(), [5; 16], at(1000)).unwrap();
    rig.hello(1, 1, &[]);
    faults.commits.store(0, Ordering::Relaxed);
    faults.writes.store(0, Ordering::Relaxed);
    (rig, faults)
}

fn counts(faults: &Faults) -> (usize, usize) {
    (faults.commits.load(Ordering::Relaxed), faults.writes.load(Ordering::Relaxed))
}

fn stage(rig: &mut Rig, begin: pb::Begin) {
    let message = pb::GuardRequest { kind: Some(Ask::Begin(begin)) };
    rig.handle(Input::Guard { stream: StreamId(1), message });
}

#[test]
fn everything_staged_is_one_commit_with_one_write_for_each_session() {
    let (mut rig, faults) = faulty();
    for session in ["a", "b", "c"] {
        stage(&mut rig, of(session, pb::Begin { noop: true, ..write(7, 1) }));
        stage(&mut rig, of(session, write(7, 2)));
    }
    assert_eq!(counts(&faults), (0, 0));
    rig.commit();
    assert_eq!(counts(&faults), (1, 3));
}

#[test]
fn a_commit_with_nothing_to_write_does_not_touch_the_disk() {
    let (mut rig, faults) = faulty();
    rig.run(write(7, 1));
    let before = counts(&faults);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Ran));
    assert_eq!(rig.ask(delivery(write(7, 3))), Some(Verdict::Gap));
    rig.await_run(7, 1);
    rig.tick_after(10);
    rig.hello(2, 2, &[]);
    assert_eq!(counts(&faults), before);
}

#[test]
fn nothing_leaves_before_its_commit() {
    let mut rig = Rig::new();
    let before = rig.outputs.len();
    stage(&mut rig, write(7, 1));
    assert_eq!(rig.outputs.len(), before);
    rig.restart();
    rig.hello(1, 1, &[]);
    // The grant was lost with the process, and nobody had heard of it.
    rig.run(write(7, 1));
    assert_eq!(rig.journal.status().redone, 0);
}

#[test]
fn a_grant_is_durable_before_it_is_given() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    rig.restart();
    assert_eq!(rig.journal.status().running, 1);
    rig.hello(2, 2, &[]);
    let token = rig.begin_on(2, delivery(write(7, 1)));
    assert_eq!(rig.verdict(token), Some(Verdict::Running));
}

#[test]
fn after_a_failed_commit_nothing_leaves_any_more() {
    let (mut rig, faults) = faulty();
    stage(&mut rig, write(7, 1));
    faults.fail_commit.store(true, Ordering::Relaxed);
    let error = rig.journal.commit(at(2000)).unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
    for begin in [write(7, 1), of("other", write(7, 1))] {
        stage(&mut rig, begin);
        let error = rig.journal.commit(at(2000)).unwrap_err().to_string();
        assert!(error.contains("an earlier commit failed"), "{error}");
    }
}

#[test]
fn a_record_that_cannot_be_read_stops_the_journal() {
    let (mut rig, faults) = faulty();
    faults.fail_get.store(true, Ordering::Relaxed);
    stage(&mut rig, of("unseen", write(7, 1)));
    faults.fail_get.store(false, Ordering::Relaxed);
    let error = rig.journal.commit(at(2000)).unwrap_err().to_string();
    assert!(error.contains("torn"), "{error}");
    assert!(rig.journal.commit(at(2000)).is_err());
}

fn open_error(store: &MemoryStore, config: JournalConfig) -> String {
    Journal::open(Box::new(store.clone()), config, [1; 16], at(0)).err().unwrap().to_string()
}

#[test]
fn the_journal_of_another_replica_or_service_is_refused() {
    let rig = Rig::new();
    let error = open_error(&rig.store, JournalConfig { replica: Replica::Secondary, ..config() });
    assert!(error.contains("journal of the primary of service \"shop\""), "{error}");
    let error = open_error(&rig.store, JournalConfig { service: "bar".into(), ..config() });
    assert!(error.contains("not of the primary of \"bar\""), "{error}");
}

#[test]
fn a_damaged_or_newer_journal_is_refused() {
    let put = |key: &[u8], value: &[u8]| {
        let mut store = Rig::new().store;
        store.commit(&[Write::Put { key: key.to_vec(), value: value.to_vec() }]).unwrap();
        open_error(&store, config())
    };
    assert!(put(b"meta", &[0x08, 0x02]).contains("version 2"));
    assert!(put(b"meta", &[0xff]).contains("6d657461"));
    assert!(put(b"s/a", &[0xff]).contains("732f61"));
    assert!(
        put(
            b"s/",
            &[0x2a, 0x14, 0x1a, 0x10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x50, 1]
        )
        .contains("no session's")
    );
}

#[test]
fn on_disk_the_journal_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let store = Box::new(replay_log::store::SledStore::open(dir.path()).unwrap());
        Journal::open(store, config(), [7; 16], at(1000)).unwrap()
    };
    let mut rig = Rig::new();
    rig.journal = open();
    rig.hello(1, 1, &[]);
    rig.run(of("a", write(7, 1)));
    assert_eq!(rig.ask(of("b", write(7, 1))), Some(Verdict::Run));
    rig.journal = Rig::new().journal;
    rig.journal = open();
    rig.hello(1, 1, &[("b", 7, 1)]);
    assert_eq!(rig.ask(of("a", write(7, 1))), Some(Verdict::Ran));
    rig.outcome(&of("b", write(7, 1)), Kind::Ran);
    let status = rig.journal.status();
    assert_eq!((status.sessions, status.running, status.ran), (2, 0, 1));
    assert!(rig.outputs.iter().any(|output| matches!(output, Output::Ran { .. })));
}
