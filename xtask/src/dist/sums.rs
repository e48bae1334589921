//! `SHA256SUMS`, as `sha256sum --check` reads it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::bytes::{files, get, put, sha256};

const NAME: &str = "SHA256SUMS";

/// Writes the sums of every file below `dir`.
pub(super) fn write(dir: &Path) -> Result<()> {
    let mut sums = String::new();
    for file in files(dir)? {
        writeln!(sums, "{}  {}", sha256(&get(&dir.join(&file))?), file.display())?;
    }
    put(&dir.join(NAME), sums)
}

/// An error unless every file below `dir` is listed and is as listed.
pub(super) fn verify(dir: &Path) -> Result<()> {
    let sums = String::from_utf8(get(&dir.join(NAME))?)?;
    let mut listed = BTreeSet::from([PathBuf::from(NAME)]);
    for line in sums.lines() {
        let (sum, file) = line.split_once("  ").with_context(|| format!("{NAME}: {line:?}"))?;
        ensure!(sha256(&get(&dir.join(file))?) == sum, "{file} is not as {NAME} says");
        listed.insert(file.into());
    }
    if let Some(file) = files(dir)?.iter().find(|file| !listed.contains(*file)) {
        bail!("{} is not in {NAME}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_sums_are_those_of_sha256sum_and_cover_every_file() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("a/b"), "one").unwrap();
        put(&dir.path().join("c"), "two").unwrap();
        write(dir.path()).unwrap();
        verify(dir.path()).unwrap();
        let check = || {
            let mut sha256sum = Command::new("sha256sum");
            sha256sum.args(["--check", "--strict", "--quiet", NAME]).current_dir(dir.path());
            sha256sum.output().unwrap().status.success()
        };
        assert!(check());
        put(&dir.path().join("c"), "tow").unwrap();
        assert!(!check());
        assert_eq!(verify(dir.path()).unwrap_err().to_string(), "c is not as SHA256SUMS says");
        put(&dir.path().join("c"), "two").unwrap();
        put(&dir.path().join("d"), "three").unwrap();
        assert_eq!(verify(dir.path()).unwrap_err().to_string(), "d is not in SHA256SUMS");
    }
}
