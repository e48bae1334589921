//! The replay log: numbers the writes of every session, keeps those that a replica has not
//! settled, and says what to deliver next.
//!
//! Invariants:
//! - A number leaves only in the outputs of a commit that made its entry durable.
//! - Entries of a session are contiguous: `base + 1 ..= last`. What both replicas have settled is
//!   at or below `base`, and only its id is remembered.
//! - A replica settles a prefix: its guard runs in order, so "ran n" says that all up to n ran.
//! - To each replica one number of a session is under delivery at a time: the next that it has
//!   not settled, once the entry has ended at its gateway or was taken over.
//! - Time decides when something is tried or forgotten, never what comes first.
//!
//! Files: [`append`](self) numbers, `ends` hears what became of a write, `deliver` chooses what
//! goes out, `route` pins and hands back, `full` refuses, `gateways` knows who is connected, `ids`
//! remembers, `record` is the disk, `session` and `entry` the memory, `recover` makes the one into
//! the other, `status` is the view.

mod append;
mod cases;
mod deliver;
mod ends;
mod entry;
mod epochs;
mod full;
mod gateways;
mod ids;
mod record;
mod recover;
mod route;
pub mod salvage;
mod session;
mod status;
mod unseeded;

pub use self::full::Full;
pub use self::recover::journal_lives;
pub use self::status::{Case, Event, HeldUp, Status};

use self::cases::Cases;
use self::deliver::Delivering;
use self::gateways::Gateways;
use self::ids::IdIndex;
use self::session::Session;
use crate::store::{Reclaim, Store, StoreError, Write};
use crate::{Now, StreamId};
use protocol::mutants::{self, Mutant};
use protocol::{Incarnation, Number, Replica, SessionKey, Stamp, Word, pb};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How a log behaves; times in milliseconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The service whose writes it orders.
    pub service: String,
    /// `Some(cluster)`: Envoy mirrors numbered writes to this cluster (`mirror: envoy`).
    pub mirror_cluster: Option<String>,
    /// A gateway Envoy that is connected alone may answer reads from its own table.
    pub sole_gateway: bool,
    /// A released write without an end is delivered after this.
    pub takeover_ms: u64,
    /// Sessions under delivery at once, per replica.
    pub delivery_parallel: usize,
    /// Deliveries begun in a second, per replica; 0: no bound.
    pub delivery_per_second: u64,
    /// The longest that a hand-back holds a write.
    pub handback_hold_ms: u64,
    /// In `mirror: envoy`, how long the mirror's copy is waited for.
    pub mirror_grace_ms: u64,
    /// How long a settled id is remembered.
    pub remember_ids_ms: u64,
    /// The most that remembered ids may take.
    pub remember_ids_bytes: u64,
    /// A session that rests this long begins a new epoch with its next write.
    pub session_idle_ms: u64,
    /// The most unsettled entries, which are what takes memory; above it writes are refused.
    pub max_entries: u64,
    /// The most that unsettled entries may take on disk; above it writes are refused.
    pub max_bytes: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message of a gateway's stream; the first must be a hello.
    Gateway {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: pb::GatewayRequest,
    },
    /// A gateway's stream ended.
    GatewayClosed {
        /// The stream.
        stream: StreamId,
    },
    /// A delivery came to an end.
    Delivered {
        /// Whom it was for.
        replica: Replica,
        /// The session.
        session: SessionKey,
        /// The number.
        number: Number,
        /// The guard's word, or none when no answer with a word came.
        word: Option<Word>,
    },
    /// A probe came to an end.
    Probed {
        /// Whom it asked.
        replica: Replica,
        /// The guard's word, or none when no answer with a word came.
        word: Option<Word>,
    },
    /// The local journal's own news that a write ran at its replica (`mirror: envoy`).
    JournalRan {
        /// The journal's replica.
        replica: Replica,
        /// The session.
        session: SessionKey,
        /// What its guard would say.
        word: Word,
    },
    /// Nothing but time passed.
    Tick,
}

/// One request to be sent through the delivery listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Whom it is for.
    pub replica: Replica,
    /// The session.
    pub session: SessionKey,
    /// The number.
    pub number: Number,
    /// Goes out as the stamp header.
    pub stamp: Stamp,
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Request headers as captured.
    pub headers: Vec<pb::Header>,
    /// The body.
    pub body: Vec<u8>,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this.
    ToGateway {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: pb::GatewayResponse,
    },
    /// End this stream, after what was sent before has gone out.
    CloseGateway {
        /// The stream.
        stream: StreamId,
    },
    /// Deliver a write, and report with [`Input::Delivered`].
    Deliver(Box<Delivery>),
    /// Ask this replica's guard, through the delivery listener, whether it is there, and report
    /// with [`Input::Probed`].
    Probe {
        /// Whom to ask.
        replica: Replica,
    },
}

