//! The journal against a plain model of its rules, under guards that are slow, die and come back,
//! and a process that dies between staging and commit.
//!
//! The model knows, per session, how many writes are settled and what is in flight, and checks
//! every answer against that: nothing is granted twice without a reason, runs are in order, and
//! `RAN` is said only of what is settled durably.

mod ops;
mod rules;

use self::ops::{Op, Step, step};
use self::rules::{EPOCH, Flight, Session, State, write_number};
use crate::rig::{RUN_TIMEOUT_MS, WAIT_MS, at, config, of, position, write};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::pb::begun::Verdict;
use protocol::pb::guard_request::Kind as Ask;
use protocol::pb::guard_response::Kind as Answer;
use protocol::pb::outcome::Kind;
use protocol::{Digest, Incarnation, Replica, SessionKey, VERSION, pb};
use replay_log::StreamId;
use replay_log::journal::seed::{SessionPosition, seed};
use replay_log::journal::{Input, Journal, Output, Resolution};
use replay_log::store::MemoryStore;
use std::collections::BTreeMap;

const SESSIONS: usize = 3;
const GUARDS: usize = 3;
/// What a run's deadline allows beside the run itself for the report.
const REPORT_MS: u64 = 500;

#[derive(Clone, Debug)]
struct Asked {
    guard: usize,
    session: usize,
    index: usize,
    redo: bool,
    noop: bool,
    bad: bool,
    deadline_ms: u64,
}

/// A guard worker: its stream, and what it was granted and has not had noted.
#[derive(Clone, Debug, Default)]
struct Guard {
    stream: Option<u64>,
    granted: BTreeMap<(usize, usize), Option<Kind>>,
}

fn begin(session: usize, index: usize) -> pb::Begin {
    let at = write_number(index);
    let opens = at.seq == 1 && index > 0;
    let after = opens.then(|| position(at.epoch - 2, EPOCH as u64).to_wire());
    of(&format!("s{session}"), pb::Begin { after, ..write(at.epoch, at.seq) })
}

/// A session of which nothing more is heard.
fn warm() -> SessionPosition {
    SessionPosition {
        session: SessionKey::new("warm").unwrap(),
        at: position(7, 1),
        log: Incarnation::UNKNOWN,
        status: 200,
        digest: Digest::default(),
    }
}

struct World {
    store: MemoryStore,
    journal: Journal,
    now_ms: u64,
    ids: u64,
    sessions: Vec<Session>,
    guards: Vec<Guard>,
    asked: BTreeMap<u64, Asked>,
    /// Outcomes on their way, by token.
    reports: BTreeMap<u64, (usize, usize, usize)>,
}

