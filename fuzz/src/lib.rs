//! Bytes that others wrote, into everything that reads them: nothing may panic, whatever they say.
//!
//! Each module is a target: `run` takes any bytes, `seeds` gives sensible ones to begin with.
//! `tests/mutated.rs` runs them all on the pinned toolchain, with some thousand mutations of the
//! seeds; `cargo xtask fuzz` lets libFuzzer look for more.

pub mod filter_messages;
pub mod frames;
pub mod headers;
mod host;
pub mod messages;
pub mod plugin_config;
pub mod records;

/// Something that reads bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its module and its binary.
    pub name: &'static str,
    /// Reads any bytes; panics if it finds something.
    pub run: fn(&[u8]),
    /// Sensible bytes.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "plugin_config", run: plugin_config::run, seeds: plugin_config::seeds },
    Target { name: "headers", run: headers::run, seeds: headers::seeds },
    Target { name: "messages", run: messages::run, seeds: messages::seeds },
    Target { name: "filter_messages", run: filter_messages::run, seeds: filter_messages::seeds },
    Target { name: "records", run: records::run, seeds: records::seeds },
];
