//! cargo-fuzz, which drives libFuzzer.

use std::path::PathBuf;

use anyhow::Result;

use super::build::run;
use super::on_path;
use crate::repo;

/// A `cargo-fuzz`: on the PATH, or installed below `target/tools`.
pub fn cargo_fuzz() -> Result<PathBuf> {
    if let Some(found) = on_path("cargo-fuzz") {
        return Ok(found);
    }
    let root = repo::root().join("target/tools");
    let fuzzer = root.join("bin/cargo-fuzz");
    if !fuzzer.is_file() {
        eprintln!("installing cargo-fuzz into {}", root.display());
        run(repo::cargo().args(["install", "--quiet", "cargo-fuzz", "--root"]).arg(&root))?;
    }
    Ok(fuzzer)
}
