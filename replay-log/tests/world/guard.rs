//! One replica of the world: its service, its guard, its journal.

use protocol::{Digest, Number, Position, Replica, SessionKey, Stamp, Verdict, Word, pb};
use replay_log::journal::{Input, Journal, JournalConfig, Output, Resolution};
use replay_log::store::MemoryStore;
use replay_log::{Now, StreamId};
use std::collections::BTreeMap;

/// Who asked, and wants the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    Live { token: u64, number: pb::Numbered, session: String, id: String, tried: u8 },
    Delivery { session: SessionKey, number: Number },
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub origin: Origin,
    pub stamp: protocol::stamp::WriteStamp,
}

pub struct Guard {
    pub replica: Replica,
    pub journal: Journal,
    store: MemoryStore,
    /// What the service ran, by session.
    pub service: BTreeMap<String, Vec<String>>,
    waiting: BTreeMap<u64, Asked>,
    /// Granted, and not executed yet.
    pub granted: Vec<(u64, Asked)>,
    /// Executed and reported, waiting for the journal's note.
    noting: BTreeMap<u64, Asked>,
    stream: StreamId,
    owner: u64,
    token: u64,
}

/// An answer on its way back.
pub type Answer = (Origin, Word);

fn open(store: &MemoryStore, replica: Replica, now: Now, random: u8) -> Journal {
    let config = JournalConfig {
        service: "shop".to_string(),
        replica,
        remember_bytes: 4096,
        session_idle_ms: 60_000,
        takeover_ms: None,
    };
    Journal::open(Box::new(store.clone()), config, [random; 16], now).expect("the journal opens")
}

impl Guard {
    pub fn new(replica: Replica, now: Now) -> Guard {
        let store = MemoryStore::new();
        let journal = open(&store, replica, now, replica.index() as u8 + 1);
        let mut guard = Guard {
            replica,
            journal,
            store,
            service: BTreeMap::new(),
            waiting: BTreeMap::new(),
            granted: vec![],
            noting: BTreeMap::new(),
            stream: StreamId(1),
            owner: 1,
            token: 0,
        };
        guard.hello(now);
        guard
    }

    fn hello(&mut self, now: Now) -> Vec<Answer> {
        let granted = self.granted.iter().map(|(_, asked)| asked);
        let list = granted.chain(self.noting.values()).map(running_of).collect();
        let hello = pb::GuardHello {
            version: protocol::VERSION,
            service: "shop".to_string(),
            replica: self.replica.name().to_string(),
            owner: self.owner.to_be_bytes().to_vec(),
            running: list,
            gap_wait_ms: 0,
        };
        let mut answers = self.tell(now, pb::guard_request::Kind::Hello(hello));
        // What was executed and not noted is reported again.
        let unnoted: Vec<_> = self.noting.iter().map(|(t, a)| (*t, a.clone())).collect();
        for (token, asked) in unnoted {
            answers.extend(self.report(now, token, &asked));
        }
        answers
    }

    fn tell(&mut self, now: Now, kind: pb::guard_request::Kind) -> Vec<Answer> {
        let message = pb::GuardRequest { kind: Some(kind) };
        self.input(now, Input::Guard { stream: self.stream, message })
    }

    pub fn input(&mut self, now: Now, input: Input) -> Vec<Answer> {
        self.journal.handle(now, input);
        let outputs = self.journal.commit(now).expect("the journal commits");
        let mut answers = vec![];
        for output in outputs {
            if let Output::ToGuard { stream, message } = output
                && stream == self.stream
            {
                match message.kind {
                    Some(pb::guard_response::Kind::Begun(begun)) => {
                        answers.extend(self.begun(now, &begun))
                    }
                    Some(pb::guard_response::Kind::Noted(noted)) => {
                        answers.extend(self.noted(&noted))
                    }
                    _ => {}
                }
            }
        }
        answers
    }

    /// A request has come.
    pub fn ask(&mut self, now: Now, asked: Asked) -> Vec<Answer> {
        self.token += 1;
        let stamp = &asked.stamp;
        let begin = pb::Begin {
            token: self.token,
            session: stamp.session.to_string(),
            epoch: stamp.number.epoch,
            seq: stamp.number.seq,
            link: stamp.link.0.to_vec(),
            id: stamp.id.to_string(),
            after: stamp.after.map(Position::to_wire),
            method: "POST".to_string(),
            path: "/sale".to_string(),
            delivery: stamp.delivery,
            noop: stamp.noop,
            again: stamp.again,
            journal: stamp.journal(self.replica).to_wire(),
            log: stamp.log.to_wire(),
            in_doubt: pb::InDoubtPolicy::ByMethod as i32,
            run_timeout_ms: 500,
            wait_ms: 800,
        };
        self.waiting.insert(self.token, asked);
        self.tell(now, pb::guard_request::Kind::Begin(begin))
    }

    fn begun(&mut self, now: Now, begun: &pb::Begun) -> Option<Answer> {
        use pb::begun::Verdict as V;
        let Some(asked) = self.waiting.remove(&begun.token) else {
            assert_ne!(begun.verdict(), V::Run, "a grant for nobody at {now:?}");
            return None;
        };
        let verdict = match begun.verdict() {
            V::Run => {
                self.granted.push((begun.token, asked));
                return None;
            }
            V::Ran if begun.response.is_some() => Verdict::Remembered,
            V::Ran => Verdict::Forgotten,
            V::Running => Verdict::Running,
            V::Gap => Verdict::Gap,
            V::InDoubt => Verdict::InDoubt,
            V::Conflict => Verdict::Conflict,
            V::StaleEpoch => Verdict::StaleEpoch,
            V::NotRun | V::Unspecified => Verdict::NotRun,
        };
        Some(self.answer(asked, verdict, begun.at.as_ref()))
    }

