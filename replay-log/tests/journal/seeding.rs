//! A journal in place of one that is lost: recognised, refused, seeded.

use crate::rig::*;
use protocol::pb;
use protocol::pb::begun::Verdict;
use protocol::pb::outcome::Kind;
use protocol::{Incarnation, Replica};
use replay_log::journal::Resolution;
use replay_log::journal::seed::{SeedError, SessionPosition, adopt, seed};
use replay_log::store::MemoryStore;

const LOST: Incarnation = Incarnation([3; 8]);

/// A write that was numbered while the log knew this life of the journal.
fn named(life: Incarnation, begin: pb::Begin) -> pb::Begin {
    pb::Begin { journal: life.to_wire(), ..begin }
}

fn refused(rig: &mut Rig, begin: pb::Begin) {
    let token = rig.begin(begin.clone());
    let begun = rig.begun(token).unwrap();
    assert_eq!((begun.verdict(), begun.unseeded), (Verdict::NotRun, true), "{begin:?}");
}

fn seeded(positions: &[SessionPosition]) -> Rig {
    let mut store = MemoryStore::new();
    seed(&mut store, "shop", Replica::Primary, &[LOST], positions).unwrap();
    Rig::on(store, config())
}

#[test]
fn a_fresh_installation_is_never_taken_for_a_lost_one() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 2)), None);
    rig.run(write(7, 1));
    rig.restart();
    rig.hello(1, 1, &[]);
    rig.run(of("other", delivery(write(7, 1))));
    assert!(!rig.journal.status().unseeded);
}

#[test]
fn an_empty_journal_that_is_told_of_a_lost_life_runs_nothing_whatever_comes() {
    let mut rig = Rig::new();
    refused(&mut rig, named(LOST, write(7, 1)));
    for begin in [write(7, 1), delivery(put(8, 1)), pb::Begin { noop: true, ..write(7, 1) }] {
        refused(&mut rig, begin);
    }
    let token = rig.await_run(7, 1);
    assert!(!rig.awaited(token).unwrap().ran);
    rig.restart();
    rig.hello(1, 1, &[]);
    refused(&mut rig, of("unheard-of", write(9, 1)));
    let status = rig.journal.status();
    assert!(status.unseeded && status.sessions == 0 && status.refused_unseeded == 1);
}

#[test]
fn an_empty_journal_that_is_delivered_what_follows_knows_that_it_is_not_the_first() {
    let after = Some(position(6, 4).to_wire());
    for begin in [delivery(write(7, 2)), delivery(pb::Begin { after, ..write(7, 1) })] {
        refused(&mut Rig::new(), begin);
    }
}

#[test]
fn positions_taken_at_one_replica_let_the_other_go_on_from_there() {
    let mut there = Rig::new();
    (1..=2).for_each(|seq| there.run(write(7, seq)));
    there.run(of("b", write(9, 1)));
    let positions = there.journal.positions().unwrap().unwrap();
    assert_eq!(positions.len(), 2);

    let mut here = seeded(&positions);
    assert!(!here.journal.status().unseeded);
    assert_eq!(here.stands_at("s"), Some(position(7, 2)));
    assert_eq!(here.ask(write(7, 2)), Some(Verdict::Ran));
    // Numbered in the life that is lost and attempted there: what that ran is in the positions.
    here.run(pb::Begin { again: true, ..named(LOST, delivery(write(7, 3))) });
    here.run(of("b", write(9, 2)));
    here.run(of("new", named(LOST, write(5, 1))));
}

#[test]
fn positions_are_not_told_while_a_write_is_running_or_in_doubt() {
    let mut rig = Rig::new();
    rig.run(of("a", write(7, 1)));
    rig.doubt(write(7, 1));
    let open = rig.journal.positions().unwrap().unwrap_err();
    assert_eq!(open.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["s"]);
    rig.resolve(7, 1, Resolution::Skip);
    assert_eq!(rig.journal.positions().unwrap().unwrap().len(), 2);
}

#[test]
fn a_journal_with_sessions_of_its_own_is_never_seeded() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    let mut store = rig.store.copy();
    let refused = seed(&mut store, "shop", Replica::Primary, &[], &[]);
    assert!(matches!(refused, Err(SeedError::InUse(1))), "{refused:?}");
    assert!(matches!(adopt(&mut store, "shop", Replica::Primary), Err(SeedError::InUse(1))));
    rig.restart_on(store);
    assert_eq!(rig.journal.status().sessions, 1);
}

#[test]
fn seeding_that_was_cut_off_leaves_the_journal_unseeded_and_is_done_again() {
    let mut there = Rig::new();
    there.run(write(7, 1));
    let positions = there.journal.positions().unwrap().unwrap();
    let mut rig = Rig::new();
    refused(&mut rig, named(LOST, write(7, 1)));
    // As after the first batch: a session, and the store still says that it is not seeded.
    let mut store = rig.store.copy();
    let mut whole = MemoryStore::new();
    seed(&mut whole, "shop", Replica::Primary, &[], &positions).unwrap();
    copy_sessions(&whole, &mut store);
    rig.restart_on(store.clone());
    rig.hello(1, 1, &[]);
    refused(&mut rig, write(7, 2));
    seed(&mut store, "shop", Replica::Primary, &[LOST], &positions).unwrap();
    rig.restart_on(store);
    rig.hello(1, 1, &[]);
    rig.run(named(LOST, write(7, 2)));
}

fn copy_sessions(from: &MemoryStore, to: &mut MemoryStore) {
    use replay_log::store::{Store, Write};
    let mut writes = Vec::new();
    from.scan(b"s/", &mut |key, value| {
        writes.push(Write::Put { key: key.to_vec(), value: value.to_vec() });
        Ok(true)
    })
    .unwrap();
    to.commit(&writes).unwrap();
}

#[test]
fn a_journal_taken_as_it_is_doubts_what_was_attempted_and_goes_on() {
    let mut rig = Rig::new();
    refused(&mut rig, named(LOST, write(7, 1)));
    let mut store = rig.store.copy();
    adopt(&mut store, "shop", Replica::Primary).unwrap();
    rig.restart_on(store);
    rig.hello(1, 1, &[]);
    let status = rig.journal.status();
    assert!(status.incomplete && !status.unseeded);
    // Settled here before the loss, or not: delivered after what nobody remembers.
    let doubtful = pb::Begin { again: true, ..delivery(write(7, 3)) };
    assert_eq!(rig.ask(doubtful), Some(Verdict::InDoubt));
    rig.resolve(7, 3, Resolution::Redo);
    rig.run(delivery(write(7, 3)));
    rig.run(of("new", named(LOST, write(7, 1))));
    let attempted = of("old", pb::Begin { again: true, ..named(LOST, write(7, 1)) });
    assert_eq!(rig.ask(attempted.clone()), Some(Verdict::InDoubt));
    rig.outcome(&attempted, Kind::Ran);
    assert_eq!(rig.ask(attempted), Some(Verdict::Ran));
}
