//! A write from its Append to its release.

use super::*;
use crate::metrics::Metric;
use crate::testing::EPOCH_MS;
use pb::refused::Reason;
use protocol::Number;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_write_is_held_until_it_is_numbered_and_then_stamped() {
    let host = Host::new();
    let mut w = ready(&host);
    let mut list = post("s", "k", "/a?x=1");
    list.extend([("accept", "*/*"), ("connection", "keep-alive"), ("content-length", "1")]);
    w.request(1, &list, b"x");
    assert!(!w.seen(1).passed);
    let append = append(&mut w);
    assert_eq!((append.session.as_str(), append.id.as_str()), ("s", "k"));
    assert_eq!((append.method.as_str(), append.path.as_str()), ("POST", "/a?x=1"));
    assert_eq!(append.body, b"x");
    assert_eq!(append.received_ms, host.now().wall_ms);
    assert!(!append.refuse_when_cut);
    let names: Vec<_> = append.headers.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, [":authority", ":scheme", "x-session-id", "idempotency-key", "accept"]);

    w.message(&numbered(append.token, number(1)));
    let Stamp::Write(stamp) = stamp(&w, 1) else { panic!("not a write") };
    assert_eq!((stamp.session.as_str(), stamp.id.as_str()), ("s", "k"));
    assert_eq!(stamp.number, Number { epoch: 1, seq: 1 });
    assert_eq!((stamp.link, stamp.time_ms), (Link([1; 16]), 1234));
    assert_eq!((stamp.delivery, stamp.noop, stamp.again), (false, false, false));
    assert_eq!(stamp.log.0, [7; 8]);
    assert_eq!(route(&w, 1), "primary");
    assert_eq!(w.seen(1).header("x-reprise-id"), Some("k".into()));
    assert_eq!(w.seen(1).header("x-reprise-time"), Some("1234".into()));
    assert_eq!(w.seen(1).header("x-reprise-mirror"), None);
    assert_eq!(w.count(Metric::Appended), 1);
}

#[test]
fn what_the_log_knows_goes_into_the_stamp() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    let after = pb::Position { epoch: 1, seq: 9, link: vec![3; 16] };
    let as_number = pb::Numbered {
        epoch: 2,
        known: true,
        after: Some(after),
        route: Route::Secondary.into(),
        primary_journal: vec![1; 8],
        secondary_journal: vec![2; 8],
        received_ms: 0,
        ..number(1)
    };
    w.message(&numbered(token, as_number));
    let Stamp::Write(stamp) = stamp(&w, 1) else { panic!("not a write") };
    assert!(stamp.again);
    assert_eq!(stamp.after.unwrap().number, Number { epoch: 1, seq: 9 });
    assert_eq!((stamp.journals[0].0, stamp.journals[1].0), ([1; 8], [2; 8]));
    assert!(stamp.time_ms >= EPOCH_MS, "our own time when the log names none");
    assert_eq!(route(&w, 1), "secondary");
}

#[test]
fn an_id_is_minted_where_the_client_gives_none() {
    let mut w = ready(&Host::new());
    let list = [(":method", "PUT"), (":path", "/a"), ("x-session-id", "s")];
    w.request(1, &list, b"");
    w.request(2, &list, b"");
    let ids: Vec<_> = kinds(&mut w)
        .into_iter()
        .map(|k| match k {
            Kind::Append(a) => a.id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0].len(), 32);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_route_that_refuses_when_cut_goes_to_the_primary_alone() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/pay"), b"x");
    let append = append(&mut w);
    assert!(append.refuse_when_cut);
    w.message(&numbered(append.token, number(1)));
    assert_eq!(route(&w, 1), "primary-only");
}

