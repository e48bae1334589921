//! What a stack is made of, found or built: an Envoy, `reprise` and the filter.

mod build;
mod envoy;
mod fuzzer;
mod kubectl;
mod previous;
mod venv;
mod wasm_tests;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow, bail};

pub use build::{
    build_filter, build_host_sim, build_mutants, build_panicking_filter, build_probe_filter,
    build_service, fingerprint,
};
pub(crate) use build::{run, rustflags, wasm_build};
pub use envoy::find_envoy;
pub use fuzzer::cargo_fuzz;
pub use kubectl::{KUBECTL_BIN, find_kubectl, kustomize};
pub use previous::{REPRISE_PREVIOUS, Release, build_previous, previous_release};
pub use wasm_tests::{node_directory, wasm_test_runner};

/// Names an Envoy to use, before any other is looked for.
pub const ENVOY_BIN: &str = "ENVOY_BIN";
/// Names a `reprise` to use instead of building one.
pub const REPRISE_BIN: &str = "REPRISE_BIN";
/// Names the filter that shows what a host does, for the tests of the host-call table.
pub const HOST_CALLS_PROBE: &str = "HOST_CALLS_PROBE";
/// Names a filter to use instead of building one.
pub const REPRISE_FILTER: &str = "REPRISE_FILTER";

/// The programs and the filter that a stack runs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Envoy 1.40 or newer.
    pub envoy: PathBuf,
    /// The process of both sites.
    pub reprise: PathBuf,
    /// The filter's wasm.
    pub filter: PathBuf,
}

impl Tools {
    /// Finds an Envoy (the one given, if one is given), and builds `reprise` and the filter once
    /// per process. What the environment names is taken as it is.
    pub fn find(envoy: Option<&Path>) -> Result<Self> {
        static BUILT: OnceLock<Result<(PathBuf, PathBuf), String>> = OnceLock::new();
        static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let built = BUILT.get_or_init(|| built().map_err(|error| format!("{error:#}")));
        let (reprise, filter) = built.clone().map_err(|error| anyhow!(error))?;
        let envoy = match envoy {
            Some(path) => find_envoy(Some(path))?,
            None => FOUND
                .get_or_init(|| find_envoy(None).map_err(|error| format!("{error:#}")))
                .clone()
                .map_err(|error| anyhow!(error))?,
        };
        Ok(Self { envoy, reprise, filter })
    }
}

fn built() -> Result<(PathBuf, PathBuf)> {
    let reprise = match named(REPRISE_BIN)? {
        Some(path) => path,
        None => build_service()?,
    };
    Ok((reprise, find_filter()?))
}

/// The filter that the environment names, or else one that is built now.
pub fn find_filter() -> Result<PathBuf> {
    match named(REPRISE_FILTER)? {
        Some(path) => Ok(path),
        None => build_filter(),
    }
}

/// The file that an environment variable names, if it is set.
fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    if !path.is_file() {
        bail!("{variable} names {}, which is no file", path.display());
    }
    Ok(Some(path))
}

/// The program of that name on the PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_file_that_can_be_run() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-at-all").is_none());
        assert!(!is_program(Path::new("/etc/passwd")));
        assert!(!is_program(Path::new("/")));
    }
}
