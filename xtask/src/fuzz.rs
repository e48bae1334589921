//! `fuzz`: libFuzzer on what reads bytes of others, for a while each.
//!
//! Without a sanitizer, which nothing here needs since no code is unsafe, cargo-fuzz works on the
//! pinned toolchain.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::repo;
use crate::tools::{cargo_fuzz, run};

/// Arguments of `fuzz`.
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// Only these targets; all if none is named.
    pub targets: Vec<String>,
    /// How long each of them runs.
    #[arg(long, default_value_t = 60, value_name = "S")]
    pub seconds: u32,
}

/// Runs each target for its time. An error if one finds something.
pub fn fuzz(args: &FuzzArgs) -> Result<()> {
    let fuzzer = cargo_fuzz()?;
    run(repo::cargo().args(["run", "--quiet", "--package=fuzz", "--example=corpus"]))?;
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!("{unknown} is no target; there are {}", all.join(", "));
    }
    for target in all.iter().filter(|name| args.targets.is_empty() || args.targets.contains(name)) {
        let seconds = format!("-max_total_time={}", args.seconds);
        let mut command = std::process::Command::new(&fuzzer);
        command.current_dir(repo::root());
        command.args(["fuzz", "run", "--sanitizer=none", "--features=libfuzzer", target]);
        run(command.args(["--", &seconds, "-max_len=8192", "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// The names of the targets: their files.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(repo::root().join("fuzz/fuzz_targets"))? {
        let name = PathBuf::from(entry?.file_name());
        names.extend(name.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_targets_are_found() {
        assert!(super::targets().unwrap().contains(&"records".to_owned()));
    }
}
