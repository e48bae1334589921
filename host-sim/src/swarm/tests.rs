use super::{Progress, SeedResult, Summary, Swarm, swarm};
use crate::check::{Broken, Promise, Verdict};
use crate::draw::draw;
use crate::history::{Ended, History};
use crate::run::Report;
use std::time::Duration;

fn result(seed: u64) -> SeedResult {
    let fails = seed % 10 == 3;
    let lost = Broken { promise: Promise::Lost, count: 2, examples: vec!["write 5".into()] };
    SeedResult {
        seed,
        writes: 2,
        runs: 4,
        faults: [("crash", 1)].into(),
        broken: if fails { vec![lost] } else { Vec::new() },
        error: None,
    }
}

fn run(jobs: usize, fail_fast: Option<usize>, run: impl Fn(u64) -> SeedResult + Sync) -> Summary {
    let summary = swarm(&Swarm { seeds: 100..200, jobs, fail_fast }, run, |_| {});
    Summary { real: Duration::from_secs(2), ..summary }
}

fn seeds(summary: &Summary) -> Vec<u64> {
    summary.failures.iter().map(|failure| failure.seed).collect()
}

#[test]
fn every_seed_runs_once_and_failures_stand_in_their_order_whatever_the_number_of_threads() {
    let one = run(1, None, result);
    assert_eq!((one.seeds, one.writes, one.runs), (100, 200, 400));
    assert_eq!(one.faults, [("crash", 100)].into());
    assert_eq!(seeds(&one), [103, 113, 123, 133, 143, 153, 163, 173, 183, 193]);
    assert_eq!(run(4, None, result), one);
}

#[test]
fn after_enough_failures_no_other_seed_begins() {
    // Slow enough for the word to come round.
    let slow = |seed| {
        std::thread::sleep(Duration::from_millis(2));
        result(seed)
    };
    let summary = run(2, Some(2), slow);
    assert!(seeds(&summary).starts_with(&[103, 113]), "{summary:?}");
    assert!(summary.seeds < 50, "{summary:?}");
}

#[test]
fn a_run_that_panics_is_a_failure_and_the_others_go_on() {
    let summary = run(2, None, |seed| {
        assert!(seed != 150, "seed {seed} is cursed");
        SeedResult { broken: Vec::new(), ..result(seed) }
    });
    assert_eq!((summary.seeds, seeds(&summary)), (100, vec![150]));
    let error = summary.failures[0].error.as_deref();
    assert_eq!(error, Some("the simulator panicked: seed 150 is cursed"));
}

#[test]
fn progress_is_told_at_the_end_at_least() {
    let mut last = None;
    let plan = Swarm { seeds: 0..30, jobs: 2, fail_fast: None };
    swarm(&plan, result, |progress| last = Some(progress));
    let Progress { done, of, failures, .. } = last.unwrap();
    assert_eq!((done, of, failures), (30, 30, 3));
    let progress = Progress { done: 60, of: 90, failures: 1, real: Duration::from_secs(3) };
    assert_eq!(progress.line(), "60 of 90 seeds, 1 failed, 20 seeds/s");
}

#[test]
fn a_failure_says_how_to_see_it_again_and_a_line_sums_up() {
    let mut text = Vec::new();
    let mut summary = run(1, None, result);
    summary.failures.truncate(1);
    summary.print("abc123", &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let expected = "\
host-sim run --seed 103    # filter abc123
  lost broken, 2 times
    write 5
100 seeds, 1 failed; 200 writes, 400 runs; faults: crash 100; 2.0 s, 50 seeds/s; filter abc123
";
    assert_eq!(text, expected);
}

#[test]
fn a_report_becomes_the_result_of_its_seed() {
    let scenario = draw(3);
    let faults = scenario.faults.len() as u64;
    let report = Report {
        scenario,
        filter: String::new(),
        history: History::default(),
        ended: Ended::default(),
        verdict: Verdict::default(),
        real_us: 0,
    };
    let result = SeedResult::of(3, Ok(report));
    assert_eq!(result.faults.values().sum::<u64>(), faults);
    assert!(!result.fails());
    assert!(SeedResult::of(3, Err("no filter".into())).fails());
}

#[test]
fn no_seeds_are_no_failure() {
    let summary = swarm(&Swarm { seeds: 5..5, jobs: 2, fail_fast: None }, result, |_| {});
    assert_eq!((summary.seeds, summary.failures.len()), (0, 0));
}
