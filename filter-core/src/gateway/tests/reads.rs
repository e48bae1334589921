//! Reads carry the last acknowledged number of their session, and go where the session is.

use super::*;
use crate::metrics::Metric;
use protocol::Number;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn last(w: &W, e: Exchange) -> u64 {
    match stamp(w, e) {
        Stamp::Read { last, .. } => last.seq,
        other => panic!("{other:?}"),
    }
}

fn answer(w: &mut W, e: Exchange, replica: &str, seq: u64) {
    w.respond(e, &[(":status", "200"), ("x-reprise-word", &word("ran", replica, seq))]);
}

#[test]
fn a_read_of_an_unknown_session_asks_the_log_once() {
    let mut w = ready(&Host::new());
    w.head(1, &get("s", "/"), true);
    assert!(!w.seen(1).passed);
    let token = locate(&mut w).token;
    w.message(&located(token, 5, Route::Secondary));
    assert_eq!((last(&w, 1), route(&w, 1)), (5, "secondary".into()));
    w.head(2, &get("s", "/"), true);
    assert!(w.seen(2).passed, "known now");
    assert_eq!((last(&w, 2), route(&w, 2)), (5, "secondary".into()));
    assert_eq!(w.count(Metric::ReadsLocated), 2, "the first, and the one that warmed up");
}

#[test]
fn a_read_after_a_write_sees_it_on_every_worker() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    released(&mut a, 1, 1);
    answer(&mut a, 1, "primary", 1);
    b.head(1, &get("s", "/"), true);
    assert!(b.seen(1).passed, "seq 1 opened the session here, so the table is exact");
    assert_eq!(last(&b, 1), 1);
}

#[test]
fn an_answer_of_the_secondary_moves_reads_there_at_once() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    answer(&mut w, 1, "secondary", 1);
    w.head(2, &get("s", "/"), true);
    assert_eq!((last(&w, 2), route(&w, 2)), (1, "secondary".into()));
}

#[test]
fn a_late_answer_does_not_lower_what_was_acknowledged() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    released(&mut w, 2, 2);
    answer(&mut w, 2, "primary", 2);
    answer(&mut w, 1, "primary", 1);
    w.head(3, &get("s", "/"), true);
    assert_eq!(last(&w, 3), 2);
}

#[test]
fn a_read_sees_a_repeated_write_that_the_log_alone_knew_to_have_run() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    answer(&mut w, 1, "primary", 1);
    released_as(&mut w, 2, pb::Numbered { known: true, status: 200, ..number(2) });
    w.respond(2, &[(":status", "503")]);
    assert_eq!(w.seen(2).problem().0, 200, "acknowledged without a word");
    w.head(3, &get("s", "/"), true);
    assert_eq!((last(&w, 3), route(&w, 3)), (2, "primary".into()));
}

#[test]
fn a_write_that_was_not_acknowledged_does_not_count_for_reads() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    answer(&mut w, 1, "primary", 1);
    released(&mut w, 2, 2);
    w.respond(2, &[(":status", "503")]);
    w.head(3, &get("s", "/"), true);
    assert_eq!(last(&w, 3), 1);
}

#[test]
fn pins_and_hand_backs_move_known_sessions_on_every_worker() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    released(&mut a, 1, 1);
    answer(&mut a, 1, "primary", 1);
    b.message(&moved("s", Route::Secondary));
    a.head(2, &get("s", "/"), true);
    assert_eq!(route(&a, 2), "secondary");
    a.message(&moved("s", Route::Primary));
    b.head(2, &get("s", "/"), true);
    assert_eq!(route(&b, 2), "primary");
    b.message(&moved("unknown", Route::Secondary));
    b.message(&moved("", Route::Secondary));
}

#[test]
fn an_older_answer_of_the_log_does_not_hide_a_later_acknowledgement() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    b.head(1, &get("s", "/"), true);
    let token = locate(&mut b).token;
    released(&mut a, 1, 6);
    answer(&mut a, 1, "primary", 6);
    a.head(2, &get("s", "/"), true);
    assert!(!a.seen(2).passed, "an acknowledgement alone does not make the slot exact");
    b.message(&located(token, 5, Route::Primary));
    b.head(3, &get("s", "/"), true);
    assert_eq!(last(&b, 3), 6);
}

#[test]
fn a_gateway_that_is_not_alone_asks_for_every_read() {
    let mut w = fresh(&Host::new());
    connect(&mut w, false);
    released(&mut w, 1, 1);
    answer(&mut w, 1, "primary", 1);
    for e in 2..4 {
        w.head(e, &get("s", "/"), true);
        let token = locate(&mut w).token;
        w.message(&located(token, 1, Route::Primary));
        assert!(w.seen(e).passed);
    }
}

#[test]
fn known_sessions_are_read_while_the_log_is_away_and_unknown_ones_are_refused() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    answer(&mut w, 1, "primary", 1);
    w.can_open = false;
    w.lose_stream();
    w.head(2, &get("s", "/"), true);
    assert!(w.seen(2).passed);
    w.head(3, &get("t", "/"), true);
    w.pass(1000);
    assert_eq!(w.seen(3).problem(), (503, "read-unavailable".into()));
    assert_eq!(w.seen(3).reply_header("retry-after"), Some("1".into()));
}

