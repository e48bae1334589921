//! Dependencies point one way. What each crate may depend on, within the workspace.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::repo;

const PROTOCOL: &str = "reprise-protocol";
const FILTER: &str = "reprise-filter";

/// The edges that are allowed. Tests and benches may use everything; nothing may use them.
const ALLOWED: &[(&str, &[&str])] = &[
    (PROTOCOL, &[]),
    ("filter-core", &[PROTOCOL]),
    (FILTER, &["filter-core", PROTOCOL]),
    ("replay-log", &[PROTOCOL]),
    ("replay-service", &["replay-log", PROTOCOL]),
    // A witness: it must not share what it is to check.
    ("demo", &[]),
    ("xtask", &["demo", PROTOCOL]),
    ("scenario", &[]),
    // Another witness: it takes the filter as bytes, never filter-core.
    ("host-sim", &["replay-log", PROTOCOL, "scenario"]),
    ("host-calls-probe", &[]),
    ("manifests", &["filter-core", "xtask"]),
];
const LEAVES: &[&str] = &["tests", "benches", "fuzz"];

/// Package name → workspace packages it depends on, with whether only its own tests do.
type Edges = BTreeMap<String, Vec<(String, bool)>>;

pub(super) fn check() -> Result<Vec<String>> {
    let output = repo::cargo()
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(problems(&edges(&serde_json::from_slice(&output.stdout)?)))
}

fn edges(metadata: &Value) -> Edges {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let packages = list(metadata, "packages");
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let dependencies = |package: &Value| {
        list(package, "dependencies")
            .iter()
            .filter(|dependency| ours.contains(&name(dependency)))
            .map(|dependency| (name(dependency), dependency["kind"] == "dev"))
            .collect()
    };
    packages.iter().map(|p| (name(p), dependencies(p))).collect()
}

fn problems(edges: &Edges) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, dependencies) in edges {
        let allowed = ALLOWED.iter().find(|(name, _)| name == package);
        if allowed.is_none() && !LEAVES.contains(&package.as_str()) {
            problems.push(format!("{package} is a crate whose edges nobody has stated"));
        }
        for (dependency, only_in_tests) in dependencies {
            if LEAVES.contains(&dependency.as_str()) {
                problems.push(format!("{package} depends on {dependency}, which nothing may"));
                continue;
            }
            let held = allowed.is_some_and(|(_, names)| !names.contains(&dependency.as_str()));
            if held && !only_in_tests {
                problems.push(format!("{package} may not depend on {dependency}"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Package<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    fn of(packages: &[Package]) -> Vec<String> {
        let packages: Vec<Value> = packages
            .iter()
            .map(|(name, dependencies)| {
                let dependencies: Vec<Value> = dependencies
                    .iter()
                    .map(|(name, kind)| json!({"name": name, "kind": kind}))
                    .collect();
                json!({"name": name, "dependencies": dependencies})
            })
            .collect();
        problems(&edges(&json!({"packages": packages})))
    }

    #[test]
    fn the_stated_edges_hold_and_others_do_not() {
        let none: &[(&str, Option<&str>)] = &[];
        assert_eq!(
            of(&[
                (PROTOCOL, &[("serde", None)]),
                ("filter-core", &[(PROTOCOL, None)]),
                ("tests", &[("filter-core", None)]),
            ]),
            [""; 0]
        );
        let back = of(&[(PROTOCOL, &[("filter-core", None)]), ("filter-core", none)]);
        assert_eq!(back, ["reprise-protocol may not depend on filter-core"]);
    }

    #[test]
    fn tests_may_look_across_but_nothing_depends_on_the_tests() {
        let none: &[(&str, Option<&str>)] = &[];
        assert_eq!(
            of(&[("replay-log", &[("filter-core", Some("dev"))]), ("filter-core", none)]),
            [""; 0]
        );
        let on_tests = of(&[("xtask", &[("tests", Some("dev"))]), ("tests", none)]);
        assert_eq!(on_tests, ["xtask depends on tests, which nothing may"]);
    }

    #[test]
    fn a_new_crate_must_state_its_edges() {
        assert_eq!(of(&[("newcomer", &[])]).len(), 1);
    }
}
