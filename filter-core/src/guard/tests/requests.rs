//! What reaches the service, and what does not.

use super::*;
use crate::metrics::Metric;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn an_unnumbered_write_is_refused_after_its_body() {
    let mut w = fresh(&Host::new());
    w.head(1, &[(":method", "POST"), (":path", "/")], false);
    assert!(w.seen(1).reply.is_none());
    w.body(1, b"abc", true);
    assert_eq!(w.seen(1).problem(), (400, "unnumbered-write".into()));
    assert_eq!(w.count(Metric::GuardUnnumbered), 1);
}

#[test]
fn a_stamp_that_does_not_fit_the_request_is_refused() {
    let mut w = fresh(&Host::new());
    let read = "v=1;kind=read;session=s;last=1.1";
    for (e, method, stamps) in [
        (1, "POST", vec![read]),
        (2, "POST", vec!["garbage"]),
        (3, "GET", vec!["v=1;kind=read;session=s"]),
        (4, "POST", vec!["v=1;kind=bypass", read]),
    ] {
        let mut list = vec![(":method", method), (":path", "/")];
        list.extend(stamps.into_iter().map(|s| ("x-reprise-stamp", s)));
        w.head(e, &list, true);
        assert_eq!(w.seen(e).problem(), (400, "unnumbered-write".into()), "{e}");
    }
}

#[test]
fn health_checks_and_bypassed_requests_pass_without_our_headers() {
    let mut w = fresh(&Host::new());
    w.head(1, &[(":method", "GET"), (":path", "/healthz"), ("x-reprise-route", "x")], true);
    let bypass = [(":method", "POST"), (":path", "/t"), ("x-reprise-stamp", "v=1;kind=bypass")];
    w.head(2, &bypass, false);
    w.body(2, &[0; 5000], true);
    for e in 1..3 {
        assert!(w.seen(e).passed);
        assert!(w.seen(e).request.keys().all(|n| !n.starts_with("x-reprise-")));
        w.respond(
            e,
            &[(":status", "200"), ("x-reprise-word", "forged"), ("x-reprise-replayed", "x")],
        );
        assert!(w.seen(e).response.keys().all(|n| !n.starts_with("x-reprise-")));
    }
    w.pass(100);
    assert_eq!(w.opened, 0);
}

#[test]
fn a_probe_is_answered_here_and_says_whether_the_journal_is_there() {
    let mut w = fresh(&Host::new());
    let probe = [(":method", "GET"), (":path", "/"), ("x-reprise-stamp", PROBE)];
    w.head(1, &probe, true);
    assert_eq!(verdict(&w, 1), (503, Verdict::NotRun));
    w.tick();
    w.head(2, &probe, true);
    assert_eq!(verdict(&w, 2), (503, Verdict::NotRun), "opened is not welcomed");
    w.message(&welcome());
    w.head(3, &probe, true);
    assert_eq!(verdict(&w, 3), (204, Verdict::Ready));
    assert_eq!(word(&w, 3).journal.0, [9; 8]);
    w.lose_stream();
    w.head(4, &probe, true);
    assert_eq!(verdict(&w, 4), (503, Verdict::NotRun));
}

#[test]
fn a_body_over_the_guards_limit_is_not_run() {
    let mut w = ready(&Host::new());
    w.request(1, &write(&stamp(1)), &[0; 101]);
    assert_eq!(verdict(&w, 1), (413, Verdict::NotRun));
    assert!(kinds(&mut w).is_empty());
    let stamp2 = stamp(2);
    let mut list = write(&stamp2);
    list.retain(|(n, _)| *n != "content-length");
    list.push(("content-length", "101"));
    w.head(2, &list, false);
    w.body(2, &[0; 101], true);
    assert_eq!(verdict(&w, 2), (413, Verdict::NotRun));
}

#[test]
fn the_guards_own_answers_keep_their_word() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    w.message(&response(guard_response::Kind::Begun(begun(token, Grant::Gap))));
    let list = headers(&[(":status", "503"), ("x-reprise-word", "w")]);
    w.other(|guard, cx| {
        guard.response_headers(cx, 1, &list);
    });
    assert!(w.seen(1).response.is_empty(), "nothing was touched");
}
