//! A scenario from its beginning to its verdict.

use crate::check::Verdict;
use crate::history::{History, Micros};
use scenario::Scenario;

/// How a shop's lists stood at the very end.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// `session number at replica: kind`, for each write in doubt or held up.
    pub waiting: Vec<String>,
    /// Divergences.
    pub diverged: Vec<String>,
    /// Number conflicts and forced epochs.
    pub conflicts: Vec<String>,
    /// Quarantined entries.
    pub quarantined: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// When the load was over and the last fault mended.
    pub healed_us: Micros,
    /// When each shop came to rest; `None` where it never did.
    pub at_rest_us: Vec<Option<Micros>>,
    /// Each shop's lists.
    pub listed: Vec<Listed>,
    /// The whole virtual time.
    pub virtual_us: Micros,
    /// Events.
    pub events: u64,
}

/// A run, whole.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// SHA-256 of the filter, hexadecimal.
    pub filter: String,
    /// What was seen.
    pub history: History,
    /// How it ended.
    pub ended: Ended,
    /// What follows.
    pub verdict: Verdict,
    /// How long it took in reality, microseconds; the one figure that differs from run to run.
    pub real_us: u64,
}
