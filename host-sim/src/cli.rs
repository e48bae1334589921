//! The command line.

mod files;
mod many;
mod once;
mod parts;
mod request;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const EXITS: &str = "\
Exit codes:
  0  everything held
  1  a promise is broken
  2  bad input: arguments, a scenario, a configuration or a filter that cannot be used
  3  no promise is broken, but it never came to rest";

/// Runs the real filter and the real replay log through any outage, in virtual time.
#[derive(Debug, Parser)]
#[command(name = "host-sim", version, after_help = EXITS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario, or the plan that a seed draws.
    Run(Run),
    /// Send one request through the filter and see what it does, and why.
    Try(Try),
    /// Run many seeds and report those that break a promise.
    Swarm(Swarm),
    /// Find the least that still breaks the same promise, and keep it as a regression.
    Shrink(Shrink),
    /// Print the plan that a seed draws, as a scenario.
    Draw(Draw),
    /// Say what is wrong with scenario files, without running them.
    Check(Check),
}

/// Where the filter is.
#[derive(Debug, Args)]
struct Wasm {
    /// The filter [default: $REPRISE_FILTER or target/filter/reprise_filter.wasm].
    #[arg(long, value_name = "PATH")]
    filter: Option<PathBuf>,
}

/// What is to be run.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A scenario file.
    scenario: Option<PathBuf>,
    /// Draw everything from this seed: a number, or a commit id of 40 hexadecimal digits.
    #[arg(long, value_name = "SEED", value_parser = parts::seed_of)]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    wasm: Wasm,
    /// Print every event, callback and host call, or the lines that contain TEXT.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    trace: Option<String>,
    /// Print the result as JSON; a trace then goes to standard error.
    #[arg(long)]
    json: bool,
    /// Draw latency, backlog and pins into this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print nothing but what is broken.
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct Try {
    #[command(flatten)]
    wasm: Wasm,
    /// The plugin configuration: the very JSON given to Envoy.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The request as HTTP/1.1 text, from a file or, for -, from standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "path", "header", "data"])]
    request: Option<PathBuf>,
    /// Its method.
    #[arg(long, default_value = "POST")]
    method: String,
    /// Its path.
    #[arg(long, default_value = "/")]
    path: String,
    /// A header, as 'name: value'; may be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// Its body.
    #[arg(long, value_name = "TEXT", default_value = "")]
    data: String,
}

#[derive(Debug, Args)]
struct Swarm {
    #[command(flatten)]
    wasm: Wasm,
    /// The seeds A, A+1, … up to B, without B.
    #[arg(long, value_name = "A..B", value_parser = many::seeds)]
    seeds: std::ops::Range<u64>,
    /// How many at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: u32,
    /// Stop after so many failures.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = false, default_missing_value = "1")]
    fail_fast: Option<u64>,
    /// Switch a planted bug on.
    #[arg(long, value_name = "NAME", hide = true)]
    mutant: Option<String>,
}

#[derive(Debug, Args)]
struct Shrink {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    wasm: Wasm,
    /// Where the result goes [default: host-sim/regressions/NAME.yaml].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Draw {
    /// A number, or a commit id of 40 hexadecimal digits.
    #[arg(long, value_name = "SEED", value_parser = parts::seed_of)]
    seed: u64,
}

#[derive(Debug, Args)]
struct Check {
    /// Scenario files.
    #[arg(required = true, value_name = "SCENARIO")]
    files: Vec<PathBuf>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Held = 0,
    Broken = 1,
    Bad = 2,
    Stalled = 3,
}

/// Runs it.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(run) => once::run(&run),
        Command::Try(one) => once::try_one(&one),
        Command::Swarm(swarm) => many::swarm(&swarm),
        Command::Shrink(shrink) => many::shrink(&shrink),
        Command::Draw(draw) => files::draw(draw.seed),
        Command::Check(check) => files::check(&check.files),
    };
    let exit = done.unwrap_or_else(|problem| {
        eprintln!("{problem}");
        Exit::Bad
    });
    ExitCode::from(exit as u8)
}

/// Prints; a reader that has gone away is no failure.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
