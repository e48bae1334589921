//! One session at this replica, and the verdict on a write that wants to begin. Decides and
//! changes nothing else.

use protocol::mutants::{self, Mutant};
use protocol::{Digest, Id, Incarnation, Link, Number, Position, limits, names, pb};
use std::collections::BTreeSet;

/// The most of a path that is kept for listing, bytes.
const LISTED_PATH_BYTES: usize = 1024;
/// The most of a method that is kept, bytes.
const METHOD_BYTES: usize = 32;

/// What is known of the run of a write in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlightState {
    /// Granted to its owner, who has until the deadline to report.
    Running,
    /// Nobody knows whether it ran.
    InDoubt,
    /// An operator allowed to run it again; nobody has begun it yet.
    Redo,
}

/// A write that was granted and not reported, or that is in doubt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flight {
    pub(super) number: Number,
    pub(super) link: Link,
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    /// The guard worker that may run it; empty if this store has no memory of a grant.
    pub(super) owner: Vec<u8>,
    pub(super) run_timeout_ms: u32,
    /// It opens an epoch that does not follow from the last one.
    pub(super) forced: bool,
    /// The log that numbered it.
    pub(super) log: Incarnation,
    pub(super) state: FlightState,
}

/// A session at this replica. The default is one of which nothing is known.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The last number that ran.
    pub(super) last: Option<Position>,
    /// The log that numbered `last`.
    pub(super) log: Incarnation,
    /// How `last` ran.
    pub(super) status: u16,
    /// How `last` ran.
    pub(super) digest: Digest,
    /// What may be running or is in doubt.
    pub(super) flight: Option<Flight>,
    /// Begins that wait, by number and arrival.
    pub(super) waiting: BTreeSet<(Number, u64)>,
    /// Reads that wait for a number, by number and arrival.
    pub(super) reading: BTreeSet<(Number, u64)>,
}

/// A write that wants to begin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) number: Number,
    pub(super) link: Link,
    pub(super) id: Id,
    pub(super) after: Option<Position>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) delivery: bool,
    pub(super) noop: bool,
    pub(super) again: bool,
    pub(super) log: Incarnation,
    /// The incarnation of this journal that the log knew at numbering.
    pub(super) journal: Incarnation,
    /// If it is in doubt, it may run again.
    pub(super) may_redo: bool,
    pub(super) run_timeout_ms: u32,
}

/// The verdict on a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It has run.
    Ran,
    /// It is running.
    Running,
    /// What precedes it has not run.
    Gap,
    /// It is in doubt and may not run again.
    InDoubt,
    /// What precedes it is in doubt.
    BehindDoubt,
    /// This store cannot know whether it ran: it is in doubt from now on.
    Doubt,
    /// Its number or link contradicts what ran here.
    Conflict,
    /// A higher epoch has begun here.
    StaleEpoch,
    /// It may run (or, for a no-op, take its number).
    Grant {
        /// It opens an epoch that does not follow from the last one.
        forced: bool,
        /// It may have run before.
        redo: bool,
    },
}

impl Judgement {
    /// Whether waiting can change it.
    pub(super) fn can_wait(self) -> bool {
        matches!(self, Judgement::Running | Judgement::Gap | Judgement::BehindDoubt)
    }
}

/// What besides the session is known of a candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// The log knew a life of this journal that this store has no memory of.
    pub(super) stranger: bool,
    /// Records of sessions may be missing in this store.
    pub(super) incomplete: bool,
    /// The link of the write that ran under its number, if still remembered.
    pub(super) link: Option<Link>,
}

impl Candidate {
    /// Reads a message; `None` if a field is out of its limits.
    pub(super) fn read(begin: pb::Begin) -> Option<Candidate> {
        let after = match &begin.after {
            None => None,
            Some(position) => Some(Position::from_wire(position)?),
        };
        let may_redo = match begin.in_doubt() {
            _ if mutants::on(Mutant::RedoDoubt) => true,
            pb::InDoubtPolicy::Redo => true,
            pb::InDoubtPolicy::ByMethod => names::is_idempotent(&begin.method),
            pb::InDoubtPolicy::Hold | pb::InDoubtPolicy::InDoubtUnspecified => false,
        };
        if begin.seq == 0 || begin.seq.max(begin.epoch) >= limits::NUMBER_MAX {
            return None;
        }
        Some(Candidate {
            number: Number { epoch: begin.epoch, seq: begin.seq },
            link: Link::from_wire(&begin.link)?,
            id: Id::new(begin.id).ok()?,
            after,
            method: cut(begin.method, METHOD_BYTES),
            path: cut(begin.path, LISTED_PATH_BYTES),
            delivery: begin.delivery,
            noop: begin.noop,
            again: begin.again,
            log: Incarnation::from_wire(&begin.log),
            journal: Incarnation::from_wire(&begin.journal),
            may_redo,
            run_timeout_ms: begin.run_timeout_ms,
        })
    }

    /// It in flight.
    pub(super) fn flight(&self, owner: Vec<u8>, forced: bool, state: FlightState) -> Flight {
        Flight {
            number: self.number,
            link: self.link,
            id: self.id.as_str().to_string(),
            method: self.method.clone(),
            path: self.path.clone(),
            owner,
            run_timeout_ms: self.run_timeout_ms,
            forced,
            log: self.log,
            state,
        }
    }
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

impl Session {
    /// Whether it must stay in memory.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some() || !self.waiting.is_empty() || !self.reading.is_empty()
    }

