//! The journal of one replica: the authority for what may run there and for what ran.
//!
//! Every guard of the replica asks it before a write is dispatched ([`pb::Begin`]) and tells it
//! what came of it ([`pb::Outcome`]). A grant and an outcome are durable before anybody hears of
//! them, so the journal can die at any moment: what was granted and not reported is in doubt
//! afterwards, never fresh, and what ran is a duplicate for ever.
//!
//! Invariants, each held by tests in `tests/journal*.rs`:
//! - one write of a session is in flight at a time, and nothing in flight is ever evicted;
//! - a number is granted again only after its owner said that it did not run, or after a redo
//!   that the policy or an operator allowed;
//! - a session's runs are 1, 2, 3 … of an epoch without gaps, each link following from the last;
//! - `RAN` is answered only for what is durably recorded as run (or skipped by an operator).
//!
//! Records of sessions stay on disk for ever: forgetting one by age could let a late delivery of
//! its first write run twice. Memory holds the sessions in use, a bounded cache of others, and a
//! byte-bounded ring of responses.
//!
//! A journal that came in place of a lost one says so and runs nothing until an operator has seeded
//! it ([`seed`]): it cannot know what its replica has run.
//!
//! The files: `record` is what is stored, `session` decides about a begin, `begin`, `outcome` and
//! `guards` handle the messages, `held` has what waits, `cache` loads, stages and evicts sessions.

mod begin;
mod cache;
mod guards;
mod held;
mod open;
mod outcome;
mod record;
mod remembered;
pub mod salvage;
pub mod seed;
mod session;
mod status;

pub use self::status::{ConflictCase, ForcedCase, InDoubtCase, Status};

use self::cache::Cache;
use self::guards::Guards;
use self::held::Held;
use self::remembered::Remembered;
use self::status::Counters;
use crate::store::{Reclaim, Store, StoreError, Write};
use crate::{Now, StreamId};
use protocol::mutants::{self, Mutant};
use protocol::{Incarnation, Number, Replica, SessionKey, Word, pb};
use std::path::PathBuf;

/// What a journal is for and how much it keeps.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The service; guards of another are refused.
    pub service: String,
    /// The replica; guards of the other are refused.
    pub replica: Replica,
    /// Bound of the remembered responses, bytes.
    pub remember_bytes: u64,
    /// A session unused for this long leaves memory (its record stays on disk), milliseconds.
    pub session_idle_ms: u64,
    /// When the log of the same site delivers what nobody reported the end of; guards that give
    /// up a gap before that are refused. `None` if the log is elsewhere.
    pub takeover_ms: Option<u64>,
}

/// What an operator decides about a write in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It may run (again).
    Redo,
    /// It counts as run, with status 0.
    Skip,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, by value, never in a collection")]
pub enum Input {
    /// A message of a guard's stream; the first must be a hello.
    Guard {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: pb::GuardRequest,
    },
    /// A guard's stream ended.
    GuardClosed {
        /// The stream.
        stream: StreamId,
    },
    /// An operator resolves a doubt; ignored unless [`Journal::is_in_doubt`].
    Resolve {
        /// The session.
        session: SessionKey,
        /// The write in doubt.
        number: Number,
        /// What to do with it.
        action: Resolution,
    },
    /// Nothing but time passed.
    Tick,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this to a guard.
    ToGuard {
        /// Its stream.
        stream: StreamId,
        /// The message.
        message: pb::GuardResponse,
    },
    /// End this stream (after what was sent before has gone out).
    CloseGuard {
        /// The stream.
        stream: StreamId,
    },
    /// A write ran here; the log of this site may want to know (`mirror: envoy`).
    Ran {
        /// The session.
        session: SessionKey,
        /// What its guard says of it.
        word: Word,
    },
}

/// The journal of one replica.
pub struct Journal {
    config: JournalConfig,
    store: Box<dyn Store>,
    /// The lives of this store, the present one last; see the meta record.
    lives: Vec<Incarnation>,
    /// It came in place of a journal that is lost, and runs nothing until it is seeded.
    unseeded: bool,
    /// Records of sessions may be missing.
    incomplete: bool,
    /// The meta record is behind.
    meta_dirty: bool,
    cache: Cache,
    guards: Guards,
    held: Held,
    remembered: Remembered,
    counters: Counters,
    outputs: Vec<Output>,
    /// A read of the store that failed; the next commit reports it.
    fault: Option<StoreError>,
    /// A commit failed: memory is ahead of the disk, so nothing may leave any more.
    failed: bool,
}

impl Journal {
    /// Opens the journal on its store. `random`: 16 bytes of entropy for this life's incarnation.
    pub fn open(
        store: Box<dyn Store>,
        config: JournalConfig,
        random: [u8; 16],
        now: Now,
    ) -> Result<Journal, StoreError> {
        open::open(store, config, random, now)
    }

    /// Takes an input: changes the state in memory, stages writes and outputs.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.cache.set_now(now.mono_ms);
        self.expire();
        match input {
            Input::Guard { stream, message } => {
                if let Some(kind) = message.kind {
                    self.guard_message(stream, kind);
                }
            }
            Input::GuardClosed { stream } => self.drop_guard(stream),
            Input::Resolve { session, number, action } => {
                self.resolve(&session, number, action);
            }
            Input::Tick => {}
        }
    }

    /// Makes everything staged durable, then hands out what was staged. Any error is final: the
    /// journal hands out nothing after it.
    pub fn commit(&mut self, now: Now) -> Result<Vec<Output>, StoreError> {
        if let Some(fault) = self.fault.take() {
            self.failed = true;
            return Err(fault);
        }
        if self.failed {
            return Err(StoreError::Commit {
                path: self.path(),
                writes: 0,
                cause: "an earlier commit failed".to_string(),
            });
        }
        let too_late = mutants::on(Mutant::GrantBeforeSync) && !self.outputs.is_empty();
        let mut writes: Vec<Write> = if too_late { Vec::new() } else { self.cache.staged() };
        if std::mem::take(&mut self.meta_dirty) {
            writes.push(self.stage_meta());
        }
        if !writes.is_empty() {
            self.store.commit(&writes).inspect_err(|_| self.failed = true)?;
        }
        self.cache.set_now(now.mono_ms);
        self.cache.evict(self.config.session_idle_ms);
        Ok(std::mem::take(&mut self.outputs))
    }

    /// Work that gives disk space back; see [`Store::reclaim`].
    pub fn reclaim(&mut self) -> Option<Reclaim> {
        self.store.reclaim()
    }

    /// When a [`Input::Tick`] is due, on the monotonic clock.
    pub fn next_wake_ms(&self) -> Option<u64> {
        [self.held.next_deadline(), self.cache.next_deadline()].into_iter().flatten().min()
    }

    /// The incarnation of this life of the store.
    pub fn incarnation(&self) -> Incarnation {
        self.lives.last().copied().unwrap_or_default()
    }

    fn path(&self) -> PathBuf {
        self.store.path().to_path_buf()
    }

    /// What came due by now.
    fn expire(&mut self) {
        while let Some(session) = self.cache.pop_overdue() {
            self.run_overdue(&session);
        }
        while let Some(id) = self.held.overdue(self.cache.now_ms()) {
            self.wait_over(id);
        }
    }
}