/// An output that waits for the commit of its batch.
enum Staged {
    Ready(Output),
    /// The payload is read when it goes out.
    Deliver {
        replica: Replica,
        session: SessionKey,
        number: Number,
    },
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    numbered: u64,
    deduplicated: u64,
    withdrawn: u64,
    maybe_done: u64,
    handed_back: u64,
    held: u64,
    longest_hold_ms: u64,
    delivered: [u64; 2],
    /// Deliveries of what a replica had run.
    duplicates: [u64; 2],
    /// Deliveries that did not settle anything, answered or not.
    repeated: [u64; 2],
    taken_over: u64,
    holds_expired: u64,
    /// Appends refused, by reason.
    refused: [u64; REASONS],
}

/// One more than the highest reason of a refusal.
const REASONS: usize = 6;

/// How long settled marks may wait for company before they are written.
const LAZY_MS: u64 = 50;
/// So many waiting sessions are written at once.
const LAZY_SESSIONS: usize = 512;
/// A session without live entries leaves memory after resting this long.
const REST_MS: u64 = 10_000;

/// The log of one service.
pub struct Log {
    store: Box<dyn Store>,
    config: LogConfig,
    incarnation: Incarnation,
    epoch: u64,
    journals: [Incarnation; 2],
    meta_dirty: bool,
    sessions: BTreeMap<SessionKey, Session>,
    ids: IdIndex,
    cases: Cases,
    gateways: Gateways,
    delivering: [Delivering; 2],
    /// Releases by the time of their takeover, which is the same delay for all.
    takeovers: VecDeque<(u64, SessionKey, Number)>,
    /// Sessions to look at again, by time on the monotonic clock.
    timers: BTreeSet<(u64, SessionKey)>,
    /// Sessions at rest, by the time at which they leave memory.
    resting: BTreeSet<(u64, SessionKey)>,
    /// Sessions whose record is behind, and since when one is.
    dirty: BTreeSet<SessionKey>,
    dirty_since_ms: Option<u64>,
    /// Entries that one replica has run, whose record is behind.
    ran_dirty: Vec<(SessionKey, Number)>,
    /// Writes that an output of this batch depends on.
    urgent: Vec<Write>,
    /// Writes that may wait: settled marks and what follows from them.
    lazy: Vec<Write>,
    staged: Vec<Staged>,
    live_bytes: u64,
    live_entries: u64,
    /// New writes are refused, and whether the room must be looked at again.
    full: full::State,
    random: u64,
    counters: Counters,
    fault: Option<StoreError>,
}

