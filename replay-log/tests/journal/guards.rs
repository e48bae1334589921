//! Guards that come, go and come back.

use crate::rig::*;
use protocol::pb::begun::Verdict;
use protocol::pb::guard_request::Kind as Ask;
use protocol::pb::outcome::Kind;
use protocol::{VERSION, pb};
use replay_log::journal::JournalConfig;
use replay_log::store::MemoryStore;

fn good() -> pb::GuardHello {
    pb::GuardHello {
        version: VERSION,
        service: "shop".into(),
        replica: "primary".into(),
        owner: vec![2; 8],
        running: Vec::new(),
        gap_wait_ms: 501,
    }
}

#[test]
fn a_guard_that_does_not_belong_here_is_refused_with_the_reason() {
    let hellos = [
        (pb::GuardHello { version: VERSION + 1, ..good() }, "version 2"),
        (pb::GuardHello { service: "bar".into(), ..good() }, "service \"bar\""),
        (pb::GuardHello { replica: "secondary".into(), ..good() }, "\"secondary\" replica"),
        (pb::GuardHello { gap_wait_ms: 500, ..good() }, "gap_wait_ms (500)"),
        (pb::GuardHello { owner: Vec::new(), ..good() }, "0 bytes"),
        (pb::GuardHello { owner: vec![1; 65], ..good() }, "65 bytes"),
    ];
    for (hello, reason) in hellos {
        let mut rig = Rig::new();
        rig.send(2, Ask::Hello(hello));
        let error = &rig.welcome(2).error;
        assert!(error.contains(reason), "{error}");
        assert!(rig.closed(2));
        assert_eq!(rig.journal.status().guards, 1);
    }
}

#[test]
fn a_guards_patience_is_compared_only_where_both_times_are_known() {
    let mut here = Rig::new();
    for (stream, gap_wait_ms) in [(2, 501), (3, 0)] {
        here.send(stream, Ask::Hello(pb::GuardHello { gap_wait_ms, ..good() }));
        assert_eq!(here.welcome(stream).error, "");
    }
    let elsewhere = JournalConfig { takeover_ms: None, ..config() };
    let mut elsewhere = Rig::on(MemoryStore::new(), elsewhere);
    elsewhere.send(2, Ask::Hello(pb::GuardHello { gap_wait_ms: 1, ..good() }));
    assert_eq!(elsewhere.welcome(2).error, "");
}

#[test]
fn a_welcome_names_the_life_of_the_journal() {
    let rig = Rig::new();
    let welcome = rig.welcome(1);
    assert_eq!((welcome.error.as_str(), welcome.version), ("", VERSION));
    assert_eq!(welcome.journal, rig.incarnation().to_wire());
    assert!(rig.incarnation().is_known());
}

#[test]
fn a_stream_without_a_hello_gets_nothing() {
    let mut rig = Rig::new();
    let token = rig.begin_on(2, write(7, 1));
    assert_eq!(rig.verdict(token), None);
    assert!(rig.welcome(2).error.contains("hello") && rig.closed(2));
    rig.run(write(7, 1));
}

#[test]
fn a_grant_that_its_returning_owner_does_not_list_was_never_used() {
    let mut rig = Rig::new();
    for session in ["a", "b"] {
        assert_eq!(rig.ask(of(session, write(7, 1))), Some(Verdict::Run));
    }
    rig.close(1);
    rig.hello(3, 1, &[("b", 7, 1)]);
    let a = rig.begin_on(3, of("a", delivery(write(7, 1))));
    let b = rig.begin_on(3, of("b", delivery(write(7, 1))));
    assert_eq!((rig.verdict(a), rig.verdict(b)), (Some(Verdict::Run), Some(Verdict::Running)));
}

#[test]
fn a_waiting_duplicate_gets_the_grant_that_its_owner_never_used() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    let token = rig.begin_on(2, write(7, 1));
    rig.close(1);
    rig.hello(3, 1, &[]);
    assert_eq!(rig.verdict(token), Some(Verdict::Run));
}

#[test]
fn what_a_returning_owner_lists_goes_on_with_a_fresh_deadline() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    rig.close(1);
    rig.tick_after(RUN_TIMEOUT_MS - 1);
    rig.hello(3, 1, &[("s", 7, 1)]);
    rig.tick_after(RUN_TIMEOUT_MS - 1);
    let token = rig.begin_on(3, delivery(write(7, 1)));
    assert_eq!(rig.verdict(token), Some(Verdict::Running));
    rig.tick_after(OVERDUE_MS);
    let token = rig.begin_on(3, delivery(write(7, 1)));
    assert_eq!(rig.verdict(token), Some(Verdict::InDoubt));
}

