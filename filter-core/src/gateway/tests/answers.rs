//! No answer of a numbered write is believed without a guard's word.

use super::*;
use crate::metrics::Metric;
use pb::end::Kind as EndKind;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The end of a write (number 1) after this answer, and what the client saw.
fn answered(as_number: pb::Numbered, list: &[(&str, &str)]) -> (W, pb::End) {
    let mut w = ready(&Host::new());
    released_as(&mut w, 1, as_number);
    w.respond(1, list);
    w.leave(1);
    let mut ends = ends(&mut w);
    assert_eq!(ends.len(), 1);
    (w, ends.remove(0))
}

fn known() -> pb::Numbered {
    pb::Numbered { known: true, ..number(1) }
}

#[test]
fn an_answer_with_a_word_passes_and_the_word_does_not() {
    for verdict in ["ran", "forced"] {
        let word = word(verdict, "primary", 1);
        let list = [(":status", "201"), ("x-reprise-word", word.as_str()), ("a", "b")];
        let (w, end) = answered(number(1), &list);
        assert!(w.seen(1).reply.is_none());
        assert_eq!(w.seen(1).response_header("x-reprise-word"), None);
        assert_eq!(w.seen(1).response_header("a"), Some("b".into()));
        assert_eq!((end.kind(), end.word.as_str()), (EndKind::Answered, word.as_str()));
        assert_eq!(end.route(), Route::Primary);
    }
}

#[test]
fn an_answer_without_a_word_is_maybe_done_whatever_its_status() {
    for status in ["200", "503", "404"] {
        let (w, end) = answered(number(1), &[(":status", status)]);
        assert_eq!(w.seen(1).problem(), (503, "maybe-done".into()));
        assert_eq!(w.seen(1).reply_header("retry-after"), Some("1".into()));
        assert_eq!((end.kind(), end.word.as_str()), (EndKind::MaybeDone, ""));
        assert_eq!(w.count(Metric::MaybeDone), 1);
    }
}

#[test]
fn a_word_about_another_number_is_no_word() {
    for other in ["number=1.2", "number=2.1", "status=200"] {
        let word = word("ran", "primary", 1).replace("number=1.1", other);
        let word =
            if other == "status=200" { "v=1;replica=primary;verdict=ran".into() } else { word };
        let (w, end) = answered(number(1), &[(":status", "200"), ("x-reprise-word", &word)]);
        assert_eq!(w.seen(1).problem().1, "maybe-done");
        assert_eq!((end.kind(), end.word), (EndKind::MaybeDone, word));
    }
}

#[test]
fn a_word_that_cannot_be_read_or_comes_twice_is_no_word() {
    let good = word("ran", "primary", 1);
    for words in [vec!["garbage"], vec![&good, &good], vec!["v=2;replica=primary;verdict=ran"]] {
        let mut list = vec![(":status", "200")];
        list.extend(words.iter().map(|w| ("x-reprise-word", *w)));
        let (w, end) = answered(number(1), &list);
        assert_eq!(w.seen(1).problem().1, "maybe-done");
        assert_eq!((end.kind(), end.word.as_str()), (EndKind::MaybeDone, ""));
    }
}

#[test]
fn every_other_verdict_is_maybe_done_and_reported_with_its_word() {
    for verdict in
        ["running", "gap", "in-doubt", "conflict", "stale-epoch", "not-run", "read", "stale-read"]
    {
        let word = word(verdict, "primary", 1);
        let (w, end) = answered(number(1), &[(":status", "503"), ("x-reprise-word", &word)]);
        assert_eq!(w.seen(1).problem().1, "maybe-done", "{verdict}");
        assert_eq!((end.kind(), end.word), (EndKind::MaybeDone, word));
    }
}

#[test]
fn a_repeated_write_gets_the_remembered_response_with_a_mark() {
    let word = word("remembered", "secondary", 1);
    let list = [(":status", "201"), ("x-reprise-word", word.as_str()), ("x-reprise-replayed", "?")];
    let (w, end) = answered(known(), &list);
    assert!(w.seen(1).reply.is_none());
    assert_eq!(w.seen(1).response_header("x-reprise-replayed"), Some("remembered".into()));
    assert_eq!(end.kind(), EndKind::Answered);
    assert_eq!(w.count(Metric::Remembered), 1);

    let list = [(":status", "201"), ("x-reprise-word", word.as_str())];
    let (w, _) = answered(number(1), &list);
    assert!(w.seen(1).reply.is_none(), "Envoy's own retry found it done");
    assert_eq!(w.seen(1).response_header("x-reprise-replayed"), None, "the client did not repeat");
}

#[test]
fn a_repeated_write_whose_response_is_forgotten_gets_its_status_alone() {
    let word = word("forgotten", "primary", 1);
    let list = [(":status", "200"), ("x-reprise-word", word.as_str())];
    for (log, want) in [(201, 201), (0, 200)] {
        let (w, end) = answered(pb::Numbered { status: log, ..known() }, &list);
        let reply = w.seen(1).reply.clone().unwrap();
        assert_eq!((reply.status, reply.body.len()), (want, 0));
        assert_eq!(w.seen(1).reply_header("x-reprise-replayed"), Some("forgotten".into()));
        assert_eq!(end.kind(), EndKind::Answered);
    }
    let silent = "v=1;replica=primary;verdict=forgotten;number=1.1";
    let (w, _) = answered(known(), &[(":status", "200"), ("x-reprise-word", silent)]);
    assert_eq!(w.seen(1).problem().1, "maybe-done", "nobody knows the status");
}

#[test]
fn a_repeated_write_that_is_settled_never_runs_again_and_gets_its_status_whoever_answers() {
    let answers = [
        vec![(":status", "503")],
        vec![
            (":status", "503"),
            ("x-reprise-word", "v=1;replica=primary;verdict=stale-epoch;number=1.1"),
        ],
    ];
    for answer in answers {
        let mut w = ready(&Host::new());
        let settled = pb::Numbered { known: true, settled: true, status: 201, ..number(1) };
        released_as(&mut w, 1, settled);
        let Stamp::Write(stamp) = stamp(&w, 1) else { panic!("a write") };
        assert!(stamp.noop && stamp.again);
        w.respond(1, &answer);
        assert_eq!(w.seen(1).reply_header("x-reprise-replayed"), Some("forgotten".into()));
        assert_eq!(w.seen(1).problem().0, 201);
    }
}

#[test]
fn a_repeated_write_that_no_replica_has_settled_may_still_run() {
    let mut w = ready(&Host::new());
    released_as(&mut w, 1, known());
    let Stamp::Write(stamp) = stamp(&w, 1) else { panic!("a write") };
    assert!(stamp.again && !stamp.noop);
}

#[test]
fn a_write_numbered_just_now_is_never_acknowledged_by_a_forgotten_response() {
    let word = word("forgotten", "primary", 1);
    let (w, end) = answered(number(1), &[(":status", "200"), ("x-reprise-word", &word)]);
    assert_eq!(w.seen(1).problem(), (503, "maybe-done".into()));
    assert_eq!(end.kind(), EndKind::MaybeDone);
}

#[test]
fn a_word_on_what_was_not_numbered_is_removed() {
    let mut w = ready(&Host::new());
    w.request(1, &[(":method", "GET"), (":path", "/telemetry")], b"");
    w.respond(1, &[(":status", "200"), ("x-reprise-word", "v=1;replica=primary;verdict=ran")]);
    assert_eq!(w.seen(1).response_header("x-reprise-word"), None);
    w.leave(1);
    assert!(ends(&mut w).is_empty());
}