impl Log {
    /// Takes note of an input; nothing leaves before [`Log::commit`].
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Gateway { stream, message } => self.gateway_message(now, stream, message),
            Input::GatewayClosed { stream } => self.gateway_closed(now, stream),
            Input::Delivered { replica, session, number, word } => {
                self.delivered(now, replica, &session, number, word);
            }
            Input::Probed { replica, word } => self.probed(now, replica, word),
            Input::JournalRan { replica, session, word } => {
                self.absorb(now, replica, &session, &word);
                self.settle_and_go_on(now, &session);
            }
            Input::Tick => {}
        }
        self.pass_time(now);
    }

    fn gateway_message(&mut self, now: Now, stream: StreamId, message: pb::GatewayRequest) {
        use pb::gateway_request::Kind;
        if let Some(Kind::Hello(hello)) = message.kind {
            return self.hello(stream, hello);
        }
        if !self.gateways.welcomed.contains_key(&stream) {
            return self.staged.push(Staged::Ready(Output::CloseGateway { stream }));
        }
        for end in message.ends {
            self.end(now, &end);
        }
        match message.kind {
            Some(Kind::Append(append)) => self.append(now, stream, append),
            Some(Kind::Cancel(cancel)) => self.cancel(now, &cancel),
            Some(Kind::Locate(locate)) => self.locate(now, stream, &locate),
            Some(Kind::Hello(_)) | None => {}
        }
    }

    fn send(&mut self, stream: StreamId, kind: pb::gateway_response::Kind) {
        let message = pb::GatewayResponse { kind: Some(kind) };
        self.staged.push(Staged::Ready(Output::ToGateway { stream, message }));
    }

    /// Makes everything staged durable, then hands out what was staged. An error is fatal: the
    /// process must end, and nothing of the batch has left.
    pub fn commit(&mut self, now: Now) -> Result<Vec<Output>, StoreError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let lazy_due = self.dirty.len() >= LAZY_SESSIONS
            || self.dirty_since_ms.is_some_and(|since| since + LAZY_MS <= now.mono_ms);
        if lazy_due {
            self.stage_lazy(now)?;
        }
        if self.meta_dirty {
            self.stage_meta();
        }
        let too_late = mutants::on(Mutant::AckBeforeSync)
            && !self.staged.is_empty()
            && self.staged.iter().all(|output| matches!(output, Staged::Ready(_)));
        if !self.urgent.is_empty() && !too_late {
            self.store.commit(&std::mem::take(&mut self.urgent))?;
        }
        if self.lazy.is_empty() {
            self.ids.written();
        }
        let staged = std::mem::take(&mut self.staged);
        let mut outputs = Vec::with_capacity(staged.len());
        for output in staged {
            match output {
                Staged::Ready(output) => outputs.push(output),
                Staged::Deliver { replica, session, number } => {
                    match self.delivery(replica, &session, number)? {
                        Some(delivery) => outputs.push(Output::Deliver(Box::new(delivery))),
                        None => self.not_delivered(now, replica, &session, number),
                    }
                }
            }
        }
        Ok(outputs)
    }

    /// Writes what was waiting for company; for an orderly end.
    pub fn flush(&mut self, now: Now) -> Result<(), StoreError> {
        self.stage_lazy(now)?;
        self.stage_meta();
        self.store.commit(&std::mem::take(&mut self.urgent))?;
        self.ids.written();
        Ok(())
    }

    fn stage_lazy(&mut self, now: Now) -> Result<(), StoreError> {
        self.dirty_since_ms = None;
        for key in std::mem::take(&mut self.dirty) {
            if let Some(session) = self.sessions.get(&key)
                && !mutants::on(Mutant::DropSettleMark)
            {
                self.urgent.push(recover::put_session(&key, session));
            }
        }
        self.stage_ran();
        self.urgent.append(&mut self.lazy);
        let expired = self.ids.expire(self.store.as_ref(), now.unix_ms)?;
        self.urgent.extend(expired);
        Ok(())
    }

    /// What one replica answered, of entries that the other has not settled meanwhile.
    fn stage_ran(&mut self) {
        for (key, number) in std::mem::take(&mut self.ran_dirty) {
            if let Some(session) = self.sessions.get_mut(&key)
                && session.epoch == number.epoch
                && let Some(entry) = session.entry_mut(number.seq)
            {
                entry.ran_kept = true;
                self.urgent.push(recover::put_ran(&key, number, entry));
            }
        }
    }

    fn mark_dirty(&mut self, now: Now, key: &SessionKey) {
        if !self.dirty.contains(key) {
            self.dirty.insert(key.clone());
        }
        self.dirty_since_ms.get_or_insert(now.mono_ms);
    }

    /// Work that gives disk space back; see [`Store::reclaim`].
    pub fn reclaim(&mut self) -> Option<Reclaim> {
        self.store.reclaim()
    }

    /// When a tick is due, on the monotonic clock.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let parallel = self.config.delivery_parallel;
        let probes = self.delivering.iter().filter_map(Delivering::next_probe_ms);
        let turns = self.delivering.iter().filter_map(|d| d.next_turn_ms(parallel));
        probes
            .chain(turns)
            .chain(self.takeovers.front().map(|(at, ..)| *at))
            .chain(self.timers.first().map(|(at, _)| *at))
            .chain(self.resting.first().map(|(at, _)| *at))
            .chain(self.dirty_since_ms.map(|since| since + LAZY_MS))
            .chain(self.full.look_at_ms())
            .min()
    }

    /// Everything that is due by now.
    fn pass_time(&mut self, now: Now) {
        self.note_room(now);
        while let Some((at, ..)) = self.takeovers.front()
            && *at <= now.mono_ms
        {
            if let Some((_, key, number)) = self.takeovers.pop_front() {
                self.take_over(now, &key, number);
            }
        }
        while let Some((at, _)) = self.timers.first()
            && *at <= now.mono_ms
        {
            if let Some((_, key)) = self.timers.pop_first() {
                self.expire_hold(now, &key);
                self.hand_back_if_caught_up(now, &key);
                self.queue_both(now, &key);
            }
        }
        while let Some((at, _)) = self.resting.first()
            && *at <= now.mono_ms
        {
            if let Some((_, key)) = self.resting.pop_first() {
                self.put_to_rest(now, &key);
            }
        }
        for replica in Replica::BOTH {
            self.probe_if_due(now, replica);
            self.pump(now, replica);
        }
    }

    fn put_to_rest(&mut self, now: Now, key: &SessionKey) {
        let Some(session) = self.sessions.get(key).filter(|s| s.is_quiet() && !s.pinned) else {
            return;
        };
        let damping = session.damping_until_ms().filter(|until| now.mono_ms < *until);
        if let Some(until) = damping {
            self.resting.insert((until, key.clone()));
        } else if self.dirty.contains(key) {
            self.resting.insert((now.mono_ms + REST_MS, key.clone()));
        } else {
            self.sessions.remove(key);
        }
    }

    /// The session, from memory or the store; `None` if the log has never heard of it.
    fn load(&mut self, key: &SessionKey) -> Option<&mut Session> {
        if !self.sessions.contains_key(key) {
            match recover::session(self.store.as_ref(), key) {
                Ok(Some(session)) => {
                    self.sessions.insert(key.clone(), session);
                }
                Ok(None) => return None,
                Err(fault) => {
                    self.fault = Some(fault);
                    return None;
                }
            }
        }
        self.sessions.get_mut(key)
    }

    /// A number from 0 to `below`, for jitter (xorshift64*).
    fn jitter(&mut self, below: u64) -> u64 {
        let mut x = self.random | 1;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below.max(1)
    }
}
