//! The Envoys of the Istio overlays: what istiod would make of `k8s/overlays/edge-istio` and
//! `k8s/overlays/cloud-istio`.
//!
//! It is a model of istiod for what these overlays use, written after its source (1.28 to 1.30):
//! the filters of a listener and their order, routes, clusters, priorities, names, and how patches
//! are merged. Two things are replaced: mutual TLS by plain text (so policies about identities let
//! everybody in), and names by addresses of this machine. Filters that only Istio's own build of
//! Envoy has are left out: `istio.metadata_exchange`, `istio.alpn`, `istio.stats`.

mod clusters;
mod listeners;
mod mesh;
mod patch;
mod places;
mod policy;
mod routes;

pub use mesh::{Istio, Mesh};
pub use places::{edge_and_cloud, environment};

use super::world::{FILTER_DIR, address, local};
use super::{Files, World, has_the_filter, items, merge, only, port, reprise, text};