#[test]
fn each_refusal_of_the_log_has_its_problem_and_no_trace() {
    for (reason, want, retry) in [
        (Reason::Full, (503, "log-full"), Some("2")),
        (Reason::PayloadMismatch, (422, "payload-mismatch"), None),
        (Reason::Cut, (503, "refused-while-cut"), Some("2")),
        (Reason::Invalid, (400, "invalid-id"), None),
    ] {
        let mut w = ready(&Host::new());
        w.request(1, &post("s", "k", "/pay"), b"x");
        let token = append(&mut w).token;
        let refused =
            pb::Refused { reason: reason.into(), detail: "d".into(), retry_after_ms: 1500 };
        w.message(&appended(token, pb::appended::Outcome::Refused(refused)));
        let (status, name) = want;
        assert_eq!(w.seen(1).problem(), (status, name.to_string()));
        assert_eq!(w.seen(1).reply_header("retry-after").as_deref(), retry);
        w.leave(1);
        w.pass(100);
        assert!(sent(&mut w).is_empty());
    }
}

#[test]
fn numbered_writes_are_mirrored_only_on_their_first_way_to_both() {
    for (as_number, path, mirrored) in [
        (number(1), "/a", true),
        (pb::Numbered { known: true, ..number(1) }, "/a", false),
        (pb::Numbered { route: Route::Secondary.into(), ..number(1) }, "/a", false),
        (number(1), "/pay", false),
    ] {
        let mut w = fresh(&Host::new());
        connect(&mut w, true);
        let mut welcome = welcome(true);
        if let Some(pb::gateway_response::Kind::Welcome(welcome)) = &mut welcome.kind {
            welcome.mirror_cluster = "secondary".into();
        }
        w.message(&welcome);
        sent(&mut w);
        w.request(1, &post("s", "k", path), b"x");
        let token = append(&mut w).token;
        w.message(&numbered(token, as_number));
        let mirror = w.seen(1).header("x-reprise-mirror");
        assert_eq!(mirror.as_deref(), mirrored.then_some("secondary"));
    }
}

#[test]
fn a_number_without_a_link_is_not_released() {
    let mut w = ready(&Host::new());
    w.request(1, &post("s", "k", "/a"), b"x");
    let token = append(&mut w).token;
    w.message(&numbered(token, pb::Numbered { link: vec![1], ..number(1) }));
    assert_eq!(w.seen(1).problem(), (503, "maybe-done".into()));
    assert!(matches!(kinds(&mut w)[..], [Kind::Cancel(_)]));
}

#[test]
fn several_writes_of_a_session_are_in_flight_at_once() {
    let mut w = ready(&Host::new());
    for e in 1..=3 {
        w.request(e, &post("s", &format!("k{e}"), "/a"), b"x");
    }
    let tokens: Vec<_> = kinds(&mut w)
        .into_iter()
        .map(|k| match k {
            Kind::Append(a) => a.token,
            other => panic!("{other:?}"),
        })
        .collect();
    for (seq, token) in [(3, tokens[2]), (1, tokens[0]), (2, tokens[1])] {
        w.message(&numbered(token, number(seq)));
    }
    for e in 1..=3 {
        let Stamp::Write(stamp) = stamp(&w, e) else { panic!() };
        assert_eq!(stamp.number.seq, u64::from(e));
    }
}

#[test]
fn two_workers_of_one_envoy_say_hello_with_one_name_and_ask_with_different_tokens() {
    let host = Host::new();
    let mut names = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let mut w = fresh(&host);
        w.request(1, &post("s", "k", "/a"), b"x");
        w.tick();
        match &kinds(&mut w)[..] {
            [Kind::Hello(hello)] => names.push(hello.gateway.clone()),
            other => panic!("{other:?}"),
        }
        w.message(&welcome(true));
        tokens.push(append(&mut w).token);
    }
    assert_eq!(names[0], names[1]);
    assert_eq!(names[0].len(), 16);
    assert_ne!(tokens[0], tokens[1]);

    host.restart();
    let mut w = fresh(&host);
    w.request(1, &post("s", "k", "/a"), b"x");
    w.tick();
    match &kinds(&mut w)[..] {
        [Kind::Hello(hello)] => assert_ne!(hello.gateway, names[0], "a restart makes a new name"),
        other => panic!("{other:?}"),
    }
}
