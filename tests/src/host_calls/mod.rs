//! The real arm of the host-call table: one Envoy with the probe, and what it talks to.

mod envoy;
mod grpc;
mod requests;
mod upstream;

#[path = "../../host-calls/cases.rs"]
pub mod cases;

pub use envoy::Probed;
