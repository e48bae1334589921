//! A disk that is full, and a crash that leaves the first writes of a batch alone.

mod support;

use protocol::{Number, Replica, Verdict, Word, pb};
use replay_log::log::{Full, Log, LogConfig};
use replay_log::store::{MemoryStore, Store, StoreError, StoreStats, Visit, Write};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use support::{Desk, GATEWAY, config, ran};

/// What a test sees and steers of a store.
#[derive(Clone, Default)]
struct Lever {
    full: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<Vec<Write>>>>,
}

struct Steered {
    records: MemoryStore,
    lever: Lever,
}

impl Store for Steered {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        self.lever.batches.lock().unwrap().push(batch.to_vec());
        self.records.commit(batch)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.records.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.records.scan(prefix, visit)
    }

    fn stats(&self) -> StoreStats {
        self.records.stats()
    }

    fn has_room(&self) -> bool {
        !self.lever.full.load(Ordering::Relaxed)
    }

    fn free_bytes(&self) -> Option<u64> {
        Some(4321)
    }
}

/// A desk whose store is steered.
fn steered() -> (Desk, Lever) {
    let mut desk = Desk::new();
    let lever = Lever::default();
    desk.store = MemoryStore::new();
    let store = Steered { records: desk.store.clone(), lever: lever.clone() };
    desk.log = Log::open(Box::new(store), config(), [7; 16], desk.now).unwrap();
    desk.hello(GATEWAY, b"envoy-1");
    (desk, lever)
}

fn refused(desk: &mut Desk, session: &str, id: &str) -> pb::Refused {
    match desk.append(session, id) {
        Some(pb::appended::Outcome::Refused(refused)) => refused,
        other => panic!("{session} {id} was not refused but {other:?}"),
    }
}

fn events(desk: &Desk) -> Vec<&'static str> {
    let status = desk.log.status();
    let of_room = status.events.iter().filter(|e| ["full", "room_again"].contains(&e.kind));
    of_room.map(|event| event.kind).collect()
}

#[test]
fn while_the_disk_is_full_new_writes_are_refused_and_everything_else_goes_on() {
    let (mut desk, lever) = steered();
    let before = desk.number("s", "a");
    let withdrawn = desk.append_message("t", "w", "w");
    let (token, id) = (withdrawn.token, withdrawn.id.clone());
    desk.message(GATEWAY, pb::gateway_request::Kind::Append(withdrawn));
    lever.full.store(true, Ordering::Relaxed);

    let refusal = refused(&mut desk, "s", "b");
    assert_eq!(refusal.reason(), pb::refused::Reason::Full);
    assert!(refusal.detail.contains("is full: 4321 bytes are free"), "{}", refusal.detail);
    assert_eq!(refused(&mut desk, "new", "b").reason(), pb::refused::Reason::Full);
    assert_eq!(desk.log.status().full, Some(Full::Disk));

    let again = desk.number("s", "a");
    assert!(again.known && again.seq == before.seq, "a retry is answered");
    let cancel = pb::Cancel { token, session: "t".to_string(), id };
    desk.message(GATEWAY, pb::gateway_request::Kind::Cancel(cancel));
    desk.answered("s", &before, Replica::Primary);
    desk.drain();
    desk.pass(100);
    assert_eq!(desk.log.status().withdrawn, 1);
    assert_eq!(desk.log.status().entries, 0, "what was under way is settled");
    desk.restart();
    assert_eq!(desk.log.status().entries, 0, "durably");
    assert!(desk.number("s", "a").known);
}

#[test]
fn room_again_is_seen_without_a_restart_and_without_a_write() {
    let (mut desk, lever) = steered();
    lever.full.store(true, Ordering::Relaxed);
    desk.pass(1);
    assert_eq!(events(&desk), ["full"]);
    refused(&mut desk, "s", "a");
    assert_eq!(events(&desk), ["full"], "told once");
    lever.full.store(false, Ordering::Relaxed);
    let wake = desk.log.next_wake_ms().expect("it looks again by itself");
    assert!(wake > desk.now.mono_ms && wake <= desk.now.mono_ms + 1000);
    desk.pass(wake - desk.now.mono_ms);
    assert_eq!(events(&desk), ["full", "room_again"]);
    assert_eq!(desk.log.status().full, None);
    assert_eq!(desk.number("s", "a").seq, 1, "the refused ones left no trace");
}

