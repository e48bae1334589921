//! What came of a swarm.

use super::SeedResult;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// All seeds together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seeds that ran.
    pub seeds: u64,
    /// Writes that clients sent.
    pub writes: u64,
    /// Runs at both replicas.
    pub runs: u64,
    /// Faults, by family.
    pub faults: BTreeMap<&'static str, u64>,
    /// Seeds that failed, in their order.
    pub failures: Vec<SeedResult>,
    /// How long it took in reality.
    pub real: Duration,
}

impl Summary {
    /// One more seed.
    pub(super) fn add(&mut self, result: SeedResult) {
        self.seeds += 1;
        self.writes += result.writes;
        self.runs += result.runs;
        for (family, count) in &result.faults {
            *self.faults.entry(family).or_default() += count;
        }
        if result.fails() {
            self.failures.push(result);
        }
    }

    /// Prints every failure with the command that shows it again, then a line about all of them.
    /// `filter` is the SHA-256 of the filter.
    pub fn print(&self, filter: &str, out: &mut impl Write) -> io::Result<()> {
        for failure in &self.failures {
            print(failure, filter, out)?;
        }
        let faults: Vec<String> =
            self.faults.iter().map(|(family, count)| format!("{family} {count}")).collect();
        let faults = if faults.is_empty() { "none".into() } else { faults.join(", ") };
        writeln!(
            out,
            "{} seeds, {} failed; {} writes, {} runs; faults: {faults}; {:.1} s, {:.0} seeds/s; \
             filter {filter}",
            self.seeds,
            self.failures.len(),
            self.writes,
            self.runs,
            self.real.as_secs_f64(),
            self.seeds as f64 / self.real.as_secs_f64().max(0.001),
        )
    }
}

fn print(failure: &SeedResult, filter: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "host-sim run --seed {}    # filter {filter}", failure.seed)?;
    if let Some(error) = &failure.error {
        writeln!(out, "  could not be run: {error}")?;
    }
    for broken in &failure.broken {
        writeln!(out, "  {} broken, {} times", broken.promise, broken.count)?;
        for example in &broken.examples {
            writeln!(out, "    {example}")?;
        }
    }
    Ok(())
}
