//! Which numbers run.

use crate::rig::*;
use protocol::pb;
use protocol::pb::begun::Verdict;
use protocol::pb::outcome::Kind;
use replay_log::journal::JournalConfig;
use replay_log::store::MemoryStore;

#[test]
fn the_next_number_runs_and_its_grant_is_given_once() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::Running));
    assert_eq!(rig.ask(write(7, 1)), None);
    rig.hello(2, 2, &[]);
    let other = rig.begin_on(2, delivery(write(7, 1)));
    assert_eq!(rig.verdict(other), Some(Verdict::Running));
    rig.outcome(&write(7, 1), Kind::Ran);
    rig.run(write(7, 2));
    assert_eq!(rig.stands_at("s"), Some(position(7, 2)));
}

#[test]
fn a_number_that_ran_is_answered_with_its_response() {
    let mut rig = Rig::new();
    (1..=3).for_each(|seq| rig.run(write(7, seq)));
    for seq in 1..=3 {
        let token = rig.begin(write(7, seq));
        let begun = rig.begun(token).unwrap();
        assert_eq!((begun.verdict(), begun.status), (Verdict::Ran, 201));
        assert_eq!(begun.digest, vec![seq as u8; 8]);
        assert_eq!(begun.response.unwrap().body, format!("ran 7.{seq}").into_bytes());
        assert_eq!(begun.at, Some(position(7, 3).to_wire()));
    }
    assert_eq!(rig.journal.status().duplicates, 3);
}

#[test]
fn a_forgotten_response_is_answered_as_run_with_the_status_of_the_last_number_only() {
    let forgets = JournalConfig { remember_bytes: 0, ..config() };
    let mut rig = Rig::on(MemoryStore::new(), forgets);
    (1..=2).for_each(|seq| rig.run(write(7, seq)));
    let (first, last) = (rig.begin(write(7, 1)), rig.begin(write(7, 2)));
    let (first, last) = (rig.begun(first).unwrap(), rig.begun(last).unwrap());
    assert_eq!((first.verdict(), first.status, first.response), (Verdict::Ran, 0, None));
    assert_eq!((last.verdict(), last.status, last.response), (Verdict::Ran, 201, None));
    assert_eq!(last.digest, vec![2; 8]);
}

#[test]
fn after_a_restart_the_last_run_is_answered_with_its_status_and_digest() {
    let mut rig = Rig::new();
    (1..=2).for_each(|seq| rig.run(write(7, seq)));
    rig.restart();
    rig.hello(1, 1, &[]);
    let (first, last) = (rig.begin(write(7, 1)), rig.begin(write(7, 2)));
    assert_eq!(rig.verdict(first), Some(Verdict::Ran));
    let last = rig.begun(last).unwrap();
    assert_eq!((last.verdict(), last.status, last.digest), (Verdict::Ran, 201, vec![2; 8]));
}

#[test]
fn a_number_that_ran_is_a_conflict_under_another_link() {
    let mut rig = Rig::new();
    (1..=2).for_each(|seq| rig.run(write(7, seq)));
    for seq in 1..=2 {
        let other = pb::Begin { link: vec![3; 16], ..write(7, seq) };
        assert_eq!(rig.ask(other), Some(Verdict::Conflict), "{seq}");
    }
    rig.restart();
    rig.hello(1, 1, &[]);
    let other = |seq| pb::Begin { link: vec![3; 16], ..write(7, seq) };
    assert_eq!(rig.ask(other(2)), Some(Verdict::Conflict));
    // Forgotten with the restart: it ran, and nobody knows under which link.
    assert_eq!(rig.ask(other(1)), Some(Verdict::Ran));
}

