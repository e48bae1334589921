//! The core's ports on Envoy, and reading what Envoy holds.

use filter_core::http::Header;
use filter_core::ports::{CasMismatch, Now, Ports};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};
use std::time::{Instant, UNIX_EPOCH};

/// Shared data and randomness of the Envoy that runs us.
pub struct Envoy;

/// The version that no value has: set only if there is none.
const ABSENT: u32 = u32::MAX;

impl Ports for Envoy {
    fn shared_get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        hostcalls::get_shared_data(key).unwrap_or((None, None))
    }

    fn shared_set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), CasMismatch> {
        let version = version.unwrap_or(ABSENT);
        hostcalls::set_shared_data(key, Some(value), Some(version)).map_err(|_| CasMismatch)
    }

    fn random(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    }
}

/// The time; `origin` is when the monotonic clock read zero.
pub fn now(origin: Instant) -> Now {
    let wall = hostcalls::get_current_time().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    Now { wall_ms: wall.map_or(0, ms), mono_ms: ms(origin.elapsed()) }
}

/// All headers of one kind. Only while Envoy is in their phase.
pub fn headers(kind: MapType) -> Vec<Header> {
    hostcalls::get_map_bytes(kind).unwrap_or_default()
}

/// The first `size` bytes of a buffer.
pub fn buffer(kind: BufferType, size: usize) -> Vec<u8> {
    hostcalls::get_buffer(kind, 0, size).ok().flatten().unwrap_or_default()
}
