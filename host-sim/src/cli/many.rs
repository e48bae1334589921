//! Many runs.

use super::{Exit, Shrink, Swarm, files, say};
use crate::check::Promise;
use crate::kernel::Trace;
use crate::swarm::{self, SeedResult};
use crate::{draw, run, shrink as search};
use std::ops::Range;
use std::path::Path;

/// `A..B`.
pub fn seeds(text: &str) -> Result<Range<u64>, String> {
    let range =
        text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    let range = range.filter(|range: &Range<u64>| !range.is_empty());
    range.ok_or_else(|| format!("expected A..B with A below B, as 0..2000, found {text:?}"))
}

/// Runs many seeds.
pub fn swarm(args: &Swarm) -> Result<Exit, String> {
    let filter = files::filter(args.wasm.filter.as_deref())?;
    let jobs = args.jobs.into();
    let plan = swarm::Swarm { seeds: args.seeds.clone(), jobs, fail_fast: args.fail_fast };
    let one = |seed| SeedResult::of(seed, run::run(&filter, &draw::draw(seed), Trace::none()));
    let summary = swarm::swarm(&plan, one, |progress| eprintln!("{}", progress.line()));
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = summary.print(filter.sha256(), &mut text);
    say(&String::from_utf8_lossy(&text));
    let broken: Vec<Promise> =
        summary.failures.iter().flat_map(|f| &f.broken).map(|b| b.promise).collect();
    let only_stalled = !broken.is_empty() && broken.iter().all(|p| *p == Promise::Stalled);
    let failed = summary.failures.iter().any(|failure| failure.error.is_some());
    Ok(match summary.failures.len() {
        0 => Exit::Held,
        _ if only_stalled && !failed => Exit::Stalled,
        _ => Exit::Broken,
    })
}

/// Shrinks a plan that breaks a promise, and writes down what is left.
pub fn shrink(args: &Shrink) -> Result<Exit, String> {
    let scenario = files::wanted(&args.what)?;
    let filter = files::filter(args.wasm.filter.as_deref())?;
    let first = run::run(&filter, &scenario, Trace::none())?;
    let Some(broken) = first.verdict.broken.first().map(|broken| broken.promise) else {
        return Err(format!("{}: nothing to shrink, every promise is kept", scenario.name));
    };
    let judge = |plan: &_| run::run(&filter, plan, Trace::none()).ok().map(|report| report.verdict);
    let mut least = search::shrink(&scenario, broken, judge, |progress| {
        if progress.runs.is_multiple_of(20) {
            let search::Progress { runs, faults, duration_ms, .. } = progress;
            eprintln!("{runs} runs: {faults} faults and {duration_ms} ms still break {broken}");
        }
    });
    least.name = format!("{broken}-{}", scenario.name);
    least.about = format!("Broke \"{broken}\" once; found as {}.", scenario.name);
    let place = format!("host-sim/regressions/{}.yaml", least.name);
    let place = args.out.as_deref().unwrap_or(Path::new(&place));
    files::write(place, &scenario::to_yaml(&least))?;
    say(&format!("{broken} is broken; the least that breaks it: {}\n", place.display()));
    Ok(if broken == Promise::Stalled { Exit::Stalled } else { Exit::Broken })
}

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn seeds_are_a_range_without_its_end() {
        assert_eq!(seeds("0..2000"), Ok(0..2000));
        for wrong in ["", "5", "5..5", "6..5", "a..b", "1...3", "-1..2"] {
            assert!(seeds(wrong).is_err_and(|problem| problem.contains("A..B")), "{wrong}");
        }
    }
}
