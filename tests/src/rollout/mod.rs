//! The Envoys of the Istio overlays: what is rendered from `k8s/overlays/edge-istio` and
//! `k8s/overlays/cloud-istio` becomes the configurations that istiod would make of it, and they run
//! on this machine.
//!
//! It is a model of istiod for what these overlays use, written after its source (1.28 to 1.30):
//! the filters of a listener and their order, routes, clusters, priorities, names, and how patches
//! are merged. What it does not know is an error, so that nothing in the manifests is passed over
//! in silence. Two things are replaced: mutual TLS by plain text (so policies about identities let
//! everybody in), and names by addresses of this machine. Filters that only Istio's own build of
//! Envoy has are left out: `istio.metadata_exchange`, `istio.alpn`, `istio.stats`.

mod clusters;
mod listeners;
mod merge;
mod mesh;
mod patch;
mod places;
mod policy;
mod reprise;
mod routes;

pub use mesh::{Istio, Mesh, World};
pub use places::{edge_and_cloud, environment, overlay};

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// Fails if an object has a field that is not in the list.
fn only(value: &Value, known: &[&str], what: &str) -> Result<()> {
    let fields = value.as_object().into_iter().flat_map(Map::keys);
    match fields.into_iter().find(|field| !known.contains(&field.as_str())) {
        Some(field) => bail!("{what}: the model of istiod does not know the field {field}"),
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
