//! What is handed out: `cargo xtask dist` builds it all into `target/dist/`, looks at it as those
//! will who get it, and only then puts it in its place. `docs/artefacts.md` says what is in it.

mod build;
mod bytes;
mod containerfile;
mod elf;
mod k8s;
mod module;
mod oci;
mod oci_reader;
mod sbom;
mod sums;
mod verify;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use self::build::Built;
pub use self::build::Machine;
use self::bytes::{Archive, Entry, files, get, put, sha256};
pub use self::k8s::lay_out_k8s;
use self::module::Module;
pub use self::module::{CAPABILITIES, capabilities};
use self::oci::Image;
use self::sbom::Artefact;
use crate::{repo, tools};

/// The version of everything here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const FILTER: &str = "reprise_filter.wasm";
const CONTAINERFILE: &str = "Containerfile";

/// Arguments of `dist`.
#[derive(Debug, Args)]
pub struct DistArgs {
    /// Build `reprise` only for these machines; for all if none is named.
    #[arg(long = "machine", value_enum)]
    pub machines: Vec<Machine>,
}

/// Builds `target/dist/`.
pub fn run(args: &DistArgs) -> Result<()> {
    let wanted = |machine: &Machine| args.machines.is_empty() || args.machines.contains(machine);
    let machines: Vec<_> = Machine::ALL.into_iter().filter(wanted).collect();
    let target = repo::target();
    std::fs::create_dir_all(&target)?;
    // What fails is gone with it, and what was there before stays.
    let new = tempfile::Builder::new().prefix("dist.").tempdir_in(&target)?;
    let dir = new.path();
    let filter = lay_filter(dir)?;
    let mut images = Vec::new();
    for &machine in &machines {
        images.push(lay_reprise(dir, machine)?);
    }
    say("packing images, manifests and archives");
    oci::write(&dir.join("oci/filter"), VERSION, std::slice::from_ref(&filter))?;
    oci::write(&dir.join("oci/reprise"), VERSION, &images)?;
    put(&dir.join(CONTAINERFILE), get(&repo::root().join(CONTAINERFILE))?)?;
    lay_out_k8s(&dir.join(FILTER), &dir.join("k8s"))?;
    pack_k8s(dir)?;
    sums::write(dir)?;
    say("checking all of it");
    verify::verify(dir, &machines)?;
    let table = table(dir, &filter)?;
    let place = target.join("dist");
    replace(new, &place).with_context(|| format!("put it at {}", place.display()))?;
    println!("{table}in {}", place.display());
    Ok(())
}

fn say(what: &str) {
    eprintln!("dist: {what}");
}

fn program(machine: Machine) -> PathBuf {
    Path::new("linux").join(machine.name()).join("reprise")
}

fn lay_filter(dir: &Path) -> Result<Image> {
    say("the filter");
    let built = build::filter(tools::build_filter()?)?;
    let bytes = get(&built.file)?;
    let module = Module::read(&bytes)?;
    let image = Image::of_filter(bytes.clone(), VERSION)?;
    put(&dir.join("reprise_filter.json"), pretty(&module.describe(&bytes, &image.sha256()))?)?;
    put(&dir.join(FILTER), bytes)?;
    let artefact =
        Artefact { file: &built.file, package: "reprise-filter", target: "wasm32-wasip1" };
    put(&dir.join("reprise_filter.cdx.json"), bill(&artefact, &built)?)?;
    Ok(image)
}

fn lay_reprise(dir: &Path, machine: Machine) -> Result<Image> {
    say(&format!("reprise for {}", machine.triple()));
    let built = build::reprise(machine)?;
    let path = dir.join(program(machine));
    let bytes = get(&built.file)?;
    put(&path, &bytes)?;
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable)?;
    let triple = machine.triple();
    let artefact = Artefact { file: &built.file, package: "replay-service", target: triple };
    let bill = bill(&artefact, &built)?;
    put(&dir.join(format!("reprise-{triple}.cdx.json")), &bill)?;
    let top = format!("reprise-{VERSION}-{triple}");
    let entry =
        |name: &str, bytes: Vec<u8>, runs| Entry { path: format!("{top}/{name}"), bytes, runs };
    let archive = Archive::of(&[
        entry("reprise", bytes.clone(), true),
        entry("LICENSE", get(&repo::root().join("LICENSE"))?, false),
        entry("reprise.cdx.json", bill, false),
    ])?;
    put(&dir.join(format!("{top}.tar.gz")), archive.gzip)?;
    Image::of_reprise(bytes, machine.name(), VERSION)
}

/// The bill of materials of what was built, held to what cargo compiled.
fn bill(artefact: &Artefact, built: &Built) -> Result<Vec<u8>> {
    let bom = sbom::of(artefact)?;
    let problems = sbom::problems(&bom, &built.packages, &sbom::locked()?);
    verify::none(problems).with_context(|| format!("the materials of {}", artefact.package))?;
    pretty(&bom)
}

fn pack_k8s(dir: &Path) -> Result<()> {
    let top = format!("reprise-k8s-{VERSION}");
    let k8s = dir.join("k8s");
    let entry = |file: &PathBuf| {
        let path = format!("{top}/{}", file.display());
        Ok(Entry { path, bytes: get(&k8s.join(file))?, runs: false })
    };
    let entries: Result<Vec<_>> = files(&k8s)?.iter().map(entry).collect();
    put(&dir.join(format!("{top}.tar.gz")), Archive::of(&entries?)?.gzip)
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(value)?)
}

/// Files with size and hash; images by the digest of their manifest.
fn table(dir: &Path, filter: &Image) -> Result<String> {
    let mut out = String::new();
    for file in files(dir)? {
        let bytes = get(&dir.join(&file))?;
        if !file.starts_with("oci") && !file.starts_with("k8s") {
            writeln!(out, "{:<52} {:>9}  {}", file.display(), bytes.len(), sha256(&bytes))?;
        }
    }
    let size: Result<usize> = ["oci", "k8s"].iter().try_fold(0, |sum, part| {
        let part = dir.join(part);
        let sizes: Result<Vec<_>> =
            files(&part)?.iter().map(|f| Ok(get(&part.join(f))?.len())).collect();
        Ok(sum + sizes?.iter().sum::<usize>())
    });
    writeln!(out, "{:<52} {:>9}", "k8s/ and oci/", size?)?;
    writeln!(out, "{:<52} {:>9}  {}", "oci/filter, its manifest", "", filter.sha256())?;
    Ok(out)
}

/// Puts a finished directory in the place of the one before it.
fn replace(new: tempfile::TempDir, place: &Path) -> Result<()> {
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(new.path(), open_to_all)?;
    let old = tempfile::Builder::new()
        .prefix("dist.")
        .tempdir_in(new.path().parent().unwrap_or(place))?;
    if place.exists() {
        std::fs::rename(place, old.path().join("dist"))?;
    }
    std::fs::rename(new.keep(), place)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_directory_takes_the_place_of_the_one_before_it_as_a_whole() {
        let above = tempfile::tempdir().unwrap();
        let place = above.path().join("dist");
        for file in ["one", "two"] {
            let new = tempfile::tempdir_in(above.path()).unwrap();
            put(&new.path().join(file), file).unwrap();
            replace(new, &place).unwrap();
            assert_eq!(files(&place).unwrap(), [PathBuf::from(file)]);
        }
        assert_eq!(files(above.path()).unwrap(), [PathBuf::from("dist/two")]);
    }
}
