//! What clients do.

use crate::Range;
use serde::{Deserialize, Serialize};

/// Clients: each session is one client that waits for its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Sessions of each shop.
    pub sessions: u32,
    /// Writes per second over all sessions of a shop while everything is well.
    pub writes_per_second: u64,
    /// A read after every so many writes of a session; 0: none.
    #[serde(default = "default_read_every")]
    pub read_every: u32,
    /// Writes of a session that may be under way at once.
    #[serde(default = "one")]
    pub in_flight: u32,
    /// How often a client sends a failed request again, with the same key.
    #[serde(default)]
    pub retries: u32,
    /// How long a client waits for an answer.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// Bytes of a write's body, least and most.
    #[serde(default = "default_body")]
    pub body_bytes: Range,
    /// In what proportion methods are used.
    #[serde(default)]
    pub methods: Methods,
    /// Of 1,000 requests, how many are given up by their client at a random moment.
    #[serde(default)]
    pub aborts_per_mille: u32,
    /// Of 1,000 writes, how many are sent twice at once with one key.
    #[serde(default)]
    pub doubles_per_mille: u32,
    /// Of 1,000 writes, how many carry no key: an id is minted, and nothing is sent again.
    #[serde(default)]
    pub keyless_per_mille: u32,
    /// Of 1,000 bodies, how many go out in parts, slowly.
    #[serde(default)]
    pub slow_bodies_per_mille: u32,
    /// When the load begins.
    #[serde(default)]
    pub from_ms: u64,
}

/// Shares of the methods of writes; only their proportion counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Methods {
    /// POST: not idempotent.
    pub post: u32,
    /// PUT: idempotent, so a write in doubt is redone.
    pub put: u32,
}

impl Default for Methods {
    fn default() -> Self {
        Methods { post: 1, put: 0 }
    }
}

fn one() -> u32 {
    1
}

fn default_read_every() -> u32 {
    10
}

fn default_timeout() -> u64 {
    10_000
}

fn default_body() -> Range {
    [64, 512]
}