    /// Whether this write is in flight.
    pub(super) fn in_flight(&self, number: Number) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.number == number)
    }

    /// The state of the write in flight.
    pub(super) fn flight_state(&self) -> Option<FlightState> {
        self.flight.as_ref().map(|flight| flight.state)
    }

    /// Where the session stands, for those who name an older epoch: an epoch that has begun and
    /// in which nothing ran stands at 0.
    pub(super) fn highest(&self) -> Option<Position> {
        match (&self.flight, self.last) {
            (Some(flight), last) if last.is_none_or(|l| l.number.epoch < flight.number.epoch) => {
                let number = Number { epoch: flight.number.epoch, seq: 0 };
                Some(Position { number, link: Link::START })
            }
            (_, last) => last,
        }
    }

    /// The waiting begins whose verdict may have changed: all up to the next number, and those
    /// that open a later epoch.
    pub(super) fn ready(&self) -> Vec<(Number, u64)> {
        let Some(last) = self.last else { return self.waiting.iter().copied().collect() };
        let next = Number { epoch: last.number.epoch, seq: last.number.seq + 1 };
        let reach = self.flight.as_ref().map_or(next, |flight| flight.number.max(next));
        let later = Number { epoch: reach.epoch.saturating_add(1), seq: 0 };
        let opening = self.waiting.range((later, 0)..).filter(|(number, _)| number.seq == 1);
        self.waiting.range(..=(reach, u64::MAX)).chain(opening).copied().collect()
    }

    /// The verdict on a candidate as things are.
    pub(super) fn judge(&self, write: &Candidate, known: Evidence) -> Judgement {
        if let Some(flight) = self.in_flight(write.number) {
            return self.judge_in_flight(flight, write);
        }
        if let Some(last) = self.last
            && write.number.epoch == last.number.epoch
            && write.number.seq <= last.number.seq
        {
            let link = if write.number == last.number { Some(last.link) } else { known.link };
            let fits = link.is_none_or(|link| link == write.link);
            return if fits { Judgement::Ran } else { Judgement::Conflict };
        }
        if self.highest().is_some_and(|at| write.number.epoch < at.number.epoch) {
            return Judgement::StaleEpoch;
        }
        match self.flight_state() {
            Some(FlightState::Running) => return Judgement::Gap,
            Some(FlightState::InDoubt) => return Judgement::BehindDoubt,
            Some(FlightState::Redo) | None => {}
        }
        self.distrust(write, known, self.judge_next(write))
    }

    fn judge_in_flight(&self, flight: &Flight, write: &Candidate) -> Judgement {
        let redo = Judgement::Grant { forced: flight.forced, redo: true };
        match flight.state {
            _ if flight.link != write.link => Judgement::Conflict,
            FlightState::Running if mutants::on(Mutant::GrantTwice) => redo,
            FlightState::Running => Judgement::Running,
            FlightState::InDoubt if !write.may_redo => Judgement::InDoubt,
            FlightState::InDoubt | FlightState::Redo => redo,
        }
    }

    /// The verdict if only what ran counts: is it the next?
    fn judge_next(&self, write: &Candidate) -> Judgement {
        let fresh = Judgement::Grant { forced: false, redo: false };
        let follows = |link: Link, verdict| {
            if write.link == link.next(&write.id) { verdict } else { Judgement::Conflict }
        };
        let Some(last) = self.last else {
            return if write.number.seq == 1 {
                follows(Link::START, fresh)
            } else {
                Judgement::Gap
            };
        };
        if write.number.epoch == last.number.epoch {
            let next = write.number.seq == last.number.seq + 1;
            if !next && mutants::on(Mutant::GrantOverGap) {
                return fresh;
            }
            return if next { follows(last.link, fresh) } else { Judgement::Gap };
        }
        if write.number.seq > 1 {
            return Judgement::Gap;
        }
        let ahead = |after: Position| {
            after.number.epoch == last.number.epoch && after.number.seq > last.number.seq
        };
        match write.after {
            Some(after) if after == last => follows(Link::START, fresh),
            Some(after) if ahead(after) => Judgement::Gap,
            None if write.log.is_known() && write.log != self.log => {
                follows(Link::START, Judgement::Grant { forced: true, redo: false })
            }
            Some(_) | None => Judgement::Conflict,
        }
    }

    /// A verdict that rests on this store's memory does not hold for a write that may have been
    /// attempted in a life of the journal which this store does not remember. A delivery is in
    /// order, so what precedes it ran in that life too, or its record is missing.
    fn distrust(&self, write: &Candidate, known: Evidence, verdict: Judgement) -> Judgement {
        if !write.again || write.noop {
            return verdict;
        }
        let (forced, open) = match verdict {
            Judgement::Grant { forced, .. } => (forced, known.stranger),
            Judgement::Gap => (false, write.delivery && (known.stranger || known.incomplete)),
            _ => (false, false),
        };
        match open {
            false => verdict,
            true if write.may_redo => Judgement::Grant { forced, redo: true },
            true => Judgement::Doubt,
        }
    }
}
