use super::{RUNS, shrink};
use crate::check::{Broken, Promise, Verdict};
use crate::draw::draw;
use scenario::{Cut, Fault, Load, Normal, Process, Scenario, Stack, What};

/// The plan of a seed, with more faults than any seed draws, and one that matters.
fn crowded(seed: u64, matters: What) -> Scenario {
    let mut plan = draw(seed);
    plan.faults =
        (0..20).flat_map(|n| draw(n).faults).filter(|fault| fault.what != matters).collect();
    let at = plan.faults.len() / 2;
    plan.faults.insert(at, Fault { at_ms: 1_234, for_ms: Some(700), shop: None, what: matters });
    plan.faults.retain(|fault| fault.at_ms < plan.duration_ms);
    plan
}

fn verdict(broken: bool, promise: Promise) -> Option<Verdict> {
    let broken = broken.then(|| Broken { promise, count: 1, examples: Vec::new() });
    Some(Verdict { broken: broken.into_iter().collect() })
}

fn has(plan: &Scenario, what: &What) -> bool {
    plan.faults.iter().any(|fault| fault.what == *what)
}

#[test]
fn of_many_faults_only_the_one_that_matters_is_left_and_the_rest_is_as_simple_as_it_can_be() {
    let crash = What::Crash(Process::CloudReprise);
    let plan = crowded(3, crash.clone());
    assert!(plan.faults.len() > 20);
    let mut runs = 0;
    let small = shrink(
        &plan,
        Promise::Lost,
        |plan| verdict(has(plan, &crash), Promise::Lost),
        |progress| {
            runs += 1;
            assert_eq!(progress.runs, runs);
        },
    );
    assert!(runs < RUNS, "{runs}");
    assert_eq!(small.faults.len(), 1, "{small:?}");
    assert_eq!(small.faults[0].what, crash);
    assert!(small.faults[0].at_ms <= 150 && small.faults[0].for_ms < Some(10), "{small:?}");
    assert!(small.duration_ms <= 500, "{small:?}");
    assert_eq!(small.stack, Stack::default());
    let least = Load {
        sessions: 1,
        writes_per_second: 5,
        read_every: 0,
        timeout_ms: 10_000,
        body_bytes: [64, 64],
        ..small.load.clone()
    };
    assert_eq!(small.load, least);
    assert_eq!((small.load.in_flight, small.load.retries, small.load.aborts_per_mille), (1, 0, 0));
    assert_eq!(small.normal.drift_ppm, 0);
}

#[test]
fn two_faults_that_matter_together_both_stay() {
    let (cut, crash) = (What::Link(Cut::Deaf), What::Crash(Process::CloudReprise));
    let mut plan = crowded(3, crash.clone());
    plan.faults.retain(|fault| fault.what != cut);
    plan.faults.insert(1, Fault { at_ms: 800, for_ms: None, shop: None, what: cut.clone() });
    let small = shrink(
        &plan,
        Promise::Order,
        |plan| verdict(has(plan, &cut) && has(plan, &crash), Promise::Order),
        |_| {},
    );
    assert_eq!(small.faults.len(), 2, "{small:?}");
}

#[test]
fn a_value_that_matters_stays_where_it_still_breaks() {
    let mut plan = draw(5);
    plan.load.sessions = 6;
    plan.load.in_flight = 4;
    plan.stack.workers = 3;
    plan.normal = Normal { sync_us: [2_000, 9_000], ..Normal::default() };
    let breaks = |plan: &Scenario| {
        plan.load.sessions >= 3 && plan.stack.workers >= 2 && plan.normal.sync_us[1] >= 9_000
    };
    let small = shrink(&plan, Promise::Twice, |plan| verdict(breaks(plan), Promise::Twice), |_| {});
    assert_eq!((small.load.sessions, small.stack.workers), (3, 2));
    assert_eq!(small.normal.sync_us, [2_000, 9_000]);
    assert_eq!(small.load.in_flight, 1);
}

#[test]
fn another_promise_is_not_the_same_one_and_what_cannot_run_holds() {
    let plan = draw(8);
    let other = shrink(&plan, Promise::Lost, |_| verdict(true, Promise::Stale), |_| {});
    assert_eq!(other, plan);
    assert_eq!(shrink(&plan, Promise::Lost, |_| None, |_| {}), plan);
}

#[test]
fn the_runs_are_bounded_and_the_result_is_always_the_same() {
    let once = || {
        let mut runs = 0;
        let judge = |plan: &Scenario| {
            runs += 1;
            // Whether it breaks looks like chance, and is not.
            verdict(scenario::to_yaml(plan).len().is_multiple_of(3), Promise::Stale)
        };
        let plan = shrink(&crowded(3, What::Reload), Promise::Stale, judge, |_| {});
        assert!(runs <= RUNS);
        plan
    };
    assert_eq!(once(), once());
}

#[test]
fn the_shop_that_matters_is_found_among_others() {
    let mut plan = draw(1);
    plan.stack.shops = 40;
    let small = shrink(
        &plan,
        Promise::Stalled,
        |plan| verdict(plan.stack.shops >= 7, Promise::Stalled),
        |_| {},
    );
    assert_eq!(small.stack.shops, 7);
}

#[test]
fn whatever_is_tried_is_a_valid_plan() {
    for seed in 0..200 {
        let judge = |plan: &Scenario| {
            let yaml = scenario::to_yaml(plan);
            assert_eq!(
                scenario::read(&yaml).map_err(|problems| problems.to_string()),
                Ok(plan.clone())
            );
            verdict(yaml.len().is_multiple_of(2), Promise::Lost)
        };
        shrink(&draw(seed), Promise::Lost, judge, |_| {});
    }
}

#[test]
fn what_a_canary_expects_does_not_hide_the_promise() {
    let mut plan = draw(8);
    plan.expect.broken = vec!["lost".into()];
    let breaks = |plan: &Scenario| verdict(plan.expect.broken.is_empty(), Promise::Lost);
    assert!(shrink(&plan, Promise::Lost, breaks, |_| {}).expect.broken.is_empty());
}