impl World {
    fn new() -> World {
        let mut store = MemoryStore::new();
        // What deliveries say of the past of an empty one would tell it that it is not seeded.
        seed(&mut store, "shop", Replica::Primary, &[], &[warm()]).unwrap();
        let journal = Journal::open(Box::new(store.clone()), config(), [1; 16], at(0)).unwrap();
        let sessions = vec![Session::default(); SESSIONS];
        let guards = vec![Guard::default(); GUARDS];
        let (asked, reports) = (BTreeMap::new(), BTreeMap::new());
        let mut world =
            World { store, journal, now_ms: 0, ids: 0, sessions, guards, asked, reports };
        (0..GUARDS).for_each(|guard| world.hello(guard, u8::MAX));
        world
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Batch { ops, dies: true } => {
                let model = (self.sessions.clone(), self.guards.clone());
                self.stage(ops);
                (self.sessions, self.guards) = model;
                self.restart();
            }
            Step::Batch { ops, dies: false } => {
                self.stage(ops);
                self.commit();
            }
            Step::Tick { ms } => self.tick(ms),
            Step::Close { guard } => self.close(guard),
            Step::Hello { guard, used } => self.hello(guard, used),
            Step::Restart => self.restart(),
        }
    }

    /// Hands over the ops, each to its own session, and tells the model.
    fn stage(&mut self, ops: Vec<Op>) {
        self.expire();
        for (session, op) in ops.into_iter().enumerate() {
            match op {
                Op::Begin { guard, ahead, delivery, redo, noop, bad } => {
                    let index = (self.sessions[session].settled + ahead).saturating_sub(1);
                    self.ask(guard, session, index, [delivery, redo, noop, bad]);
                }
                Op::Outcome { guard, pick, kind } => self.report(guard, session, pick, kind),
                Op::Resolve { redo } => self.resolve(session, redo),
            }
        }
    }

    fn send(&mut self, guard: usize, ask: Ask) -> bool {
        let Some(stream) = self.guards[guard].stream else { return false };
        let message = pb::GuardRequest { kind: Some(ask) };
        let input = Input::Guard { stream: StreamId(stream), message };
        self.journal.handle(at(self.now_ms), input);
        true
    }

    fn ask(&mut self, guard: usize, session: usize, index: usize, flags: [bool; 4]) {
        let [delivery, redo, noop, bad] = flags;
        let mut ask = pb::Begin { token: self.id(), delivery, noop, ..begin(session, index) };
        if redo {
            ask.in_doubt = pb::InDoubtPolicy::Redo.into();
        }
        if bad {
            ask.link = vec![9; 16];
        }
        let deadline_ms = self.now_ms + if delivery { 0 } else { WAIT_MS };
        let asked = Asked { guard, session, index, redo, noop, bad, deadline_ms };
        let token = ask.token;
        if self.send(guard, Ask::Begin(ask)) {
            self.asked.insert(token, asked);
        }
    }

    /// Reports one of the guard's grants in the session; what became of a run never changes.
    fn report(&mut self, guard: usize, session: usize, pick: usize, kind: Kind) {
        let mine: Vec<usize> =
            self.guards[guard].granted.keys().filter(|(s, _)| *s == session).map(|k| k.1).collect();
        if mine.is_empty() || self.guards[guard].stream.is_none() {
            return;
        }
        let index = mine[pick % mine.len()];
        let fate = self.guards[guard].granted.get_mut(&(session, index)).unwrap();
        let kind = *fate.get_or_insert(kind);
        let token = self.id();
        let status = 200 + index as u32;
        let number = write_number(index);
        let body = format!("{session}/{index}").into_bytes();
        let outcome = pb::Outcome {
            token,
            session: format!("s{session}"),
            epoch: number.epoch,
            seq: number.seq,
            kind: kind.into(),
            status,
            digest: vec![index as u8; 8],
            response: Some(pb::Response { status, headers: Vec::new(), body }),
        };
        self.send(guard, Ask::Outcome(outcome));
        self.reports.insert(token, (guard, session, index));
        let model = &mut self.sessions[session];
        let Some(flight) = &mut model.flight else { return };
        if index != model.settled {
            return;
        }
        match kind {
            Kind::Ran => model.settle(200 + index as u32),
            Kind::NotRun if flight.owner == guard => model.flight = None,
            Kind::InDoubt
                if flight.owner == guard && matches!(flight.state, State::Running { .. }) =>
            {
                flight.state = State::Doubt;
            }
            _ => {}
        }
    }

    fn resolve(&mut self, session: usize, redo: bool) {
        let model = &mut self.sessions[session];
        let index = model.settled;
        let action = if redo { Resolution::Redo } else { Resolution::Skip };
        let key = SessionKey::new(format!("s{session}")).unwrap();
        if let Some(flight) = &mut model.flight
            && flight.state == State::Doubt
        {
            assert!(self.journal.is_in_doubt(&key, write_number(index)));
            match redo {
                true => flight.state = State::Redo,
                false => model.settle(0),
            }
        }
        let input = Input::Resolve { session: key, number: write_number(index), action };
        self.journal.handle(at(self.now_ms), input);
    }

    fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
        self.expire();
        self.journal.handle(at(self.now_ms), Input::Tick);
        self.commit();
    }

    fn expire(&mut self) {
        for session in &mut self.sessions {
            if let Some(flight) = &mut session.flight
                && let State::Running { deadline_ms } = flight.state
                && deadline_ms <= self.now_ms
            {
                flight.state = State::Doubt;
            }
        }
    }

    fn close(&mut self, guard: usize) {
        if let Some(stream) = self.guards[guard].stream.take() {
            self.journal.handle(at(self.now_ms), Input::GuardClosed { stream: StreamId(stream) });
            self.asked.retain(|_, asked| asked.guard != guard);
            self.expire();
            self.commit();
        }
    }

    /// The guard connects; what it has neither used nor reported it forgets.
    fn hello(&mut self, guard: usize, used: u8) {
        self.expire();
        let mut bit = 0;
        self.guards[guard].granted.retain(|_, fate| {
            bit += 1;
            fate.is_some() || used >> (bit % 8) & 1 == 1
        });
        let granted = self.guards[guard].granted.clone();
        for (s, session) in self.sessions.iter_mut().enumerate() {
            let listed = granted.contains_key(&(s, session.settled));
            if let Some(flight) = &mut session.flight
                && flight.owner == guard
                && let State::Running { deadline_ms } = &mut flight.state
            {
                match listed {
                    true => *deadline_ms = self.now_ms + RUN_TIMEOUT_MS + REPORT_MS,
                    false => session.flight = None,
                }
            }
        }
        let running = granted.keys().map(|(session, index)| {
            let number = write_number(*index);
            pb::Running { session: format!("s{session}"), epoch: number.epoch, seq: number.seq }
        });
        let hello = pb::GuardHello {
            version: VERSION,
            service: "shop".into(),
            replica: "primary".into(),
            owner: vec![guard as u8 + 1; 8],
            running: running.collect(),
            gap_wait_ms: 0,
        };
        self.asked.retain(|_, asked| asked.guard != guard);
        self.guards[guard].stream = Some(self.id());
        self.send(guard, Ask::Hello(hello));
        self.commit();
    }

    fn restart(&mut self) {
        let life = self.id() as u8;
        self.journal =
            Journal::open(Box::new(self.store.clone()), config(), [life; 16], at(self.now_ms))
                .unwrap();
        self.asked.clear();
        self.reports.clear();
        self.guards.iter_mut().for_each(|guard| guard.stream = None);
        for session in &mut self.sessions {
            if let Some(Flight { state: State::Running { deadline_ms }, .. }) = &mut session.flight
            {
                *deadline_ms = self.now_ms + RUN_TIMEOUT_MS + REPORT_MS;
            }
        }
    }

    fn commit(&mut self) {
        for output in self.journal.commit(at(self.now_ms)).unwrap() {
            if let Output::ToGuard { stream, message } = output {
                match message.kind.unwrap() {
                    Answer::Begun(begun) => self.begun(stream, &begun),
                    Answer::Noted(noted) => {
                        if let Some((guard, session, index)) = self.reports.remove(&noted.token) {
                            self.guards[guard].granted.remove(&(session, index));
                        }
                    }
                    Answer::Welcome(welcome) => assert_eq!(welcome.error, ""),
                    Answer::Awaited(_) => {}
                }
            }
        }
        self.nobody_waits_in_vain();
    }

    /// Checks an answer, and does what a grant or a no-op does.
    fn begun(&mut self, stream: StreamId, begun: &pb::Begun) {
        let asked = self.asked.remove(&begun.token).expect("asked once, answered once");
        assert_eq!(self.guards[asked.guard].stream, Some(stream.0));
        let session = &mut self.sessions[asked.session];
        let context = format!("{begun:?} to {asked:?} at {session:?}");
        let is_next = asked.index == session.settled;
        match begun.verdict() {
            Verdict::Run => {
                assert!(is_next && !asked.noop && !asked.bad, "{context}");
                assert!(session.is_free(asked.redo), "{context}");
                let deadline_ms = self.now_ms + RUN_TIMEOUT_MS + REPORT_MS;
                let state = State::Running { deadline_ms };
                session.flight = Some(Flight { owner: asked.guard, state });
                self.guards[asked.guard].granted.insert((asked.session, asked.index), None);
            }
            Verdict::Ran if is_next => {
                assert!(asked.noop && session.is_free(asked.redo), "{context}");
                session.settle(0);
            }
            Verdict::Ran => {
                assert!(asked.index < session.settled, "{context}");
                assert_eq!(session.epoch_of_last(), write_number(asked.index).epoch, "{context}");
                let status = session.statuses[&asked.index];
                assert!([0, status].contains(&begun.status), "{context}");
                if let Some(response) = &begun.response {
                    let body = format!("{}/{}", asked.session, asked.index);
                    assert_eq!(response.body, body.into_bytes(), "{context}");
                }
            }
            Verdict::Running => assert!(is_next && session.is_running(), "{context}"),
            Verdict::Gap => assert!(asked.index > session.settled, "{context}"),
            Verdict::InDoubt => {
                let doubt = session.flight.as_ref().is_some_and(|f| f.state == State::Doubt);
                assert!(doubt && asked.index >= session.settled, "{context}");
                assert!(!(is_next && asked.redo), "{context}");
            }
            Verdict::Conflict => assert!(asked.bad, "{context}"),
            Verdict::StaleEpoch => {
                let known =
                    if session.flight.is_some() { session.settled + 1 } else { session.settled };
                let highest = write_number(known.saturating_sub(1)).epoch;
                assert!(write_number(asked.index).epoch < highest, "{context}");
            }
            Verdict::NotRun | Verdict::Unspecified => panic!("{context}"),
        }
    }

    /// Whoever still waits has something to wait for, and time left.
    fn nobody_waits_in_vain(&self) {
        for asked in self.asked.values() {
            let session = &self.sessions[asked.session];
            let context = format!("{asked:?} at {session:?}, {}", self.now_ms);
            assert!(asked.deadline_ms > self.now_ms, "{context}");
            assert!(asked.index >= session.settled, "{context}");
            if asked.index == session.settled {
                assert!(session.is_running() && !asked.bad, "{context}");
            }
        }
    }

    /// Everybody comes back and everything is delivered: all of it runs.
    fn heal(&mut self) {
        for _ in 0..4 * EPOCH {
            for guard in 0..GUARDS {
                self.hello(guard, 0);
                for session in 0..SESSIONS {
                    self.report(guard, session, 0, Kind::Ran);
                    self.commit();
                }
            }
            for session in 0..SESSIONS {
                let index = self.sessions[session].settled;
                self.ask(session % GUARDS, session, index, [true, true, false, false]);
                self.commit();
                self.report(session % GUARDS, session, 0, Kind::Ran);
                self.commit();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_journal_agrees_with_its_model_and_everything_runs_in_the_end(
        steps in vec(step(), 1..150),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        let before: Vec<_> = world.sessions.iter().map(|session| session.settled).collect();
        world.heal();
        for (session, before) in world.sessions.iter().zip(before) {
            prop_assert!(session.settled >= before + EPOCH, "{session:?} stood at {before}");
        }
    }
}
