//! The smallest plan that still breaks the same promise.
//!
//! Greedy: every simpler plan that still breaks it takes the place of the one before, first by
//! dropping faults (halves, then quarters, then one by one), then by everything that has a
//! simpler value; again and again until nothing helps or the runs are spent. The order is fixed,
//! so the same plan always shrinks to the same one.

mod simpler;

#[cfg(test)]
mod tests;

use crate::check::{Promise, Verdict};
use scenario::{Expect, Scenario};

/// How many plans are tried at most.
pub const RUNS: u32 = 400;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Plans tried.
    pub runs: u32,
    /// Plans that were simpler and still broke the promise.
    pub kept: u32,
    /// Faults that are left.
    pub faults: usize,
    /// How long clients still send.
    pub duration_ms: u64,
}

/// Shrinks a plan that breaks a promise. `run` judges a plan; `None` if it could not be run,
/// which counts as holding. Comes back with the plan as it was if nothing simpler breaks it.
pub fn shrink(
    scenario: &Scenario,
    broken: Promise,
    run: impl FnMut(&Scenario) -> Option<Verdict>,
    progress: impl FnMut(Progress),
) -> Scenario {
    let mut search = Search { best: scenario.clone(), broken, run, progress, runs: 0, kept: 0 };
    search.forget_expectations();
    loop {
        let before = search.kept;
        search.drop_faults();
        search.simplify();
        if search.kept == before || search.spent() {
            return search.best;
        }
    }
}

struct Search<R, P> {
    best: Scenario,
    broken: Promise,
    run: R,
    progress: P,
    runs: u32,
    kept: u32,
}

impl<R: FnMut(&Scenario) -> Option<Verdict>, P: FnMut(Progress)> Search<R, P> {
    fn spent(&self) -> bool {
        self.runs >= RUNS
    }

    /// Takes a plan in place of the best one if it is another one and still breaks the promise.
    fn keeps(&mut self, plan: Scenario) -> bool {
        if plan == self.best || self.spent() {
            return false;
        }
        self.runs += 1;
        let keeps = (self.run)(&plan).is_some_and(|verdict| verdict.breaks(self.broken));
        if keeps {
            self.best = plan;
            self.kept += 1;
        }
        (self.progress)(Progress {
            runs: self.runs,
            kept: self.kept,
            faults: self.best.faults.len(),
            duration_ms: self.best.duration_ms,
        });
        keeps
    }

    /// What a plan expects matters only if that is what it breaks; with it, a canary would hide
    /// the promise that is looked for.
    fn forget_expectations(&mut self) {
        if self.broken != Promise::Expected {
            self.best.expect = Expect::default();
        }
    }

    fn drop_faults(&mut self) {
        let mut size = self.best.faults.len();
        while size > 0 && !self.spent() {
            // From the end, because what breaks late is least likely to matter.
            let mut end = self.best.faults.len();
            while end > 0 {
                let begin = end.saturating_sub(size);
                let mut plan = self.best.clone();
                plan.faults.drain(begin..end);
                self.keeps(plan);
                end = begin;
            }
            size /= 2;
        }
    }

    /// Every part in turn takes the first of its simpler values that still breaks the promise,
    /// and tries again as long as that helps.
    fn simplify(&mut self) {
        for part in simpler::PARTS {
            while part(&self.best).into_iter().any(|plan| self.keeps(plan)) {}
        }
        for place in 0..self.best.faults.len() {
            while simpler::fault(&self.best, place).into_iter().any(|plan| self.keeps(plan)) {}
        }
    }
}
