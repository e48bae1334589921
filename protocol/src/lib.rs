//! The wire contract of Reprise: messages, header formats, ids and limits.
//!
//! Everything that two processes, or one process and its disk, must agree on stands here and
//! nowhere else. No IO, no clock, no entropy. Values that break a limit cannot be built.

pub mod fields;
pub mod ids;
pub mod limits;
pub mod mutants;
pub mod names;
pub mod number;
pub mod problem;
pub mod replica;
pub mod stamp;
mod text;
pub mod word;

/// Messages of `replay_log.proto`, generated; a test holds the two together.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "generated/reprise.replaylog.v1.rs"]
pub mod pb;

pub use ids::{Id, Incarnation, SessionKey};
pub use number::{Digest, Link, Number, Position};
pub use replica::Replica;
pub use stamp::Stamp;
pub use word::{Verdict, Word};

/// The version of the wire protocol that this build speaks.
pub const VERSION: u32 = 1;
