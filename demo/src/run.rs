//! One run of the demo: what the clients, the judge and the log's own page say of it, brought
//! together.

mod observed;

use std::collections::BTreeMap;

pub use observed::Observed;
use observed::Phase;
use serde::Serialize;

use crate::{
    check::Verdict,
    load::{Kind, Outcome},
    stats::{Bucket, Summary, buckets},
};

/// When what was done to the link, in milliseconds since the load began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The link was cut.
    pub cut_ms: u64,
    /// The link was healed.
    pub heal_ms: u64,
    /// The clients stopped.
    pub stop_ms: u64,
    /// Everything was at rest, or waiting for it was given up.
    pub end_ms: u64,
}

/// What the log's page said at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// In milliseconds since the load began.
    pub at_ms: u64,
    /// Writes that wait for the primary.
    pub backlog_primary: u64,
    /// Writes that wait for the secondary.
    pub backlog_secondary: u64,
    /// Writes delivered to the primary so far.
    pub delivered_primary: u64,
    /// Sessions that are served by the secondary.
    pub pinned: u64,
    /// The longest hold of a session so far.
    pub longest_hold_ms: u64,
}

/// What the log's page noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// In milliseconds since the load began.
    pub at_ms: u64,
    /// `away`, `back`, `handed_back` and so on.
    pub kind: String,
    /// Of which replica.
    pub replica: Option<String>,
}

/// A point of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// In milliseconds since the load began.
    pub at_ms: u64,
    /// What happened.
    pub what: &'static str,
    /// More of it.
    pub detail: String,
}

/// How the backlog of the primary was worked off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// Writes brought to the primary between the healing and the end of its backlog.
    pub writes: u64,
    /// From the healing until the first write could be brought, in milliseconds.
    pub notice_ms: u64,
    /// From the healing to the end of the backlog, in milliseconds.
    pub drain_ms: u64,
    /// Writes per second, from the first one on.
    pub per_second: u64,
}

/// The requests that did not go well for their clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// Writes.
    pub writes: u64,
    /// Reads.
    pub reads: u64,
    /// Those among them that were not sent within the detection time after the cut.
    pub outside_detection: u64,
    /// All of them by what the client was told.
    pub kinds: BTreeMap<String, u64>,
}

impl Errors {
    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.writes + self.reads
    }
}

/// One run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// What the judge found.
    pub verdict: Verdict,
    /// Reads that did not show an acknowledged write.
    pub stale_reads: u64,
    /// Reads answered.
    pub reads: u64,
    /// What clients met.
    pub errors: Errors,
    /// What was done to the link.
    pub times: Times,
    /// Writes before the cut.
    pub connected: Summary,
    /// Writes under way during the cut.
    pub cut: Summary,
    /// Writes after it.
    pub healed: Summary,
    /// Reads of all phases.
    pub read_latency: Summary,
    /// The slowest request of all.
    pub worst_us: u64,
    /// How the backlog was worked off; `None` of a bare Envoy, and if it never was.
    pub replay: Option<Replay>,
    /// The longest that a session was held for its hand-back; `None` of a bare Envoy.
    pub longest_hold_ms: Option<u64>,
    /// Whether everything came to rest in the time given.
    pub drained: bool,
    /// The timeline.
    pub moments: Vec<Moment>,
    /// Latency over time.
    #[serde(skip)]
    pub buckets: Vec<Bucket>,
    /// Backlog over time.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}

impl Run {
    /// Brings everything together.
    #[must_use]
    pub fn new(observed: Observed) -> Self {
        let ops = &observed.record.ops;
        let replay = observed.replay();
        let moments = observed.moments(replay.as_ref());
        Self {
            stale_reads: ops.iter().filter(|op| op.stale).count() as u64,
            reads: ops
                .iter()
                .filter(|op| op.kind == Kind::Read && op.outcome == Outcome::Ok)
                .count() as u64,
            errors: observed.errors(),
            connected: observed.writes(Phase::Connected),
            cut: observed.writes(Phase::Cut),
            healed: observed.writes(Phase::Healed),
            read_latency: Summary::of(
                ops.iter().filter(|op| op.kind == Kind::Read).map(|op| op.latency_us),
            ),
            worst_us: ops.iter().map(|op| op.latency_us).max().unwrap_or(0),
            longest_hold_ms: observed.samples.last().map(|last| last.longest_hold_ms),
            buckets: buckets(ops),
            times: observed.times,
            drained: observed.drained,
            verdict: observed.verdict,
            samples: observed.samples,
            replay,
            moments,
        }
    }

    /// The promises that this run breaks, in words; none if all is well.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = self.verdict.broken();
        if self.verdict.acknowledged == 0 {
            broken.push("nothing was acknowledged".to_owned());
        }
        if self.stale_reads > 0 {
            broken.push(format!("{} stale reads", self.stale_reads));
        }
        if !self.drained {
            broken.push("the backlog was never worked off".to_owned());
        }
        broken
    }
}

#[cfg(test)]
mod tests;
