//! The release before this one, built from the history of this repository: the tests of upgrades
//! and rollbacks run both.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::build::{lay, run};
use super::on_path;
use crate::repo;

/// The release before this one and its commit.
const PREVIOUS: (&str, &str) = ("0.1.0", "07c38900b1bd15904465936b10138bcd13a6a1d2");

/// One version of Reprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The process of both sites.
    pub reprise: PathBuf,
    /// The filter's wasm.
    pub filter: PathBuf,
}

/// Names the directory with the release before this one.
pub const REPRISE_PREVIOUS: &str = "REPRISE_PREVIOUS";

/// Builds the release before this one, once, and says in which directory it lies.
///
/// Its `reprise` shares what is built of its dependencies with ours, and is left in its place: build
/// ours after it.
pub fn build_previous() -> Result<PathBuf> {
    let (version, commit) = PREVIOUS;
    let place = repo::target().join("previous").join(commit);
    let done = release_in(&place);
    if done.reprise.is_file() && done.filter.is_file() {
        return Ok(place);
    }
    eprintln!("building reprise and its filter, {version}");
    let source = place.join("source");
    if !source.is_dir() {
        check_out(commit, &source).with_context(|| {
            format!("the source of {version} (commit {commit}) is not to be had")
        })?;
    }
    let build = |target: &Path, args: &[&str]| {
        run(repo::cargo()
            .current_dir(&source)
            .args(["build", "--quiet", "--locked", "--target-dir"])
            .arg(target)
            .args(args))
    };
    build(&repo::target(), &["--release", "--package=replay-service"])?;
    lay(&repo::target().join("release/reprise"), &done.reprise)?;
    // A module's file has no hash of its version in its name: in one place cargo would take the
    // one for the other.
    let apart = place.join("target");
    build(&apart, &["--profile=filter", "--package=reprise-filter", "--target=wasm32-wasip1"])?;
    lay(&apart.join("wasm32-wasip1/filter/reprise_filter.wasm"), &done.filter)?;
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&done.reprise, executable)?;
    Ok(place)
}

/// The release before this one, where the tests find it.
pub fn previous_release() -> Result<Release> {
    let place = std::env::var_os(REPRISE_PREVIOUS)
        .with_context(|| format!("{REPRISE_PREVIOUS} is not set: cargo xtask test build e2e"))?;
    Ok(release_in(Path::new(&place)))
}

fn release_in(place: &Path) -> Release {
    Release { reprise: place.join("reprise"), filter: place.join("reprise_filter.wasm") }
}

/// Lays the files of a commit at `place`, all of them or none.
fn check_out(commit: &str, place: &Path) -> Result<()> {
    let git = on_path("git").context("no git on the PATH")?;
    let parent = place.parent().context("no directory above it")?;
    std::fs::create_dir_all(parent)?;
    let new = tempfile::tempdir_in(parent)?;
    let mut archive = Command::new(git)
        .current_dir(repo::root())
        .args(["archive", "--format=tar", commit])
        .stdout(Stdio::piped())
        .spawn()
        .context("run git archive")?;
    let tar = archive.stdout.take().context("git archive has no output")?;
    let unpacked = run(Command::new("tar").arg("-x").arg("-C").arg(new.path()).stdin(tar));
    if !archive.wait()?.success() {
        bail!("git does not have this commit: a shallow clone needs `git fetch --unshallow`");
    }
    unpacked?;
    std::fs::rename(new.keep(), place).context("lay the source in place")
}
