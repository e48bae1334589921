//! The promises, one file each, judged by what clients and replicas saw.

use crate::history::History;
use crate::run::Ended;
use scenario::Scenario;

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// An acknowledged write is missing at a replica.
    Lost,
    /// A write ran twice at a replica.
    Twice,
    /// Writes of a session ran in an order that nobody may see.
    Order,
    /// A read did not show what had been acknowledged.
    Stale,
    /// A write that was refused left a trace, or the replicas differ and no list says so.
    Silent,
    /// A client had to wait or failed, more than a cut may cost.
    Noticed,
    /// After everything was mended it did not come to rest.
    Stalled,
    /// What this scenario expects beyond the promises.
    Expected,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// How often.
    pub count: u64,
    /// Some findings in words.
    pub examples: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Broken promises, each once, in their order.
    pub broken: Vec<Broken>,
}

/// Judges a run.
pub fn judge(_scenario: &Scenario, _history: &History, _ended: &Ended) -> Verdict {
    Verdict::default()
}
