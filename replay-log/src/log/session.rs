//! A session in memory: its numbers, what each replica has settled, and its live entries.

use super::entry::{Entry, LiveId};
use super::record::StoredSession;
use crate::StreamId;
use protocol::{Id, Link, Number, Position, Replica};
use std::collections::{BTreeSet, VecDeque};

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
    entries: VecDeque<Entry>,
    /// The hash of each live id and the lowest 32 bits of its number, which tell it from all others
    /// that are live: there are never 2^32.
    ids: BTreeSet<(u32, u32)>,
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
    /// A session whose epoch has no write yet.
    pub(super) fn begin(
        epoch: u64,
        after: Option<Position>,
        pinned: bool,
        touched_ms: u64,
    ) -> Session {
        Session { epoch, after, pinned, touched_ms, base_link: Link::START, ..Session::default() }
    }

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

    /// Adds the entry of the next number.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() == self.entries.capacity() {
            // Less spare room than by doubling: sessions stand still for the whole of an outage.
            self.entries.reserve_exact(self.entries.len() / 4 + 4);
        }
        if !entry.withdrawn {
            self.ids.insert((entry.id.hash(), (self.last() + 1) as u32));
        }
        self.entries.push_back(entry);
    }

    /// Takes out the first entry, which becomes the base.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.base += 1;
        self.base_link = entry.link;
        self.ids.remove(&(entry.id.hash(), self.base as u32));
        if self.entries.capacity() > 16 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(entry)
    }

    /// Forgets the last entry, as if it had never been numbered.
    pub(super) fn unnumber(&mut self) {
        let last = self.last();
        if let Some(entry) = self.entries.pop_back() {
            self.ids.remove(&(entry.id.hash(), last as u32));
        }
    }

    /// Takes out all entries.
    pub(super) fn take_entries(&mut self) -> VecDeque<Entry> {
        self.ids.clear();
        std::mem::take(&mut self.entries)
    }

    /// The number that a live id has.
    pub(super) fn find(&self, id: &Id) -> Option<u64> {
        let id = LiveId::new(id);
        let hash = id.hash();
        let same_hash = self.ids.range((hash, 0)..=(hash, u32::MAX));
        let numbers = same_hash.map(|(_, low)| {
            // The one above the base that ends in these bits.
            self.base + u64::from(low.wrapping_sub(self.base as u32))
        });
        numbers.rev().find(|seq| self.entry(*seq).is_some_and(|entry| entry.id == id))
    }

    /// The entry of a number becomes a no-op; its id is free again.
    pub(super) fn withdraw(&mut self, seq: u64) {
        if let Some(entry) = self.entry_mut(seq) {
            entry.withdrawn = true;
            entry.journals = Default::default();
            let hash = entry.id.hash();
            self.ids.remove(&(hash, seq as u32));
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

    /// Nothing follows its last entry in this epoch, and that is not settled: the store was
    /// salvaged, and a number behind it may have been given out.
    pub(super) fn is_sealed(&self) -> bool {
        self.forced && !self.entries.is_empty()
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

#[cfg(test)]
mod tests {
    use super::super::record::StoredEntry;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Few ids, and each has others of the same hash.
    fn id(n: u8) -> Id {
        let hex = format!("{:032x}", n / 3);
        let text = match n % 3 {
            0 => hex,
            1 => [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"),
            // The same 16 bytes again, each of them a printable character.
            _ => String::from_utf8(vec![b'A' + n / 3; 16]).expect("text"),
        };
        Id::new(text).expect("an id")
    }

    #[test]
    fn ids_of_one_hash_are_told_apart() {
        let hashes = [0, 1].map(|n| LiveId::new(&id(n)).hash());
        assert_eq!(hashes[0], hashes[1], "the test is about these");
        let mut session = Session::begin(1, None, false, 0);
        for n in 0..2 {
            assert_eq!(session.find(&id(n)), None);
            number(&mut session, &id(n));
        }
        assert_eq!([0, 1].map(|n| session.find(&id(n))), [Some(1), Some(2)]);
        session.withdraw(1);
        assert_eq!([0, 1].map(|n| session.find(&id(n))), [None, Some(2)]);
    }

    fn number(session: &mut Session, id: &Id) -> u64 {
        let link = session.last_link().next(id);
        session.push(Entry::new(id, link, &StoredEntry::default(), Default::default()));
        session.last()
    }

    proptest! {
        #[test]
        fn a_live_id_is_found_at_its_number_wherever_the_session_stands(
            base in prop_oneof![Just(0), u64::from(u32::MAX) - 20..=u64::from(u32::MAX) + 20],
            steps in prop::collection::vec((0..4_u8, 0..12_u8), 0..120),
        ) {
            let mut session = Session { base, ..Session::begin(1, None, false, 0) };
            let mut live: BTreeMap<Id, u64> = BTreeMap::new();
            for (what, n) in steps {
                let id = id(n);
                match what {
                    0 | 1 if !live.contains_key(&id) => {
                        live.insert(id.clone(), number(&mut session, &id));
                    }
                    2 => if let Some(seq) = live.remove(&id) {
                        session.withdraw(seq);
                    },
                    _ => if let Some(entry) = session.pop() {
                        prop_assert_eq!(entry.link, session.base_link);
                        live.retain(|_, seq| *seq > session.base);
                    },
                }
                for n in 0..12 {
                    prop_assert_eq!(session.find(&self::id(n)), live.get(&self::id(n)).copied());
                }
            }
        }
    }
}
