//! The stream to the log comes late, dies, hangs, or answers what nobody asked.

use super::*;
use crate::metrics::Metric;
use protocol::limits;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_write_waits_for_the_stream_and_is_sent_once_welcomed() {
    let mut w = fresh(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    assert!(sent(&mut w).is_empty());
    w.tick();
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]), "not before the welcome");
    w.message(&welcome(true));
    let token = append(&mut w).token;
    w.message(&numbered(token, number(1)));
    assert!(w.seen(1).passed);
}

#[test]
fn a_write_that_never_left_is_refused_at_its_deadline_without_a_trace() {
    let mut w = fresh(&Host::new());
    w.can_open = false;
    w.request(1, &post("s", "k", "/a"), b"x");
    w.pass(980);
    assert!(w.seen(1).reply.is_none());
    w.pass(20);
    assert_eq!(w.seen(1).problem(), (503, "log-unavailable".into()));
    assert_eq!(w.seen(1).reply_header("retry-after"), Some("1".into()));
    assert_eq!(w.count(Metric::HeldTimeouts), 1);
    w.leave(1);
    w.can_open = true;
    w.pass(1000);
    w.message(&welcome(true));
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]), "no cancel for what was never sent");
}

#[test]
fn a_write_that_was_sent_and_not_answered_is_maybe_done_and_cancelled() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    w.pass(500);
    w.message(&moved("other", Route::Primary));
    w.pass(500);
    assert_eq!(w.seen(1).problem(), (503, "maybe-done".into()));
    assert_eq!(w.count(Metric::MaybeDone), 1);
    let cancel = pb::Cancel { token, session: "s".into(), id: "k".into() };
    assert_eq!(kinds(&mut w), [Kind::Cancel(cancel)]);
    w.message(&numbered(token, number(1)));
    assert_eq!(w.count(Metric::LateReplies), 1);
    assert!(sent(&mut w).is_empty(), "the cancel is sent already");
}

#[test]
fn a_cancel_waits_for_the_next_stream() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    w.can_open = false;
    w.lose_stream();
    w.pass(1000);
    assert_eq!(w.seen(1).problem(), (503, "maybe-done".into()));
    w.can_open = true;
    w.pass(600);
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]));
    w.message(&welcome(true));
    let cancel = pb::Cancel { token, session: "s".into(), id: "k".into() };
    assert_eq!(kinds(&mut w), [Kind::Cancel(cancel)]);
}

#[test]
fn unanswered_appends_are_sent_again_on_the_new_stream_as_they_were() {
    let mut w = ready(&Host::new());
    let list = [(":method", "POST"), (":path", "/a"), ("x-session-id", "s")];
    w.request(1, &list, b"x");
    let first = append(&mut w);
    w.lose_stream();
    w.request(2, &post("s", "k2", "/a"), b"y");
    w.pass(40);
    assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]));
    w.message(&welcome(true));
    let again = kinds(&mut w);
    assert_eq!(again[0], Kind::Append(first.clone()), "the same token and minted id");
    assert!(matches!(&again[1], Kind::Append(a) if a.id == "k2"));
    w.message(&numbered(first.token, number(1)));
    assert!(w.seen(1).passed);
}

#[test]
fn a_reply_that_comes_twice_or_for_nobody_changes_nothing() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    w.message(&numbered(token, number(1)));
    w.message(&numbered(token, number(1)));
    w.message(&numbered(token.wrapping_add(77), number(2)));
    w.message(&located(token, 1, Route::Primary));
    assert_eq!(w.count(Metric::LateReplies), 3);
    assert_eq!(w.count(Metric::Appended), 1);
}

#[test]
fn an_answer_of_the_wrong_kind_is_maybe_done() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    w.message(&located(token, 1, Route::Primary));
    assert_eq!(w.seen(1).problem(), (503, "maybe-done".into()));
    assert!(matches!(kinds(&mut w)[..], [Kind::Cancel(_)]));
}

#[test]
fn messages_of_an_earlier_stream_are_not_heard() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    let old = w.open.unwrap();
    w.lose_stream();
    w.raw_message(old, &numbered(token, number(1)).encode_to_vec());
    assert!(!w.seen(1).passed);
}

