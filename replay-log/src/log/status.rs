//! What an operator sees of a log.

use super::Log;
use super::cases::Kind;
use super::full::Full;
use super::record::StoredCase;
use super::session::Session;
use crate::store::StoreStats;
use protocol::{Number, Replica, pb::refused::Reason};

/// A log at one moment; counters count since the process started.
#[derive(Clone, Debug)]
pub struct Status {
    /// Sessions in memory: those with live entries, or used lately.
    pub sessions: u64,
    /// Of these, pinned to the secondary.
    pub pinned: u64,
    /// Entries that some replica has not settled.
    pub entries: u64,
    /// Bytes of those entries.
    pub bytes: u64,
    /// The most that there may be of either.
    pub max_entries: u64,
    /// In bytes.
    pub max_bytes: u64,
    /// Why new writes are refused, if they are.
    pub full: Option<Full>,
    /// Writes numbered.
    pub numbered: u64,
    /// Appends whose id was known.
    pub deduplicated: u64,
    /// Numbers that became no-ops.
    pub withdrawn: u64,
    /// Ends without a guard's word that the write ran.
    pub maybe_done: u64,
    /// Sessions handed back to the primary.
    pub handed_back: u64,
    /// Writes held for a hand-back.
    pub held: u64,
    /// The longest such hold, milliseconds.
    pub longest_hold_ms: u64,
    /// Entries that a replica has not settled, the primary's first.
    pub backlog: [u64; 2],
    /// Deliveries that a guard confirmed.
    pub delivered: [u64; 2],
    /// When the oldest entry that a replica has not settled was received, unix milliseconds.
    pub oldest_ms: [Option<u64>; 2],
    /// Deliveries of what a replica had run already.
    pub duplicates: [u64; 2],
    /// Deliveries that came back without having run, to be repeated.
    pub repeated: [u64; 2],
    /// Writes that were delivered since no gateway had reported their end in time.
    pub taken_over: u64,
    /// Hand-backs that were given up when the hold's time was over.
    pub holds_expired: u64,
    /// Appends refused since the log has no room.
    pub refused_full: u64,
    /// Appends refused since their id is known with another payload.
    pub refused_mismatch: u64,
    /// Appends refused since the primary is cut off.
    pub refused_cut: u64,
    /// Appends refused since a field is out of its limits.
    pub refused_invalid: u64,
    /// Appends whose number was taken back before it was released.
    pub refused_superseded: u64,
    /// Writes listed as diverged.
    pub diverged_listed: u64,
    /// Numbers listed as in conflict.
    pub conflicts_listed: u64,
    /// Epochs listed as forced.
    pub forced_listed: u64,
    /// Entries put in quarantine.
    pub quarantined_listed: u64,
    /// Sessions listed as unseeded.
    pub unseeded_listed: u64,
    /// Replicas that do not answer.
    pub away: [bool; 2],
    /// Replicas whose journal came in place of a lost one and is not seeded.
    pub unseeded: [bool; 2],
    /// Streams of gateway workers.
    pub gateways: u64,
    /// Remembered ids of settled writes.
    pub ids: u64,
    /// Ids forgotten before their time because of `remember_ids_bytes`.
    pub ids_evicted_early: u64,
    /// Writes that the replicas answered differently.
    pub diverged: Vec<Case>,
    /// Writes that a replica may or may not have run.
    pub in_doubt: Vec<HeldUp>,
    /// Writes that a replica keeps refusing to run, or never says a word of; tried on and on.
    pub held_up: Vec<HeldUp>,
    /// Numbers that a guard refused, and epochs that follow from nothing.
    pub conflicts: Vec<Case>,
    /// Entries that wait for an operator's decision.
    pub quarantined: Vec<Case>,
    /// The latest events, the oldest first.
    pub events: Vec<Event>,
    /// Figures of the store.
    pub store: StoreStats,
}

/// Something listed for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is: `diverged_status`, `diverged_body`, `conflict`, `forced`, `unseeded`,
    /// `quarantined`.
    pub kind: String,
    /// The session.
    pub session: String,
    /// The write.
    pub number: Number,
    /// Its method, if the log still has it.
    pub method: String,
    /// Its path, if the log still has it.
    pub path: String,
    /// In words.
    pub detail: String,
    /// Status and body digest of both answers, the primary's first; 0 and empty if not known.
    pub answers: [(u32, String); 2],
}

