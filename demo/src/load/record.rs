//! What the clients note of each request.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::{History, Sent};

/// What kind of request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A POST.
    Write,
    /// A GET of the session.
    Read,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Answered 2xx: a write is acknowledged.
    Ok,
    /// Refused: a status that says that nothing was done.
    Failed,
    /// It may have been done: no answer, or a status that does not say.
    Unknown,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Write or read.
    pub kind: Kind,
    /// The number of the session.
    pub session: u32,
    /// The write's number in its session; of a read, that of the write before it.
    pub number: u64,
    /// When it was sent, in microseconds since the load began.
    pub start_us: u64,
    /// How long it took, with all its tries.
    pub latency_us: u64,
    /// The last status, 0 without any.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// How often it was sent.
    pub tries: u32,
    /// Whether a read did not show a write that its session had been acknowledged.
    pub stale: bool,
    /// Of a request that did not go well: what the client was told.
    pub error: Option<String>,
}

impl Op {
    /// When it ended, in microseconds since the load began.
    #[must_use]
    pub fn end_us(&self) -> u64 {
        self.start_us + self.latency_us
    }
}

/// Everything that the clients noted, by the time of sending.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When the load began, in Unix milliseconds.
    pub start_unix_ms: u64,
    /// What the ids of the sessions begin with.
    pub prefix: String,
    /// All requests.
    pub ops: Vec<Op>,
    /// From and until when this process stood still, in microseconds since the load began.
    pub stalls: Vec<[u64; 2]>,
}

impl Record {
    /// Takes over what a later load has noted that went on with the same sessions.
    pub fn extend(&mut self, later: Record) {
        if self.ops.is_empty() {
            *self = later;
            return;
        }
        let since_us = later.start_unix_ms.saturating_sub(self.start_unix_ms) * 1000;
        // They come after all that is here, even if the clock was set back between the two.
        let since_us = self.ops.iter().map(Op::end_us).fold(since_us, u64::max);
        let moved = |op: Op| Op { start_us: op.start_us + since_us, ..op };
        self.ops.extend(later.ops.into_iter().map(moved));
        self.stalls.extend(later.stalls.into_iter().map(|stall| stall.map(|at| at + since_us)));
    }

    /// How long a request took while this process, which timed it, was awake, in microseconds.
    #[must_use]
    pub fn awake_us(&self, op: &Op) -> u64 {
        let stood_still = |[from, until]: &[u64; 2]| {
            (*until).min(op.end_us()).saturating_sub((*from).max(op.start_us))
        };
        op.latency_us.saturating_sub(self.stalls.iter().map(stood_still).sum())
    }

    /// The longest of these times, in milliseconds.
    #[must_use]
    pub fn worst_awake_ms(&self) -> u64 {
        self.ops.iter().map(|op| self.awake_us(op).div_ceil(1000)).max().unwrap_or(0)
    }

    /// The longest that this process stood still, in milliseconds.
    #[must_use]
    pub fn longest_stall_ms(&self) -> u64 {
        self.stalls.iter().map(|[from, until]| (until - from).div_ceil(1000)).max().unwrap_or(0)
    }

    /// The writes per session, for the checker.
    #[must_use]
    pub fn histories(&self) -> Vec<History> {
        let mut sessions: BTreeMap<u32, Vec<Sent>> = BTreeMap::new();
        for op in self.ops.iter().filter(|op| op.kind == Kind::Write) {
            sessions.entry(op.session).or_default().push(Sent {
                label: label(op.session, op.number),
                start_us: op.start_us,
                acknowledged_us: (op.outcome == Outcome::Ok).then(|| op.end_us()),
            });
        }
        let history =
            |(session, writes)| History { session: format!("{}{session}", self.prefix), writes };
        sessions.into_iter().map(history).collect()
    }
}

/// The label of the `number`th write of a session.
pub fn label(session: u32, number: u64) -> String {
    format!("s{session}-{number}")
}

/// The number in a label of that session.
pub fn number(session: u32, label: &str) -> Option<u64> {
    label.strip_prefix(&format!("s{session}-"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_of_a_stall_that_fell_into_a_request_is_taken_off() {
        let op = |start_us, latency_us| Op {
            kind: Kind::Write,
            session: 0,
            number: 1,
            start_us,
            latency_us,
            status: 200,
            outcome: Outcome::Ok,
            tries: 1,
            stale: false,
            error: None,
        };
        let stalls = vec![[0, 100_000], [500_000, 700_000], [2_000_000, 2_100_000]];
        let record = Record { ops: vec![op(600_000, 1_000_000)], stalls, ..Record::default() };
        assert_eq!(record.awake_us(&op(600_000, 1_000_000)), 900_000);
        assert_eq!(record.awake_us(&op(550_000, 50_000)), 0);
        assert_eq!(record.awake_us(&op(1_000_000, 50_000)), 50_000);
        assert_eq!((record.worst_awake_ms(), record.longest_stall_ms()), (900, 200));
    }
}
