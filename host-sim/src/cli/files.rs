//! Files that come in and go out.

use super::{Exit, What, parts, say};
use crate::vm::Filter;
use scenario::Scenario;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Reads a scenario.
pub fn scenario(file: &Path) -> Result<Scenario, String> {
    let text = read(file)?;
    scenario::read(&text).map_err(|problems| {
        let mut all = format!("{}: not a valid scenario", file.display());
        for line in problems.to_string().lines() {
            let _ = write!(all, "\n  {line}");
        }
        all
    })
}

/// A scenario from its file or its seed.
pub fn wanted(what: &What) -> Result<Scenario, String> {
    match (&what.scenario, what.seed) {
        (Some(file), _) => scenario(file),
        (None, seed) => Ok(parts::draw(seed.unwrap_or_default())),
    }
}

/// Loads the filter.
pub fn filter(named: Option<&Path>) -> Result<Filter, String> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => std::env::var_os("REPRISE_FILTER")
            .map_or_else(|| PathBuf::from("target/filter/reprise_filter.wasm"), PathBuf::from),
    };
    if !path.exists() {
        let path = path.display();
        return Err(format!(
            "there is no filter at {path}: build it with cargo xtask build-filter"
        ));
    }
    Filter::load(&path).map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Reads a text file.
pub fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|cause| format!("cannot read {}: {cause}", file.display()))
}

/// Writes a file, and the directories above it.
pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let problem = |cause: std::io::Error| format!("cannot write {}: {cause}", file.display());
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(problem)?;
    }
    std::fs::write(file, text).map_err(problem)
}

/// Prints what a seed draws.
pub fn draw(seed: u64) -> Result<Exit, String> {
    say(&scenario::to_yaml(&parts::draw(seed)));
    Ok(Exit::Held)
}

/// Checks scenario files, all of them.
pub fn check(files: &[PathBuf]) -> Result<Exit, String> {
    let wrong: Vec<String> = files.iter().filter_map(|file| scenario(file).err()).collect();
    if wrong.is_empty() { Ok(Exit::Held) } else { Err(wrong.join("\n")) }
}
