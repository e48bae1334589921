//! The journal's figures and lists, for `/status`.

use super::Journal;
use super::session::{Candidate, FlightState};
use crate::store::StoreStats;
use protocol::{Incarnation, Number, Position, Replica, SessionKey, limits};
use std::collections::VecDeque;

/// Counted since this life of the journal began.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) ran: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    pub(super) redone: u64,
    pub(super) skipped: u64,
    pub(super) contradictions: u64,
    pub(super) malformed: u64,
    pub(super) turned_away: u64,
    pub(super) waited: u64,
    pub(super) overdue: u64,
    pub(super) stale_epochs: u64,
    pub(super) distrusted: u64,
    pub(super) unseeded: u64,
    forced: u64,
    conflicts: u64,
    forced_cases: VecDeque<ForcedCase>,
    conflict_cases: VecDeque<ConflictCase>,
}

/// A write in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubtCase {
    /// The session.
    pub session: SessionKey,
    /// The write.
    pub number: Number,
    /// Its id.
    pub id: String,
    /// Its method.
    pub method: String,
    /// The beginning of its path.
    pub path: String,
}

/// An epoch that began here without following from the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForcedCase {
    /// The session.
    pub session: SessionKey,
    /// The number that opened the epoch.
    pub number: Number,
    /// Where the session stood.
    pub from: Option<Position>,
}

/// A write that was not run because its number or link contradicts what ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictCase {
    /// The session.
    pub session: SessionKey,
    /// The number that it claims.
    pub number: Number,
    /// Its id.
    pub id: String,
    /// Its method.
    pub method: String,
    /// The beginning of its path.
    pub path: String,
    /// Where the session stood.
    pub at: Option<Position>,
}

/// Figures and lists. Counters begin at 0 with every life; lists hold the last
/// [`limits::CASES_KEPT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whose journal it is.
    pub replica: Replica,
    /// The incarnation of this life.
    pub incarnation: Incarnation,
    /// It came in place of a journal that is lost, and runs nothing until it is seeded.
    pub unseeded: bool,
    /// An operator took it as it is although records may be missing.
    pub incomplete: bool,
    /// Sessions on disk.
    pub sessions: u64,
    /// Sessions in memory.
    pub cached_sessions: u64,
    /// Writes granted and not reported.
    pub running: u64,
    /// Begins and reads that wait.
    pub waiting: u64,
    /// Writes that ran.
    pub ran: u64,
    /// Begins of what had run or was running.
    pub duplicates: u64,
    /// Begins that came before what precedes them.
    pub gaps: u64,
    /// Grants of what may have run before.
    pub redone: u64,
    /// Doubts that an operator counted as run.
    pub skipped: u64,
    /// Epochs that did not follow from the last one.
    pub forced: u64,
    /// Refused because number or link contradict what ran, each refusal counted.
    pub conflicts: u64,
    /// Outcomes that contradict what is recorded.
    pub contradictions: u64,
    /// Messages with a field out of its limits.
    pub malformed: u64,
    /// Begins and reads refused because too many wait on their stream.
    pub turned_away: u64,
    /// Begins that waited for what precedes them or for a running duplicate.
    pub waited: u64,
    /// Runs that nobody reported the end of in time.
    pub overdue: u64,
    /// Begins of an epoch that is over.
    pub stale_epochs: u64,
    /// Writes in doubt because a life of this journal that is lost may have run them.
    pub distrusted: u64,
    /// Begins refused because the journal is not seeded.
    pub refused_unseeded: u64,
    /// Guard workers connected.
    pub guards: u64,
    /// Bytes of remembered responses.
    pub remembered_bytes: u64,
    /// Writes in doubt, listed or not.
    pub in_doubt_total: u64,
    /// Writes in doubt.
    pub in_doubt: Vec<InDoubtCase>,
    /// The last forced epochs.
    pub forced_cases: Vec<ForcedCase>,
    /// The last conflicts, each number once.
    pub conflict_cases: Vec<ConflictCase>,
    /// Figures of the store.
    pub store: StoreStats,
}

impl Journal {
    /// Figures and lists now.
    pub fn status(&self) -> Status {
        let counters = &self.counters;
        let state = |wanted| self.cache.flying().filter(move |(_, f)| f.state == wanted);
        let in_doubt = state(FlightState::InDoubt).take(limits::CASES_KEPT);
        Status {
            replica: self.config.replica,
            incarnation: self.incarnation(),
            unseeded: self.unseeded,
            incomplete: self.incomplete,
            sessions: self.cache.stored(),
            cached_sessions: self.cache.cached(),
            running: state(FlightState::Running).count() as u64,
            waiting: self.held.len(),
            ran: counters.ran,
            duplicates: counters.duplicates,
            gaps: counters.gaps,
            redone: counters.redone,
            skipped: counters.skipped,
            forced: counters.forced,
            conflicts: counters.conflicts,
            contradictions: counters.contradictions,
            malformed: counters.malformed,
            turned_away: counters.turned_away,
            waited: counters.waited,
            overdue: counters.overdue,
            stale_epochs: counters.stale_epochs,
            distrusted: counters.distrusted,
            refused_unseeded: counters.unseeded,
            guards: self.guards.len(),
            remembered_bytes: self.remembered.bytes(),
            in_doubt_total: state(FlightState::InDoubt).count() as u64,
            in_doubt: in_doubt
                .map(|(session, flight)| InDoubtCase {
                    session: session.clone(),
                    number: flight.number,
                    id: flight.id.clone(),
                    method: flight.method.clone(),
                    path: flight.path.clone(),
                })
                .collect(),
            forced_cases: counters.forced_cases.iter().cloned().collect(),
            conflict_cases: counters.conflict_cases.iter().cloned().collect(),
            store: self.store.stats(),
        }
    }

    /// Counts and lists a forced epoch, once.
    pub(super) fn note_forced(&mut self, key: &SessionKey, number: Number) {
        let from = self.cache.get(key).and_then(|session| session.last);
        let case = ForcedCase { session: key.clone(), number, from };
        let counters = &mut self.counters;
        if !counters.forced_cases.contains(&case) {
            counters.forced += 1;
            push(&mut counters.forced_cases, case);
        }
    }

    /// Counts a conflict, and lists it once.
    pub(super) fn note_conflict(&mut self, key: &SessionKey, write: &Candidate) {
        let case = ConflictCase {
            session: key.clone(),
            number: write.number,
            id: write.id.as_str().to_string(),
            method: write.method.clone(),
            path: write.path.clone(),
            at: self.cache.get(key).and_then(|session| session.last),
        };
        let counters = &mut self.counters;
        counters.conflicts += 1;
        let same = |c: &ConflictCase| (&c.session, c.number, &c.id) == (key, case.number, &case.id);
        if !counters.conflict_cases.iter().any(same) {
            push(&mut counters.conflict_cases, case);
        }
    }
}

fn push<T>(cases: &mut VecDeque<T>, case: T) {
    if cases.len() == limits::CASES_KEPT {
        cases.pop_front();
    }
    cases.push_back(case);
}
