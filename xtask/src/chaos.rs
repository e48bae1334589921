//! `cargo xtask chaos`: the real stack under load while its parts are killed, frozen and cut off
//! from one another, round after round, by a plan that a seed draws. After each round everything
//! is mended, settled and judged, and the same sites go on with the next one.
//!
//! The judge, the tills, the load and the link are those of the crate `demo`, which knows nothing
//! of how Reprise works.

mod evidence;
mod hand;
mod judge;
mod operator;
mod plan;
mod round;
mod sites;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use demo::format::count;
use tokio::signal::unix::{SignalKind, signal};

use crate::tools::Tools;
use crate::{demo::stage, repo};
use plan::Round;
use round::Trial;
use sites::Parts;

/// The engine of the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// fjall.
    Fjall,
    /// sled.
    Sled,
}

/// Arguments of `chaos`.
#[derive(Debug, Clone, Args)]
pub struct ChaosArgs {
    /// No round begins after so many minutes.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub minutes: u64,
    /// What the plan is drawn from [default: another one each time].
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// The engine of the stores [default: that of reprise].
    #[arg(long, value_enum)]
    pub store: Option<Store>,
    /// Where logs, configurations, stores and ledgers are left after a failure [default:
    /// target/chaos].
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs rounds until the time is over or a promise is broken; the exit code says which.
///
/// # Errors
/// If something cannot be built, or the first sites cannot be started.
pub async fn run(args: ChaosArgs) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| ::demo::unix_ms() % 1_000_000);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    say("building what is not built yet");
    let (tools, till) =
        tokio::task::spawn_blocking(|| anyhow::Ok((Tools::find(None)?, stage::build_till()?)))
            .await??;
    let store = args.store.map(|store| match store {
        Store::Fjall => "fjall",
        Store::Sled => "sled",
    });
    let out = args.keep.unwrap_or_else(|| repo::target().join("chaos"));
    std::fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;
    say(&format!("seed {seed}, {} minutes, store {}", args.minutes, store.unwrap_or("by default")));
    let mut trial = Trial::new(seed, Parts { tools, till, store }, out);
    let interrupted = tokio::select! {
        () = rounds(&mut trial, Duration::from_secs(60 * args.minutes)) => false,
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
    };
    if interrupted {
        say(&format!("interrupted in round {}: ending", trial.sums.rounds + 1));
    }
    // Whatever is still there ends in order, and is killed if it does not.
    if let Err(error) = trial.end().await {
        say(&format!("{error:#}"));
    }
    println!("{}", trial.sums.text(seed));
    Ok(match (trial.sums.broken, interrupted) {
        (0, false) => ExitCode::SUCCESS,
        (0, true) => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    })
}

/// Rounds until the time is over or the first is lost.
async fn rounds(trial: &mut Trial, time: Duration) {
    let begun = Instant::now();
    for number in 1.. {
        if begun.elapsed() >= time {
            return;
        }
        let round = Round::draw(trial.seed, number);
        if !trial.perform(&round).await {
            return;
        }
    }
}

/// What has been seen over all rounds.
#[derive(Debug, Default)]
struct Sums {
    rounds: u32,
    kills: u64,
    others: u64,
    acknowledged: u64,
    reads: u64,
    unanswered: u64,
    decided: u64,
    slowest_drain: Duration,
    broken: usize,
}

impl Sums {
    fn text(&self, seed: u64) -> String {
        format!(
            "seed {seed}: {} rounds, {} kill -9, {} other faults, {} writes acknowledged, {} reads, \
             {} requests given up by clients, {} doubts decided by the operator, slowest drain {:.1} s; \
             promises broken: {}",
            self.rounds,
            count(self.kills),
            count(self.others),
            count(self.acknowledged),
            count(self.reads),
            count(self.unanswered),
            count(self.decided),
            self.slowest_drain.as_secs_f64(),
            self.broken,
        )
    }
}

/// A line of progress.
fn say(line: &str) {
    println!("chaos: {line}");
}
