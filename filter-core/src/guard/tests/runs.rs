//! A numbered write from its stamp to its answer.

use super::*;
use crate::metrics::Metric;
use pb::InDoubtPolicy;
use protocol::Number;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn the_journal_is_asked_with_all_that_the_stamp_says() {
    let mut w = ready(&Host::new());
    let more = format!(
        "{};after=0.9.{};again;log=0101010101010101;primary=0202020202020202;secondary=0303030303030303",
        stamp(1),
        "cd".repeat(16)
    );
    w.request(1, &write(&more), b"x");
    let begin = begin(&mut w);
    assert_eq!((begin.session.as_str(), begin.epoch, begin.seq), ("s", 1, 1));
    assert_eq!((begin.id.as_str(), begin.link), ("k1", vec![0xab; 16]));
    assert_eq!(begin.after.unwrap().seq, 9);
    assert_eq!((begin.method.as_str(), begin.path.as_str()), ("POST", "/a?x=1"));
    assert_eq!((begin.delivery, begin.noop, begin.again), (false, false, true));
    assert_eq!((begin.log, begin.journal), (vec![1; 8], vec![2; 8]));
    assert_eq!(begin.in_doubt, i32::from(InDoubtPolicy::ByMethod));
    assert_eq!((begin.run_timeout_ms, begin.wait_ms), (2000, 400));
    assert!(w.dispatched.is_empty());
}

#[test]
fn the_journal_is_told_what_the_route_says_of_doubt() {
    let mut w = ready(&Host::new());
    let stamp = stamp(1);
    let mut request = write(&stamp);
    request[1].1 = "/telemetry/a?x=1";
    w.request(1, &request, b"x");
    assert_eq!(begin(&mut w).in_doubt(), InDoubtPolicy::Redo);
}

#[test]
fn a_granted_write_is_sent_to_the_service_without_our_and_hop_by_hop_headers() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    grant(&mut w, token);
    let call = w.dispatched.pop().unwrap();
    let want = headers(&[
        (":method", "POST"),
        (":path", "/a?x=1"),
        (":authority", "shop"),
        (":scheme", "http"),
        ("accept", "*/*"),
        ("x-reprise-id", "k1"),
        ("x-reprise-time", "1234"),
    ]);
    assert_eq!(call.headers, want);
    assert_eq!((call.cluster.as_str(), call.body.as_slice()), ("replica", &b"x"[..]));
    assert_eq!(call.timeout_ms, 2000);
}

#[test]
fn the_outcome_is_with_the_journal_before_the_answer_leaves() {
    let host = Host::new();
    let mut w = ready(&host);
    let token = dispatched(&mut w, 1, 1);
    end(&mut w, token, answer("201"), b"ok");
    assert!(w.seen(1).reply.is_none());
    let outcome = outcome(&mut w);
    assert_eq!((outcome.kind(), outcome.status), (pb::outcome::Kind::Ran, 201));
    assert_eq!(outcome.digest, Digest::of(b"ok").0);
    let kept = outcome.response.unwrap();
    assert_eq!((kept.status, kept.body.as_slice()), (201, &b"ok"[..]));
    let names: Vec<_> = kept.headers.iter().map(|h| h.name.as_str()).collect();
    let want = ["content-type", "set-cookie", "set-cookie", "x-envoy-upstream-service-time"];
    assert_eq!(names, want);

    noted(&mut w, token, 1);
    let reply = w.seen(1).reply.clone().unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (201, &b"ok"[..]));
    let cookies = reply.headers.iter().filter(|(n, _)| n == "set-cookie").count();
    assert_eq!(cookies, 2);
    let word = word(&w, 1);
    assert_eq!((word.verdict, word.status), (Verdict::Ran, 201));
    assert_eq!(word.number, Some(Number { epoch: 1, seq: 1 }));
    assert_eq!(word.at.unwrap().number.seq, 1);
    assert_eq!((word.digest, word.journal.0), (Digest::of(b"ok"), [9; 8]));
    assert_eq!(w.count(Metric::GuardRan), 1);
    assert_eq!((w.role.runs.len(), w.role.runs.bytes()), (0, 0));
}

