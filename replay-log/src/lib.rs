//! The replay log and the journal, each a synchronous state machine over a [`store::Store`].
//!
//! Both work alike: [`handle`](log::Log::handle) takes an input and *stages* writes and outputs;
//! [`commit`](log::Log::commit) makes everything staged durable in one group commit and only
//! then hands the outputs out. State in memory may run ahead of the disk inside one batch, but
//! nothing leaves before its batch is durable, and a failed commit is the end of the process.
//!
//! No sockets, no threads, no clock, no entropy: time and random seeds are arguments.

pub mod journal;
pub mod log;
pub mod store;

/// The time of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never steps back; all deadlines are on it.
    pub mono_ms: u64,
    /// Unix milliseconds; shown to people and one of the sources of a new epoch, never order.
    pub unix_ms: u64,
}

/// Names one gRPC stream for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);
