//! Writes of which nobody knows whether they ran.

use crate::rig::*;
use protocol::pb;
use protocol::pb::InDoubtPolicy::{ByMethod, Hold, InDoubtUnspecified, Redo};
use protocol::pb::begun::Verdict;
use protocol::pb::outcome::Kind;
use replay_log::journal::Resolution;

fn policy(begin: pb::Begin, policy: pb::InDoubtPolicy) -> pb::Begin {
    pb::Begin { in_doubt: policy.into(), ..begin }
}

#[test]
fn a_write_in_doubt_runs_again_only_as_the_policy_allows() {
    for (method, allowed, verdict) in [
        ("POST", ByMethod, Verdict::InDoubt),
        ("PATCH", ByMethod, Verdict::InDoubt),
        ("PUT", ByMethod, Verdict::Run),
        ("DELETE", ByMethod, Verdict::Run),
        ("POST", Redo, Verdict::Run),
        ("PUT", Hold, Verdict::InDoubt),
        ("PUT", InDoubtUnspecified, Verdict::InDoubt),
    ] {
        let mut rig = Rig::new();
        let begin = policy(pb::Begin { method: method.into(), ..write(7, 1) }, allowed);
        rig.doubt(begin.clone());
        assert_eq!(rig.ask(begin), Some(verdict), "{method} {allowed:?}");
        let status = rig.journal.status();
        assert_eq!(status.redone, u64::from(verdict == Verdict::Run));
        assert_eq!(status.in_doubt.len(), usize::from(verdict == Verdict::InDoubt));
    }
}

#[test]
fn waiting_duplicates_hear_of_the_doubt_at_once() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    let token = rig.begin(write(7, 1));
    rig.outcome(&write(7, 1), Kind::InDoubt);
    assert_eq!(rig.verdict(token), Some(Verdict::InDoubt));
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::InDoubt));
}

#[test]
fn what_follows_a_doubt_waits_for_its_resolution_and_hears_of_the_doubt_after_its_wait() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    let follower = rig.begin(write(7, 2));
    assert_eq!(rig.verdict(follower), None);
    rig.tick_after(WAIT_MS);
    assert_eq!(rig.verdict(follower), Some(Verdict::InDoubt));
    let follower = rig.begin(write(7, 2));
    rig.outcome(&write(7, 1), Kind::Ran);
    assert_eq!(rig.verdict(follower), Some(Verdict::Run));
}

#[test]
fn a_late_outcome_resolves_a_doubt() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    rig.hello(2, 2, &[]);
    rig.outcome_on(2, &write(7, 1), Kind::Ran, 200);
    assert_eq!(rig.journal.status().in_doubt_total, 0);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Ran));
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    rig.outcome(&write(7, 1), Kind::NotRun);
    rig.run(write(7, 1));
}

#[test]
fn a_doubt_is_listed_and_survives_a_restart() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    rig.restart();
    rig.hello(1, 1, &[]);
    let case = &rig.journal.status().in_doubt[0];
    assert_eq!((case.session.as_str(), case.number), ("s", number(7, 1)));
    assert_eq!(
        (case.id.as_str(), case.method.as_str(), case.path.as_str()),
        ("7-1", "POST", "/pay")
    );
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::InDoubt));
}

#[test]
fn an_operator_can_have_a_doubt_redone() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    let follower = rig.begin(write(7, 2));
    rig.resolve(7, 1, Resolution::Redo);
    assert_eq!(rig.verdict(follower), None);
    rig.restart();
    rig.hello(1, 1, &[]);
    assert_eq!(rig.journal.status().in_doubt_total, 0);
    rig.run(write(7, 1));
    assert_eq!(rig.journal.status().redone, 1);
}

#[test]
fn what_an_operator_lets_redo_is_not_redone_when_its_outcome_comes_first() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    rig.resolve(7, 1, Resolution::Redo);
    rig.outcome(&write(7, 1), Kind::Ran);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Ran));
}

