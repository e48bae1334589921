//! Stamps, words, ids, positions and problems: what is written is read back, and nothing else is.

#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use protocol::ids::InvalidId;
use protocol::stamp::WriteStamp;
use protocol::{
    Digest, Id, Incarnation, Link, Number, Position, Replica, SessionKey, Stamp, Verdict, Word,
    limits, problem::Problem,
};

fn stamp() -> WriteStamp {
    WriteStamp {
        session: SessionKey::new("till 7; a=b%").expect("a session key"),
        number: Number { epoch: 1_700_000_000_123, seq: 42 },
        link: Link([0xab; 16]),
        id: Id::new("k-1;noop").expect("an id"),
        time_ms: 1_700_000_000_000,
        after: None,
        delivery: false,
        noop: false,
        again: false,
        ran: None,
        log: Incarnation::UNKNOWN,
        journals: [Incarnation::UNKNOWN; 2],
    }
}

#[test]
fn a_write_stamp_is_read_back_as_it_was() {
    let plain = stamp();
    let full = WriteStamp {
        after: Some(Position { number: Number { epoch: 5, seq: 9 }, link: Link([1; 16]) }),
        delivery: true,
        noop: true,
        again: true,
        ran: Some(403),
        log: Incarnation([2; 8]),
        journals: [Incarnation([3; 8]), Incarnation([4; 8])],
        ..stamp()
    };
    for stamp in [plain, full] {
        let stamp = Stamp::Write(Box::new(stamp));
        assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
    }
}

#[test]
fn the_text_of_a_stamp_is_a_contract() {
    assert_eq!(
        stamp().to_string(),
        "v=1;kind=write;session=till%207%3b%20a%3db%25;number=1700000000123.42;\
         link=abababababababababababababababab;id=k-1%3bnoop;time=1700000000000"
    );
}

#[test]
fn other_stamps_are_read_back() {
    let session = SessionKey::new("s").expect("a session key");
    let read = Stamp::Read { session, last: Number { epoch: 3, seq: 4 } };
    for stamp in [read, Stamp::Bypass, Stamp::Probe] {
        assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
    }
}

#[test]
fn a_stamp_that_is_not_whole_is_none() {
    let good = stamp().to_string();
    let bad = [
        String::new(),
        good.replace("v=1", "v=2"),
        good.replace("kind=write", "kind=writ"),
        good.replace("number=1700000000123.42", "number=+1700000000123.42"),
        good.replace("number=1700000000123.42", "number=1700000000123.042"),
        good.replace("number=1700000000123.42", "number=99999999999999999999.1"),
        good.replace("link=ab", "link=AB"),
        good.replace("link=ab", "link="),
        good.replace("%20", "%zz"),
        good.replace(";id=", ";di="),
        format!("{good};id=other"),
        format!("{good};after=1.2"),
        format!("{good};log=00"),
    ];
    for text in bad {
        assert_eq!(Stamp::parse(&text), None, "{text}");
    }
}

#[test]
fn a_word_is_read_back_with_every_verdict() {
    use Verdict as V;
    for verdict in [
        V::Ran,
        V::Forced,
        V::Remembered,
        V::Forgotten,
        V::Running,
        V::Gap,
        V::InDoubt,
        V::Conflict,
        V::StaleEpoch,
        V::NotRun,
        V::Read,
        V::StaleRead,
        V::Ready,
    ] {
        let bare = Word::new(Replica::Secondary, verdict);
        let full = Word {
            number: Some(Number { epoch: 1, seq: 2 }),
            status: 201,
            digest: Digest::of(b"body"),
            at: Some(Position { number: Number { epoch: 1, seq: 3 }, link: Link([9; 16]) }),
            journal: Incarnation([8; 8]),
            unseeded: true,
            ..bare.clone()
        };
        for word in [bare, full] {
            assert_eq!(Word::parse(&word.to_string()), Some(word));
        }
    }
    for text in
        ["", "ran", "v=1;replica=primary", "v=1;verdict=ran", "v=1;replica=third;verdict=ran"]
    {
        assert_eq!(Word::parse(text), None, "{text}");
    }
}

#[test]
fn values_out_of_their_limits_cannot_be_built() {
    assert_eq!(SessionKey::new(""), Err(InvalidId::Empty));
    assert_eq!(Id::new("a\nb"), Err(InvalidId::NotPrintable { at: 1 }));
    assert_eq!(Id::new("é"), Err(InvalidId::NotPrintable { at: 0 }));
    let long = "x".repeat(limits::ID_BYTES + 1);
    let limit = limits::ID_BYTES;
    assert_eq!(Id::new(long), Err(InvalidId::TooLong { bytes: limit + 1, limit }));
    assert!(SessionKey::new("x".repeat(limits::SESSION_KEY_BYTES)).is_ok());
}

#[test]
fn a_link_depends_on_every_id_before_it_and_on_their_order() {
    let id = |s: &str| Id::new(s).expect("an id");
    let ab = Link::START.next(&id("a")).next(&id("b"));
    let ba = Link::START.next(&id("b")).next(&id("a"));
    assert_ne!(ab, ba);
    assert_eq!(ab, Link::START.next(&id("a")).next(&id("b")));
    assert_eq!(ab.to_string(), "d7aab7914aa2ff55edd6d0ecec15d736", "it is a contract");
}

#[test]
fn a_problem_is_json_with_a_stable_type() {
    let body = Problem::PayloadMismatch.body("key \"k\"");
    let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(value["type"], "urn:reprise:problem:payload-mismatch");
    assert_eq!(
        (value["status"].as_u64(), value["detail"].as_str()),
        (Some(422), Some("key \"k\""))
    );
}

#[test]
fn a_configuration_reports_every_problem_at_once() {
    use protocol::fields::{Fields, Problems};
    let value = serde_json::json!({"a": 1, "b": "x", "c": {"d": 300}, "zzz": 0});
    let mut problems = Problems::default();
    let mut root = Fields::root(&value, &mut problems);
    root.string("a", &mut problems);
    root.choice("b", &[("one", 1), ("two", 2)], &mut problems);
    let mut c = root.object("c", &mut problems);
    assert_eq!(c.number("d", 7, 1..=255, &mut problems), 7);
    c.finish(&mut problems);
    root.required("e", &mut problems);
    root.finish(&mut problems);
    let problems = problems.into_result().expect_err("problems");
    let paths: Vec<_> = problems.iter().map(|p| p.split(':').next().unwrap_or_default()).collect();
    assert_eq!(paths, ["a", "b", "c.d", "e", "zzz"], "{problems:?}");
}