impl Case {
    pub(super) fn from_stored(c: &StoredCase) -> Case {
        Case {
            kind: c.kind.clone(),
            session: c.session.clone(),
            number: Number { epoch: c.epoch, seq: c.seq },
            method: c.method.clone(),
            path: c.path.clone(),
            detail: c.detail.clone(),
            answers: [
                (c.primary_status, c.primary_digest.clone()),
                (c.secondary_status, c.secondary_digest.clone()),
            ],
        }
    }
}

/// A write that holds up its session at a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// Why: `in_doubt`, `not_run` or `unanswered`.
    pub kind: &'static str,
    /// The session.
    pub session: String,
    /// The write, or what waits behind it.
    pub number: Number,
    /// Where.
    pub replica: Replica,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0, 1, 2 … since the start.
    pub seq: u64,
    /// When, unix milliseconds.
    pub at_ms: u64,
    /// `away`, `back`, `unseeded`, `seeded`, `pinned`, `handed_back`, `hold_expired`, `drained`,
    /// `full`, `room_again`, or a case's kind.
    pub kind: &'static str,
    /// Which replica, if one.
    pub replica: Option<Replica>,
    /// Which session, if one.
    pub session: Option<String>,
    /// In words; may be empty.
    pub detail: String,
}

impl Log {
    /// The latest events from this number on, the oldest first.
    pub fn events_from(&self, seq: u64) -> impl Iterator<Item = &Event> {
        let events = &self.cases.events;
        let passed = events.front().map_or(0, |first| seq.saturating_sub(first.seq));
        events.iter().skip(usize::try_from(passed).unwrap_or(usize::MAX))
    }

    /// How it stands now.
    pub fn status(&self) -> Status {
        let lag = |replica| self.sessions.values().map(|s| s.lag(replica)).sum();
        let held_up = |doubts: bool| {
            let waiting = self.cases.waiting.values();
            waiting.filter(|w| (w.kind == Kind::InDoubt.name()) == doubts).cloned().collect()
        };
        let oldest = |replica: Replica| {
            let first = |s: &Session| Some(s.entry(s.settled[replica.index()] + 1)?.received_ms);
            self.sessions.values().filter_map(first).min()
        };
        let c = &self.counters;
        let refused = |reason| c.refused.get(reason as usize).copied().unwrap_or_default();
        let listed = |kind| self.cases.listed.get(&kind).copied().unwrap_or_default();
        Status {
            sessions: self.sessions.len() as u64,
            pinned: self.sessions.values().filter(|s| s.pinned).count() as u64,
            entries: self.live_entries,
            bytes: self.live_bytes,
            max_entries: self.config.max_entries,
            max_bytes: self.config.max_bytes,
            full: self.full(),
            numbered: c.numbered,
            deduplicated: c.deduplicated,
            withdrawn: c.withdrawn,
            maybe_done: c.maybe_done,
            handed_back: c.handed_back,
            held: c.held,
            longest_hold_ms: c.longest_hold_ms,
            backlog: [lag(Replica::Primary), lag(Replica::Secondary)],
            delivered: c.delivered,
            oldest_ms: Replica::BOTH.map(oldest),
            duplicates: c.duplicates,
            repeated: c.repeated,
            taken_over: c.taken_over,
            holds_expired: c.holds_expired,
            refused_full: refused(Reason::Full),
            refused_mismatch: refused(Reason::PayloadMismatch),
            refused_cut: refused(Reason::Cut),
            refused_invalid: refused(Reason::Invalid),
            refused_superseded: refused(Reason::Superseded),
            diverged_listed: listed(Kind::Diverged),
            conflicts_listed: listed(Kind::Conflict),
            forced_listed: listed(Kind::Forced),
            quarantined_listed: listed(Kind::Quarantined),
            unseeded_listed: listed(Kind::Unseeded),
            away: Replica::BOTH.map(|r| self.is_away(r)),
            unseeded: Replica::BOTH.map(|r| self.is_unseeded(r)),
            gateways: self.gateways.welcomed.len() as u64,
            ids: self.ids.len(),
            ids_evicted_early: self.ids.evicted_early,
            diverged: self.cases.of_kind(&[Kind::Diverged]),
            in_doubt: held_up(true),
            held_up: held_up(false),
            conflicts: self.cases.of_kind(&[Kind::Conflict, Kind::Forced, Kind::Unseeded]),
            quarantined: self.cases.of_kind(&[Kind::Quarantined]),
            events: self.cases.events.iter().cloned().collect(),
            store: self.store.stats(),
        }
    }
}
