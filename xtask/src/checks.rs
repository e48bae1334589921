//! What CI runs: `ci` and `test`, as steps that all run, each timed, with a summary.

use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::chaos::{self, ChaosArgs};
use crate::dist::{self, DistArgs, Machine};
use crate::sim::{self, SimArgs};
use crate::tools::{self, ENVOY_BIN, KUBECTL_BIN, REPRISE_BIN, REPRISE_FILTER, Tools, on_path};
use crate::{repo, tidy};

/// A step of `test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// Unit and property tests.
    Units,
    /// The examples in the documentation of the libraries.
    Examples,
    /// The pure crates' tests as wasm, under node.
    Wasm,
    /// The filter, `reprise` and the till; the release before this one.
    Build,
    /// What is handed out, with its checks.
    Dist,
    /// The simulator: its own tests, scenarios, regressions and many seeds.
    Sim,
    /// End to end on real Envoy.
    E2e,
    /// Two minutes of faults on the whole stack, by a plan that is the same each time.
    Chaos,
    /// Edges, sources, documentation.
    Tidy,
}

const TEST: [Step; 9] = [
    Step::Units,
    Step::Examples,
    Step::Wasm,
    Step::Build,
    Step::Dist,
    Step::Sim,
    Step::E2e,
    Step::Chaos,
    Step::Tidy,
];

/// The plan of the step `chaos`.
const CHAOS_SEED: u64 = 1;

/// Runs the steps of `test`: all, or those named. An error if any failed.
pub fn test(only: &[Step]) -> Result<()> {
    let wanted = TEST.into_iter().filter(|step| only.is_empty() || only.contains(step));
    let steps = wanted.map(|step| (step.name(), move || step.run()));
    finish(steps.map(|(name, run)| timed(name, run)).collect())
}

/// Checks formats, lints and tidiness; then, if they hold and unless told otherwise, runs `test`.
pub fn ci(lint_only: bool) -> Result<()> {
    finish(vec![
        timed("format", || run(repo::cargo().args(["fmt", "--all", "--check"]))),
        timed("lint", lint),
        timed("lint of the filters", lint_filters),
        timed("tidy", tidy::run),
    ])?;
    if lint_only { Ok(()) } else { test(&[]) }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Examples => "examples",
            Self::Wasm => "wasm",
            Self::Build => "build",
            Self::Dist => "dist",
            Self::Sim => "sim",
            Self::E2e => "e2e",
            Self::Chaos => "chaos",
            Self::Tidy => "tidy",
        }
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Units => units(),
            Self::Examples => run(repo::cargo().args(["test", "--quiet", "--doc"]).args(NATIVE)),
            Self::Wasm => wasm(),
            Self::Build => build(),
            Self::Dist => dist::run(&DistArgs { machines: vec![Machine::Amd64] }),
            Self::Sim => simulate(),
            Self::E2e => e2e(),
            Self::Chaos => chaos(),
            Self::Tidy => tidy::run(),
        }
    }
}

/// Every crate that runs on this machine; the filters run in Envoy only, and the packages `tests`
/// and `host-sim` have steps of their own.
const NATIVE: [&str; 5] = [
    "--workspace",
    "--exclude=reprise-filter",
    "--exclude=host-calls-probe",
    "--exclude=tests",
    "--exclude=host-sim",
];

fn units() -> Result<()> {
    // One that has to be installed first is installed once, not by each test that wants it.
    run(runner().args(NATIVE).env(KUBECTL_BIN, tools::find_kubectl()?))
}

fn wasm() -> Result<()> {
    let runner = tools::wasm_test_runner()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let node = [tools::node_directory()?];
    let path = std::env::join_paths(node.into_iter().chain(std::env::split_paths(&path)))?;
    for package in ["reprise-protocol", "filter-core"] {
        let output = repo::cargo()
            .args(["test", "--target=wasm32-unknown-unknown", "--tests"])
            .args(["--package", package])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", &runner)
            // The pure crates take their entropy as an argument, so there is none to be had.
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
                "--cfg getrandom_backend=\"unsupported\"",
            )
            .env("PATH", &path)
            .stderr(Stdio::inherit())
            .output()
            .context("run cargo test")?;
        let text = String::from_utf8_lossy(&output.stdout);
        print!("{text}");
        if !output.status.success() {
            bail!("{package}: {}", output.status);
        }
        // Tests that are not marked for wasm are left out without a word.
        if passed(&text) == 0 {
            bail!("{package} has no test that runs as wasm");
        }
    }
    Ok(())
}

/// How many tests passed, by what the runner says of each binary.
fn passed(output: &str) -> usize {
    let results = output.lines().filter_map(|line| line.strip_prefix("test result: "));
    results
        .filter_map(|result| result.split_once(". ")?.1.split(' ').next()?.parse::<usize>().ok())
        .sum()
}

