//! The client leaves, at every point; what was dispatched runs to its end.

use super::*;
use crate::metrics::Metric;
use pb::outcome::Kind as Out;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn leaving_while_the_body_comes_leaves_nothing() {
    let mut w = ready(&Host::new());
    w.head(1, &write(&stamp(1)), false);
    w.body(1, b"a", false);
    w.leave(1);
    assert!(kinds(&mut w).is_empty());
    assert_eq!(w.role.exchanges(), 0);
}

#[test]
fn leaving_before_the_journal_was_asked_leaves_nothing() {
    let mut w = fresh(&Host::new());
    w.request(1, &write(&stamp(1)), b"x");
    w.leave(1);
    assert_eq!(w.role.runs.len(), 0);
    w.tick();
    w.message(&welcome());
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]));
}

#[test]
fn leaving_while_the_journal_is_asked_takes_the_question_back() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    w.leave(1);
    assert_eq!(kinds(&mut w), [Kind::Leave(pb::Leave { token })]);
    w.pass(5000);
    assert_eq!(w.role.runs.len(), 0, "and is forgotten after a while");
}

#[test]
fn a_grant_for_a_client_that_left_is_given_back_unused() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    w.leave(1);
    kinds(&mut w);
    grant(&mut w, token);
    assert!(w.dispatched.is_empty());
    let outcome = outcome(&mut w);
    assert_eq!((outcome.kind(), outcome.seq), (Out::NotRun, 1));
    assert_eq!(w.count(Metric::LateReplies), 1);
    noted(&mut w, token, 0);
    assert_eq!(w.role.runs.len(), 0);
}

#[test]
fn another_verdict_for_a_client_that_left_needs_nothing() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    w.leave(1);
    kinds(&mut w);
    w.message(&response(guard_response::Kind::Begun(begun(token, Grant::Gap))));
    assert!(kinds(&mut w).is_empty());
    assert_eq!(w.role.runs.len(), 0);
}

#[test]
fn a_dispatched_write_runs_to_its_end_and_its_outcome_is_reported() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    w.leave(1);
    assert!(kinds(&mut w).is_empty());
    end(&mut w, token, answer("200"), b"ok");
    let outcome = outcome(&mut w);
    assert_eq!((outcome.kind(), outcome.response.is_some()), (Out::Ran, true));
    noted(&mut w, token, 1);
    assert_eq!((w.role.runs.len(), w.role.runs.bytes()), (0, 0));
}

#[test]
fn leaving_before_the_note_changes_nothing_for_the_journal() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    end(&mut w, token, answer("200"), b"ok");
    w.leave(1);
    assert_eq!(outcome(&mut w).kind(), Out::Ran);
    noted(&mut w, token, 1);
    assert_eq!(w.role.runs.len(), 0);
}
