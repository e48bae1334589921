//! What became of a write: reports of its owner, deadlines, and an operator's word.

use super::held::Asker;
use super::remembered::Run;
use super::session::FlightState;
use super::{Journal, Output, Resolution};
use protocol::mutants::{self, Mutant};
use protocol::pb::outcome::Kind;
use protocol::{Digest, Incarnation, Number, Position, SessionKey, Verdict, Word, pb};

impl Journal {
    /// A guard reports what became of a write.
    pub(super) fn outcome(&mut self, asker: Asker, outcome: pb::Outcome) {
        let Ok(key) = SessionKey::new(outcome.session.clone()) else {
            self.counters.malformed += 1;
            return self.note(asker, None);
        };
        if !self.load(&key) {
            return;
        }
        let number = Number { epoch: outcome.epoch, seq: outcome.seq };
        let owner = self.owner(asker.stream);
        let session = self.cache.get(&key);
        let last = session.and_then(|session| session.last);
        let passed = last.is_some_and(|last| number <= last.number);
        let flight = session.and_then(|session| session.in_flight(number));
        let owned = flight.is_some_and(|flight| flight.owner == owner);
        let state = flight.map(|flight| flight.state);
        match (outcome.kind(), state) {
            (Kind::Ran, Some(_)) => self.ran(&key, outcome),
            (Kind::NotRun, Some(_)) if owned => self.cache.set_flight(&key, None),
            (Kind::InDoubt, Some(_)) if mutants::on(Mutant::DoubtAsRun) => self.ran(&key, outcome),
            (Kind::InDoubt, Some(FlightState::Running)) if owned => {
                self.cache.set_state(&key, FlightState::InDoubt);
            }
            // An earlier owner's report, or one that came twice.
            (Kind::NotRun | Kind::InDoubt, Some(_)) => {}
            (Kind::Ran | Kind::InDoubt, None) if passed => {}
            (Kind::NotRun, None) if !passed => {}
            (Kind::Ran | Kind::NotRun | Kind::InDoubt, None) | (Kind::Unspecified, _) => {
                self.counters.contradictions += 1;
            }
        }
        let at = self.cache.get(&key).and_then(|session| session.last);
        self.note(asker, at);
        self.wake(&key);
    }

    fn note(&mut self, asker: Asker, at: Option<Position>) {
        let noted = pb::Noted { token: asker.token, at: at.map(Position::to_wire) };
        self.tell(asker.stream, pb::guard_response::Kind::Noted(noted));
    }

    /// What is in flight ran, whoever says so and however late.
    fn ran(&mut self, key: &SessionKey, outcome: pb::Outcome) {
        let flight = self.cache.get(key).and_then(|session| session.flight.clone());
        let Some(flight) = flight else { return };
        let status = u16::try_from(outcome.status).unwrap_or_default();
        let digest = Digest::from_wire(&outcome.digest);
        let to = Position { number: flight.number, link: flight.link };
        self.advance(key, to, flight.log, status, digest);
        let run = Run { link: flight.link, status, digest, response: outcome.response };
        self.remembered.add(key, flight.number, run);
        self.counters.ran += 1;
        let word = Word {
            number: Some(flight.number),
            status,
            digest,
            at: Some(to),
            journal: self.incarnation(),
            ..Word::new(
                self.config.replica,
                if flight.forced { Verdict::Forced } else { Verdict::Ran },
            )
        };
        self.outputs.push(Output::Ran { session: key.clone(), word });
    }

    /// The session has come to this number of this log, and nothing is in flight.
    pub(super) fn advance(
        &mut self,
        key: &SessionKey,
        to: Position,
        log: Incarnation,
        status: u16,
        digest: Digest,
    ) {
        self.cache.set_flight(key, None);
        self.cache.change(key, |session| {
            session.last = Some(to);
            if log.is_known() {
                session.log = log;
            }
            session.status = status;
            session.digest = digest;
        });
    }

    /// A run whose owner has not reported in time is in doubt.
    pub(super) fn run_overdue(&mut self, key: &SessionKey) {
        if self.load(key) {
            self.counters.overdue += 1;
            match mutants::on(Mutant::OverdueAsFresh) {
                false => self.cache.set_state(key, FlightState::InDoubt),
                true => self.cache.set_flight(key, None),
            }
            self.wake(key);
        }
    }

    /// Whether an operator can resolve this write.
    pub fn is_in_doubt(&self, session: &SessionKey, number: Number) -> bool {
        let session = self.cache.get(session);
        let flight = session.and_then(|session| session.in_flight(number));
        flight.is_some_and(|flight| flight.state == FlightState::InDoubt)
    }

    /// An operator resolves a doubt.
    pub(super) fn resolve(&mut self, key: &SessionKey, number: Number, action: Resolution) {
        if !self.is_in_doubt(key, number) || !self.load(key) {
            return;
        }
        let flight = self.cache.get(key).and_then(|session| session.flight.as_ref());
        let Some((link, log)) = flight.map(|flight| (flight.link, flight.log)) else { return };
        match action {
            Resolution::Redo => self.cache.set_state(key, FlightState::Redo),
            Resolution::Skip => {
                self.counters.skipped += 1;
                self.advance(key, Position { number, link }, log, 0, Digest::default());
            }
        }
        self.wake(key);
    }
}