#[test]
fn a_log_at_a_bound_says_so_until_there_is_room_below_it() {
    let bytes = LogConfig { max_bytes: 1000, ..config() };
    let entries = LogConfig { max_entries: 5, ..config() };
    for (config, cause, words) in [
        (bytes, Full::Bytes, "bytes, its bound"),
        (entries, Full::Entries, "holds 5 entries, its bound"),
    ] {
        let mut desk = Desk::with(config, MemoryStore::new());
        let mut numbered = vec![];
        let refusal = loop {
            match desk.append("s", &format!("w{}", numbered.len())) {
                Some(pb::appended::Outcome::Numbered(n)) => numbered.push(n),
                Some(pb::appended::Outcome::Refused(refused)) => break refused,
                None => panic!("no reply"),
            }
        };
        assert!(refusal.detail.contains(words), "{}", refusal.detail);
        assert_eq!(desk.log.status().full, Some(cause));
        assert!(desk.number("s", "w0").known, "a retry of what has a number is no new entry");
        for n in &numbered {
            desk.answered("s", n, Replica::Primary);
        }
        desk.drain();
        assert_eq!(desk.log.status().full, None);
        assert_eq!(events(&desk), ["full", "room_again"]);
    }
}

#[test]
fn a_log_that_starts_with_more_than_its_bound_takes_nothing_new_until_that_is_settled() {
    let mut desk = Desk::new();
    let numbered = ["a", "b", "c"].map(|id| desk.number("s", id));
    desk.config.max_entries = 2;
    desk.restart();
    assert_eq!(desk.log.status().full, Some(Full::Entries));
    refused(&mut desk, "s", "d");
    assert!(desk.number("s", "c").known);
    for n in &numbered {
        desk.answered("s", n, Replica::Primary);
    }
    desk.drain();
    assert_eq!(desk.number("s", "d").seq, 4);
}

/// Every store that a crash can leave: the whole batches up to one, and the first writes of it.
fn after_a_crash(lever: &Lever, from: usize) -> Vec<(String, MemoryStore)> {
    let batches = lever.batches.lock().unwrap().clone();
    let mut stores = vec![];
    for torn in from..batches.len() {
        for kept in 0..=batches[torn].len() {
            let mut store = MemoryStore::new();
            batches[..torn].iter().for_each(|batch| store.commit(batch).unwrap());
            store.commit(&batches[torn][..kept]).unwrap();
            stores.push((format!("{kept} writes of batch {torn}: {:?}", batches[torn]), store));
        }
    }
    stores
}

#[test]
fn whatever_first_writes_of_a_batch_survive_no_id_of_a_settled_write_is_forgotten() {
    let (mut desk, lever) = steered();
    let n = desk.number("s", "a");
    let numbered = lever.batches.lock().unwrap().len();
    // One replica's answer is kept before the other's comes.
    desk.answered("s", &n, Replica::Primary);
    desk.pass(100);
    desk.drain();
    desk.pass(100);
    assert_eq!(desk.log.status().entries, 0);
    let stores = after_a_crash(&lever, numbered);
    assert!(stores.len() > 6, "there is something to tear");
    for (what, store) in stores {
        let mut later = Desk::with(config(), store.clone());
        let again = later.number("s", "a");
        assert!(again.known && (again.epoch, again.seq) == (n.epoch, n.seq), "{what}");
        later.drain();
        later.pass(100);
        later.restart();
        let again = later.number("s", "a");
        assert!(again.known && (again.epoch, again.seq) == (n.epoch, n.seq), "{what}");
    }
}

/// The numbers of the entries below a prefix.
fn numbers(store: &MemoryStore, prefix: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        found.insert(key[1..].to_vec());
        Ok(true)
    };
    store.scan(prefix, &mut visit).unwrap();
    found
}

#[test]
fn whatever_first_writes_of_a_batch_survive_no_entry_is_lost_on_its_way_into_quarantine() {
    let (mut desk, lever) = steered();
    let n = desk.number("s", "a");
    desk.number("s", "b");
    desk.number("s", "c");
    let entries = numbers(&desk.store, b"e");
    assert_eq!(entries.len(), 3);
    let before = lever.batches.lock().unwrap().len();
    // A guard stands far beyond the log.
    let mut at = ran(Replica::Primary, &n, 200).at.unwrap();
    at.number = Number { epoch: n.epoch, seq: 9 };
    let word = Word { at: Some(at), verdict: Verdict::Ran, ..ran(Replica::Primary, &n, 200) };
    desk.end("s", &n, pb::end::Kind::Answered, Some(word));
    assert_eq!(desk.log.status().quarantined.len(), 3);
    for (what, store) in after_a_crash(&lever, before) {
        let mut later = Desk::with(config(), store.clone());
        later.append("s", "d");
        later.pass(100);
        later.restart_alone();
        later.log.flush(later.now).unwrap();
        let kept: BTreeSet<_> =
            numbers(&store, b"e").union(&numbers(&store, b"q")).cloned().collect();
        assert!(kept.is_superset(&entries), "{what}");
    }
}
