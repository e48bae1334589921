//! Epochs: when a session's numbers begin anew, and what happens when the store is found old.

use super::Log;
use super::cases::Kind;
use super::record;
use super::recover;
use super::session::Session;
use crate::Now;
use crate::store::Write;
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::{Position, Replica, SessionKey};

/// Epochs begin at the wall clock's milliseconds; 2^53 of them are 285,000 years.
const EPOCH_MAX: u64 = 1 << 53;

impl Log {
    pub(super) fn hear_epoch(&mut self, epoch: u64) {
        // Not a time that a clock could have given: forged.
        if epoch > self.epoch && epoch < EPOCH_MAX {
            self.epoch = epoch;
            self.meta_dirty = true;
        }
    }

    /// Higher than every epoch given out or heard of, and than the wall clock: a store that lost
    /// its memory does not fall back behind what it gave out before.
    fn next_epoch(&mut self, now: Now) -> u64 {
        self.epoch = self.epoch.max(now.unix_ms) + 1;
        self.meta_dirty = true;
        self.epoch
    }

    /// Makes sure that the session is there and that its epoch can take a number: a session that
    /// is new, has rested for `session_idle_ms`, or must follow from nothing, opens a new one.
    pub(super) fn open_epoch_if_due(&mut self, now: Now, key: &SessionKey) {
        let idle_ms = self.config.session_idle_ms;
        let after = match self.sessions.get(key) {
            None => None,
            Some(s) if s.forced => None,
            Some(s) => {
                let rested = now.unix_ms.saturating_sub(s.touched_ms) >= idle_ms;
                if !(rested
                    && s.last() > 0
                    && s.is_quiet()
                    && s.settled.iter().all(|n| *n == s.last()))
                {
                    return;
                }
                Some(s.position())
            }
        };
        let pinned =
            self.sessions.get(key).is_some_and(|s| s.pinned) || self.is_unseeded(Replica::Primary);
        let epoch = match self.sessions.get(key) {
            Some(old) if mutants::on(Mutant::StaleEpoch) => old.epoch,
            _ => self.next_epoch(now),
        };
        let session = Session::begin(epoch, after, pinned, now.unix_ms);
        self.urgent.push(recover::put_session(key, &session));
        self.sessions.insert(key.clone(), session);
    }

    /// A guard knows more of this session than the log: the store is an old copy. What it still
    /// had to deliver is put in quarantine, and the next write opens an epoch that follows from
    /// nothing, under a new incarnation, so that guards can tell.
    pub(super) fn store_is_old(&mut self, now: Now, key: &SessionKey, heard: Position) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.forced && !session.is_sealed() {
            return;
        }
        session.forced = true;
        for replica in Replica::BOTH {
            self.cases.resolve(replica, key);
        }
        let epoch = session.epoch;
        let first = session.base + 1;
        let entries = session.take_entries();
        let held = std::mem::take(&mut session.held);
        session.settled = [session.base; 2];
        let forced = recover::put_session(key, session);
        self.case(
            now,
            Kind::Forced,
            key,
            heard.number,
            "a guard stands beyond the end of the log: the store is an old copy",
        );
        // A crash may leave a batch's first writes alone: the session is forced when all is in
        // quarantine, and an entry goes after that.
        let mut removals = vec![forced];
        for (seq, entry) in (first..).zip(entries) {
            let number = protocol::Number { epoch, seq };
            self.live_bytes = self.live_bytes.saturating_sub(entry.bytes.into());
            self.live_entries = self.live_entries.saturating_sub(1);
            let from = record::payload_key(key, number);
            match self.staged_or_stored(&from) {
                Ok(payload) => {
                    let entry = entry.to_record().encode_to_vec();
                    let value = [entry, payload.unwrap_or_default()].concat();
                    self.urgent
                        .push(Write::Put { key: record::quarantine_key(key, number), value });
                }
                Err(fault) => self.fault = Some(fault),
            }
            removals.push(Write::Delete { key: from });
            removals.push(Write::Delete { key: record::entry_key(key, number) });
            if entry.ran_kept {
                removals.push(Write::Delete { key: record::ran_key(key, number) });
            }
            self.case(
                now,
                Kind::Quarantined,
                key,
                number,
                "not delivered until an operator decides",
            );
        }
        self.urgent.append(&mut removals);
        for held in held {
            let detail = "the session's log was found to be old; send the write again".to_string();
            self.refuse_held(held.stream, held.token, detail);
        }
        self.renew_incarnation();
    }

    fn renew_incarnation(&mut self) {
        let random = (self.jitter(1 << 31) << 31) | self.jitter(1 << 31);
        self.incarnation = protocol::Incarnation((random | 1).to_be_bytes());
        self.meta_dirty = true;
        self.welcome_again();
    }

    /// A record's bytes, even if its own batch is not committed yet.
    fn staged_or_stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, crate::store::StoreError> {
        let staged = self.urgent.iter().rev().find_map(|w| match w {
            Write::Put { key: k, value } if k == key => Some(value.clone()),
            _ => None,
        });
        match staged {
            Some(value) => Ok(Some(value)),
            None => self.store.get(key),
        }
    }
}
