//! The sessions in memory: loaded on demand, staged for the next commit, evicted when unused.

use super::Journal;
use super::record::{self, SessionRecord};
use super::session::{Flight, FlightState, Session};
use crate::store::Write;
use prost::Message;
use protocol::mutants::{self, Mutant};
use protocol::{SessionKey, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Sessions that stay in memory though nothing of theirs is in flight or waiting.
const CACHED_SESSIONS: usize = limits::SESSIONS_DEFAULT as usize;
/// How long after the end of a run its outcome may take to arrive, milliseconds: the owner has
/// the same deadline for the run itself, and its report is better than our doubt.
const REPORT_MS: u64 = 500;

/// Sessions in memory.
#[derive(Default)]
pub(super) struct Cache {
    sessions: BTreeMap<SessionKey, Entry>,
    /// The sessions by their last use: its count, then its time.
    used: BTreeMap<u64, (SessionKey, u64)>,
    uses: u64,
    now_ms: u64,
    /// Changed since the last commit.
    dirty: BTreeSet<SessionKey>,
    /// Sessions with something in flight.
    flying: BTreeSet<SessionKey>,
    /// When a run is overdue, monotonic milliseconds.
    deadlines: BTreeSet<(u64, SessionKey)>,
    /// Sessions on disk, the staged ones included.
    stored: u64,
}

#[derive(Default)]
struct Entry {
    session: Session,
    on_disk: bool,
    used: u64,
    deadline_ms: Option<u64>,
}

impl Cache {
    /// The sessions that are on disk, and those of them that have something in flight.
    pub(super) fn new(stored: u64, flying: Vec<(SessionKey, Session)>, now_ms: u64) -> Cache {
        let mut cache = Cache { stored, now_ms, ..Cache::default() };
        for (key, session) in flying {
            cache.insert(&key, session, true);
            cache.touch(&key);
            cache.flying.insert(key.clone());
            cache.restart_deadline(&key);
        }
        cache
    }

    fn insert(&mut self, key: &SessionKey, session: Session, on_disk: bool) {
        let entry = Entry { session, on_disk, ..Entry::default() };
        self.sessions.insert(key.clone(), entry);
    }

    pub(super) fn touch(&mut self, key: &SessionKey) {
        if let Some(entry) = self.sessions.get_mut(key) {
            self.used.remove(&entry.used);
            self.uses += 1;
            entry.used = self.uses;
            self.used.insert(self.uses, (key.clone(), self.now_ms));
        }
    }

    /// The time of the input that is being handled, monotonic milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Sets that time; it never goes back.
    pub(super) fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// A session in memory.
    pub(super) fn get(&self, key: &SessionKey) -> Option<&Session> {
        self.sessions.get(key).map(|entry| &entry.session)
    }

    /// A session in memory, for a change that is not stored.
    pub(super) fn waits_mut(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key).map(|entry| &mut entry.session)
    }

    /// Changes a session in memory and stages its record.
    pub(super) fn change(&mut self, key: &SessionKey, change: impl FnOnce(&mut Session)) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        change(&mut entry.session);
        self.stored += u64::from(!std::mem::replace(&mut entry.on_disk, true));
        if !self.dirty.contains(key) {
            self.dirty.insert(key.clone());
        }
    }

    /// Puts a write in flight, or takes it out, and stages that.
    pub(super) fn set_flight(&mut self, key: &SessionKey, flight: Option<Flight>) {
        match flight {
            Some(_) => self.flying.insert(key.clone()),
            None => self.flying.remove(key),
        };
        self.change(key, |session| session.flight = flight);
        self.restart_deadline(key);
    }

    /// Sets the state of what is in flight, and stages it.
    pub(super) fn set_state(&mut self, key: &SessionKey, state: FlightState) {
        self.change(key, |session| {
            if let Some(flight) = &mut session.flight {
                flight.state = state;
            }
        });
        self.restart_deadline(key);
    }

    /// Gives what is running a fresh deadline; anything else has none.
    pub(super) fn restart_deadline(&mut self, key: &SessionKey) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        if let Some(old) = entry.deadline_ms.take() {
            self.deadlines.remove(&(old, key.clone()));
        }
        if let Some(flight) = &entry.session.flight
            && flight.state == FlightState::Running
        {
            let deadline = self.now_ms + u64::from(flight.run_timeout_ms) + REPORT_MS;
            entry.deadline_ms = Some(deadline);
            self.deadlines.insert((deadline, key.clone()));
        }
    }

    /// The next deadline of a run.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A session whose run is overdue; its deadline is taken away.
    pub(super) fn pop_overdue(&mut self) -> Option<SessionKey> {
        let due = self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= self.now_ms);
        let (_, key) = due.then(|| self.deadlines.pop_first())??;
        if let Some(entry) = self.sessions.get_mut(&key) {
            entry.deadline_ms = None;
        }
        Some(key)
    }

    /// The sessions with something in flight, in order.
    pub(super) fn flying(&self) -> impl Iterator<Item = (&SessionKey, &Flight)> {
        self.flying.iter().filter_map(|key| Some((key, self.get(key)?.flight.as_ref()?)))
    }

    /// Sessions on disk.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// Sessions in memory.
    pub(super) fn cached(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// The records of what changed since the last call.
    pub(super) fn staged(&mut self) -> Vec<Write> {
        let dirty = std::mem::take(&mut self.dirty);
        let record = |key: SessionKey| {
            let session = self.get(&key)?;
            if mutants::on(Mutant::OutcomeNotStored) && session.flight.is_none() {
                return None;
            }
            let value = SessionRecord::of(session).encode_to_vec();
            Some(Write::Put { key: record::session_key(&key), value })
        };
        dirty.into_iter().filter_map(record).collect()
    }

    /// Drops what is not in use: the longest unused beyond the bound, and what has been unused
    /// for `idle_ms`. Only after a commit, when what is on disk is the truth.
    pub(super) fn evict(&mut self, idle_ms: u64) {
        while let Some((_, (_, used_ms))) = self.used.first_key_value()
            && (self.used.len() > CACHED_SESSIONS || used_ms.saturating_add(idle_ms) <= self.now_ms)
        {
            let Some((_, (key, _))) = self.used.pop_first() else { return };
            if self.get(&key).is_some_and(|session| !session.is_busy()) {
                self.sessions.remove(&key);
            }
        }
    }
}

impl Journal {
    /// Brings a session into memory. False if the store cannot be read, which the next commit
    /// reports; the input is lost then, as is the process.
    pub(super) fn load(&mut self, key: &SessionKey) -> bool {
        if self.cache.get(key).is_none() {
            let stored = record::session_key(key);
            let found = self.store.get(&stored).and_then(|value| match value {
                Some(value) => record::decode_session(self.store.path(), &stored, &value).map(Some),
                None => Ok(None),
            });
            match found {
                Ok(session) => {
                    let on_disk = session.is_some();
                    self.cache.insert(key, session.unwrap_or_default(), on_disk);
                }
                Err(fault) => {
                    self.fault.get_or_insert(fault);
                    return false;
                }
            }
        }
        self.cache.touch(key);
        true
    }
}