#[test]
fn the_next_number_is_a_conflict_when_its_link_does_not_follow() {
    let mut rig = Rig::new();
    let first = pb::Begin { link: vec![3; 16], ..write(7, 1) };
    assert_eq!(rig.ask(first), Some(Verdict::Conflict));
    rig.run(write(7, 1));
    let another_id = pb::Begin { id: "other".into(), ..write(7, 2) };
    assert_eq!(rig.ask(another_id), Some(Verdict::Conflict));
    let status = rig.journal.status();
    assert_eq!((status.conflicts, status.running), (2, 0));
    let listed: Vec<_> = status.conflict_cases.iter().map(|c| (c.number, c.id.as_str())).collect();
    assert_eq!(listed, [(number(7, 1), "7-1"), (number(7, 2), "other")]);
}

#[test]
fn a_number_in_flight_is_a_conflict_under_another_id() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    let id = protocol::Id::new("other").unwrap();
    let link = protocol::Link::START.next(&id).0.to_vec();
    let other = pb::Begin { id: "other".into(), link, ..write(7, 1) };
    assert_eq!(rig.ask(other.clone()), Some(Verdict::Conflict));
    rig.outcome(&write(7, 1), Kind::InDoubt);
    assert_eq!(rig.ask(other), Some(Verdict::Conflict));
}

#[test]
fn an_unknown_session_begins_at_one() {
    let mut rig = Rig::new();
    rig.warm();
    assert_eq!(rig.ask(delivery(write(7, 2))), Some(Verdict::Gap));
    assert_eq!(
        rig.ask(pb::Begin { after: Some(position(6, 4).to_wire()), ..write(7, 1) }),
        Some(Verdict::Run)
    );
}

#[test]
fn a_noop_takes_its_number_and_runs_nothing() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    let early = rig.begin(pb::Begin { noop: true, ..write(7, 3) });
    let token = rig.begin(pb::Begin { noop: true, ..write(7, 2) });
    for token in [token, early] {
        let begun = rig.begun(token).unwrap();
        assert_eq!((begun.verdict(), begun.status, begun.response), (Verdict::Ran, 0, None));
    }
    rig.restart();
    rig.hello(1, 1, &[]);
    assert_eq!(rig.stands_at("s"), Some(position(7, 3)));
    assert_eq!(rig.ask(write(7, 2)), Some(Verdict::Ran));
    rig.run(write(7, 4));
}

#[test]
fn waiting_noops_follow_each_other_and_let_the_next_write_run() {
    let mut rig = Rig::new();
    let noop = |seq| pb::Begin { noop: true, ..write(7, seq) };
    let tokens = [write(7, 4), noop(3), noop(2), noop(2)].map(|begin| rig.begin(begin));
    rig.run(write(7, 1));
    let [write, noops @ ..] = tokens.map(|token| rig.verdict(token));
    assert_eq!((write, noops), (Some(Verdict::Run), [Some(Verdict::Ran); 3]));
}

#[test]
fn sessions_do_not_hold_each_other_up() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(of("a", write(7, 1))), Some(Verdict::Run));
    assert_eq!(rig.ask(of("b", write(7, 1))), Some(Verdict::Run));
    rig.outcome(&of("b", write(7, 1)), Kind::InDoubt);
    rig.outcome(&of("a", write(7, 1)), Kind::Ran);
    rig.run(of("a", write(7, 2)));
}

#[test]
fn a_begin_out_of_its_limits_is_not_run() {
    let mut rig = Rig::new();
    let spoilt = [
        of("", write(7, 1)),
        of(&"s".repeat(257), write(7, 1)),
        pb::Begin { seq: 0, ..write(7, 1) },
        pb::Begin { link: vec![1; 15], ..write(7, 1) },
        pb::Begin { id: String::new(), ..write(7, 1) },
        pb::Begin { after: Some(pb::Position::default()), ..write(7, 1) },
    ];
    for begin in spoilt {
        assert_eq!(rig.ask(begin.clone()), Some(Verdict::NotRun), "{begin:?}");
    }
    assert_eq!(rig.journal.status().malformed, 6);
}
