//! A small run made by hand, for tests: one session, a hole of three seconds, one failure.

use crate::check::{Broken, Promise, Verdict};
use crate::history::{Ended, History, Kind, Listed, Note, Op, Outcome, Run, Sample, Session};
use crate::run::Report;
use scenario::ReplicaFault::{self as Replica, Primary, Secondary};

const YAML: &str = "
name: by-hand
about: A link that is gone for three seconds.
seed: 7
duration_ms: 6000
load: {sessions: 1, writes_per_second: 1}
stack: {shops: 2}
faults:
  - {at_ms: 1000, for_ms: 3000, shop: 0, what: {link: hole}}
";

fn op(label: u32, sent_ms: u64, took_us: u64, outcome: Outcome) -> Op {
    let status = if outcome == Outcome::Ok { 200 } else { 503 };
    Op {
        session: Session { shop: 0, index: 0 },
        kind: Kind::Write { label, idempotent: false },
        sent_us: sent_ms * 1000,
        ended_us: Some(sent_ms * 1000 + took_us),
        outcome,
        tries: 1,
        status,
        showed: None,
    }
}

fn run(replica: Replica, label: u32, at_ms: u64) -> Run {
    let session = Session { shop: 0, index: 0 };
    Run { replica, session, label, at_us: at_ms * 1000, unanswered: false }
}

/// A note.
pub fn note(at_ms: u64, shop: Option<u32>, kind: &'static str, text: &str) -> Note {
    Note { at_us: at_ms * 1000, shop, kind, text: text.to_string() }
}

/// The run, every promise kept.
pub fn report() -> Report {
    let scenario = scenario::read(YAML).expect("valid");
    let history = History {
        ops: vec![
            op(1, 500, 4_500, Outcome::Ok),
            op(2, 1500, 715_000, Outcome::Ok),
            op(3, 4500, 2_000, Outcome::Refused("log-full".into())),
        ],
        runs: vec![
            run(Primary, 1, 503),
            run(Secondary, 1, 505),
            run(Secondary, 2, 2214),
            run(Primary, 2, 4250),
        ],
        notes: vec![
            note(1000, Some(0), "fault", "the link lets nothing through"),
            note(2210, Some(0), "pinned", "session 0 goes to the secondary"),
            note(4000, Some(0), "mended", "the link is there again"),
            note(4260, Some(0), "handed_back", "session 0 goes back to the primary"),
        ],
        samples: vec![
            Sample { at_us: 1_000_000, ..Sample::default() },
            Sample { at_us: 3_000_000, backlog_primary: 12, pinned: 1, ..Sample::default() },
            Sample { at_us: 3_000_000, shop: 1, backlog_primary: 5, ..Sample::default() },
            Sample { at_us: 5_000_000, ..Sample::default() },
        ],
        ..History::default()
    };
    let ended = Ended {
        healed_us: 6_000_000,
        at_rest_us: vec![Some(6_500_000), Some(6_000_000)],
        listed: vec![Listed::default(), Listed::default()],
        virtual_us: 6_500_000,
        events: 1234,
    };
    let filter = "ab".repeat(32);
    Report { scenario, filter, history, ended, verdict: Verdict::default(), real_us: 6_500 }
}

/// The same, with a promise broken.
pub fn broken(promise: Promise, count: u64) -> Report {
    let examples = vec!["shop 0, session 0: write 2 <is> missing".to_string()];
    let mut report = report();
    report.verdict.broken.push(Broken { promise, count, examples });
    report
}
