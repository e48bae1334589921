//! `mutants`: is the simulator blind? Each planted bug must be found within so many seeds, and a
//! build that has them all in it, none of them chosen, must break no promise.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use protocol::mutants::{Mutant, VARIABLE};

use crate::tools::{REPRISE_FILTER, build_mutants};

/// The one that is run first: what does not find this one finds nothing.
const CANARY: Mutant = Mutant::RunDuplicates;

/// Arguments of `mutants`.
#[derive(Debug, Args)]
pub struct MutantsArgs {
    /// Only these; all if none is named.
    #[arg(value_parser = mutant)]
    pub names: Vec<Mutant>,
    /// How many seeds each of them may take.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// How many seeds must break nothing when no bug is planted; 0: none are run.
    #[arg(long, default_value_t = 500)]
    pub sound: u64,
    /// How many seeds run at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let found = Mutant::ALL.iter().find(|mutant| mutant.name() == name);
    let names = || Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| format!("expected one of {}", names()))
}

/// Builds the simulator and its filter with the bugs in them, and hunts them. An error if one
/// stays hidden, or if a promise is broken without any.
pub fn run(args: &MutantsArgs) -> Result<()> {
    let hunt = Hunt { args, tools: build_mutants()? };
    if args.sound > 0
        && let Some(Find { seed, promise }) = hunt.swarm(None, 0..args.sound)?
    {
        bail!("seed {seed} breaks a promise without a planted bug: {promise}");
    }
    let wanted = |mutant: &&Mutant| args.names.is_empty() || args.names.contains(mutant);
    let mut mutants: Vec<Mutant> = Mutant::ALL.iter().filter(wanted).copied().collect();
    mutants.sort_by_key(|mutant| *mutant != CANARY);
    let mut rows = Vec::new();
    for mutant in mutants {
        let begun = Instant::now();
        let find = hunt.find(mutant)?;
        let row = Row { mutant, find, took: begun.elapsed() };
        println!("{}", row.line());
        if mutant == CANARY && row.find.is_none() {
            bail!("{} was not found: whatever is wrong, no other would be", mutant.name());
        }
        rows.push(row);
    }
    let hidden = rows.iter().filter(|row| row.find.is_none()).count();
    println!("{}", summary(&rows));
    match hidden {
        0 => Ok(()),
        _ => bail!("{hidden} of {} planted bugs were not found", rows.len()),
    }
}

struct Hunt<'a> {
    args: &'a MutantsArgs,
    /// The simulator and the filter, both with the bugs in them.
    tools: (PathBuf, PathBuf),
}

impl Hunt<'_> {
    /// The first seed that breaks a promise because this bug is planted.
    fn find(&self, mutant: Mutant) -> Result<Option<Find>> {
        let mut from = 0;
        while from < self.args.seeds {
            let Some(find) = self.swarm(Some(mutant), from..self.args.seeds)? else { break };
            let Some(anyway) = self.swarm(None, find.seed..find.seed + 1)? else {
                return Ok(Some(find));
            };
            println!(
                "seed {} breaks a promise without a planted bug: {}",
                find.seed, anyway.promise
            );
            from = find.seed + 1;
        }
        Ok(None)
    }

    /// The first of these seeds that breaks a promise.
    fn swarm(&self, mutant: Option<Mutant>, seeds: Range<u64>) -> Result<Option<Find>> {
        let (simulator, filter) = &self.tools;
        let mut command = Command::new(simulator);
        command.args([
            "swarm",
            "--fail-fast",
            "1",
            "--seeds",
            &format!("{}..{}", seeds.start, seeds.end),
        ]);
        command.args(["--jobs", &self.args.jobs.to_string()]);
        command.env(REPRISE_FILTER, filter).env_remove(VARIABLE).stderr(Stdio::null());
        command.envs(mutant.map(|mutant| (VARIABLE, mutant.name())));
        let output = command.output().with_context(|| format!("run {command:?}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match (output.status.code(), first(&text)) {
            (Some(0), None) => Ok(None),
            (Some(1 | 3), Some(find)) => Ok(Some(find)),
            _ => bail!("{}: {command:?} printed\n{text}", output.status),
        }
    }
}

/// A seed that breaks a promise.
#[derive(Debug, PartialEq, Eq)]
struct Find {
    seed: u64,
    promise: String,
}

/// The first failure that a swarm printed.
fn first(text: &str) -> Option<Find> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("host-sim run --seed "));
    let seed = lines.next()?.split(' ').nth(3)?.parse().ok()?;
    let what = lines.next()?.trim();
    let promise = what.split_once(" broken").map_or(what, |(promise, _)| promise);
    Some(Find { seed, promise: promise.to_owned() })
}

struct Row {
    mutant: Mutant,
    find: Option<Find>,
    took: Duration,
}

impl Row {
    fn line(&self) -> String {
        let (seeds, promise) = match &self.find {
            Some(find) => ((find.seed + 1).to_string(), find.promise.as_str()),
            None => ("-".to_owned(), "NOT FOUND"),
        };
        let (name, file) = (self.mutant.name(), self.mutant.file());
        format!(
            "{name:<24} {file:<40} {seeds:>6}  {promise:<10} {:>6.1} s",
            self.took.as_secs_f64()
        )
    }
}

/// How many seeds it took, over all of them.
fn summary(rows: &[Row]) -> String {
    let mut seeds: Vec<u64> =
        rows.iter().filter_map(|row| Some(row.find.as_ref()?.seed + 1)).collect();
    seeds.sort_unstable();
    let mut out =
        format!("planted bugs: {} found, {} hidden", seeds.len(), rows.len() - seeds.len());
    if let (Some(median), Some(most)) = (seeds.get(seeds.len() / 2), seeds.last()) {
        let _ = write!(out, "; seeds to find: {median} in the middle, {most} at most");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo;

    #[test]
    fn every_planted_bug_is_where_it_says() {
        for mutant in Mutant::ALL {
            let path = repo::root().join(mutant.file());
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                text.contains(&format!("Mutant::{mutant:?}")),
                "{mutant:?}: {}",
                path.display()
            );
        }
    }

    #[test]
    fn the_first_failure_of_a_swarm_is_read() {
        let text = "host-sim run --seed 71    # filter f19d\n  lost broken, 2 times\n    shop 0\n\
                    host-sim run --seed 80    # filter f19d\n  twice broken, 1 times\n\
                    90 seeds, 2 failed; 1 writes\n";
        assert_eq!(first(text), Some(Find { seed: 71, promise: "lost".into() }));
        assert_eq!(first("90 seeds, 0 failed; 1 writes\n"), None);
    }

    #[test]
    fn a_bug_that_stays_hidden_is_seen_in_its_row_and_in_the_summary() {
        let row = |seed: Option<u64>| Row {
            mutant: CANARY,
            find: seed.map(|seed| Find { seed, promise: "twice".into() }),
            took: Duration::from_millis(1500),
        };
        assert!(row(None).line().contains("NOT FOUND"));
        assert!(row(Some(41)).line().contains(" 42  twice"));
        let text = summary(&[row(Some(1)), row(None), row(Some(9)), row(Some(41))]);
        assert_eq!(
            text,
            "planted bugs: 3 found, 1 hidden; seeds to find: 10 in the middle, 42 at most"
        );
    }
}
