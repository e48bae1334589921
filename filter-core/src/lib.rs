//! Every decision of the Reprise filter: events in, effects out.
//!
//! Two roles live here. A [`gateway::Gateway`] meets clients: it holds each write until the
//! replay log has numbered it, stamps it, and believes no answer without a guard's word. A
//! [`guard::Guard`] stands before one replica: it lets each number run once, in order, and
//! answers duplicates from memory.
//!
//! A host (Envoy through the `filter` crate, or a test) calls one method per event and then
//! carries out the [`effects::Effect`]s in order. Nothing in here names a host: no proxy-wasm, no
//! clock, no entropy, no async. Time is an argument, randomness and shared data are the
//! [`ports::Ports`]. Nothing in here panics.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod config;
pub mod effects;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod metrics;
pub mod ports;
pub mod reply;
pub mod stream;
pub mod table;
pub mod upstream;

pub use protocol::limits;

#[cfg(test)]
mod testing;
