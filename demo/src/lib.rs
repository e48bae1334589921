//! The parts of the demo, and of the end-to-end tests, that stand around Reprise: the service
//! that is replicated ([`till`]), the link that is cut ([`relay`]), the clients ([`load`]), the
//! judge ([`check`]), and what is made of it all ([`run`], [`compare`], [`table`], [`report`]).
//!
//! Nothing here knows how Reprise works: the crate depends on none of its parts, so that the
//! judge stays an independent witness.
// These are the clients and the service, not the cores: real time is what they are about.
#![allow(clippy::disallowed_methods)]

pub mod chain;
pub mod check;
pub mod compare;
pub mod fetch;
pub mod format;
pub mod load;
pub mod relay;
pub mod report;
pub mod run;
pub mod stats;
pub mod table;
pub mod till;

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in Unix milliseconds.
#[must_use]
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
