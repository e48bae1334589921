//! A session in memory: its numbers, what each replica has settled, and its live entries.

use super::record::StoredSession;
use crate::StreamId;
use protocol::{Digest, Id, Incarnation, Link, Number, Position, Replica};
use std::collections::{BTreeMap, VecDeque};

/// First 16 bytes of SHA-256 over method, path and body.
pub(super) type Fingerprint = [u8; 16];

/// What a replica's guard said of a write that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub status: u16,
    pub digest: Digest,
}

/// A numbered write that some replica has not settled. Its payload is in the store.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: Id,
    pub fingerprint: Fingerprint,
    pub link: Link,
    pub received_ms: u64,
    /// Bytes that it takes in the store.
    pub bytes: u64,
    /// Tokens of the Appends whose reply went out and was not cancelled.
    pub releases: Vec<u64>,
    /// Its end, a takeover or the loss of its gateway's stream: when, on the monotonic clock.
    pub ended_ms: Option<u64>,
    /// A gateway reported what became of it, so it was released.
    pub end_reported: bool,
    /// A delivery of it has begun.
    pub attempted: bool,
    pub withdrawn: bool,
    /// The journals' incarnations that the log knew when it numbered this.
    pub journals: [Incarnation; 2],
    pub ran: [Option<Ran>; 2],
    /// `ran` has a record of its own.
    pub ran_kept: bool,
}

/// A reply that is withheld while the primary catches up.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub stream: StreamId,
    pub token: u64,
    pub seq: u64,
    pub known: bool,
}

/// How delivery to one replica goes in one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    /// The number under way.
    pub delivering: Option<u64>,
    /// It waits in the replica's queue of ready sessions.
    pub queued: bool,
    /// Failed attempts in a row at the next number.
    pub attempts: u32,
    /// Not before this, on the monotonic clock.
    pub not_before_ms: u64,
    /// This number is listed as in doubt, in conflict or behind at the replica.
    pub stuck_at: Option<u64>,
    /// The first number of the epoch ran there: whether after something that it did not follow
    /// from.
    pub opened_forced: Option<bool>,
}

/// A session with all that it needs in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub epoch: u64,
    /// Number and link of the last entry that both have settled; entries begin after it.
    pub base: u64,
    pub base_link: Link,
    pub after: Option<Position>,
    pub settled: [u64; 2],
    pub pinned: bool,
    /// The next write opens an epoch that follows from nothing.
    pub forced: bool,
    /// Unix milliseconds.
    pub touched_ms: u64,
    pub entries: VecDeque<Entry>,
    pub ids: BTreeMap<Id, u64>,
    pub lanes: [Lane; 2],
    pub held: VecDeque<Held>,
    /// When the oldest held reply must go, on the monotonic clock.
    pub hold_until_ms: Option<u64>,
    /// No hand-back is tried before this, and how long to wait after the next failure.
    pub no_hold_before_ms: u64,
    pub hold_backoff_ms: u64,
    /// When it was last handed back, how long its present pin lasts at least, and until when. Not
    /// kept on disk: a restart forgives.
    pub handed_back_ms: Option<u64>,
    pub damping_ms: u64,
    pub no_hand_back_before_ms: u64,
}

impl Session {
    pub(super) fn from_record(record: &StoredSession) -> Session {
        Session {
            epoch: record.epoch,
            base: record.base,
            base_link: Link::from_wire(&record.base_link).unwrap_or_default(),
            after: record.after.as_ref().and_then(Position::from_wire),
            settled: [record.settled_primary, record.settled_secondary],
            pinned: record.pinned,
            forced: record.forced,
            touched_ms: record.touched_ms,
            ..Session::default()
        }
    }

    pub(super) fn to_record(&self) -> StoredSession {
        StoredSession {
            epoch: self.epoch,
            base: self.base,
            base_link: self.base_link.0.to_vec(),
            settled_primary: self.settled[0],
            settled_secondary: self.settled[1],
            pinned: self.pinned,
            after: self.after.map(Position::to_wire),
            touched_ms: self.touched_ms,
            forced: self.forced,
        }
    }

    /// The last number given out.
    pub(super) fn last(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// The link of the last number.
    pub(super) fn last_link(&self) -> Link {
        self.entries.back().map_or(self.base_link, |e| e.link)
    }

    pub(super) fn position(&self) -> Position {
        Position { number: self.number(self.last()), link: self.last_link() }
    }

    pub(super) fn number(&self, seq: u64) -> Number {
        Number { epoch: self.epoch, seq }
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.base)?.checked_sub(1)?).ok()
    }

    pub(super) fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.get(self.index(seq)?)
    }

    pub(super) fn entry_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let index = self.index(seq)?;
        self.entries.get_mut(index)
    }

    /// The link of a number that is still known: the base or a live entry.
    pub(super) fn link_of(&self, seq: u64) -> Option<Link> {
        if seq == self.base { Some(self.base_link) } else { self.entry(seq).map(|e| e.link) }
    }

    /// The last number that is not held back.
    pub(super) fn released_last(&self) -> u64 {
        self.held.iter().map(|h| h.seq).min().map_or(self.last(), |first| first - 1)
    }

    /// Entries that a replica has not settled.
    pub(super) fn lag(&self, replica: Replica) -> u64 {
        self.last().saturating_sub(self.settled[replica.index()])
    }

    /// Nothing is live, held or under way: only its record matters.
    pub(super) fn is_quiet(&self) -> bool {
        self.entries.is_empty()
            && self.held.is_empty()
            && self.lanes.iter().all(|l| l.delivering.is_none() && !l.queued)
    }
}
