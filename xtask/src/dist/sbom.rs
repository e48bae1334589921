//! What an artefact is made of, as CycloneDX: every package that cargo resolves for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::build::Package;
use super::bytes::sha256;
use crate::repo;

/// A file and where it comes from.
pub(super) struct Artefact<'a> {
    pub(super) file: &'a Path,
    /// The package that it is built of, and the target that it is built for.
    pub(super) package: &'a str,
    pub(super) target: &'a str,
}

/// The bill of materials of an artefact. What only runs at build time has the scope `excluded`.
pub(super) fn of(artefact: &Artefact) -> Result<Value> {
    let all = tree(&cargo_tree(artefact, "normal,build")?)?;
    let inside = tree(&cargo_tree(artefact, "normal,no-proc-macro")?)?;
    let checksums = locked()?;
    let root = all.root.clone().context("cargo tree names no package")?;
    let components: Vec<_> = all
        .licences
        .iter()
        .filter(|(package, _)| **package != root)
        .map(|(package, licence)| {
            let mut component = component("library", package, licence);
            component["scope"] = match inside.licences.contains_key(package) {
                true => "required".into(),
                false => "excluded".into(),
            };
            if let Some(checksum) = checksums.get(package) {
                component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
            }
            component
        })
        .collect();
    let bytes = std::fs::read(artefact.file)?;
    let mut this = component("application", &root, "Apache-2.0");
    this["hashes"] = json!([{"alg": "SHA-256", "content": sha256(&bytes)}]);
    let edges = all.edges.iter().map(|(package, on)| {
        json!({"ref": purl(package), "dependsOn": on.iter().map(purl).collect::<Vec<_>>()})
    });
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": this,
            "properties": [
                {"name": "reprise:target", "value": artefact.target},
                {"name": "reprise:rustc", "value": rustc()?},
            ],
        },
        "components": components,
        "dependencies": edges.collect::<Vec<_>>(),
    }))
}

fn component(kind: &str, package: &Package, licence: &str) -> Value {
    json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": package.0,
        "version": package.1,
        "purl": purl(package),
        // An old way to write it, which SPDX does not have.
        "licenses": [{"expression": licence.replace('/', " OR ")}],
    })
}

fn purl((name, version): &Package) -> String {
    format!("pkg:cargo/{name}@{version}")
}

/// What is wrong with a bill of materials, for an artefact that cargo compiled of these packages,
/// those of registries with these checksums.
pub(super) fn problems(
    bom: &Value,
    compiled: &BTreeSet<Package>,
    checksums: &BTreeMap<Package, String>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let list = bom["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut listed = BTreeSet::new();
    for component in list.iter().chain([&bom["metadata"]["component"]]) {
        let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
        let package = (text("name"), text("version"));
        let named = format!("{} {}", package.0, package.1);
        if text("purl") != purl(&package) {
            problems.push(format!("{named} has the purl {:?}", text("purl")));
        }
        if component["licenses"][0]["expression"].as_str().is_none_or(str::is_empty) {
            problems.push(format!("{named} has no licence"));
        }
        let checksum = component["hashes"][0]["content"].as_str();
        if checksums.get(&package).is_some_and(|locked| checksum != Some(locked)) {
            problems.push(format!("{named} has the checksum {checksum:?}"));
        }
        listed.insert(package);
    }
    let missing = compiled.difference(&listed);
    problems.extend(missing.map(|(name, version)| format!("{name} {version} is not in it")));
    let idle = listed.difference(compiled);
    problems.extend(idle.map(|(name, version)| format!("{name} {version} was not compiled")));
    problems
}

fn cargo_tree(artefact: &Artefact, edges: &str) -> Result<String> {
    let output = repo::cargo()
        .args(["tree", "--quiet", "--locked", "--prefix=depth", "--format={p}|{l}"])
        .args(["--package", artefact.package, "--target", artefact.target, "--edges", edges])
        .output()
        .context("run cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Packages with their licences, and on what each depends.
#[derive(Debug, Default)]
struct Tree {
    root: Option<Package>,
    licences: BTreeMap<Package, String>,
    edges: BTreeMap<Package, BTreeSet<Package>>,
}

/// Reads lines like `2bytes v1.12.2 (proc-macro) (/path)|MIT (*)`: the depth, the package, the
/// licence, and a mark where its own dependencies stand elsewhere.
fn tree(text: &str) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut above: Vec<Package> = Vec::new();
    for line in text.lines() {
        let what = || format!("cannot read the line {line:?} of cargo tree");
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let depth: usize = line[..digits].parse().with_context(what)?;
        let (package, licence) = line[digits..].split_once('|').with_context(what)?;
        let mut words = package.split(' ');
        let name = words.next().with_context(what)?.to_owned();
        let version = words.next().and_then(|word| word.strip_prefix('v')).with_context(what)?;
        let package = (name, version.to_owned());
        above.truncate(depth);
        match above.last() {
            Some(parent) => tree.edges.entry(parent.clone()).or_default().insert(package.clone()),
            None => tree.root.replace(package.clone()).is_none(),
        };
        tree.edges.entry(package.clone()).or_default();
        tree.licences.insert(package.clone(), licence.trim_end_matches(" (*)").to_owned());
        above.push(package);
    }
    Ok(tree)
}

/// The checksums in Cargo.lock; packages of this repository have none.
pub(super) fn locked() -> Result<BTreeMap<Package, String>> {
    checksums(&std::fs::read_to_string(repo::root().join("Cargo.lock")).context("Cargo.lock")?)
}

fn checksums(lock: &str) -> Result<BTreeMap<Package, String>> {
    let lock: toml::Table = toml::from_str(lock).context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock")?;
    let of = |package: &toml::Value| {
        let text = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
        Some(((text("name")?, text("version")?), text("checksum")?))
    };
    Ok(packages.iter().filter_map(of).collect())
}

fn rustc() -> Result<String> {
    let output =
        std::process::Command::new("rustc").arg("--version").current_dir(repo::root()).output();
    let text = String::from_utf8(output.context("run rustc")?.stdout)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
#[path = "sbom_tests.rs"]
mod tests;
