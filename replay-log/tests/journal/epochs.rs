//! How one epoch follows another.

use crate::rig::*;
use protocol::pb;
use protocol::pb::begun::Verdict;
use protocol::pb::outcome::Kind;

fn opening(epoch: u64, after: protocol::Position) -> pb::Begin {
    pb::Begin { after: Some(after.to_wire()), ..write(epoch, 1) }
}

fn forced(epoch: u64) -> pb::Begin {
    pb::Begin { log: vec![2; 8], ..write(epoch, 1) }
}

fn at_7_2() -> Rig {
    let mut rig = Rig::new();
    (1..=2).for_each(|seq| rig.run(write(7, seq)));
    rig
}

#[test]
fn an_epoch_that_names_exactly_our_end_runs() {
    let mut rig = at_7_2();
    rig.run(opening(9, position(7, 2)));
    rig.run(write(9, 2));
    assert_eq!(rig.stands_at("s"), Some(position(9, 2)));
    assert_eq!(rig.journal.status().forced, 0);
}

#[test]
fn an_older_epoch_is_stale_and_never_a_duplicate() {
    let mut rig = at_7_2();
    rig.run(opening(9, position(7, 2)));
    for seq in 1..=3 {
        let token = rig.begin(write(7, seq));
        let begun = rig.begun(token).unwrap();
        assert_eq!(begun.verdict(), Verdict::StaleEpoch);
        assert_eq!(begun.at, Some(position(9, 1).to_wire()));
    }
}

#[test]
fn while_an_epoch_opens_the_old_one_is_closed_but_its_runs_are_known() {
    let mut rig = at_7_2();
    assert_eq!(rig.ask(opening(9, position(7, 2))), Some(Verdict::Run));
    assert_eq!(rig.ask(write(7, 2)), Some(Verdict::Ran));
    let token = rig.begin(write(7, 3));
    let begun = rig.begun(token).unwrap();
    assert_eq!(begun.verdict(), Verdict::StaleEpoch);
    assert_eq!(begun.at.map(|at| (at.epoch, at.seq)), Some((9, 0)));
}

#[test]
fn an_epoch_whose_predecessor_has_not_all_run_here_waits_for_it() {
    let mut rig = at_7_2();
    assert_eq!(rig.ask(delivery(opening(9, position(7, 3)))), Some(Verdict::Gap));
    let token = rig.begin(opening(9, position(7, 3)));
    assert_eq!(rig.verdict(token), None);
    rig.run(write(7, 3));
    assert_eq!(rig.verdict(token), Some(Verdict::Run));
}

#[test]
fn an_epoch_waits_for_what_is_in_flight() {
    let mut rig = at_7_2();
    assert_eq!(rig.ask(write(7, 3)), Some(Verdict::Run));
    let (right, wrong) =
        (rig.begin(opening(9, position(7, 3))), rig.begin(opening(8, position(7, 2))));
    assert_eq!((rig.verdict(right), rig.verdict(wrong)), (None, None));
    rig.outcome(&write(7, 3), Kind::Ran);
    assert_eq!(
        (rig.verdict(right), rig.verdict(wrong)),
        (Some(Verdict::Run), Some(Verdict::Conflict))
    );
}

#[test]
fn an_epoch_that_names_another_end_is_a_conflict() {
    let mut rig = at_7_2();
    let other_link = protocol::Position { link: protocol::Link([3; 16]), ..position(7, 2) };
    for after in [position(7, 1), position(6, 9), other_link] {
        assert_eq!(rig.ask(opening(9, after)), Some(Verdict::Conflict), "{after}");
    }
    // A named end is held against us whichever log names it.
    let other_log = pb::Begin { log: vec![2; 8], ..opening(9, position(7, 1)) };
    assert_eq!(rig.ask(other_log), Some(Verdict::Conflict));
}

#[test]
fn an_epoch_begins_at_one_with_a_link_from_the_start() {
    let mut rig = at_7_2();
    assert_eq!(rig.ask(delivery(write(9, 2))), Some(Verdict::Gap));
    let wrong = pb::Begin { link: position(7, 3).link.0.to_vec(), ..opening(9, position(7, 2)) };
    assert_eq!(rig.ask(wrong), Some(Verdict::Conflict));
}

#[test]
fn the_second_of_an_epoch_waits_for_the_first() {
    let mut rig = at_7_2();
    let second = rig.begin(write(9, 2));
    rig.run(opening(9, position(7, 2)));
    assert_eq!(rig.verdict(second), Some(Verdict::Run));
}

#[test]
fn an_epoch_that_another_log_forces_runs_and_is_listed_once() {
    let mut rig = at_7_2();
    let token = rig.begin(forced(9));
    let begun = rig.begun(token).unwrap();
    assert_eq!((begun.verdict(), begun.forced), (Verdict::Run, true));
    rig.outcome(&forced(9), Kind::NotRun);
    let token = rig.begin(forced(9));
    assert!(rig.begun(token).unwrap().forced);
    rig.outcome(&forced(9), Kind::Ran);
    let status = rig.journal.status();
    assert_eq!((status.forced, status.forced_cases.len()), (1, 1));
    assert_eq!(status.forced_cases[0].number, number(9, 1));
    assert_eq!(status.forced_cases[0].from, Some(position(7, 2)));
    let word = rig.outputs.iter().rev().find_map(|output| match output {
        replay_log::journal::Output::Ran { word, .. } => Some(word.verdict),
        _ => None,
    });
    assert_eq!(word, Some(protocol::Verdict::Forced));
    rig.run(pb::Begin { log: vec![2; 8], ..write(9, 2) });
    // The log that forced it numbers the session now: it cannot force a second time.
    assert_eq!(rig.ask(forced(10)), Some(Verdict::Conflict));
}

#[test]
fn the_log_that_numbered_the_session_cannot_force_an_epoch() {
    let mut rig = at_7_2();
    assert_eq!(rig.ask(write(9, 1)), Some(Verdict::Conflict));
    assert_eq!(rig.ask(pb::Begin { log: Vec::new(), ..write(9, 1) }), Some(Verdict::Conflict));
    rig.restart();
    rig.hello(1, 1, &[]);
    assert_eq!(rig.ask(write(9, 1)), Some(Verdict::Conflict));
    assert_eq!(rig.ask(forced(9)), Some(Verdict::Run));
}
