//! What waits: begins for what precedes them or for a running duplicate, and reads for a number.
//! Bounded per stream; each has a deadline.

use super::Journal;
use super::session::Candidate;
use crate::StreamId;
use protocol::{Number, SessionKey, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Who asked: a token counts within its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) stream: StreamId,
    pub(super) token: u64,
}

/// What waits.
pub(super) struct Waiter {
    pub(super) asker: Asker,
    pub(super) session: SessionKey,
    pub(super) number: Number,
    /// The write that wants to begin; none for a read.
    pub(super) write: Option<Box<Candidate>>,
    deadline_ms: u64,
}

/// Everything that waits, by arrival.
#[derive(Default)]
pub(super) struct Held {
    arrivals: u64,
    waiters: BTreeMap<u64, Waiter>,
    deadlines: BTreeSet<(u64, u64)>,
    tokens: BTreeMap<StreamId, BTreeMap<u64, u64>>,
}

impl Held {
    /// How many wait.
    pub(super) fn len(&self) -> u64 {
        self.waiters.len() as u64
    }

    /// The next deadline of a waiter.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A waiter whose deadline is over.
    pub(super) fn overdue(&self, now_ms: u64) -> Option<u64> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now_ms).map(|(_, id)| *id)
    }

    fn add(&mut self, waiter: Waiter) -> Option<u64> {
        let tokens = self.tokens.entry(waiter.asker.stream).or_default();
        if tokens.len() >= limits::HELD_REQUESTS || tokens.contains_key(&waiter.asker.token) {
            return None;
        }
        self.arrivals += 1;
        tokens.insert(waiter.asker.token, self.arrivals);
        self.deadlines.insert((waiter.deadline_ms, self.arrivals));
        self.waiters.insert(self.arrivals, waiter);
        Some(self.arrivals)
    }

    fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        self.deadlines.remove(&(waiter.deadline_ms, id));
        if let Some(tokens) = self.tokens.get_mut(&waiter.asker.stream) {
            tokens.remove(&waiter.asker.token);
            if tokens.is_empty() {
                self.tokens.remove(&waiter.asker.stream);
            }
        }
        Some(waiter)
    }

    /// The write of a waiter.
    pub(super) fn write(&self, id: u64) -> Option<&Candidate> {
        self.waiters.get(&id)?.write.as_deref()
    }
}

impl Journal {
    /// Lets a session's begin or read wait. False if its stream has too many waiting already, or
    /// this token among them.
    pub(super) fn hold(
        &mut self,
        asker: Asker,
        session: &SessionKey,
        number: Number,
        write: Option<Box<Candidate>>,
        wait_ms: u32,
    ) -> bool {
        let reads = write.is_none();
        let deadline_ms = self.cache.now_ms() + u64::from(wait_ms);
        let waiter = Waiter { asker, session: session.clone(), number, write, deadline_ms };
        let Some(id) = self.held.add(waiter) else { return false };
        if let Some(session) = self.cache.waits_mut(session) {
            let queue = if reads { &mut session.reading } else { &mut session.waiting };
            queue.insert((number, id));
        }
        true
    }

    /// Takes a waiter out.
    pub(super) fn release(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.held.remove(id)?;
        if let Some(session) = self.cache.waits_mut(&waiter.session) {
            let entry = (waiter.number, id);
            let _ = session.waiting.remove(&entry) || session.reading.remove(&entry);
        }
        self.cache.touch(&waiter.session);
        Some(waiter)
    }

    /// The context of a token is gone.
    pub(super) fn leave(&mut self, asker: Asker) {
        let id = self.held.tokens.get(&asker.stream).and_then(|tokens| tokens.get(&asker.token));
        if let Some(id) = id.copied() {
            self.release(id);
        }
    }

    /// The stream is gone, and everything that waited on it.
    pub(super) fn leave_all(&mut self, stream: StreamId) {
        for id in self.held.tokens.remove(&stream).unwrap_or_default().into_values() {
            self.release(id);
        }
    }
}
