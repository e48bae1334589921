//! Many runs.

use super::{Exit, Shrink, Swarm, files};
use std::ops::Range;

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
    let _ = (filter, &args.seeds, args.jobs, args.fail_fast, &args.mutant);
    Err("crate::swarm".into())
}

/// Shrinks a plan that breaks a promise.
pub fn shrink(args: &Shrink) -> Result<Exit, String> {
    let scenario = files::wanted(&args.what)?;
    let filter = files::filter(args.wasm.filter.as_deref())?;
    let _ = (filter, scenario, &args.out);
    Err("crate::shrink".into())
}
