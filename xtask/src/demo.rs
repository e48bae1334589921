//! `cargo xtask demo`: two tills behind the whole stack, clients at work, and a link that is cut
//! and healed; then the same behind bare Envoy; then what the judge says of both.
//!
//! The parts come from the crate `demo` and from [`crate::stack`]; here they are put together.

mod drive;
pub(crate) mod stage;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use demo::compare::{Comparison, Setting};
use demo::relay::Mode;
use demo::run::Run;
use demo::{report, table};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::repo;
use crate::stack::Mirror;
use crate::tools::Tools;

/// How the link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cut {
    /// Nothing passes, nothing is said.
    Hole,
    /// Connections are refused, those there are reset.
    Refuse,
    /// Requests arrive, answers are swallowed.
    Mute,
}

impl Cut {
    fn name(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Refuse => "refuse",
            Self::Mute => "mute",
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::Hole => Mode::Hole,
            Self::Refuse => Mode::Refuse,
            Self::Mute => Mode::Mute,
        }
    }
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How the link is cut.
    #[arg(long, value_enum, default_value_t = Cut::Hole)]
    pub cut: Cut,
    /// How many sessions write.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// How long they do: 30 % connected, 40 % cut, 30 % healed.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..))]
    pub seconds: u64,
    /// The writes per second that all of them together aim at; 0 means without a pause.
    #[arg(long, value_name = "N", default_value_t = 250)]
    pub rate: u32,
    /// How many writes a session has under way at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight: u32,
    /// How long a silent primary may take before failover, in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub detect_ms: u64,
    /// Who brings a write to the other replica while both are there.
    #[arg(long, value_enum, default_value_t = Mirror::Log)]
    pub mirror: Mirror,
    /// Worker threads of each Envoy.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub workers: u32,
    /// Clients speak HTTP/2.
    #[arg(long)]
    pub http2: bool,
    /// The Envoy to run, if not the one that is found.
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// Leave out the run with bare Envoy.
    #[arg(long)]
    pub no_bare: bool,
    /// Print one JSON object and nothing else on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo; the exit code says whether every promise was kept.
///
/// # Errors
/// If something cannot be built, started or asked.
pub async fn run(args: DemoArgs) -> Result<ExitCode> {
    tokio::select! {
        code = perform(args) => code,
        // What was started ends as it is dropped.
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("interrupted")
        }
    }
}

async fn perform(args: DemoArgs) -> Result<ExitCode> {
    say("building what is not built yet");
    let envoy = args.envoy.clone();
    let (tools, till) = tokio::task::spawn_blocking(move || {
        anyhow::Ok((Tools::find(envoy.as_deref())?, stage::build_till()?))
    })
    .await??;
    let out = repo::target().join("demo");
    std::fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;
    let data = tempfile::Builder::new().prefix("run-").tempdir_in(&out)?;

    let comparison = match compare(&args, &tools, &till, data.path()).await {
        Ok(comparison) => comparison,
        Err(error) => {
            keep(data);
            return Err(error);
        }
    };
    let page = out.join("report.html");
    std::fs::write(&page, report::html(&comparison))
        .with_context(|| format!("write {}", page.display()))?;
    let broken = comparison.broken();
    if args.json {
        println!("{}", to_json(&comparison, &page)?);
    } else {
        print(&comparison, &page);
    }
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    keep(data);
    Ok(ExitCode::FAILURE)
}

async fn compare(args: &DemoArgs, tools: &Tools, till: &Path, data: &Path) -> Result<Comparison> {
    let reprise = stage::reprise(args, tools, till, &data.join("reprise")).await?;
    let bare = match args.no_bare {
        true => None,
        false => Some(stage::bare(args, tools, till, &data.join("bare")).await?),
    };
    Ok(Comparison { setting: setting(args), reprise, bare })
}

/// Leaves what may explain a failure.
fn keep(data: TempDir) {
    let kept = data.keep();
    say(&format!("stores and logs are kept in {}", kept.display()));
}

fn setting(args: &DemoArgs) -> Setting {
    Setting {
        cut: args.cut.name().to_owned(),
        sessions: args.sessions,
        seconds: args.seconds,
        writes_per_second: args.rate,
        detect_ms: args.detect_ms,
    }
}

fn print(comparison: &Comparison, page: &Path) {
    let title = |name| format!("{name}, time since the clients began");
    println!("\n{}", table::timeline(&title("Reprise"), &comparison.reprise));
    if let Some(bare) = &comparison.bare {
        println!("{}", table::timeline(&title("bare Envoy"), bare));
    }
    println!("{}", table::table(comparison));
    println!("drawn in {}", page.display());
}

fn to_json(comparison: &Comparison, page: &Path) -> Result<Value> {
    let mut value = serde_json::to_value(comparison)?;
    for (name, more) in [
        ("added_p50_us", json!(comparison.added_p50_us())),
        ("goals", json!(comparison.goals())),
        ("broken", json!(comparison.broken())),
        ("report", json!(page)),
    ] {
        value[name] = more;
    }
    Ok(value)
}

/// A line of progress, which is not part of the result.
fn say(line: &str) {
    eprintln!("demo: {line}");
}

/// What a run is called in lines of progress.
fn summed_up(name: &str, run: &Run) -> String {
    let broken = run.broken();
    let verdict = if broken.is_empty() { "all well".to_owned() } else { broken.join(", ") };
    format!("{name}: {verdict}")
}
