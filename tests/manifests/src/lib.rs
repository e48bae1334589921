//! Renders what is under `k8s/` and checks it without a cluster: every object strictly against
//! the types of its kind, and what one object says of another against all that was rendered.

pub mod builtin;
pub mod envoy_gateway;
mod filter_config;
pub mod gateway_api;
pub mod istio;
pub mod plain_envoy;
mod pods;
pub mod prometheus;
mod promises;
mod references;
pub mod strict;
mod values;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One rendered object.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// As in `apps/v1`.
    pub api_version: String,
    /// As in `StatefulSet`.
    pub kind: String,
    /// `metadata.name`, with the hash that Kustomize gave it.
    pub name: String,
    /// `metadata.namespace`, if there is one.
    pub namespace: Option<String>,
    /// All of it.
    pub value: Value,
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl Manifest {
    /// An object as it was rendered. Fails if it does not even say what it is.
    pub fn new(value: Value) -> Result<Self> {
        let text = |pointer: &str| {
            let found = value.pointer(pointer).and_then(Value::as_str);
            found.map(str::to_owned).with_context(|| format!("an object has no {pointer}"))
        };
        let (api_version, kind) = (text("/apiVersion")?, text("/kind")?);
        let name = text("/metadata/name").with_context(|| kind.clone())?;
        let namespace = text("/metadata/namespace").ok();
        Ok(Self { api_version, kind, name, namespace, value })
    }

    /// What stands at a JSON pointer; null if nothing does.
    pub fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The API group: empty for the core's kinds.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

/// Renders an overlay or a base. Lays out nothing: an overlay that needs `k8s/filter` is rendered
/// from a copy that has it.
pub fn render(dir: &Path) -> Result<Vec<Manifest>> {
    let yaml = xtask::tools::kustomize(dir)?;
    parse(&yaml).with_context(|| format!("what {} was rendered to", dir.display()))
}

/// Reads YAML documents, one object each.
pub fn parse(yaml: &str) -> Result<Vec<Manifest>> {
    let values: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    if values.is_empty() {
        bail!("there is no object");
    }
    values.into_iter().map(Manifest::new).collect()
}

/// What is wrong with one object. An object of a kind that nobody here knows is a problem.
pub fn problems(manifest: &Manifest) -> Vec<String> {
    let known = [
        builtin::problems,
        gateway_api::problems,
        envoy_gateway::problems,
        istio::problems,
        prometheus::problems,
    ];
    let found = known.iter().find_map(|problems| problems(manifest));
    let unknown = || vec![format!("{} is a kind that is not checked", manifest.api_version)];
    let own = found.unwrap_or_else(unknown);
    own.into_iter().map(|problem| format!("{manifest}: {problem}")).collect()
}

/// What is wrong between the objects of one rendering, or of several that are applied together:
/// names, ports and selectors that lead nowhere, and what would break a promise of Reprise.
pub fn problems_between(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = references::problems(manifests);
    problems.extend(promises::problems(manifests));
    problems.extend(istio::across(manifests));
    problems
}

/// All of both: what is wrong with each object, and between them.
pub fn all_problems(manifests: &[Manifest]) -> Vec<String> {
    let mut found: Vec<String> = manifests.iter().flat_map(problems).collect();
    found.extend(problems_between(manifests));
    found
}
