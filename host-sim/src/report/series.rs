//! What is drawn over time: a bounded number of steps, however long the run.

use super::figures::Latency;
use crate::history::{Micros, Outcome, Sample};
use crate::run::Report;
use std::collections::BTreeMap;

const STEPS: u64 = 240;

/// Requests that were sent in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its middle.
    pub at_us: Micros,
    /// How long they took.
    pub latency: Latency,
    /// How many failed.
    pub errors: u64,
}

/// How long one step is.
pub fn step_us(report: &Report) -> Micros {
    (report.ended.virtual_us / STEPS).max(1)
}

/// Latency over time.
pub fn latency(report: &Report) -> Vec<Step> {
    let long = step_us(report);
    let mut steps: BTreeMap<u64, (Vec<u64>, u64)> = BTreeMap::new();
    for op in &report.history.ops {
        let (took, errors) = steps.entry(op.sent_us / long).or_default();
        took.extend(op.ended_us.map(|ended| ended.saturating_sub(op.sent_us)));
        *errors += u64::from(op.outcome != Outcome::Ok);
    }
    let step = |(n, (took, errors))| Step {
        at_us: n * long + long / 2,
        latency: Latency::of(took),
        errors,
    };
    steps.into_iter().map(step).collect()
}

/// Backlog and pins over time, of all shops together.
pub fn backlog(report: &Report) -> Vec<Sample> {
    let long = step_us(report);
    let mut samples: Vec<&Sample> = report.history.samples.iter().collect();
    samples.sort_by_key(|sample| sample.at_us);
    let mut latest: BTreeMap<u32, Sample> = BTreeMap::new();
    let mut sums = Vec::new();
    for (n, sample) in samples.iter().enumerate() {
        latest.insert(sample.shop, **sample);
        if samples.get(n + 1).is_some_and(|next| next.at_us / long == sample.at_us / long) {
            continue;
        }
        let mut sum = Sample { at_us: sample.at_us, ..Sample::default() };
        for shop in latest.values() {
            sum.backlog_primary += shop.backlog_primary;
            sum.backlog_secondary += shop.backlog_secondary;
            sum.pinned += shop.pinned;
            sum.in_doubt += shop.in_doubt;
        }
        sums.push(sum);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn shops_are_summed() {
        let sums = backlog(&sample::report());
        let primary: Vec<u64> = sums.iter().map(|sum| sum.backlog_primary).collect();
        assert_eq!(primary, [0, 17, 5], "the second shop's last word still stands");
    }

    #[test]
    fn a_step_has_what_was_sent_in_it() {
        let steps = latency(&sample::report());
        assert_eq!(steps.len(), 3);
        assert_eq!((steps[1].latency.max_us, steps[2].errors), (715_000, 1));
    }
}
