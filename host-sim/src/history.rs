//! What clients and replicas saw: all that the checkers may look at.

use scenario::ReplicaFault as Replica;

/// Microseconds of virtual time.
pub type Micros = u64;

/// A session of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The shop.
    pub shop: u32,
    /// Its session.
    pub index: u32,
}

/// How a request ended for its client, after all its tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Ok,
    /// Refused with a problem type that promises that no trace was left, at every try.
    Refused(String),
    /// Anything else: it may or may not have happened.
    Unknown(String),
}

/// What a request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The `n`th write of its session, from 1: its label.
    Write {
        /// Its number in its session, as the client counts.
        label: u32,
        /// Whether its method is idempotent.
        idempotent: bool,
    },
    /// A read.
    Read,
}

/// A request of a client.
#[derive(Clone, Debug)]
pub struct Op {
    /// Whose.
    pub session: Session,
    /// What.
    pub kind: Kind,
    /// When it was sent first.
    pub sent_us: Micros,
    /// When its client was done with it; `None` if it still waited at the very end.
    pub ended_us: Option<Micros>,
    /// How it ended; unknown while it has not.
    pub outcome: Outcome,
    /// How often it was sent.
    pub tries: u32,
    /// The last status.
    pub status: u16,
    /// Of a read that was answered: the labels that the replica showed, as a prefix of its runs.
    pub showed: Option<(Replica, usize)>,
}

/// One execution at a replica's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where.
    pub replica: Replica,
    /// Whose.
    pub session: Session,
    /// Which write.
    pub label: u32,
    /// When it took effect.
    pub at_us: Micros,
    /// The connection broke, or the process died, before its answer was out.
    pub unanswered: bool,
}

/// Something to be shown on the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at_us: Micros,
    /// Which shop, if one.
    pub shop: Option<u32>,
    /// A short name of its kind: `fault`, `healed`, `away`, `back`, `pinned`, `handed_back`, …
    pub kind: &'static str,
    /// In words.
    pub text: String,
}

/// How a shop's log stood at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at_us: Micros,
    /// Which shop.
    pub shop: u32,
    /// Entries that the primary has not settled.
    pub backlog_primary: u64,
    /// Entries that the secondary has not settled.
    pub backlog_secondary: u64,
    /// Sessions pinned to the secondary.
    pub pinned: u64,
    /// Writes listed in doubt.
    pub in_doubt: u64,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests, by when they were sent first.
    pub ops: Vec<Op>,
    /// Executions, in their order.
    pub runs: Vec<Run>,
    /// The timeline.
    pub notes: Vec<Note>,
    /// Samples of the logs.
    pub samples: Vec<Sample>,
    /// Requests that came to the services in the cloud, per second of virtual time.
    pub cloud_load: Vec<u32>,
}

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
