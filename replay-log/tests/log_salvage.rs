//! A log out of a damaged store: whatever record is missing, no number is given out twice, nothing
//! is delivered around a hole, and nothing vanishes unseen.

mod support;

use protocol::{Number, Replica, Stamp, Verdict, Word, pb};
use replay_log::log::Log;
use replay_log::log::salvage::{Salvaged, salvage};
use replay_log::store::{MemoryStore, Store, Write};
use std::collections::BTreeMap;
use support::*;

const SESSIONS: [&str; 3] = ["a", "b", "c"];

/// A log with settled writes, a backlog of one replica or of both, and an epoch after another.
fn store() -> MemoryStore {
    let mut desk = Desk::new();
    for session in SESSIONS {
        desk.whole_write(session, "settled");
    }
    desk.pass(IDLE_MS + 1);
    desk.whole_write("c", "next epoch");
    for (n, session) in [(1, "a"), (2, "a"), (3, "a"), (1, "b"), (2, "b"), (1, "c")] {
        let numbered = desk.number(session, &format!("live-{n}"));
        if session == "b" {
            desk.answered(session, &numbered, Replica::Primary);
        }
    }
    desk.log.flush(desk.now).expect("flushes");
    desk.store.copy()
}

fn records(store: &MemoryStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut records = BTreeMap::new();
    store
        .scan(b"", &mut |key, value| {
            records.insert(key.to_vec(), value.to_vec());
            Ok(true)
        })
        .expect("scans");
    records
}

fn change(store: &MemoryStore, key: &[u8], value: Option<Vec<u8>>) -> MemoryStore {
    let mut store = store.copy();
    let key = key.to_vec();
    let write = match value {
        Some(value) => Write::Put { key, value },
        None => Write::Delete { key },
    };
    store.commit(&[write]).expect("commits");
    store
}

/// What was numbered before the damage, by session.
fn numbered(store: &MemoryStore) -> BTreeMap<String, Vec<Number>> {
    let mut numbers: BTreeMap<String, Vec<Number>> = BTreeMap::new();
    for key in records(store).into_keys().filter(|key| key[0] == b'e') {
        let (name, number) = key[1..].split_at(key.len() - 18);
        let half = |at: usize| u64::from_be_bytes(number[at..at + 8].try_into().unwrap());
        let number = Number { epoch: half(1), seq: half(9) };
        numbers.entry(String::from_utf8(name.to_vec()).unwrap()).or_default().push(number);
    }
    numbers
}

/// Opens a salvaged log, lets both replicas run what is delivered, and writes to every session.
fn no_promise_is_broken(damaged: &MemoryStore, before: &MemoryStore, what: &str) -> Salvaged {
    let mut store = damaged.copy();
    let salvaged = salvage(&mut store, "shop", [3; 16]).expect("salvages");
    let before_incarnation = Log::open(Box::new(before.copy()), config(), [4; 16], Desk::new().now)
        .expect("opens")
        .incarnation();
    let mut desk = Desk::with(config(), store);
    assert_ne!(desk.log.incarnation(), before_incarnation, "{what}");
    let known = numbered(before);
    let mut ran: BTreeMap<(Replica, String), Vec<Number>> = BTreeMap::new();
    desk.pass(1);
    while let Some(delivery) = desk.deliveries.pop() {
        let place = (delivery.replica, delivery.session.to_string());
        ran.entry(place).or_default().push(delivery.number);
        desk.deliver_ok(&delivery);
    }
    for ((_, session), numbers) in &ran {
        // In order, and all that stand before what was delivered.
        let all = &known[session];
        let last = *numbers.last().unwrap();
        let must: Vec<_> = all.iter().copied().filter(|number| *number <= last).collect();
        assert!(must.ends_with(numbers), "{what}: {session} {numbers:?} of {all:?}");
        let held = salvaged.quarantined.iter().filter(|(key, _)| key.as_str() == session);
        for (_, number) in held {
            assert!(*number > last, "{what}: {number} of {session} was delivered around");
        }
    }
    for session in SESSIONS {
        let n = desk.number(session, "after");
        let highest = known.get(session).and_then(|all| all.last()).map_or(0, |n| n.epoch);
        assert!(n.epoch > highest && n.seq == 1 && n.after.is_none(), "{what}: {n:?}");
    }
    let listed = desk.log.status().quarantined.len();
    assert_eq!(listed, salvaged.quarantined.len(), "{what}");
    salvaged
}

#[test]
fn whatever_record_is_missing_or_unreadable_no_number_comes_twice_and_no_hole_is_passed_over() {
    let whole = store();
    let mut quarantined = 0;
    for (key, value) in records(&whole) {
        let what = String::from_utf8_lossy(&key).into_owned();
        let lost = no_promise_is_broken(&change(&whole, &key, None), &whole, &what);
        quarantined += lost.quarantined.len();
        let garbage = vec![0xff; value.len().max(1)];
        no_promise_is_broken(&change(&whole, &key, Some(garbage)), &whole, &what);
    }
    assert!(quarantined > 5, "{quarantined}");
}

#[test]
fn a_log_of_which_nothing_is_missing_delivers_all_that_it_held() {
    let whole = store();
    let salvaged = no_promise_is_broken(&whole, &whole, "nothing");
    assert_eq!((salvaged.entries, salvaged.quarantined.len(), salvaged.lost), (6, 0, 0));
}

#[test]
fn a_write_waits_until_what_is_left_of_its_session_is_settled() {
    let mut store = store();
    salvage(&mut store, "shop", [3; 16]).expect("salvages");
    let mut desk = Desk::with(config(), store);
    let refused = desk.append("a", "new");
    let superseded = pb::refused::Reason::Superseded as i32;
    assert!(
        matches!(&refused, Some(pb::appended::Outcome::Refused(r)) if r.reason == superseded),
        "{refused:?}"
    );
    // What is known already is told as before.
    assert!(desk.number("a", "live-1").known);
    desk.pass(TAKEOVER_MS);
    desk.drain();
    assert!(!desk.number("a", "new").known);
}

/// The last write of the session is lost, and one replica has run it.
#[test]
fn a_replica_that_stands_beyond_what_is_left_has_settled_it() {
    let whole = store();
    let last = *numbered(&whole)["a"].last().unwrap();
    let key = records(&whole).into_keys().rfind(|key| key.starts_with(b"ea\0")).unwrap();
    let mut store = change(&whole, &key, None);
    salvage(&mut store, "shop", [3; 16]).expect("salvages");
    let mut desk = Desk::with(config(), store);
    desk.pass(1);
    let position = protocol::Position { number: last, link: protocol::Link([7; 16]) };
    while let Some(delivery) = desk.deliveries.pop() {
        let Stamp::Write(_) = &delivery.stamp else { panic!("a write") };
        let mut word = delivered_word(&delivery, Verdict::Forgotten);
        if delivery.session == session("a") && delivery.replica == Replica::Primary {
            word = Word { at: Some(position), ..word };
        }
        desk.report(&delivery, Some(word));
    }
    assert_eq!(desk.log.status().entries, 0);
    assert_eq!(desk.log.status().quarantined, []);
    assert!(desk.number("a", "new").epoch > last.epoch);
}

#[test]
fn the_store_of_another_service_is_not_salvaged() {
    let error = salvage(&mut store(), "bar", [3; 16]).unwrap_err().to_string();
    assert!(error.contains("it is the log of the service shop, not of bar"), "{error}");
}
