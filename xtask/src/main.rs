//! `cargo xtask`: see `cargo xtask --help`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use xtask::cli::{Cli, Task};
use xtask::{chaos, checks, demo, dist, fuzz, mutants, sim, tidy, tools, up};

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Demo(args) => return runtime()?.block_on(demo::run(args)),
        Task::Chaos(args) => return runtime()?.block_on(chaos::run(args)),
        Task::Up(args) => runtime()?.block_on(up::run(args))?,
        Task::Test(args) => checks::test(&args.steps)?,
        Task::Ci(args) => checks::ci(args.lint_only)?,
        Task::Tidy => tidy::run()?,
        Task::Sim(args) => sim::run(&args)?,
        Task::Mutants(args) => mutants::run(&args)?,
        Task::Dist(args) => dist::run(&args)?,
        Task::Fuzz(args) => fuzz::fuzz(&args)?,
        Task::BuildFilter => {
            let filter = tools::build_filter()?;
            println!("{}: {}", filter.display(), tools::fingerprint(&filter)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
