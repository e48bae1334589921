//! The stream to the journal comes late, dies, hangs, or grants what nobody asked.

use super::*;
use crate::metrics::Metric;
use pb::outcome::Kind as Out;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Reconnects; gives the hello.
fn reconnect(w: &mut W) -> pb::GuardHello {
    while w.open.is_none() {
        w.pass(20);
    }
    match kinds(w).as_slice() {
        [Kind::Hello(hello)] => hello.clone(),
        other => panic!("{other:?}"),
    }
}

fn running(hello: &pb::GuardHello) -> Vec<u64> {
    hello.running.iter().map(|r| r.seq).collect()
}

#[test]
fn a_write_waits_a_moment_for_the_stream() {
    let mut w = fresh(&Host::new());
    w.request(1, &write(&stamp(1)), b"x");
    w.pass(100);
    let hello = reconnect(&mut w);
    assert_eq!(
        (hello.version, hello.service.as_str(), hello.replica.as_str()),
        (1, "shop", "primary")
    );
    assert_eq!((hello.owner.len(), hello.gap_wait_ms), (16, 400));
    w.message(&welcome());
    assert_eq!(begin(&mut w).wait_ms, 300, "only for what is left of its time");
}

#[test]
fn a_write_that_found_no_journal_is_not_run() {
    let mut w = fresh(&Host::new());
    w.can_open = false;
    w.request(1, &write(&stamp(1)), b"x");
    w.pass(400);
    assert_eq!(verdict(&w, 1), (503, Verdict::NotRun));
    assert_eq!(w.count(Metric::HeldTimeouts), 1);
    assert_eq!(w.role.runs.len(), 0);
}

#[test]
fn a_stream_that_dies_before_the_grant_leaves_the_write_not_run_and_unlisted() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    let old = w.open.unwrap();
    w.lose_stream();
    assert_eq!(verdict(&w, 1), (503, Verdict::NotRun));
    assert!(running(&reconnect(&mut w)).is_empty(), "the grant was not used");
    let late = response(guard_response::Kind::Begun(begun(token, Grant::Run)));
    w.raw_message(old, &late.encode_to_vec());
    assert!(w.dispatched.is_empty());
}

#[test]
fn a_stream_that_dies_during_the_run_hears_of_it_in_the_next_hello() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    w.lose_stream();
    let hello = reconnect(&mut w);
    assert_eq!(running(&hello), [1]);
    w.message(&welcome());
    assert!(kinds(&mut w).is_empty());
    end(&mut w, token, answer("200"), b"ok");
    assert_eq!(outcome(&mut w).kind(), Out::Ran);
    noted(&mut w, token, 1);
    assert_eq!(verdict(&w, 1), (200, Verdict::Ran));
}

#[test]
fn an_outcome_that_was_not_noted_is_told_again_on_the_new_stream() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    end(&mut w, token, answer("200"), b"ok");
    let first = outcome(&mut w);
    w.lose_stream();
    assert!(w.seen(1).reply.is_none());
    let hello = reconnect(&mut w);
    assert_eq!(running(&hello), [1]);
    w.message(&welcome());
    assert_eq!(outcome(&mut w), first);
    noted(&mut w, token, 1);
    assert_eq!(verdict(&w, 1), (200, Verdict::Ran));
    w.lose_stream();
    assert!(running(&reconnect(&mut w)).is_empty());
}

#[test]
fn an_outcome_that_comes_while_there_is_no_stream_waits_for_it() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    w.lose_stream();
    end(&mut w, token, answer("200"), b"ok");
    assert_eq!(running(&reconnect(&mut w)), [1]);
    w.message(&welcome());
    assert_eq!(outcome(&mut w).kind(), Out::Ran);
}

#[test]
fn the_owner_stays_the_same_for_a_workers_life() {
    let host = Host::new();
    let mut w = fresh(&host);
    w.request(1, &write(&stamp(1)), b"x");
    let first = reconnect(&mut w).owner;
    w.lose_stream();
    assert_eq!(reconnect(&mut w).owner, first);
    let mut other = fresh(&host);
    other.request(1, &write(&stamp(1)), b"x");
    assert_ne!(reconnect(&mut other).owner, first);
}

#[test]
fn a_grant_that_nobody_asked_for_resets_the_stream_so_that_it_counts_as_unused() {
    let mut w = ready(&Host::new());
    dispatched(&mut w, 1, 1);
    grant(&mut w, 4711);
    assert!(w.dispatched.is_empty());
    assert_eq!(running(&reconnect(&mut w)), [1]);
}

#[test]
fn a_grant_that_comes_twice_is_used_once() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    grant(&mut w, token);
    assert!(w.dispatched.is_empty());
    assert_eq!(w.count(Metric::LateReplies), 1);
}

#[test]
fn a_journal_that_says_nothing_is_given_up_and_its_writes_are_not_run() {
    let mut w = ready(&Host::new());
    asked(&mut w, 1, 1);
    w.pass(880);
    assert!(w.seen(1).reply.is_none(), "the journal itself waits for gaps this long");
    w.pass(20);
    assert_eq!(verdict(&w, 1), (503, Verdict::NotRun));
    assert_eq!(w.open, None);
    kinds(&mut w);
    assert!(running(&reconnect(&mut w)).is_empty());
}

#[test]
fn a_refused_welcome_is_retried_with_its_reason_in_the_log() {
    let mut w = fresh(&Host::new());
    w.request(1, &write(&stamp(1)), b"x");
    reconnect(&mut w);
    let refused = pb::GuardWelcome { version: 1, error: "not me".into(), journal: vec![] };
    w.message(&response(guard_response::Kind::Welcome(refused)));
    assert!(w.lines[0].1.contains("not me"));
    assert_eq!(w.open, None);
    reconnect(&mut w);
    w.message(&welcome());
    begin(&mut w);
}

#[test]
fn an_unreadable_message_ends_the_stream_and_an_unknown_one_does_not() {
    let mut w = ready(&Host::new());
    w.raw_message(w.open.unwrap(), &[0xf2, 0x01, 0x00]);
    assert!(w.open.is_some());
    w.raw_message(w.open.unwrap(), &[0xff]);
    assert_eq!(w.open, None);
}
