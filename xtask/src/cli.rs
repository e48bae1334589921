//! The command line: `cargo xtask …`. `tidy` holds the documentation to it.

use clap::{Args, Parser, Subcommand};

use crate::chaos::ChaosArgs;
use crate::demo::DemoArgs;
use crate::dist::DistArgs;
use crate::fuzz::FuzzArgs;
use crate::mutants::MutantsArgs;
use crate::sim::SimArgs;
use crate::up::UpArgs;

/// The tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// One task.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Cut the link between two replicas under load, heal it, and compare with bare Envoy.
    Demo(DemoArgs),
    /// Run the whole stack in front of two replicas of your own.
    Up(UpArgs),
    /// Run everything that CI runs, but for the lints.
    Test(TestArgs),
    /// Build the filter into target/filter/reprise_filter.wasm.
    BuildFilter,
    /// Build all that is handed out into target/dist/, with images, checksums and materials.
    Dist(DistArgs),
    /// Check formats, lints and tidiness, then run `test`.
    Ci(CiArgs),
    /// Check dependency edges, sources, and that the documentation names what exists.
    Tidy,
    /// Run the simulator over its scenarios, its regressions and many seeds.
    Sim(SimArgs),
    /// Plant bugs one by one and see that the simulator finds each of them.
    Mutants(MutantsArgs),
    /// Kill, freeze and cut off parts of the whole stack under load, and see that nothing is lost.
    Chaos(ChaosArgs),
    /// Let libFuzzer look for bytes that make something panic.
    Fuzz(FuzzArgs),
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only these steps; all if none is named.
    #[arg(value_enum)]
    pub steps: Vec<crate::checks::Step>,
}

/// Arguments of `ci`.
#[derive(Debug, Args)]
pub struct CiArgs {
    /// Leave `test` out.
    #[arg(long)]
    pub lint_only: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
