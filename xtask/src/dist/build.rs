//! Builds what is handed out, and says of which packages cargo made it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::repo;
use crate::tools::{on_path, rustflags, wasm_build};

/// A machine that `reprise` is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Machine {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

impl Machine {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Its name in images.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its name in Rust, with the libc that is linked statically.
    pub(super) fn triple(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-musl",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Whether its programs run on this machine.
    pub(super) fn is_here(self) -> bool {
        self.triple().starts_with(std::env::consts::ARCH)
    }
}

/// The name and the version of a package.
pub(super) type Package = (String, String);

/// Something that was built.
pub(super) struct Built {
    pub(super) file: PathBuf,
    /// Every package that cargo compiled for it or for building it.
    pub(super) packages: BTreeSet<Package>,
}

/// The filter, as `cargo xtask build-filter` builds it.
pub(super) fn filter(file: PathBuf) -> Result<Built> {
    Ok(Built { file, packages: packages(&mut wasm_build("reprise-filter"))? })
}

/// A static `reprise`. Its linker and its libc come with Rust: no C compiler takes part.
pub(super) fn reprise(machine: Machine) -> Result<Built> {
    let triple = machine.triple();
    provide(triple)?;
    let mut cargo = repo::cargo();
    cargo.args(["build", "--package=replay-service", "--release", "--target", triple]);
    // The names of functions stay, for backtraces.
    let rustflags = rustflags(&["-Cstrip=debuginfo"]);
    for (key, value) in [("rustflags", rustflags), ("linker", "rust-lld".into())] {
        cargo.arg("--config").arg(format!("target.{triple}.{key}={value}"));
    }
    let packages = packages(&mut cargo)?;
    Ok(Built { file: repo::target().join(triple).join("release/reprise"), packages })
}

/// Sees to it that Rust has the standard library for a target.
fn provide(triple: &str) -> Result<()> {
    let help = || format!("Rust has no {triple}: rustup target add {triple}");
    let asked = Command::new("rustc")
        .args(["--print=target-libdir", "--target", triple])
        .current_dir(repo::root())
        .output()
        .context("run rustc")?;
    let libraries = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    if asked.status.success() && Path::new(&libraries).is_dir() {
        return Ok(());
    }
    if on_path("rustup").is_none() {
        bail!(help());
    }
    eprintln!("adding {triple} to Rust");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", triple]).current_dir(repo::root());
    crate::tools::run(&mut rustup).with_context(help)
}

/// Runs a build and returns the packages that it consists of.
fn packages(cargo: &mut Command) -> Result<BTreeSet<Package>> {
    let output = cargo
        .args(["--quiet", "--locked", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo build")?;
    if !output.status.success() {
        bail!("{}: {cargo:?}", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let packages: Result<BTreeSet<_>> =
        text.lines().filter_map(|l| compiled(l).transpose()).collect();
    packages
}

/// The package of a message of cargo's, if it says that one was compiled.
fn compiled(message: &str) -> Result<Option<Package>> {
    let message: Value = serde_json::from_str(message).context("a message of cargo")?;
    if message["reason"] != "compiler-artifact" {
        return Ok(None);
    }
    let id = message["package_id"].as_str().unwrap_or_default();
    match package(id) {
        Some(package) => Ok(Some(package)),
        None => bail!("cannot read the package id {id:?}"),
    }
}

/// From `SOURCE#NAME@VERSION`, or `SOURCE/NAME#VERSION` where the two names are the same.
fn package(id: &str) -> Option<Package> {
    let (source, rest) = id.rsplit_once('#')?;
    let (name, version) =
        rest.split_once('@').or_else(|| Some((source.rsplit('/').next()?, rest)))?;
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_from_what_cargo_calls_it() {
        for (id, name, version) in [
            ("registry+https://a.example/index#bytes@1.12.2", "bytes", "1.12.2"),
            ("path+file:///x/protocol#reprise-protocol@0.1.0", "reprise-protocol", "0.1.0"),
            ("path+file:///x/filter-core#0.1.0", "filter-core", "0.1.0"),
        ] {
            let message = serde_json::json!({"reason": "compiler-artifact", "package_id": id});
            let found = compiled(&message.to_string()).unwrap();
            assert_eq!(found, Some((name.to_owned(), version.to_owned())));
        }
        assert_eq!(compiled(r#"{"reason":"build-finished","success":true}"#).unwrap(), None);
        assert!(compiled(r#"{"reason":"compiler-artifact","package_id":"?"}"#).is_err());
    }

    #[test]
    fn a_target_that_rust_has_not_is_named_with_what_to_do() {
        let error = format!("{:#}", provide("no-such-target").unwrap_err());
        assert!(error.contains("rustup target add no-such-target"), "{error}");
    }
}
