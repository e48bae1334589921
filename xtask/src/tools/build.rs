//! Builds the filter and the programs with cargo.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::repo;

/// Builds the filter for Envoy and lays it at `target/filter/reprise_filter.wasm`, where the
/// configurations look for it. The file is replaced only if its bytes differ.
pub fn build_filter() -> Result<PathBuf> {
    build_wasm("reprise-filter")
}

/// Builds the filter whose VM a request can make panic, and lays it apart from all that is ever
/// run otherwise, at `target/panics/reprise_filter.wasm`.
pub fn build_panicking_filter() -> Result<PathBuf> {
    eprintln!("building reprise-filter that can be told to panic");
    let target = repo::target().join("panics");
    run(wasm_build("reprise-filter")
        .args(["--quiet", "--features=panic-on-demand", "--target-dir"])
        .arg(&target))?;
    Ok(target.join("wasm32-wasip1/filter/reprise_filter.wasm"))
}

/// Builds the filter that shows what a host does, and lays it at
/// `target/filter/host_calls_probe.wasm`.
pub fn build_probe_filter() -> Result<PathBuf> {
    build_wasm("host-calls-probe")
}

/// How a filter is built for Envoy.
pub(crate) fn wasm_build(package: &str) -> Command {
    let mut cargo = repo::cargo();
    cargo.args(["build", "--profile=filter", "--target=wasm32-wasip1", "--package", package]);
    cargo.arg("--config").arg(format!("target.wasm32-wasip1.rustflags={}", rustflags(&[])));
    cargo
}

/// The compiler's arguments, as TOML, for what is handed out. They keep the paths of this machine
/// out of it: panics name the place in the source, and the same source is to give the same bytes
/// anywhere.
pub(crate) fn rustflags(more: &[&str]) -> toml::Value {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let paths = [remap(repo::root(), "/reprise"), remap(&home.join("registry/src"), "/crates")];
    paths.into_iter().chain(more.iter().map(|&flag| flag.to_owned())).collect::<Vec<_>>().into()
}

fn build_wasm(package: &str) -> Result<PathBuf> {
    eprintln!("building {package}");
    run(wasm_build(package).arg("--quiet"))?;
    let file = format!("{}.wasm", package.replace('-', "_"));
    let built = repo::target().join("wasm32-wasip1/filter").join(&file);
    let place = repo::root().join("target/filter").join(&file);
    lay(&built, &place)?;
    Ok(place)
}

/// Builds `reprise` for release and says where it is.
pub fn build_service() -> Result<PathBuf> {
    eprintln!("building reprise");
    run(repo::cargo().args(["build", "--quiet", "--release", "--package=replay-service"]))?;
    Ok(repo::target().join("release/reprise"))
}

/// Builds the simulator and says where it is.
pub fn build_host_sim() -> Result<PathBuf> {
    eprintln!("building host-sim");
    run(repo::cargo().args(["build", "--quiet", "--release", "--package=host-sim"]))?;
    Ok(repo::target().join("release/host-sim"))
}

/// Builds the simulator and the filter with every planted bug in them, and lays them apart from
/// all that is ever run otherwise. Only crates of this repository are built a second time.
pub fn build_mutants() -> Result<(PathBuf, PathBuf)> {
    eprintln!("building the simulator and the filter with bugs planted");
    let build = ["build", "--quiet", "--release", "--package=host-sim", "--features=mutants"];
    run(repo::cargo().args(build))?;
    run(wasm_build("reprise-filter").args(["--quiet", "--features=mutants"]))?;
    let place = |name: &str| repo::root().join("target/mutants").join(name);
    let (simulator, filter) = (place("host-sim"), place("reprise_filter.wasm"));
    lay(&repo::target().join("release/host-sim"), &simulator)?;
    lay(&repo::target().join("wasm32-wasip1/filter/reprise_filter.wasm"), &filter)?;
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&simulator, executable)
        .with_context(|| format!("make {} executable", simulator.display()))?;
    Ok((simulator, filter))
}

/// Size and hash of a file, so that two runs can be seen to have used the same filter.
pub fn fingerprint(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let hash: String =
        Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{} kB, sha256 {hash}…", bytes.len().div_ceil(1000)))
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("run {shown}"))?;
    if !status.success() {
        bail!("{status}: {shown}");
    }
    Ok(())
}

/// Copies a file into place in one step: an Envoy that starts meanwhile sees the old or the new.
fn lay(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("copy {} to {}", from.display(), to.display());
    let new = std::fs::read(from).with_context(what)?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let dir = to.parent().with_context(what)?;
    std::fs::create_dir_all(dir).with_context(what)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir).with_context(what)?;
    std::io::Write::write_all(&mut temporary, &new).with_context(what)?;
    let file: File = temporary.persist(to).with_context(what)?;
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.set_permissions(open_to_all).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_once_and_replaced_when_its_bytes_differ() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("sub/to"));
        std::fs::write(&from, "one").unwrap();
        lay(&from, &to).unwrap();
        let first = to.metadata().unwrap().modified().unwrap();
        lay(&from, &to).unwrap();
        assert_eq!(to.metadata().unwrap().modified().unwrap(), first);
        std::fs::write(&from, "two").unwrap();
        lay(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "two");
    }

    #[test]
    fn a_fingerprint_names_size_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(fingerprint(&file).unwrap(), "1 kB, sha256 ba7816bf8f01cfea…");
    }
}
