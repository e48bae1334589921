//! What waits, for what, and for how long.

use crate::rig::*;
use protocol::limits;
use protocol::pb;
use protocol::pb::begun::Verdict;
use protocol::pb::guard_request::Kind as Ask;
use protocol::pb::outcome::Kind;

#[test]
fn a_number_ahead_waits_and_runs_once_what_precedes_it_ran() {
    let mut rig = Rig::new();
    let (third, second) = (rig.begin(write(7, 3)), rig.begin(write(7, 2)));
    rig.run(write(7, 1));
    assert_eq!((rig.verdict(second), rig.verdict(third)), (Some(Verdict::Run), None));
    rig.outcome(&write(7, 2), Kind::Ran);
    assert_eq!(rig.verdict(third), Some(Verdict::Run));
    assert_eq!(rig.journal.status().gaps, 2);
}

#[test]
fn a_number_ahead_hears_gap_when_its_wait_is_over() {
    let mut rig = Rig::new();
    rig.run(write(7, 1));
    let token = rig.begin(write(7, 3));
    assert_eq!(rig.journal.next_wake_ms(), Some(rig.now_ms + WAIT_MS));
    rig.tick_after(WAIT_MS - 1);
    assert_eq!(rig.verdict(token), None);
    rig.tick_after(1);
    let begun = rig.begun(token).unwrap();
    assert_eq!((begun.verdict(), begun.at), (Verdict::Gap, Some(position(7, 1).to_wire())));
    assert_eq!((rig.journal.next_wake_ms(), rig.journal.status().waiting), (None, 0));
}

#[test]
fn a_delivery_is_never_held() {
    let mut rig = Rig::new();
    rig.warm();
    assert_eq!(rig.ask(delivery(write(7, 2))), Some(Verdict::Gap));
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::Running));
    assert_eq!(rig.ask(delivery(write(7, 2))), Some(Verdict::Gap));
    rig.outcome(&write(7, 1), Kind::InDoubt);
    assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::InDoubt));
    assert_eq!(rig.ask(delivery(write(7, 2))), Some(Verdict::InDoubt));
    assert_eq!(rig.journal.status().waiting, 0);
}

#[test]
fn a_running_duplicate_waits_for_the_response_and_hears_running_after_its_wait() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    let late = rig.begin(write(7, 1));
    rig.tick_after(WAIT_MS);
    assert_eq!(rig.verdict(late), Some(Verdict::Running));
    let token = rig.begin(write(7, 1));
    rig.outcome(&write(7, 1), Kind::Ran);
    let begun = rig.begun(token).unwrap();
    assert_eq!((begun.verdict(), begun.status), (Verdict::Ran, 201));
    assert_eq!(begun.response.unwrap().body, b"ran 7.1");
}

#[test]
fn a_token_that_leaves_is_not_granted_anything() {
    let mut rig = Rig::new();
    let gone = rig.begin(write(7, 2));
    rig.send(1, Ask::Leave(pb::Leave { token: gone }));
    let stays = rig.begin(write(7, 2));
    rig.run(write(7, 1));
    assert_eq!((rig.verdict(gone), rig.verdict(stays)), (None, Some(Verdict::Run)));
}

#[test]
fn tokens_count_within_their_stream() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    rig.send(1, Ask::Begin(pb::Begin { token: 5, ..write(7, 2) }));
    rig.send(2, Ask::Begin(pb::Begin { token: 5, ..write(7, 3) }));
    rig.send(1, Ask::Leave(pb::Leave { token: 5 }));
    assert_eq!(rig.journal.status().waiting, 1);
    rig.send(2, Ask::Leave(pb::Leave { token: 6 }));
    assert_eq!(rig.journal.status().waiting, 1);
    rig.send(2, Ask::Leave(pb::Leave { token: 5 }));
    assert_eq!(rig.journal.status().waiting, 0);
}

#[test]
fn a_token_that_waits_already_is_turned_away() {
    let mut rig = Rig::new();
    rig.send(1, Ask::Begin(pb::Begin { token: 70, ..write(7, 2) }));
    rig.send(1, Ask::Begin(pb::Begin { token: 70, ..write(7, 3) }));
    assert_eq!(rig.verdict(70), Some(Verdict::NotRun));
    assert_eq!(rig.journal.status().waiting, 1);
}

#[test]
fn waiters_are_bounded_per_stream() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    for _ in 0..limits::HELD_REQUESTS {
        assert_eq!(rig.ask(write(7, 2)), None);
    }
    assert_eq!(rig.ask(write(7, 2)), Some(Verdict::NotRun));
    let read = rig.await_run(7, 1);
    assert!(!rig.awaited(read).unwrap().ran);
    let other = rig.begin_on(2, write(7, 2));
    assert_eq!(rig.verdict(other), None);
    assert_eq!(rig.journal.status().turned_away, 2);
}

#[test]
fn a_read_is_answered_once_the_session_has_run_that_far() {
    let mut rig = Rig::new();
    let nothing = rig.await_run(0, 0);
    assert!(rig.awaited(nothing).unwrap().ran);
    let (first, second) = (rig.await_run(7, 1), rig.await_run(7, 2));
    rig.run(write(7, 1));
    let answer = rig.awaited(first).unwrap();
    assert_eq!((answer.ran, &answer.at), (true, &Some(position(7, 1).to_wire())));
    assert_eq!(rig.awaited(second), None);
    rig.tick_after(WAIT_MS);
    let answer = rig.awaited(second).unwrap();
    assert_eq!((answer.ran, &answer.at), (false, &Some(position(7, 1).to_wire())));
    let again = rig.await_run(7, 1);
    assert!(rig.awaited(again).unwrap().ran);
    let older = rig.await_run(6, 100);
    assert!(rig.awaited(older).unwrap().ran);
}

#[test]
fn a_read_that_may_not_wait_is_answered_at_once() {
    let mut rig = Rig::new();
    let ask = pb::AwaitRun { token: 900, session: "s".into(), epoch: 7, seq: 1, wait_ms: 0 };
    rig.send(1, Ask::AwaitRun(ask));
    assert!(!rig.awaited(900).unwrap().ran);
}
