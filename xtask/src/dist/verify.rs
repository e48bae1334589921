//! Looks at what was laid out as those will who get it, before it takes its place.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::build::Machine;
use super::bytes::{get, put};
use super::module::{Module, capabilities};
use super::oci::{ENTRYPOINT, USER};
use super::{CONTAINERFILE, FILTER, VERSION, containerfile, elf, oci_reader, program, sums};

/// The smallest configuration, with nothing on disk.
const CONFIGURATION: &str =
    "service = 'shop'\nstore = 'memory'\nprobes = '0.0.0.0:7408'\n[journal]\nreplica = 'primary'\n";

/// An error unless all that is in `dir` is sound and fits together.
pub(super) fn verify(dir: &Path, machines: &[Machine]) -> Result<()> {
    sums::verify(dir)?;
    filter(dir).context("the filter")?;
    for &machine in machines {
        let path = dir.join(program(machine));
        runs(&path, machine).with_context(|| path.display().to_string())?;
    }
    images(dir, machines)?;
    let text = String::from_utf8(get(&dir.join(CONTAINERFILE))?)?;
    let names: Vec<_> = machines.iter().map(|machine| machine.name()).collect();
    none(containerfile::problems(&text, dir, &names)).context(CONTAINERFILE)
}

/// An error that lists problems, if there are any.
pub(super) fn none(problems: Vec<String>) -> Result<()> {
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

fn filter(dir: &Path) -> Result<()> {
    let bytes = get(&dir.join(FILTER))?;
    none(Module::read(&bytes)?.problems(&capabilities()?))?;
    let (module, pin) = oci_reader::filter(&dir.join("oci/filter"), VERSION)?;
    ensure!(module == bytes, "its image has another module");
    ensure!(get(&dir.join("k8s/filter").join(FILTER))? == bytes, "k8s/filter has another module");
    let release = String::from_utf8(get(&dir.join("k8s/filter/release.env"))?)?;
    let line = format!("FILTER_OCI_SHA256={pin}");
    ensure!(release.lines().any(|l| l == line), "k8s/filter/release.env pins another image");
    let described: Value = serde_json::from_slice(&get(&dir.join("reprise_filter.json"))?)?;
    ensure!(described["image_sha256"] == pin.as_str(), "reprise_filter.json names another image");
    Ok(())
}

fn images(dir: &Path, machines: &[Machine]) -> Result<()> {
    let images = oci_reader::images(&dir.join("oci/reprise"), VERSION)?;
    ensure!(images.len() == machines.len(), "expected {} images", machines.len());
    for (image, &machine) in images.iter().zip(machines) {
        ensure!(image.architecture == machine.name(), "an image for {}", image.architecture);
        ensure!(image.run.user == USER, "it runs as {:?}", image.run.user);
        ensure!(image.run.entrypoint == [ENTRYPOINT], "it runs {:?}", image.run.entrypoint);
        let files: Vec<_> = image.files.iter().collect();
        let [(path, (bytes, true))] = files[..] else { bail!("it is not one program alone") };
        ensure!(Path::new("/").join(path) == Path::new(ENTRYPOINT), "it has {}", path.display());
        ensure!(*bytes == get(&dir.join(program(machine)))?, "it has another program");
    }
    Ok(())
}

/// Looks at a program, and runs it where this machine can.
fn runs(path: &Path, machine: Machine) -> Result<()> {
    let bytes = get(path)?;
    elf::is_static(&bytes)?;
    ensure!(elf::architecture(&bytes)? == machine.name(), "it is for another machine");
    if !machine.is_here() {
        return Ok(());
    }
    let says = output(Command::new(path).arg("--version"))?;
    ensure!(says.trim() == format!("reprise {VERSION}"), "its version is {says:?}");
    let config = tempfile::NamedTempFile::new()?;
    put(config.path(), CONFIGURATION)?;
    let says = output(Command::new(path).args(["check", "--config"]).arg(config.path()))?;
    ensure!(says.ends_with("is valid\n"), "it says {says:?} of a valid configuration");
    Ok(())
}

/// What a program prints, with nothing of our environment.
fn output(command: &mut Command) -> Result<String> {
    let output = command.env_clear().output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
