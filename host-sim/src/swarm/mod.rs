//! Many seeds, on several threads. Each run is built and dropped on one thread; what comes out
//! is in the order of the seeds, however many threads there are.

mod summary;

pub use self::summary::Summary;

use crate::check::Broken;
use crate::draw::family;
use crate::history::Kind;
use crate::run::Report;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What came of a seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeedResult {
    /// Which.
    pub seed: u64,
    /// Writes that clients sent.
    pub writes: u64,
    /// Runs at both replicas.
    pub runs: u64,
    /// Faults, by family.
    pub faults: BTreeMap<&'static str, u64>,
    /// Promises that it broke.
    pub broken: Vec<Broken>,
    /// Why it could not be run to its end.
    pub error: Option<String>,
}

impl SeedResult {
    /// Of a run, or of why there was none.
    pub fn of(seed: u64, report: Result<Report, String>) -> SeedResult {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                return SeedResult { seed, error: Some(error), ..SeedResult::default() };
            }
        };
        let mut faults = BTreeMap::new();
        for fault in &report.scenario.faults {
            *faults.entry(family(&fault.what)).or_default() += 1;
        }
        let write = |kind: Kind| matches!(kind, Kind::Write { .. });
        SeedResult {
            seed,
            writes: report.history.ops.iter().filter(|op| write(op.kind)).count() as u64,
            runs: report.history.runs.len() as u64,
            faults,
            broken: report.verdict.broken,
            error: None,
        }
    }

    /// Whether it broke a promise or could not be run.
    pub fn fails(&self) -> bool {
        self.error.is_some() || !self.broken.is_empty()
    }
}

/// Which seeds, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many threads.
    pub jobs: usize,
    /// Begin no other seed after so many have failed.
    pub fail_fast: Option<usize>,
}

/// How far a swarm has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Seeds that are done.
    pub done: u64,
    /// All seeds.
    pub of: u64,
    /// Failures among those that are done.
    pub failures: u64,
    /// Since the beginning, in reality.
    pub real: Duration,
}

impl Progress {
    /// As a line.
    pub fn line(&self) -> String {
        let Progress { done, of, failures, real } = self;
        let per_second = *done as f64 / real.as_secs_f64().max(0.001);
        let failed = if *failures == 0 { String::new() } else { format!(", {failures} failed") };
        format!("{done} of {of} seeds{failed}, {per_second:.0} seeds/s")
    }
}

/// Runs a swarm. `progress` is called every second and at the end. A run that panics has failed,
/// and so has its seed.
#[expect(clippy::disallowed_methods, reason = "progress and speed are of real time")]
pub fn swarm(
    plan: &Swarm,
    run: impl Fn(u64) -> SeedResult + Sync,
    mut progress: impl FnMut(Progress),
) -> Summary {
    let begun = Instant::now();
    let mut summary = Summary::default();
    let of = plan.seeds.end.saturating_sub(plan.seeds.start);
    let next = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let (results, arrived) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            let (results, next, enough, run) = (results.clone(), &next, &enough, &run);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= of || results.send(caught(plan.seeds.start + place, run)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut told = Duration::ZERO;
        loop {
            let result = arrived.recv_timeout(TELL_EVERY.saturating_sub(begun.elapsed() - told));
            let over = matches!(result, Err(RecvTimeoutError::Disconnected));
            if let Ok(result) = result {
                summary.add(result);
                if plan.fail_fast.is_some_and(|most| summary.failures.len() >= most) {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            let real = begun.elapsed();
            if over || real - told >= TELL_EVERY {
                told = real;
                let failures = summary.failures.len() as u64;
                progress(Progress { done: summary.seeds, of, failures, real });
            }
            if over {
                break;
            }
        }
    });
    summary.failures.sort_by_key(|failure| failure.seed);
    summary.real = begun.elapsed();
    summary
}

fn caught(seed: u64, run: &impl Fn(u64) -> SeedResult) -> SeedResult {
    catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "no message".into());
        SeedResult::of(seed, Err(format!("the simulator panicked: {text}")))
    })
}

#[cfg(test)]
mod tests;
