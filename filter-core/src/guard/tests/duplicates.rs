//! What the journal does not grant.

use super::*;
use crate::metrics::Metric;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn told(begun_as: pb::Begun) -> W {
    let mut w = ready(&Host::new());
    let token = asked(&mut w, 1, 1);
    w.message(&response(guard_response::Kind::Begun(pb::Begun { token, ..begun_as })));
    assert!(w.dispatched.is_empty());
    assert_eq!(w.role.runs.len(), 0);
    w
}

#[test]
fn a_duplicate_is_answered_with_the_remembered_response() {
    let kept = pb::Response {
        status: 201,
        headers: vec![
            pb::Header { name: "set-cookie".into(), value: b"a=1".to_vec() },
            pb::Header { name: "set-cookie".into(), value: b"b=2".to_vec() },
        ],
        body: b"made".to_vec(),
    };
    let w = told(pb::Begun {
        status: 201,
        digest: vec![4; 8],
        response: Some(kept),
        at: Some(at(3)),
        ..begun(0, Grant::Ran)
    });
    let reply = w.seen(1).reply.clone().unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (201, &b"made"[..]));
    assert_eq!(reply.headers.iter().filter(|(n, _)| n == "set-cookie").count(), 2);
    let word = word(&w, 1);
    assert_eq!((word.verdict, word.status, word.digest.0), (Verdict::Remembered, 201, [4; 8]));
    assert_eq!(word.at.unwrap().number.seq, 3);
    assert_eq!(w.count(Metric::GuardDuplicates), 1);
}

#[test]
fn a_duplicate_whose_response_is_forgotten_gets_a_status_that_nobody_retries() {
    let w = told(pb::Begun { status: 503, digest: vec![4; 8], ..begun(0, Grant::Ran) });
    assert_eq!(verdict(&w, 1), (200, Verdict::Forgotten));
    assert_eq!(word(&w, 1).status, 503);
    let bad = pb::Response { status: 0, ..pb::Response::default() };
    let w = told(pb::Begun { response: Some(bad), ..begun(0, Grant::Ran) });
    assert_eq!(verdict(&w, 1), (200, Verdict::Forgotten));
}

#[test]
fn every_other_verdict_has_its_word_and_status() {
    for (grant, status, verdict_, problem) in [
        (Grant::Running, 503, Verdict::Running, "maybe-done"),
        (Grant::Gap, 503, Verdict::Gap, "not-run"),
        (Grant::InDoubt, 503, Verdict::InDoubt, "maybe-done"),
        (Grant::Conflict, 409, Verdict::Conflict, "number-conflict"),
        (Grant::StaleEpoch, 503, Verdict::StaleEpoch, "not-run"),
        (Grant::NotRun, 503, Verdict::NotRun, "not-run"),
        (Grant::Unspecified, 503, Verdict::NotRun, "not-run"),
    ] {
        let w = told(pb::Begun { at: Some(at(7)), ..begun(0, grant) });
        assert_eq!(verdict(&w, 1), (status, verdict_));
        assert_eq!(w.seen(1).problem(), (status, problem.into()));
        assert_eq!(word(&w, 1).at.unwrap().number.seq, 7);
        assert_eq!(word(&w, 1).number.unwrap().seq, 1);
    }
}

#[test]
fn what_the_journal_tells_in_passing_lets_reads_pass() {
    let mut w = told(pb::Begun { at: Some(at(7)), ..begun(0, Grant::Ran) });
    let read = "v=1;kind=read;session=s;last=1.7";
    w.head(2, &[(":method", "GET"), (":path", "/"), ("x-reprise-stamp", read)], true);
    assert!(w.seen(2).passed);
}