#[test]
fn a_response_over_the_limit_is_passed_on_and_not_remembered() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    end(&mut w, token, answer("200"), &[b'x'; 51]);
    let outcome = outcome(&mut w);
    assert_eq!(outcome.response, None);
    assert_eq!(outcome.digest, Digest::of(&[b'x'; 51]).0);
    noted(&mut w, token, 1);
    assert_eq!(w.seen(1).reply.as_ref().unwrap().body.len(), 51);
}

#[test]
fn a_grant_that_opens_a_forced_epoch_says_so() {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    let forced = pb::Begun { forced: true, ..begun(token, Grant::Run) };
    w.message(&response(guard_response::Kind::Begun(forced)));
    end(&mut w, token, answer("200"), b"ok");
    noted(&mut w, token, 1);
    assert_eq!(verdict(&w, 1), (200, Verdict::Forced));
    assert_eq!(w.lines.len(), 1);
}

#[test]
fn a_withdrawn_write_is_never_sent_to_the_service() {
    let mut w = ready(&Host::new());
    w.request(1, &write(&format!("{};delivery;noop", stamp(1))), b"x");
    let begin1 = begin(&mut w);
    assert!(begin1.noop && begin1.delivery);
    w.message(&response(guard_response::Kind::Begun(pb::Begun {
        at: Some(at(1)),
        ..begun(begin1.token, Grant::Ran)
    })));
    assert_eq!(verdict(&w, 1), (200, Verdict::Forgotten));
    assert!(w.dispatched.is_empty());

    w.request(2, &write(&format!("{};delivery;noop", stamp(2))), b"x");
    let token = begin(&mut w).token;
    grant(&mut w, token);
    assert!(w.dispatched.is_empty());
    assert_eq!(outcome(&mut w).kind(), pb::outcome::Kind::NotRun);
}

#[test]
fn a_delivered_write_is_never_held() {
    let mut w = ready(&Host::new());
    let delivered = format!("{};delivery", stamp(1));
    w.request(1, &write(&delivered), b"x");
    let begin = begin(&mut w);
    assert_eq!((begin.delivery, begin.wait_ms), (true, 0));
    w.lose_stream();
    assert_eq!(verdict(&w, 1), (503, Verdict::NotRun));
    w.request(2, &write(&delivered), b"x");
    assert_eq!(verdict(&w, 2), (503, Verdict::NotRun));
}

#[test]
fn more_writes_than_the_limit_are_not_run() {
    let mut w = fresh(&Host::new());
    let most = protocol::limits::HELD_REQUESTS as u32;
    for e in 0..=most {
        w.request(e, &write(&stamp(u64::from(e) + 1)), b"x");
    }
    assert!(w.seen(most - 1).reply.is_none());
    assert_eq!(verdict(&w, most), (503, Verdict::NotRun));
}

#[test]
fn a_service_that_never_answers_leaves_its_client_in_doubt_at_the_deadline() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    w.pass(2480);
    assert!(w.seen(1).reply.is_none());
    w.pass(20);
    assert_eq!(verdict(&w, 1), (503, Verdict::InDoubt));
    assert!(kinds(&mut w).is_empty(), "the run goes on");
    end(&mut w, token, answer("200"), b"ok");
    assert_eq!(outcome(&mut w).kind(), pb::outcome::Kind::Ran);
    noted(&mut w, token, 1);
}

#[test]
fn an_outcome_that_is_not_noted_in_time_leaves_its_client_in_doubt() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    end(&mut w, token, answer("200"), b"ok");
    w.pass(2500);
    assert_eq!(verdict(&w, 1), (503, Verdict::InDoubt));
    assert_eq!(w.role.runs.len(), 1, "it is kept for the journal");
}
