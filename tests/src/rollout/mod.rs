//! The Envoys of the overlays: what is rendered from `k8s/overlays` becomes the configurations that
//! a control plane would make of it, and they run on this machine.
//!
//! Two control planes are modelled, for what these overlays use: [`istio`] and [`envoy_gateway`];
//! [`plain_envoy`] has none.
//! What a model does not know is an error, so that nothing in the manifests is passed over in
//! silence.

mod as_is;
pub mod envoy_gateway;
pub mod istio;
mod merge;
pub mod plain_envoy;
mod reprise;
pub mod scenes;
mod world;

pub use world::World;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use manifests::Manifest;
use serde_json::{Map, Value};

/// The files of a stack, by name.
pub type Files = BTreeMap<String, String>;

/// Renders an overlay with a filter, as `cargo xtask dist` lays it out.
pub fn overlay(name: &str, filter: &Path) -> Result<Vec<Manifest>> {
    let dir = tempfile::tempdir()?;
    xtask::dist::lay_out_k8s(filter, dir.path())?;
    manifests::render(&dir.path().join("overlays").join(name))
}

/// Fails if an object has a field that is not in the list.
fn only(value: &Value, known: &[&str], what: &str) -> Result<()> {
    let fields = value.as_object().into_iter().flat_map(Map::keys);
    match fields.into_iter().find(|field| !known.contains(&field.as_str())) {
        Some(field) => bail!("{what}: the model does not know the field {field}"),
        None => Ok(()),
    }
}

/// The items of a list; none if it is not there.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty if it is not there.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A port; 0 if it is not there.
fn port(value: &Value) -> u16 {
    value.as_u64().and_then(|number| u16::try_from(number).ok()).unwrap_or(0)
}

/// Whether a ConfigMap of this name has the filter.
fn has_the_filter(all: &[Manifest], name: &str) -> bool {
    let has = |m: &Manifest, part: &str| !m.at(&format!("/{part}/reprise_filter.wasm")).is_null();
    let mut maps = all.iter().filter(|m| m.kind == "ConfigMap" && m.name == name);
    maps.any(|m| has(m, "binaryData") || has(m, "data"))
}