#[test]
fn what_one_worker_was_told_of_being_alone_counts_for_all() {
    let host = Host::new();
    let mut a = ready(&host);
    released(&mut a, 1, 1);
    answer(&mut a, 1, "primary", 1);
    let mut b = fresh(&host);
    b.can_open = false;
    b.head(1, &get("s", "/"), true);
    assert!(b.seen(1).passed, "its own stream never opened");
    assert_eq!(last(&b, 1), 1);
    connect(&mut fresh(&host), false);
    a.head(2, &get("s", "/"), true);
    assert!(!a.seen(2).passed, "not alone any more");
}

#[test]
fn a_session_that_fell_out_of_the_table_is_asked_for_again() {
    let mut w = ready(&Host::new());
    for e in 0..300 {
        let session = format!("s{e}");
        w.head(e, &get(&session, "/"), true);
        let token = locate(&mut w).token;
        w.message(&located(token, 1, Route::Primary));
    }
    assert!(w.count(Metric::TableEvictions) > 200);
    w.head(1000, &get("s0", "/"), true);
    assert!(!w.seen(1000).passed);
}

#[test]
fn a_later_epoch_comes_after_all_of_an_earlier_one() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 9);
    let after = pb::Position { epoch: 1, seq: 9, link: vec![0; 16] };
    let next = pb::Numbered { epoch: 2, after: Some(after), ..number(1) };
    answer(&mut w, 1, "primary", 9);
    released_as(&mut w, 2, next);
    let word = word("ran", "primary", 1).replace("number=1.1", "number=2.1");
    w.respond(2, &[(":status", "200"), ("x-reprise-word", &word)]);
    w.head(3, &get("s", "/"), true);
    let token = locate(&mut w).token;
    w.message(&located(token, 9, Route::Primary));
    let Stamp::Read { last, .. } = stamp(&w, 3) else { panic!() };
    assert_eq!(last, Number { epoch: 2, seq: 1 });
}

#[test]
fn a_read_with_a_body_is_held_only_until_its_session_is_known() {
    let mut w = ready(&Host::new());
    w.head(1, &get("s", "/"), false);
    w.body(1, b"abc", false);
    let token = locate(&mut w).token;
    w.message(&located(token, 0, Route::Primary));
    assert!(w.seen(1).passed);
    w.body(1, &[0; 500], true);
    assert!(w.seen(1).reply.is_none(), "no limit on what is not kept");
}

#[test]
fn a_read_that_no_replica_can_answer_is_refused_clearly() {
    let mut w = ready(&Host::new());
    released(&mut w, 1, 1);
    answer(&mut w, 1, "primary", 1);
    w.head(2, &get("s", "/"), true);
    w.respond(
        2,
        &[(":status", "503"), ("x-reprise-word", "v=1;replica=secondary;verdict=stale-read")],
    );
    assert_eq!(w.seen(2).problem(), (503, "read-unavailable".into()));
    w.head(3, &get("s", "/"), true);
    w.respond(3, &[(":status", "503"), ("x-reprise-word", "v=1;replica=secondary;verdict=read")]);
    assert!(w.seen(3).reply.is_none(), "the service's own 503");
    assert_eq!(w.seen(3).response_header("x-reprise-word"), None);
}

#[test]
fn an_upgrade_goes_to_the_primary_alone_and_is_refused_while_the_session_is_pinned() {
    let mut w = ready(&Host::new());
    let mut list = get("s", "/ws");
    list.push(("upgrade", "websocket"));
    w.head(1, &list, false);
    let token = locate(&mut w).token;
    w.message(&located(token, 0, Route::Primary));
    assert!(w.seen(1).passed);
    assert_eq!(route(&w, 1), "primary-only");
    assert_eq!(w.seen(1).header("upgrade"), Some("websocket".into()));
    w.message(&moved("s", Route::Secondary));
    w.head(2, &list, false);
    assert_eq!(w.seen(2).problem(), (503, "refused-while-cut".into()));
    let mut list = get("pinned", "/ws");
    list.push(("upgrade", "websocket"));
    w.head(3, &list, false);
    let token = locate(&mut w).token;
    w.message(&located(token, 0, Route::Secondary));
    assert_eq!(w.seen(3).problem(), (503, "refused-while-cut".into()));
}

#[test]
fn what_was_exact_before_others_could_append_is_not_exact_after() {
    let host = Host::new();
    let (mut a, mut b) = (ready(&host), ready(&host));
    released(&mut a, 1, 1);
    answer(&mut a, 1, "primary", 1);
    a.head(2, &get("s", "/"), true);
    assert!(a.seen(2).passed);
    b.message(&welcome(false));
    released(&mut a, 3, 2);
    answer(&mut a, 3, "primary", 2);
    b.message(&welcome(true));
    a.head(4, &get("s", "/"), true);
    assert!(!a.seen(4).passed, "another gateway may have appended meanwhile");
    let token = locate(&mut a).token;
    a.message(&located(token, 1, Route::Primary));
    assert_eq!(last(&a, 4), 2, "what was acknowledged meanwhile still counts");
    b.head(5, &get("s", "/"), true);
    assert!(b.seen(5).passed);
}
