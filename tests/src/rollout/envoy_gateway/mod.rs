//! The Envoys of the Envoy Gateway overlays: what its controller would make of
//! `k8s/overlays/envoy-gateway`.
//!
//! It is a model of Envoy Gateway 1.8 for what these overlays use, written after its source and its
//! golden files: listeners, the HTTP filters and their order, routes and theirs, clusters, retries,
//! health checks, names (`XDSNameSchemeV2`), and how patches are applied. What it does not know is
//! an error that names the field. Replaced are: TLS by plain text, names by addresses of this
//! machine, and the copy of the module that the controller serves by the place that it has it from.
//! Left out is what no request can tell: metadata, the listeners for probes and metrics, and of the
//! bootstrap all but the cluster that the module is fetched from.
//!
//! The guards and the module's server are Envoys with files of their own, which are used as they
//! are.

mod clusters;
mod filters;
mod gateway;
mod listener;
mod patch;
mod places;
mod policy;
mod routes;
mod units;

pub use filters::in_order;
pub use gateway::Gateway;
pub use places::edge_and_cloud;

use super::world::{FILTER_DIR, address, local};
use super::{Files, World, as_is, has_the_filter, items, only, port, reprise, text};
