//! A small run made up by hand: cut at 1 s, healed at 3 s, detection within 500 ms.

use super::*;
use crate::load::{Op, Record};

fn op(kind: Kind, session: u32, start_ms: u64, latency_ms: u64, outcome: Outcome) -> Op {
    Op {
        kind,
        session,
        number: start_ms,
        start_us: start_ms * 1000,
        latency_us: latency_ms * 1000,
        status: if outcome == Outcome::Ok { 200 } else { 503 },
        outcome,
        tries: 1,
        stale: false,
        error: (outcome != Outcome::Ok).then(|| "503 urn:x".to_owned()),
    }
}

fn sample(at_ms: u64, backlog_primary: u64, delivered_primary: u64) -> Sample {
    Sample { at_ms, backlog_primary, delivered_primary, longest_hold_ms: 7, ..Sample::default() }
}

fn noted(at_ms: u64, kind: &str) -> Noted {
    Noted { at_ms, kind: kind.to_owned(), replica: Some("primary".to_owned()) }
}

fn observed() -> Observed {
    let write = |session, start, latency| op(Kind::Write, session, start, latency, Outcome::Ok);
    Observed {
        record: Record {
            ops: vec![
                write(0, 100, 2),
                write(1, 110, 4),
                write(0, 990, 600),
                op(Kind::Write, 1, 1200, 300, Outcome::Failed),
                write(0, 1700, 3),
                write(1, 1800, 3),
                op(Kind::Read, 1, 2000, 1, Outcome::Unknown),
                write(0, 3100, 5),
            ],
            ..Record::default()
        },
        verdict: Verdict { acknowledged: 6, ..Verdict::default() },
        times: Times { cut_ms: 1000, heal_ms: 3000, stop_ms: 4000, end_ms: 4500 },
        detect_ms: 500,
        samples: vec![sample(2900, 400, 10), sample(3300, 100, 310), sample(3600, 0, 420)],
        noted: vec![noted(1300, "away"), noted(3100, "back"), noted(3550, "handed_back")],
        drained: true,
    }
}

#[test]
fn a_request_belongs_to_the_cut_if_any_part_of_it_was_under_way_then() {
    let run = Run::new(observed());
    assert_eq!((run.connected.count, run.cut.count, run.healed.count), (2, 4, 1));
    assert_eq!((run.connected.max_us, run.cut.max_us, run.worst_us), (4_000, 600_000, 600_000));
}

#[test]
fn errors_within_and_outside_the_detection_time_are_told_apart() {
    let errors = Run::new(observed()).errors;
    assert_eq!((errors.writes, errors.reads, errors.outside_detection), (1, 1, 1));
    assert_eq!(errors.kinds, BTreeMap::from([("503 urn:x".to_owned(), 2)]));
}

#[test]
fn a_request_that_the_cut_caught_on_its_way_is_within_the_detection_time() {
    let mut observed = observed();
    observed.record.ops[2].outcome = Outcome::Unknown;
    assert_eq!(Run::new(observed).errors.outside_detection, 1);
}

#[test]
fn the_replay_is_counted_from_the_return_of_the_primary_to_its_empty_backlog() {
    let replay = Run::new(observed()).replay.unwrap();
    let right = Replay { writes: 410, notice_ms: 100, drain_ms: 600, per_second: 820 };
    assert_eq!(replay, right);
}

#[test]
fn under_load_the_replay_ends_with_the_last_hand_back() {
    let mut observed = observed();
    for (sample, pinned) in observed.samples.iter_mut().zip([2, 1, 0]) {
        sample.pinned = pinned;
        sample.backlog_primary = 9;
    }
    let replay = Run::new(observed).replay.unwrap();
    assert_eq!((replay.drain_ms, replay.writes), (550, 410));
}

#[test]
fn a_backlog_that_never_ends_is_a_broken_promise() {
    let mut observed = observed();
    observed.samples.pop();
    observed.drained = false;
    let run = Run::new(observed);
    assert_eq!(run.replay, None);
    assert_eq!(run.broken(), ["the backlog was never worked off"]);
}

#[test]
fn the_timeline_is_in_order() {
    let run = Run::new(observed());
    let found: Vec<_> = run.moments.iter().map(|moment| (moment.at_ms, moment.what)).collect();
    let right = [
        (1000, "cut"),
        (1300, "detected"),
        (1703, "first answer"),
        (1803, "failed over"),
        (3000, "healed"),
        (3100, "noticed"),
        (3550, "handed back"),
        (3600, "drained"),
        (4000, "clients stop"),
    ];
    assert_eq!(found, right);
}

#[test]
fn a_session_that_was_never_served_again_leaves_the_failover_out() {
    let mut observed = observed();
    observed.record.ops.push(op(Kind::Write, 9, 200, 1, Outcome::Ok));
    let run = Run::new(observed);
    assert!(run.moments.iter().all(|moment| moment.what != "failed over"));
}

#[test]
fn stale_reads_and_findings_of_the_judge_break_promises() {
    let mut observed = observed();
    observed.record.ops[6].stale = true;
    observed.verdict.lost = 2;
    let broken = Run::new(observed).broken();
    assert_eq!(broken, ["2 acknowledged writes lost", "1 stale reads"]);
}