/// The release before this one comes first: it leaves its files where ours belong.
fn build() -> Result<()> {
    tools::build_previous()?;
    let filter = tools::build_filter()?;
    println!("{}: {}", filter.display(), tools::fingerprint(&filter)?);
    tools::build_service()?;
    run(repo::cargo().args(["build", "--quiet", "--release", "--package=demo"]))
}

/// The simulator is built for speed only: its engine takes minutes to compile.
fn simulate() -> Result<()> {
    let filter = tools::build_filter()?;
    let probe = tools::build_probe_filter()?;
    run(runner()
        .args(["--release", "--package=host-sim"])
        .env(REPRISE_FILTER, &filter)
        .env(tools::HOST_CALLS_PROBE, &probe))?;
    sim::run(&SimArgs { seeds: None, nightly: false })
}

fn e2e() -> Result<()> {
    let previous = tools::build_previous()?;
    let tools = Tools::find(None)?;
    println!("Envoy: {}", tools.envoy.display());
    println!("filter: {}", tools::fingerprint(&tools.filter)?);
    // Each test runs two Envoys and two reprise, and most of them time something.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = (cores / 2).max(1).to_string();
    let mut command = runner();
    command.arg("--package=tests");
    if has_nextest() {
        command.args(["--test-threads", &at_once]);
    } else {
        command.args(["--", "--test-threads", &at_once]);
    }
    run(command
        .env(ENVOY_BIN, &tools.envoy)
        .env(REPRISE_BIN, &tools.reprise)
        .env(REPRISE_FILTER, &tools.filter)
        .env(tools::REPRISE_PREVIOUS, previous))
}

fn chaos() -> Result<()> {
    let args = ChaosArgs { minutes: 2, seed: Some(CHAOS_SEED), store: None, keep: None };
    let code = tokio::runtime::Runtime::new()?.block_on(chaos::run(args))?;
    if code != ExitCode::SUCCESS {
        bail!("a promise is broken, see above");
    }
    Ok(())
}

/// nextest where it is installed, else `cargo test`; without the examples in documentation.
fn runner() -> Command {
    let mut cargo = repo::cargo();
    if has_nextest() {
        cargo.args(["nextest", "run", "--no-fail-fast", "--no-tests=pass"]);
    } else {
        cargo.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    }
    cargo
}

fn has_nextest() -> bool {
    on_path("cargo-nextest").is_some()
}

fn lint() -> Result<()> {
    run(repo::cargo().args(["clippy", "--workspace", "--exclude=reprise-filter"]).args([
        "--exclude=host-calls-probe",
        "--all-targets",
        "--",
        "--deny=warnings",
    ]))
}

fn lint_filters() -> Result<()> {
    run(repo::cargo()
        .args(["clippy", "--package=reprise-filter", "--package=host-calls-probe"])
        .args(["--target=wasm32-wasip1"])
        .args(["--", "--deny=warnings"]))
}

fn run(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

/// How a step went.
struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

fn timed(name: &'static str, run: impl FnOnce() -> Result<()>) -> Outcome {
    println!("── {name}");
    let begun = Instant::now();
    let result = run();
    if let Err(error) = &result {
        eprintln!("{name} failed: {error:#}");
    }
    Outcome { name, took: begun.elapsed(), result }
}

fn finish(outcomes: Vec<Outcome>) -> Result<()> {
    let (summary, failed) = summary(&outcomes);
    println!("{summary}");
    if failed > 0 {
        bail!("{failed} of {} steps failed", outcomes.len());
    }
    Ok(())
}

fn summary(outcomes: &[Outcome]) -> (String, usize) {
    let mut out = String::from("── summary\n");
    for Outcome { name, took, result } in outcomes {
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        let _ = writeln!(out, "{name:<20} {word:<7} {:>7.1} s", took.as_secs_f64());
    }
    let failed = outcomes.iter().filter(|step| step.result.is_err()).count();
    let _ = write!(out, "steps: {} passed, {failed} failed", outcomes.len() - failed);
    (out, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_hide_the_others_and_fails_the_whole() {
        let outcomes = vec![
            timed("one", || Ok(())),
            timed("two", || bail!("broken")),
            timed("three", || Ok(())),
        ];
        let (text, failed) = summary(&outcomes);
        assert_eq!(failed, 1);
        assert!(text.ends_with("steps: 2 passed, 1 failed"), "{text}");
        assert!(text.contains("two                  FAILED"), "{text}");
        assert!(finish(outcomes).is_err());
        assert!(finish(vec![timed("one", || Ok(()))]).is_ok());
    }

    #[test]
    fn passed_tests_are_counted_over_all_binaries() {
        let output = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored\n\
                      no tests to run!\ntest result: ok. 11 passed; 0 failed\n";
        assert_eq!(passed(output), 14);
        assert_eq!(passed("no tests to run!\n"), 0);
    }

    #[test]
    fn every_step_is_part_of_test() {
        for step in <Step as clap::ValueEnum>::value_variants() {
            assert!(TEST.contains(step), "{step:?}");
        }
    }
}
