//! Reads are answered by a replica that has run what they must see.

use super::*;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read(w: &mut W, e: Exchange, seq: u64) {
    let stamp = format!("v=1;kind=read;session=s;last=1.{seq}");
    w.head(e, &[(":method", "GET"), (":path", "/"), ("x-reprise-stamp", &stamp)], true);
}

fn awaits(w: &mut W) -> pb::AwaitRun {
    match kinds(w).as_slice() {
        [Kind::AwaitRun(a)] => a.clone(),
        other => panic!("{other:?}"),
    }
}

fn awaited(w: &mut W, token: u64, ran: bool) {
    let at = ran.then(|| at(9));
    w.message(&response(guard_response::Kind::Awaited(pb::Awaited { token, ran, at })));
}

#[test]
fn a_session_without_writes_is_read_at_once() {
    let mut w = fresh(&Host::new());
    read(&mut w, 1, 0);
    assert!(w.seen(1).passed);
    assert!(w.seen(1).request.keys().all(|n| !n.starts_with("x-reprise-")));
}

#[test]
fn what_has_run_here_is_read_at_once_on_every_worker() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    ran(&mut a, 1, 1);
    ran(&mut a, 2, 2);
    for (e, seq) in [(1, 1), (2, 2)] {
        read(&mut b, e, seq);
        assert!(b.seen(e).passed);
    }
    read(&mut b, 3, 3);
    assert!(!b.seen(3).passed);
}

#[test]
fn a_read_that_is_ahead_waits_for_the_journal() {
    let mut w = ready(&Host::new());
    read(&mut w, 1, 5);
    let a = awaits(&mut w);
    assert_eq!((a.session.as_str(), a.epoch, a.seq, a.wait_ms), ("s", 1, 5, 400));
    awaited(&mut w, a.token, true);
    assert!(w.seen(1).passed);
    w.respond(1, &[(":status", "200"), ("x-reprise-word", "v=1;replica=secondary;verdict=ran")]);
    let word = Word::parse(&w.seen(1).response_header("x-reprise-word").unwrap()).unwrap();
    assert_eq!((word.verdict, word.number), (Verdict::Read, None));
    read(&mut w, 2, 9);
    assert!(w.seen(2).passed, "the journal said how far it is");
}

#[test]
fn a_read_that_cannot_be_served_is_turned_back_as_stale() {
    let mut w = ready(&Host::new());
    read(&mut w, 1, 5);
    let token = awaits(&mut w).token;
    awaited(&mut w, token, false);
    assert_eq!(verdict(&w, 1), (503, Verdict::StaleRead));
}

#[test]
fn a_read_that_waits_for_a_stream_waits_no_longer_than_the_gap() {
    let mut w = fresh(&Host::new());
    w.can_open = false;
    read(&mut w, 1, 5);
    w.pass(380);
    assert!(w.seen(1).reply.is_none());
    w.pass(20);
    assert_eq!(verdict(&w, 1), (503, Verdict::StaleRead));
}

#[test]
fn a_read_that_was_late_to_ask_waits_only_for_what_is_left() {
    let mut w = fresh(&Host::new());
    read(&mut w, 1, 5);
    w.pass(300);
    kinds(&mut w);
    w.message(&welcome());
    assert_eq!(awaits(&mut w).wait_ms, 100);
}

#[test]
fn a_journal_that_is_lost_or_silent_turns_waiting_reads_back() {
    let mut w = ready(&Host::new());
    read(&mut w, 1, 5);
    kinds(&mut w);
    w.lose_stream();
    assert_eq!(verdict(&w, 1), (503, Verdict::StaleRead));
    w.pass(100);
    w.message(&welcome());
    read(&mut w, 2, 5);
    w.pass(900);
    assert_eq!(verdict(&w, 2), (503, Verdict::StaleRead));
    assert_eq!(w.open, None, "a silent stream is given up");
}

#[test]
fn a_read_that_leaves_is_forgotten() {
    let mut w = ready(&Host::new());
    read(&mut w, 1, 5);
    let token = awaits(&mut w).token;
    w.leave(1);
    assert_eq!(kinds(&mut w), [Kind::Leave(pb::Leave { token })]);
    awaited(&mut w, token, true);
    assert_eq!(w.role.exchanges(), 0);
}

#[test]
fn a_later_epoch_is_ahead_of_all_of_an_earlier_one() {
    let mut w = ready(&Host::new());
    ran(&mut w, 1, 9);
    let stamp = "v=1;kind=read;session=s;last=2.1";
    w.head(2, &[(":method", "GET"), (":path", "/"), ("x-reprise-stamp", stamp)], true);
    assert!(!w.seen(2).passed);
}

#[test]
fn what_had_run_in_another_life_of_the_journal_is_asked_about() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    ran(&mut a, 1, 5);
    again(&mut a, 9);
    read(&mut a, 2, 5);
    assert!(a.seen(2).passed, "the same life");
    again(&mut a, 7);
    read(&mut a, 3, 5);
    let asked = awaits(&mut a);
    assert_eq!(asked.seq, 5);
    awaited(&mut a, asked.token, false);
    assert_eq!(verdict(&a, 3), (503, Verdict::StaleRead));
    read(&mut b, 2, 5);
    assert!(b.seen(2).passed, "the life that this worker knows");
    again(&mut b, 7);
    read(&mut b, 3, 5);
    assert_eq!(awaits(&mut b).seq, 5);
}

#[test]
fn what_another_life_of_the_journal_says_is_known_again_on_every_worker() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    ran(&mut a, 1, 20);
    again(&mut a, 7);
    again(&mut b, 7);
    read(&mut a, 2, 5);
    let token = awaits(&mut a).token;
    awaited(&mut a, token, true);
    read(&mut b, 2, 9);
    assert!(b.seen(2).passed, "it has run 9");
    read(&mut b, 3, 10);
    assert_eq!(awaits(&mut b).seq, 10, "20 ran in another life");
    ran(&mut b, 4, 10);
    read(&mut a, 3, 10);
    assert!(a.seen(3).passed);
}

#[test]
fn a_worker_that_no_journal_has_welcomed_asks() {
    let host = Host::new();
    ran(&mut ready(&host), 1, 5);
    let mut w = fresh(&host);
    read(&mut w, 1, 5);
    assert!(!w.seen(1).passed);
    w.tick();
    kinds(&mut w);
    w.message(&welcome_of(7));
    assert_eq!(awaits(&mut w).seq, 5);
}

#[test]
fn a_run_of_another_life_is_not_taken_for_one_that_the_journal_knows() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 5);
    end(&mut w, token, answer("200"), b"ok");
    again(&mut w, 7);
    assert_eq!(outcome(&mut w).seq, 5);
    w.message(&response(guard_response::Kind::Noted(pb::Noted { token, at: None })));
    read(&mut w, 2, 5);
    assert_eq!(awaits(&mut w).seq, 5);
}
