//! What a role may ask while it decides: shared data, randomness, and the time it was given.

use crate::effects::{Effect, Level};
use crate::metrics::Metric;

/// The value changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CasMismatch;

/// Synchronous questions to the host.
pub trait Ports {
    /// A value of the data that all workers of one Envoy share, and its version.
    fn shared_get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>);
    /// Sets a value if its version is still `version`; `None`: if there is no such key.
    fn shared_set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), CasMismatch>;
    /// 128 random bits; `None` if the host has none.
    fn random(&self) -> Option<[u8; 16]>;
}

/// The time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Unix milliseconds; may jump. For what is told to others.
    pub wall_ms: u64,
    /// Milliseconds of a clock that never jumps. For deadlines.
    pub mono_ms: u64,
}

/// What comes with every event.
pub struct Cx<'a> {
    /// When it happened.
    pub now: Now,
    /// The host's answers.
    pub ports: &'a dyn Ports,
    /// Where effects go.
    pub effects: &'a mut Vec<Effect>,
}

impl Cx<'_> {
    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn count(&mut self, metric: Metric) {
        self.count_by(metric, 1);
    }

    pub(crate) fn count_by(&mut self, metric: Metric, by: u64) {
        if by > 0 {
            self.effects.push(Effect::Count(metric, by));
        }
    }

    pub(crate) fn log(&mut self, level: Level, text: String) {
        self.effects.push(Effect::Log(level, text));
    }

    pub(crate) fn after(&self, ms: u64) -> u64 {
        self.now.mono_ms.saturating_add(ms)
    }

    pub(crate) fn passed(&self, deadline_ms: u64) -> bool {
        self.now.mono_ms >= deadline_ms
    }
}

/// Where a worker's tokens begin: 62 random bits, so that those of two workers do not meet.
pub(crate) fn first_token(cx: &Cx<'_>) -> Option<u64> {
    let random = cx.ports.random()?;
    let (half, _) = random.split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*half) >> 2)
}
