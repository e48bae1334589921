//! The client leaves, at every point of a request's life.

use super::*;
use crate::metrics::Metric;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn leaving_while_the_body_comes_leaves_nothing() {
    let mut w = ready(&Host::new());
    w.head(1, &post("s", "k", "/a"), false);
    w.body(1, b"abc", false);
    w.leave(1);
    w.pass(2000);
    assert!(sent(&mut w).is_empty());
    assert_eq!(w.role.exchanges(), 0);
    assert_eq!(w.count(Metric::Abandoned), 1);
}

#[test]
fn leaving_before_the_append_was_sent_leaves_nothing() {
    let mut w = fresh(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    w.leave(1);
    w.tick();
    w.message(&welcome(true));
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]));
    assert_eq!(w.role.held.len(), 0);
    assert_eq!(w.count(Metric::Abandoned), 1);
}

#[test]
fn leaving_while_the_log_has_it_cancels_and_the_late_number_releases_nothing() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    w.leave(1);
    let cancel = pb::Cancel { token, session: "s".into(), id: "k".into() };
    assert_eq!(kinds(&mut w), [Kind::Cancel(cancel)]);
    w.message(&numbered(token, number(1)));
    assert_eq!(w.count(Metric::LateReplies), 1);
    assert_eq!(w.count(Metric::Appended), 0);
}

#[test]
fn leaving_after_the_release_is_an_abandoned_write() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    w.leave(1);
    let ends = ends(&mut w);
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].kind(), pb::end::Kind::Abandoned);
    assert_eq!((ends[0].epoch, ends[0].seq), (1, 1));
    assert_ne!(ends[0].token, 0);
    assert_eq!(w.count(Metric::Abandoned), 1);
}

#[test]
fn leaving_after_the_answer_adds_nothing_to_it() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    w.respond(1, &[(":status", "200"), ("x-reprise-word", &word("ran", "primary", 1))]);
    w.leave(1);
    let ends = ends(&mut w);
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].kind(), pb::end::Kind::Answered);
    assert_eq!(w.role.exchanges(), 0);
    assert_eq!(w.count(Metric::Abandoned), 0);
}

#[test]
fn leaving_while_a_read_is_located_needs_no_word_to_the_log() {
    let mut w = ready(&Host::new());
    w.head(1, &get("s", "/"), true);
    let token = locate(&mut w).token;
    w.leave(1);
    assert!(sent(&mut w).is_empty());
    w.message(&located(token, 1, Route::Primary));
    assert_eq!(w.count(Metric::LateReplies), 1);
}

#[test]
fn leaving_after_our_own_answer_reports_nothing() {
    let mut w = ready(&Host::new());
    w.request(1, &[(":method", "POST"), (":path", "/a")], b"x");
    w.leave(1);
    assert!(ends(&mut w).is_empty());
}
