//! May this write run now? Asks the session for its verdict, acts on it and answers.

use super::held::Asker;
use super::session::{Candidate, Evidence, FlightState, Judgement};
use super::{Journal, Output};
use protocol::mutants::{self, Mutant};
use protocol::pb::begun::Verdict;
use protocol::{Digest, Number, Position, SessionKey, pb};

impl Journal {
    /// A guard asks to begin a write.
    pub(super) fn begin(&mut self, asker: Asker, begin: pb::Begin) {
        let wait_ms = if begin.delivery { 0 } else { begin.wait_ms };
        let session = SessionKey::new(begin.session.clone()).ok();
        let Some((session, write)) = session.zip(Candidate::read(begin)) else {
            self.counters.malformed += 1;
            return self.answer_begin(asker, not_run());
        };
        if self.is_unseeded(&write) {
            self.counters.unseeded += 1;
            let answer = pb::Begun { unseeded: true, ..not_run() };
            return self.answer_begin(asker, answer);
        }
        if !self.load(&session) {
            return;
        }
        let verdict = self.judge(&session, &write);
        match verdict {
            Judgement::Ran | Judgement::Running => self.counters.duplicates += 1,
            Judgement::Gap => self.counters.gaps += 1,
            _ => {}
        }
        if verdict.can_wait() && wait_ms > 0 {
            let number = write.number;
            if !self.hold(asker, &session, number, Some(Box::new(write)), wait_ms) {
                self.counters.turned_away += 1;
                self.answer_begin(asker, not_run());
            } else {
                self.counters.waited += 1;
            }
            return;
        }
        if self.conclude(asker, &session, &write, verdict) {
            self.wake(&session);
        }
    }

    pub(super) fn judge(&self, key: &SessionKey, write: &Candidate) -> Judgement {
        let Some(session) = self.cache.get(key) else { return Judgement::Gap };
        if mutants::on(Mutant::AnotherSessionsAnswer)
            && self.remembered.get(key, write.number).is_some()
        {
            return Judgement::Ran;
        }
        let link = self.remembered.get(key, write.number).map(|run| run.link);
        let (stranger, incomplete) = (self.is_stranger(write), self.incomplete);
        session.judge(write, Evidence { stranger, incomplete, link })
    }

    /// Acts on a final verdict and answers. True if the session has changed.
    pub(super) fn conclude(
        &mut self,
        asker: Asker,
        key: &SessionKey,
        write: &Candidate,
        verdict: Judgement,
    ) -> bool {
        match verdict {
            Judgement::StaleEpoch => self.counters.stale_epochs += 1,
            Judgement::Doubt => self.counters.distrusted += 1,
            _ => {}
        }
        let (answer, changed) = match verdict {
            Judgement::Ran => (self.as_run(key, write.number), false),
            Judgement::Running => (begun(Verdict::Running), false),
            Judgement::Gap => (begun(Verdict::Gap), false),
            Judgement::InDoubt | Judgement::BehindDoubt => (begun(Verdict::InDoubt), false),
            Judgement::StaleEpoch => (begun(Verdict::StaleEpoch), false),
            Judgement::Conflict => {
                self.note_conflict(key, write);
                (begun(Verdict::Conflict), false)
            }
            Judgement::Doubt => {
                let flight = write.flight(Vec::new(), false, FlightState::InDoubt);
                self.cache.set_flight(key, Some(flight));
                (begun(Verdict::InDoubt), true)
            }
            Judgement::Grant { forced, redo } => {
                (self.grant(asker, key, write, forced, redo), true)
            }
        };
        let session = self.cache.get(key);
        let at = match verdict {
            Judgement::StaleEpoch => session.and_then(|session| session.highest()),
            _ => session.and_then(|session| session.last),
        };
        self.answer_begin(asker, pb::Begun { at: at.map(Position::to_wire), ..answer });
        changed
    }

    fn grant(
        &mut self,
        asker: Asker,
        key: &SessionKey,
        write: &Candidate,
        forced: bool,
        redo: bool,
    ) -> pb::Begun {
        if forced {
            self.note_forced(key, write.number);
        }
        if write.noop {
            let to = Position { number: write.number, link: write.link };
            if !mutants::on(Mutant::NoopNotCounted) {
                self.advance(key, to, write.log, 0, Digest::default());
            }
            return pb::Begun { forced, ..begun(Verdict::Ran) };
        }
        self.counters.redone += u64::from(redo);
        let flight = write.flight(self.owner(asker.stream), forced, FlightState::Running);
        self.cache.set_flight(key, Some(flight));
        pb::Begun { forced, ..begun(Verdict::Run) }
    }