    fn noted(&mut self, noted: &pb::Noted) -> Option<Answer> {
        let asked = self.noting.remove(&noted.token)?;
        Some(self.answer(asked, Verdict::Ran, noted.at.as_ref()))
    }

    fn answer(&self, asked: Asked, verdict: Verdict, at: Option<&pb::Position>) -> Answer {
        let word = Word {
            number: Some(asked.stamp.number),
            status: if verdict.has_run() && !asked.stamp.noop { 200 } else { 0 },
            digest: Digest::of(b"ok"),
            at: at.and_then(Position::from_wire),
            journal: self.journal.incarnation(),
            ..Word::new(self.replica, verdict)
        };
        (asked.origin, word)
    }

    /// The service executes a granted write, and its outcome goes to the journal.
    pub fn execute(&mut self, now: Now, index: usize) -> Vec<Answer> {
        let (token, asked) = self.granted.remove(index);
        self.run_service(&asked);
        self.noting.insert(token, asked.clone());
        self.report(now, token, &asked)
    }

    fn run_service(&mut self, asked: &Asked) {
        let session = asked.stamp.session.to_string();
        self.service.entry(session).or_default().push(asked.stamp.id.to_string());
    }

    fn report(&mut self, now: Now, token: u64, asked: &Asked) -> Vec<Answer> {
        let number = asked.stamp.number;
        let outcome = pb::Outcome {
            token,
            session: asked.stamp.session.to_string(),
            epoch: number.epoch,
            seq: number.seq,
            kind: pb::outcome::Kind::Ran as i32,
            status: 200,
            digest: Digest::of(b"ok").0.to_vec(),
            response: Some(pb::Response { status: 200, headers: vec![], body: b"ok".to_vec() }),
        };
        self.tell(now, pb::guard_request::Kind::Outcome(outcome))
    }

    /// The guard's Envoy dies. What it had dispatched may have been executed or not; who asked
    /// sees the connection break.
    pub fn crash_envoy(&mut self, now: Now, executed: bool) -> Vec<Origin> {
        let granted = std::mem::take(&mut self.granted);
        if executed {
            granted.iter().for_each(|(_, asked)| self.run_service(asked));
        }
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let noting = std::mem::take(&mut self.noting).into_values();
        let broken = granted.into_iter().map(|(_, asked)| asked).chain(waiting).chain(noting);
        let broken = broken.map(|asked| asked.origin).collect();
        let stream = self.stream;
        self.journal.handle(now, Input::GuardClosed { stream });
        self.journal.commit(now).expect("the journal commits");
        self.stream = StreamId(self.stream.0 + 1);
        self.owner += 1;
        self.hello(now);
        broken
    }

    /// The journal's process dies and opens its store again; the guard comes back to it.
    pub fn crash_journal(&mut self, now: Now, random: u8) -> Vec<Answer> {
        self.journal = open(&self.store, self.replica, now, random);
        self.stream = StreamId(self.stream.0 + 1);
        // Requests that waited for the journal's word are refused: not run.
        let refused = std::mem::take(&mut self.waiting).into_values();
        let mut answers: Vec<Answer> =
            refused.map(|asked| self.answer(asked, Verdict::NotRun, None)).collect();
        answers.extend(self.hello(now));
        answers
    }

    /// The operator looks at the service and decides about every doubt.
    pub fn resolve(&mut self, now: Now) -> Vec<Answer> {
        let mut answers = vec![];
        for doubt in self.journal.status().in_doubt {
            let has_run =
                self.service.get(doubt.session.as_str()).is_some_and(|ran| ran.contains(&doubt.id));
            let action = if has_run { Resolution::Skip } else { Resolution::Redo };
            let input = Input::Resolve { session: doubt.session, number: doubt.number, action };
            answers.extend(self.input(now, input));
        }
        answers
    }
}

fn running_of(asked: &Asked) -> pb::Running {
    let number = asked.stamp.number;
    pb::Running { session: asked.stamp.session.to_string(), epoch: number.epoch, seq: number.seq }
}

/// The stamp that a gateway gives a write that it releases.
pub fn live_stamp(
    session: &str,
    id: &str,
    n: &pb::Numbered,
    log: protocol::Incarnation,
) -> Option<protocol::stamp::WriteStamp> {
    Some(protocol::stamp::WriteStamp {
        session: SessionKey::new(session).ok()?,
        number: Number { epoch: n.epoch, seq: n.seq },
        link: protocol::Link::from_wire(&n.link)?,
        id: protocol::Id::new(id).ok()?,
        time_ms: n.received_ms,
        after: n.after.as_ref().and_then(Position::from_wire),
        delivery: false,
        noop: false,
        again: n.known,
        ran: None,
        log,
        journals: [
            protocol::Incarnation::from_wire(&n.primary_journal),
            protocol::Incarnation::from_wire(&n.secondary_journal),
        ],
    })
}

/// The write stamp of a delivery.
pub fn delivery_stamp(stamp: Stamp) -> protocol::stamp::WriteStamp {
    match stamp {
        Stamp::Write(stamp) => *stamp,
        other => panic!("a delivery is a write, not {other:?}"),
    }
}
