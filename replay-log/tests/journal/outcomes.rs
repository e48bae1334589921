//! What the journal makes of reports.

use crate::rig::*;
use protocol::pb::begun::Verdict;
use protocol::pb::guard_response::Kind as Answer;
use protocol::pb::outcome::Kind;
use protocol::{Digest, Replica, Word};
use replay_log::journal::Output;

fn noted(rig: &Rig, stream: u64) -> protocol::pb::Noted {
    let noted = |answer: &Answer| match answer {
        Answer::Noted(noted) => Some(noted.clone()),
        _ => None,
    };
    rig.answers(stream).filter_map(noted).last().expect("noted")
}

#[test]
fn an_outcome_is_noted_and_the_log_of_the_site_hears_of_the_run() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    assert_eq!(noted(&rig, 1).at, Some(position(7, 1).to_wire()));
    let words: Vec<_> = rig
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Ran { session, word } => Some((session.as_str(), word.clone())),
            _ => None,
        })
        .collect();
    let word = Word {
        number: Some(number(7, 1)),
        status: 201,
        digest: Digest([1; 8]),
        at: Some(position(7, 1)),
        journal: rig.incarnation(),
        ..Word::new(Replica::Primary, protocol::Verdict::Ran)
    };
    assert_eq!(words, [("s", word)]);
}

#[test]
fn a_write_that_did_not_run_may_be_begun_again() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    rig.outcome(&write(7, 1), Kind::NotRun);
    assert_eq!(noted(&rig, 1).at, None);
    rig.run(write(7, 1));
    let status = rig.journal.status();
    assert_eq!((status.redone, status.contradictions), (0, 0));
}

#[test]
fn the_first_waiting_duplicate_of_what_did_not_run_gets_the_grant() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    let (first, second) = (rig.begin(write(7, 1)), rig.begin(write(7, 1)));
    rig.outcome(&write(7, 1), Kind::NotRun);
    assert_eq!((rig.verdict(first), rig.verdict(second)), (Some(Verdict::Run), None));
    rig.outcome(&write(7, 1), Kind::Ran);
    assert_eq!(rig.verdict(second), Some(Verdict::Ran));
}

#[test]
fn only_the_owner_can_say_that_a_write_did_not_run() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    for kind in [Kind::NotRun, Kind::InDoubt] {
        rig.outcome_on(2, &write(7, 1), kind, 0);
        assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::Running), "{kind:?}");
    }
}

#[test]
fn anybody_can_say_that_what_is_in_flight_ran() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    rig.outcome_on(2, &write(7, 1), Kind::Ran, 200);
    assert_eq!(noted(&rig, 2).at, Some(position(7, 1).to_wire()));
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Ran));
}

#[test]
fn an_outcome_that_comes_twice_is_noted_twice_and_counts_once() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    rig.outcome(&write(7, 1), Kind::Ran);
    assert_eq!(noted(&rig, 1).at, Some(position(7, 1).to_wire()));
    let status = rig.journal.status();
    assert_eq!((status.ran, status.contradictions), (1, 0));
}

#[test]
fn an_outcome_that_contradicts_the_record_is_noted_and_counted() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    rig.outcome(&write(7, 1), Kind::NotRun);
    rig.outcome(&write(7, 2), Kind::Ran);
    rig.outcome(&write(7, 2), Kind::InDoubt);
    rig.outcome(&write(7, 2), Kind::Unspecified);
    assert_eq!(noted(&rig, 1).at, Some(position(7, 1).to_wire()));
    assert_eq!(rig.journal.status().contradictions, 4);
    rig.run(write(7, 2));
}