    /// The answer to a duplicate of what ran.
    fn as_run(&self, key: &SessionKey, number: Number) -> pb::Begun {
        let (status, digest, response) = match self.remembered.get(key, number) {
            Some(run) => (run.status, run.digest, run.response.clone()),
            None => match self.cache.get(key) {
                Some(s) if s.last.is_some_and(|last| last.number == number) => {
                    (s.status, s.digest, None)
                }
                _ => (0, Default::default(), None),
            },
        };
        let digest = if status == 0 { Vec::new() } else { digest.0.to_vec() };
        pb::Begun { status: u32::from(status), digest, response, ..begun(Verdict::Ran) }
    }

    fn answer_begin(&mut self, asker: Asker, answer: pb::Begun) {
        let answer = pb::Begun { token: asker.token, ..answer };
        self.tell(asker.stream, pb::guard_response::Kind::Begun(answer));
    }

    /// Answers whoever waited for what has changed in a session.
    pub(super) fn wake(&mut self, key: &SessionKey) {
        self.wake_reads(key);
        let mut changed = true;
        while changed {
            changed = false;
            let ready = self.cache.get(key).map(|session| session.ready()).unwrap_or_default();
            for (_, id) in ready {
                let Some(write) = self.held.write(id) else { continue };
                let verdict = self.judge(key, write);
                if verdict.can_wait() {
                    continue;
                }
                let Some(waiter) = self.release(id) else { continue };
                if mutants::on(Mutant::ForgetWaiter) {
                    continue;
                }
                if let Some(write) = &waiter.write {
                    changed |= self.conclude(waiter.asker, key, write, verdict);
                }
            }
        }
        self.wake_reads(key);
    }

    fn wake_reads(&mut self, key: &SessionKey) {
        while let Some(session) = self.cache.get(key)
            && let Some(last) = session.last
            && let Some((_, id)) = session.reading.range(..=(last.number, u64::MAX)).next()
        {
            let Some(waiter) = self.release(*id) else { return };
            self.answer_await(waiter.asker, key, true);
        }
    }

    /// A waiter's time is over: it hears how things are.
    pub(super) fn wait_over(&mut self, id: u64) {
        let Some(waiter) = self.release(id) else { return };
        if !self.load(&waiter.session) {
            return;
        }
        let Some(write) = &waiter.write else {
            return self.answer_await(waiter.asker, &waiter.session, false);
        };
        let verdict = self.judge(&waiter.session, write);
        if self.conclude(waiter.asker, &waiter.session, write, verdict) {
            self.wake(&waiter.session);
        }
    }

    /// A guard wants to know when a session has run this far.
    pub(super) fn await_run(&mut self, asker: Asker, ask: pb::AwaitRun) {
        let number = Number { epoch: ask.epoch, seq: ask.seq };
        let Ok(key) = SessionKey::new(ask.session) else {
            self.counters.malformed += 1;
            let answer = pb::Awaited { token: asker.token, ran: false, at: None };
            return self.tell(asker.stream, pb::guard_response::Kind::Awaited(answer));
        };
        if !self.load(&key) {
            return;
        }
        let at = self.cache.get(&key).and_then(|session| session.last);
        let ran = number.seq == 0 && number.epoch == 0 || at.is_some_and(|at| at.number >= number);
        let ran = ran || mutants::on(Mutant::AwaitAnsweredEarly);
        if ran || ask.wait_ms == 0 || self.unseeded {
            return self.answer_await(asker, &key, ran);
        }
        if !self.hold(asker, &key, number, None, ask.wait_ms) {
            self.counters.turned_away += 1;
            self.answer_await(asker, &key, false);
        }
    }

    fn answer_await(&mut self, asker: Asker, key: &SessionKey, ran: bool) {
        let at = self.cache.get(key).and_then(|session| session.last).map(Position::to_wire);
        let answer = pb::Awaited { token: asker.token, ran, at };
        self.tell(asker.stream, pb::guard_response::Kind::Awaited(answer));
    }

    pub(super) fn tell(&mut self, stream: crate::StreamId, kind: pb::guard_response::Kind) {
        let message = pb::GuardResponse { kind: Some(kind) };
        self.outputs.push(Output::ToGuard { stream, message });
    }
}

fn begun(verdict: Verdict) -> pb::Begun {
    pb::Begun { verdict: verdict.into(), ..Default::default() }
}

fn not_run() -> pb::Begun {
    begun(Verdict::NotRun)
}
