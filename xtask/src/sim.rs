//! `sim`: the simulator over its scenarios, its regressions, and many seeds.
//!
//! First of all it must be worth something: the same seed gives the same trace, byte for byte, in
//! two processes, and the canary breaks the promise that it is known to break.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::repo;
use crate::tools::{self, REPRISE_FILTER};

/// Seeds of a run in CI.
const SEEDS: u64 = 2_000;
/// Seeds of a run at night.
const SEEDS_AT_NIGHT: u64 = 200_000;
/// Seeds whose traces are compared.
const TRACED: [u64; 3] = [3, 44, 1047];
/// Scenarios that take longer than CI has for them.
const LONG: [&str; 2] = ["shop-offline-for-a-day", "cloud-outage-1000-shops"];

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// The seeds A, A+1, … up to B, without B [default: 0..2000].
    #[arg(long, value_name = "A..B")]
    pub seeds: Option<String>,
    /// 200,000 seeds and the long scenarios too.
    #[arg(long)]
    pub nightly: bool,
}

/// Runs all of it. An error at the first thing that is not as it should be.
pub fn run(args: &SimArgs) -> Result<()> {
    let filter = tools::build_filter()?;
    let sim = Sim { binary: tools::build_host_sim()?, filter };
    sim.is_deterministic()?;
    for file in files("host-sim/scenarios")?.iter().filter(|file| args.nightly || !is_long(file)) {
        sim.holds(file)?;
    }
    for dir in ["tests/scenarios", "host-sim/regressions"] {
        for file in files(dir)? {
            sim.holds(&file)?;
        }
    }
    let seeds = if args.nightly { SEEDS_AT_NIGHT } else { SEEDS };
    sim.swarm(args.seeds.as_deref().unwrap_or(&format!("0..{seeds}")))
}

fn is_long(file: &Path) -> bool {
    LONG.iter().any(|name| file.file_stem().is_some_and(|stem| stem == *name))
}

/// The scenario files of a directory, in the order of their names.
fn files(dir: &str) -> Result<Vec<PathBuf>> {
    let dir = repo::root().join(dir);
    let what = || format!("read {}", dir.display());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(&dir).with_context(what)?.collect();
    let paths = entries.with_context(what)?.into_iter().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    ensure!(!files.is_empty(), "{} has no scenario", dir.display());
    Ok(files)
}

struct Sim {
    binary: PathBuf,
    filter: PathBuf,
}

impl Sim {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).env(REPRISE_FILTER, &self.filter).current_dir(repo::root());
        command
    }

    fn is_deterministic(&self) -> Result<()> {
        for seed in TRACED {
            let [first, second] = [self.trace(seed)?, self.trace(seed)?];
            ensure!(first == second, "seed {seed} gives two different traces in two processes");
            println!("seed {seed}: one trace of {} bytes in two processes, {}", first.0, first.1);
        }
        Ok(())
    }

    /// Size and hash of everything that a seed's run prints, but for the time it took.
    fn trace(&self, seed: u64) -> Result<(usize, String)> {
        let seed = seed.to_string();
        let output = self.command(&["run", "--seed", &seed, "--trace", "--quiet"]).output()?;
        let text = &output.stdout;
        ensure!(text.len() > 10_000, "seed {seed} has no trace: {:?}", output.status);
        let hash = Sha256::digest(text);
        Ok((text.len(), hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Runs a scenario, whose promises and expectations must hold.
    fn holds(&self, file: &Path) -> Result<()> {
        let begun = Instant::now();
        let shown = file.strip_prefix(repo::root()).unwrap_or(file).display().to_string();
        let output = self.command(&["run", "--quiet", &shown]).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            print!("{}", String::from_utf8_lossy(&output.stdout));
            bail!("host-sim run {shown}: {}", output.status);
        }
        println!("{shown}: held, {:.1} s", begun.elapsed().as_secs_f64());
        Ok(())
    }

    fn swarm(&self, seeds: &str) -> Result<()> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
        let args = ["swarm", "--seeds", seeds, "--jobs", &jobs];
        let status = self.command(&args).status().context("run host-sim swarm")?;
        ensure!(status.success(), "a promise is broken, see above: {status}");
        Ok(())
    }
}