#[test]
fn another_owner_releases_nothing() {
    let mut rig = Rig::new();
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    rig.hello(2, 2, &[]);
    assert_eq!(rig.ask(delivery(write(7, 1))), Some(Verdict::Running));
}

#[test]
fn a_doubt_that_its_owner_reported_is_not_released_when_it_returns() {
    let mut rig = Rig::new();
    rig.doubt(write(7, 1));
    rig.hello(3, 1, &[]);
    let token = rig.begin_on(3, write(7, 1));
    assert_eq!(rig.verdict(token), Some(Verdict::InDoubt));
}

#[test]
fn an_owner_that_comes_on_a_new_stream_leaves_its_old_one() {
    let mut rig = Rig::new();
    let old = rig.begin(write(7, 2));
    rig.hello(3, 1, &[]);
    assert!(rig.closed(1));
    assert_eq!(rig.journal.status().guards, 1);
    let first = rig.begin_on(3, write(7, 1));
    rig.outcome_on(3, &write(7, 1), Kind::Ran, 200);
    let second = rig.begin_on(3, write(7, 2));
    assert_eq!((rig.verdict(first), rig.verdict(second)), (Some(Verdict::Run), Some(Verdict::Run)));
    assert_eq!(rig.verdict(old), None);
}

#[test]
fn the_waiters_of_a_closed_stream_are_dropped() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    let gone = rig.begin_on(2, write(7, 2));
    rig.close(2);
    assert_eq!((rig.journal.status().waiting, rig.journal.status().guards), (0, 1));
    rig.run(write(7, 1));
    assert_eq!(rig.verdict(gone), None);
    rig.run(write(7, 2));
}

#[test]
fn what_a_lost_guard_was_granted_is_in_doubt_after_its_deadline_and_waiters_are_woken() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    assert_eq!(rig.ask(write(7, 1)), Some(Verdict::Run));
    rig.close(1);
    rig.tick_after(RUN_TIMEOUT_MS - 100);
    let post = rig.begin_on(2, write(7, 1));
    assert_eq!(rig.verdict(post), None);
    let wake = rig.journal.next_wake_ms().unwrap();
    assert!(wake <= rig.now_ms + WAIT_MS);
    rig.tick_after(700);
    assert_eq!(rig.verdict(post), Some(Verdict::InDoubt));
    assert_eq!(rig.journal.status().in_doubt_total, 1);
    rig.restart();
    assert_eq!(rig.journal.status().in_doubt_total, 1);
}

#[test]
fn a_waiting_duplicate_that_may_be_redone_runs_when_the_doubt_arises() {
    let mut rig = Rig::new();
    rig.hello(2, 2, &[]);
    assert_eq!(rig.ask(put(7, 1)), Some(Verdict::Run));
    rig.close(1);
    rig.tick_after(RUN_TIMEOUT_MS);
    let token = rig.begin_on(2, put(7, 1));
    rig.tick_after(WAIT_MS);
    assert_eq!(rig.verdict(token), Some(Verdict::Run));
}

#[test]
fn after_a_restart_a_run_goes_on_if_its_owner_returns_and_is_in_doubt_if_not() {
    let mut rig = Rig::new();
    for session in ["a", "b", "c"] {
        let owner = if session == "c" { 2 } else { 1 };
        rig.hello(owner, owner as u8, &[]);
        let token = rig.begin_on(owner, of(session, write(7, 1)));
        assert_eq!(rig.verdict(token), Some(Verdict::Run));
    }
    // The second hello of owner 1 released what it did not list.
    let token = rig.begin(of("a", write(7, 1)));
    assert_eq!(rig.verdict(token), Some(Verdict::Run));
    rig.restart();
    assert_eq!(rig.journal.status().running, 3);
    rig.hello(1, 1, &[("a", 7, 1)]);
    assert_eq!(rig.ask(of("a", delivery(write(7, 1)))), Some(Verdict::Running));
    assert_eq!(rig.ask(of("b", write(7, 1))), Some(Verdict::Run));
    assert_eq!(rig.ask(of("c", delivery(write(7, 1)))), Some(Verdict::Running));
    rig.outcome(&of("a", write(7, 1)), Kind::Ran);
    rig.outcome(&of("b", write(7, 1)), Kind::Ran);
    rig.tick_after(OVERDUE_MS);
    assert_eq!(rig.ask(of("c", delivery(write(7, 1)))), Some(Verdict::InDoubt));
}
