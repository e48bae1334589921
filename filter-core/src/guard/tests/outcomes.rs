//! What the end of a call says of the write; the forms are those measured on Envoy 1.40.

use super::*;
use crate::guard::outcome::classify;
use crate::metrics::Metric;
use pb::outcome::Kind as Out;
use protocol::stamp::WriteStamp;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn stamp() -> WriteStamp {
    match protocol::Stamp::parse(
        "v=1;kind=write;session=s;number=1.1;link=00112233445566778899aabbccddeeff;id=i;time=1",
    ) {
        Some(protocol::Stamp::Write(stamp)) => *stamp,
        other => panic!("no stamp: {other:?}"),
    }
}

/// One of Envoy's own replies.
fn local(status: &str) -> Vec<Header> {
    headers(&[(":status", status), ("content-length", "9"), ("content-type", "text/plain")])
}

fn reset(reason: &str) -> Vec<u8> {
    format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}")
        .into_bytes()
}

#[test]
fn a_request_that_was_never_sent_is_not_run() {
    for reason in [
        "remote connection failure",
        "remote connection failure, transport failure reason: delayed connect error: Connection refused",
        "local connection failure",
        "connection timeout",
        "overflow",
        "remote refused stream reset",
    ] {
        assert_eq!(classify(&local("503"), &reset(reason), &stamp()), Out::NotRun, "{reason}");
    }
}

#[test]
fn a_broken_connection_or_a_timeout_is_in_doubt() {
    for (status, body) in [
        ("503", reset("connection termination")),
        ("503", reset("remote reset")),
        ("503", reset("something new")),
        ("503", b"upstream connect error or disconnect/reset before headers".to_vec()),
        ("502", reset("protocol error")),
        ("504", b"upstream request timeout".to_vec()),
    ] {
        assert_eq!(classify(&local(status), &body, &stamp()), Out::InDoubt, "{status}");
    }
    assert_eq!(classify(&[], b"", &stamp()), Out::InDoubt);
    assert_eq!(classify(&headers(&[(":status", "101")]), b"", &stamp()), Out::InDoubt);
    assert_eq!(classify(&headers(&[(":status", "odd")]), b"", &stamp()), Out::InDoubt);
}

#[test]
fn an_answer_of_the_service_is_what_it_says() {
    for (status, live, delivered) in [
        ("200", Out::Ran, Out::Ran),
        ("404", Out::Ran, Out::Ran),
        ("500", Out::Ran, Out::Ran),
        ("999", Out::Ran, Out::Ran),
        ("401", Out::Ran, Out::NotRun),
        ("403", Out::Ran, Out::NotRun),
        ("407", Out::Ran, Out::NotRun),
        ("429", Out::NotRun, Out::NotRun),
        ("503", Out::NotRun, Out::NotRun),
        ("502", Out::InDoubt, Out::InDoubt),
        ("504", Out::InDoubt, Out::InDoubt),
    ] {
        assert_eq!(classify(&answer(status), b"{}", &stamp()), live, "{status}");
        let to_a_delivery = |ran| {
            let stamp = WriteStamp { delivery: true, ran, ..stamp() };
            classify(&answer(status), b"{}", &stamp)
        };
        assert_eq!(to_a_delivery(None), delivered, "{status}");
        assert_eq!(to_a_delivery(Some(200)), delivered, "{status}, and the other one ran it");
        let alike = to_a_delivery(status.parse().ok());
        assert_eq!(alike, live, "{status} is the service's answer, the other one gave it too");
    }
}

#[test]
fn a_service_gains_nothing_by_faking_envoys_replies() {
    let fake = |reason: &str| classify(&answer("503"), &reset(reason), &stamp());
    assert_eq!(fake("remote connection failure"), Out::NotRun, "as any 503 of its own");
    assert_eq!(fake("connection termination"), Out::InDoubt, "never more than doubt");
    let success = classify(&answer("200"), &reset("connection termination"), &stamp());
    assert_eq!(success, Out::Ran, "the status counts");
}

#[test]
fn a_call_that_cannot_be_sent_is_not_run() {
    let mut w = ready(&Host::new());
    w.can_dispatch = false;
    let token = asked(&mut w, 1, 1);
    grant(&mut w, token);
    assert_eq!(outcome(&mut w).kind(), Out::NotRun);
    assert!(w.seen(1).reply.is_none());
    noted(&mut w, token, 0);
    assert_eq!(verdict(&w, 1), (503, Verdict::NotRun));
}

#[test]
fn what_was_not_run_or_is_in_doubt_is_noted_before_it_is_answered() {
    for (status, kind, want) in
        [("503", Out::NotRun, Verdict::NotRun), ("504", Out::InDoubt, Verdict::InDoubt)]
    {
        let mut w = ready(&Host::new());
        let token = dispatched(&mut w, 1, 1);
        end(&mut w, token, answer(status), b"no");
        let outcome = outcome(&mut w);
        assert_eq!((outcome.kind(), outcome.response), (kind, None));
        assert!(w.seen(1).reply.is_none());
        noted(&mut w, token, 0);
        assert_eq!(verdict(&w, 1), (503, want));
        assert_eq!(w.count(Metric::GuardInDoubt), u64::from(want == Verdict::InDoubt));
        let read = "v=1;kind=read;session=s;last=1.1";
        w.head(2, &[(":method", "GET"), (":path", "/"), ("x-reprise-stamp", read)], true);
        assert!(!w.seen(2).passed, "the replica is not known to have run it");
    }
}

#[test]
fn a_call_that_ends_twice_or_for_nobody_changes_nothing() {
    let mut w = ready(&Host::new());
    let token = dispatched(&mut w, 1, 1);
    end(&mut w, token, answer("200"), b"ok");
    end(&mut w, token, answer("500"), b"no");
    end(&mut w, 4711, answer("500"), b"no");
    assert_eq!(outcome(&mut w).status, 200);
    noted(&mut w, token, 1);
    noted(&mut w, token, 1);
    assert_eq!(w.seen(1).reply.as_ref().unwrap().status, 200);
    assert_eq!(w.count(Metric::LateReplies), 1);
}

#[test]
fn a_run_that_the_journal_does_not_count_is_in_doubt() {
    for stands_at in [None, Some(at(1)), Some(pb::Position { epoch: 0, ..at(9) })] {
        let mut w = ready(&Host::new());
        let token = dispatched(&mut w, 1, 2);
        end(&mut w, token, answer("200"), b"ok");
        assert_eq!(outcome(&mut w).kind(), Out::Ran);
        let noted = pb::Noted { token, at: stands_at };
        w.message(&response(guard_response::Kind::Noted(noted)));
        assert_eq!(verdict(&w, 1), (503, Verdict::InDoubt));
        assert_eq!(w.seen(1).problem().1, "maybe-done");
        assert_eq!(w.count(Metric::GuardInDoubt), 1);
        assert_eq!(w.role.runs.len(), 0);
    }
}