#[test]
fn an_operator_can_have_a_doubt_skipped() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    let follower = rig.begin(write(7, 2));
    let read = rig.await_run(7, 1);
    rig.resolve(7, 1, Resolution::Skip);
    assert_eq!(rig.verdict(follower), Some(Verdict::Run));
    assert!(rig.awaited(read).unwrap().ran);
    let token = rig.begin(write(7, 1));
    let begun = rig.begun(token).unwrap();
    assert_eq!((begun.verdict(), begun.status), (Verdict::Ran, 0));
    let status = rig.journal.status();
    assert_eq!((status.ran, status.skipped), (0, 1));
}

#[test]
fn only_a_doubt_can_be_resolved() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    for action in [Resolution::Redo, Resolution::Skip] {
        rig.resolve(7, 1, action);
        rig.resolve(7, 2, action);
    }
    assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::Running));
    let session = protocol::SessionKey::new("s").unwrap();
    assert!(!rig.journal.is_in_doubt(&session, number(7, 1)));
    rig.outcome(&write(7, 1), Kind::InDoubt);
    assert!(rig.journal.is_in_doubt(&session, number(7, 1)));
    assert!(!rig.journal.is_in_doubt(&session, number(7, 2)));
}

/// A begin whose log knew `journal` when it numbered the write.
fn again(begin: pb::Begin, journal: &[u8]) -> pb::Begin {
    pb::Begin { again: true, journal: journal.to_vec(), ..begin }
}

#[test]
fn what_was_attempted_before_an_old_copy_of_the_journal_came_back_is_in_doubt() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    let copy = rig.store.copy();
    rig.restart();
    rig.hello(1, 1, &[]);
    let later = rig.incarnation().to_wire();
    rig.run(write(7, 2));
    rig.restart_on(copy);
    rig.hello(1, 1, &[]);
    assert_eq!(rig.ask(again(write(7, 1), &later)), Some(Verdict::Ran));
    assert_eq!(rig.ask(again(write(7, 2), &later)), Some(Verdict::InDoubt));
    assert_eq!(rig.journal.status().in_doubt[0].number, number(7, 2));
    rig.resolve(7, 2, Resolution::Skip);
    rig.run(write(7, 3));
}

#[test]
fn what_was_attempted_before_the_journal_was_lost_is_in_doubt() {
    let mut rig = Rig::new();
    (1..=2).for_each(|seq| rig.run(write(7, seq)));
    let lost = rig.incarnation().to_wire();
    rig.lose();
    // Live, its predecessors may still come.
    assert_eq!(rig.ask(again(write(7, 3), &lost)), None);
    assert_eq!(rig.ask(delivery(write(7, 3))), Some(Verdict::Gap));
    // Delivered, they ran here.
    assert_eq!(rig.ask(delivery(again(write(7, 3), &lost))), Some(Verdict::InDoubt));
    rig.restart();
    rig.hello(1, 1, &[]);
    assert_eq!(rig.journal.status().in_doubt[0].number, number(7, 3));
    assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::InDoubt));
    rig.resolve(7, 3, Resolution::Skip);
    rig.run(write(7, 4));
}

#[test]
fn an_idempotent_write_that_a_lost_journal_may_have_run_is_redone() {
    let mut rig = Rig::new();
    rig.warm();
    let lost = [3; 8];
    let token = rig.begin(again(put(7, 1), &lost));
    assert_eq!(rig.verdict(token), Some(Verdict::Run));
    assert_eq!(rig.journal.status().redone, 1);
}

#[test]
fn an_earlier_life_of_the_same_journal_casts_no_doubt() {
    let mut rig = Rig::new();
    let first = rig.incarnation().to_wire();
    rig.run(write(7, 1));
    for _ in 0..3 {
        rig.restart();
    }
    rig.hello(1, 1, &[]);
    assert_ne!(rig.incarnation().to_wire(), first);
    assert_eq!(rig.ask(again(write(7, 2), &first)), Some(Verdict::Run));
}

#[test]
fn what_was_not_attempted_before_and_a_noop_are_fresh_on_a_new_journal() {
    let mut rig = Rig::new();
    rig.warm();
    let fresh = pb::Begin { journal: vec![3; 8], ..write(7, 1) };
    rig.run(fresh);
    let unknown = again(write(7, 2), &[]);
    rig.run(unknown);
    let noop = pb::Begin { noop: true, ..again(write(7, 3), &[3; 8]) };
    assert_eq!(rig.ask(noop), Some(Verdict::Ran));
}
