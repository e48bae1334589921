//! Latencies: percentiles of many, and how they go over time.

use serde::Serialize;

use crate::load::{Op, Outcome};

/// The width of a [`Bucket`] in milliseconds.
pub const BUCKET_MS: u64 = 100;

/// Latencies in microseconds; all 0 where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many requests.
    pub count: u64,
    /// The median.
    pub p50_us: u64,
    /// 99 of 100 were no slower.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Summary {
    /// Sums up latencies in any order.
    pub fn of(latencies: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = latencies.collect();
        sorted.sort_unstable();
        Self {
            count: sorted.len() as u64,
            p50_us: percentile(&sorted, 50),
            p99_us: percentile(&sorted, 99),
            max_us: sorted.last().copied().unwrap_or(0),
        }
    }
}

/// The smallest number that `percent` percent of `sorted` do not exceed (nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// The requests that were sent within [`BUCKET_MS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins, in milliseconds since the load began.
    pub at_ms: u64,
    /// The latencies of those that were sent in it, whatever their end.
    pub latency: Summary,
    /// How many of them failed for their client.
    pub errors: u64,
}

/// Requests by the time of sending; times without any have no bucket.
#[must_use]
pub fn buckets(ops: &[Op]) -> Vec<Bucket> {
    let place = |op: &Op| op.start_us / 1000 / BUCKET_MS;
    let mut sorted: Vec<&Op> = ops.iter().collect();
    sorted.sort_by_key(|op| place(op));
    sorted
        .chunk_by(|a, b| place(a) == place(b))
        .map(|ops| Bucket {
            at_ms: place(ops[0]) * BUCKET_MS,
            latency: Summary::of(ops.iter().map(|op| op.latency_us)),
            errors: ops.iter().filter(|op| op.outcome != Outcome::Ok).count() as u64,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Kind;

    fn op(start_us: u64, latency_us: u64, outcome: Outcome) -> Op {
        Op {
            kind: Kind::Write,
            session: 0,
            number: 1,
            start_us,
            latency_us,
            status: 200,
            outcome,
            tries: 1,
            stale: false,
            error: None,
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let summary = Summary::of((1..=200).rev());
        let right = Summary { count: 200, p50_us: 100, p99_us: 198, max_us: 200 };
        assert_eq!(summary, right);
        let one = Summary::of([7].into_iter());
        assert_eq!((one.p50_us, one.p99_us, one.max_us), (7, 7, 7));
        assert_eq!(Summary::of(std::iter::empty()), Summary::default());
    }

    #[test]
    fn requests_fall_into_the_bucket_of_their_sending() {
        let ops = [
            op(0, 5, Outcome::Ok),
            op(350_000, 9, Outcome::Unknown),
            op(99_999, 7, Outcome::Ok),
            op(300_000, 3, Outcome::Failed),
        ];
        let buckets = buckets(&ops);
        let found: Vec<_> = buckets.iter().map(|b| (b.at_ms, b.latency.max_us, b.errors)).collect();
        assert_eq!(found, [(0, 7, 0), (300, 9, 2)]);
    }
}
