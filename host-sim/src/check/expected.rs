//! What a scenario expects beyond the promises.

use super::seen::{Seen, acknowledged};
use super::weak::concerns;
use super::{Broken, EXAMPLES, Finds, Promise, Verdict};
use crate::history::{Kind, Outcome};
use scenario::{ReplicaFault as Replica, Scenario};
use std::collections::{BTreeMap, VecDeque};

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    let expect = &seen.scenario.expect;
    let mut most = |name: &str, bound: Option<u64>, found: &dyn Fn() -> u64| {
        if let Some(bound) = bound {
            let found = found();
            if found > bound {
                finds.add(|| format!("{name}: {found}, at most {bound}"));
            }
        }
    };
    most("client_errors", expect.client_errors, &|| errors(seen));
    most("worst_latency_ms", expect.worst_latency_ms, &|| worst_us(seen).div_ceil(1_000));
    most("in_doubt", expect.in_doubt, &|| in_doubt(seen));
    most("cloud_per_second", expect.cloud_per_second, &|| cloud_per_second(seen));
    let mut least = |name: &str, bound: Option<u64>, found: &dyn Fn() -> u64| {
        if let Some(bound) = bound {
            let found = found();
            if found < bound {
                finds.add(|| format!("{name}: {found}, at least {bound}"));
            }
        }
    };
    least("acknowledged", expect.acknowledged, &|| writes_acknowledged(seen));
    least("handed_back", expect.handed_back, &|| handed_back(seen));
    drained(&mut finds, seen);
    finds
}

/// Takes out of a verdict what the scenario says must be broken, and finds fault where it holds.
pub fn inverted(names: &[String], verdict: Verdict) -> Verdict {
    let mut verdict = verdict;
    let mut held = Finds::default();
    for name in names {
        match Promise::named(name) {
            Some(promise) if verdict.breaks(promise) => {
                verdict.broken.retain(|broken| broken.promise != promise);
            }
            Some(_) => held.add(|| format!("{name} was to be broken, and it held")),
            None => held.add(|| format!("{name} was to be broken, and there is no such promise")),
        }
    }
    let Finds { count, mut examples } = held;
    match verdict.broken.iter_mut().find(|broken| broken.promise == Promise::Expected) {
        _ if count == 0 => {}
        Some(expected) => {
            expected.count += count;
            expected.examples.append(&mut examples);
            expected.examples.truncate(EXAMPLES);
        }
        None => verdict.broken.push(Broken { promise: Promise::Expected, count, examples }),
    }
    verdict
}

fn errors(seen: &Seen<'_>) -> u64 {
    seen.history.ops.iter().filter(|op| op.outcome != Outcome::Ok).count() as u64
}

fn worst_us(seen: &Seen<'_>) -> u64 {
    let took = |op: &crate::history::Op| Some(op.ended_us?.saturating_sub(op.sent_us));
    seen.history.ops.iter().filter_map(took).max().unwrap_or(0)
}

fn writes_acknowledged(seen: &Seen<'_>) -> u64 {
    let write = |kind: Kind| matches!(kind, Kind::Write { .. });
    let ops = seen.history.ops.iter();
    ops.filter(|op| write(op.kind) && acknowledged(op).is_some()).count() as u64
}

fn handed_back(seen: &Seen<'_>) -> u64 {
    seen.history.notes.iter().filter(|note| note.kind == "handed_back").count() as u64
}

/// The most writes that were in doubt at a time, over all shops.
fn in_doubt(seen: &Seen<'_>) -> u64 {
    let mut now: BTreeMap<u32, u64> = BTreeMap::new();
    let total = seen.history.samples.iter().map(|sample| {
        now.insert(sample.shop, sample.in_doubt);
        now.values().sum()
    });
    total.max().unwrap_or(0)
}

/// The most writes that the cloud's service ran in any second.
fn cloud_per_second(seen: &Seen<'_>) -> u64 {
    let mut second = VecDeque::new();
    let mut most = 0;
    for run in seen.history.runs.iter().filter(|run| run.replica == Replica::Primary) {
        second.push_back(run.at_us);
        while second.front().is_some_and(|first| first + 1_000_000 <= run.at_us) {
            second.pop_front();
        }
        most = most.max(second.len());
    }
    most as u64
}

/// How long each shop's primary took to have everything that had been acknowledged when the
/// shop's last fault ended; `None` if it never had.
fn drains_us(seen: &Seen<'_>) -> Vec<Option<u64>> {
    let shops = 0..seen.scenario.stack.shops;
    let ends: Vec<u64> = shops.map(|shop| last_end_us(seen.scenario, shop)).collect();
    let mut drains: Vec<Option<u64>> = vec![Some(0); ends.len()];
    for (session, of) in &seen.sessions {
        let Ok(shop) = usize::try_from(session.shop) else { continue };
        let (Some(end), Some(drain)) = (ends.get(shop), drains.get_mut(shop)) else { continue };
        let primary = of.at(Replica::Primary);
        for (label, op) in &of.writes {
            if acknowledged(op).is_some_and(|when| when <= *end) {
                let run = primary.first.get(label).and_then(|place| primary.runs.get(*place));
                let took = run.map(|run| run.at_us.saturating_sub(*end));
                *drain = drain.zip(took).map(|(most, took)| most.max(took));
            }
        }
    }
    drains
}

fn last_end_us(scenario: &Scenario, shop: u32) -> u64 {
    let faults = scenario.faults.iter().filter(|fault| concerns(fault, shop));
    let end = faults.map(|fault| {
        let lasts = fault.for_ms.unwrap_or(if lasting(&fault.what) { u64::MAX } else { 0 });
        fault.at_ms.saturating_add(lasts).min(scenario.duration_ms)
    });
    end.max().unwrap_or(0).saturating_mul(1_000)
}

/// Whether a fault without a duration lasts until the end of the load.
fn lasting(what: &scenario::What) -> bool {
    use scenario::What::{Clock, Panic, Reload, Reset, Store};
    !matches!(what, Clock(_) | Panic(_) | Reload | Reset | Store(_))
}

fn drained(finds: &mut Finds, seen: &Seen<'_>) {
    let expect = &seen.scenario.expect;
    if expect.drained_within_ms.is_none() && expect.slowest_shop_times_median.is_none() {
        return;
    }
    let drains = drains_us(seen);
    if let Some(bound) = expect.drained_within_ms {
        for (shop, drain) in drains.iter().enumerate() {
            let ms = drain.map(|us| us.div_ceil(1_000));
            if ms.is_none_or(|ms| ms > bound) {
                let found = ms.map_or_else(|| "never".into(), |ms| ms.to_string());
                finds.add(|| format!("drained_within_ms: shop {shop} {found}, at most {bound}"));
            }
        }
    }
    if let Some(bound) = expect.slowest_shop_times_median {
        let mut sorted: Vec<f64> =
            drains.iter().map(|drain| drain.map_or(f64::INFINITY, |us| us as f64)).collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0).max(1_000.0);
        let times = sorted.last().copied().unwrap_or(0.0) / median;
        if times.is_nan() || times > bound {
            finds.add(|| format!("slowest_shop_times_median: {times:.2}, at most {bound}"));
        }
    }
}

#[cfg(test)]
mod tests;