#[test]
fn a_stream_that_says_nothing_while_requests_wait_is_given_up() {
    let mut w = ready(&Host::new());
    let before = w.opened;
    w.request(1, &post("s", "k", "/a"), b"x");
    w.pass(500);
    w.request(2, &post("s", "k2", "/a"), b"x");
    w.pass(500);
    assert_eq!(w.seen(1).problem().1, "maybe-done");
    w.pass(100);
    assert_eq!(w.opened, before + 1);
    sent(&mut w);
    w.message(&welcome(true));
    let again = kinds(&mut w);
    assert!(
        matches!(&again[..], [Kind::Cancel(c), Kind::Append(a)] if c.id == "k" && a.id == "k2")
    );
}

#[test]
fn a_gateway_that_is_welcomed_again_confirms_it_and_knows_whether_it_is_alone() {
    let mut w = ready(&Host::new());
    assert!(w.role.alone.spell(&w.host).is_some());
    for sole in [false, true] {
        w.message(&welcome(sole));
        assert!(matches!(kinds(&mut w)[..], [Kind::Hello(_)]), "it says that it has heard");
        assert_eq!(w.role.alone.spell(&w.host).is_some(), sole);
    }
}

#[test]
fn a_welcome_with_an_error_or_another_version_is_none() {
    for (error, version) in [("wrong service", 1), ("", 2)] {
        let mut w = fresh(&Host::new());
        w.request(1, &post("s", "k", "/a"), b"x");
        w.tick();
        let kind = pb::GatewayWelcome { version, error: error.into(), ..Default::default() };
        w.message(&pb::GatewayResponse { kind: Some(pb::gateway_response::Kind::Welcome(kind)) });
        assert_eq!(w.open, None);
        assert!(w.lines[0].1.contains(if error.is_empty() { "version 2" } else { error }));
        w.pass(1000);
        assert_eq!(w.seen(1).problem().1, "log-unavailable");
        assert_eq!(w.opened, 2, "it tries on");
        assert_eq!(w.lines.len(), 1, "and says so once");
    }
}

#[test]
fn a_message_that_cannot_be_read_ends_the_stream() {
    let mut w = ready(&Host::new());
    w.raw_message(w.open.unwrap(), &[0xff, 0xff]);
    assert_eq!(w.open, None);
    w.pass(100);
    assert!(w.open.is_some());
}

#[test]
fn a_message_kind_of_a_later_version_is_passed_over() {
    let mut w = ready(&Host::new());
    w.raw_message(w.open.unwrap(), &[0xf2, 0x01, 0x00]);
    assert!(w.open.is_some());
}

#[test]
fn ends_ride_on_the_next_message_and_are_flushed_by_the_tick() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    w.respond(1, &[(":status", "200"), ("x-reprise-word", &word("ran", "primary", 1))]);
    assert!(w.sent.is_empty(), "an end costs no message of its own");
    w.request(2, &post("s", "k2", "/a"), b"x");
    let messages = sent(&mut w);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].ends.len(), 1);
    assert!(matches!(messages[0].kind, Some(Kind::Append(_))));
    w.leave(1);
    released(&mut w, 3, 3);
    w.leave(3);
    let ends = ends(&mut w);
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].kind(), pb::end::Kind::Abandoned);
}

#[test]
fn many_ends_do_not_wait_for_the_tick() {
    let mut w = ready(&Host::new());
    let many = protocol::limits::ENDS_QUEUED as u32;
    for e in 0..many {
        w.request(e, &post("s", &format!("k{e}"), "/a"), b"x");
        let token = append(&mut w).token;
        w.message(&numbered(token, number(u64::from(e) + 1)));
    }
    for e in 0..many {
        w.leave(e);
    }
    let messages = sent(&mut w);
    assert_eq!(messages.iter().map(|m| m.ends.len()).sum::<usize>(), many as usize);
}

#[test]
fn ends_survive_the_stream() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    w.lose_stream();
    w.respond(1, &[(":status", "200"), ("x-reprise-word", &word("ran", "primary", 1))]);
    w.pass(40);
    w.message(&welcome(true));
    let ends: Vec<_> = sent(&mut w).into_iter().flat_map(|m| m.ends).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].kind(), pb::end::Kind::Answered);
}

#[test]
fn what_waits_to_be_reported_is_bounded() {
    let mut reports = super::super::reports::Reports::default();
    for seq in 0..(limits::KEPT_REPORTS as u64 + 10) {
        reports.end(pb::End { seq, ..pb::End::default() });
    }
    let mut ends = Vec::new();
    while let Some(message) = reports.next_ends() {
        ends.extend(pb::GatewayRequest::decode(message.as_slice()).unwrap().ends);
    }
    assert_eq!(ends.len(), limits::KEPT_REPORTS);
    assert_eq!(ends[0].seq, 10);
}
