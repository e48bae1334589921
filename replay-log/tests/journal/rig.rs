//! A journal on a store in memory, guards that speak to it, and what it answered.

use protocol::pb::begun::Verdict;
use protocol::pb::guard_request::Kind as Ask;
use protocol::pb::guard_response::Kind as Answer;
use protocol::pb::outcome::Kind;
use protocol::{Id, Incarnation, Link, Number, Position, Replica, SessionKey, VERSION, pb};
use replay_log::journal::{Input, Journal, JournalConfig, Output, Resolution, seed};
use replay_log::store::MemoryStore;
use replay_log::{Now, StreamId};

pub const RUN_TIMEOUT_MS: u64 = 5000;
pub const WAIT_MS: u64 = 800;
/// Later than every deadline of a run.
pub const OVERDUE_MS: u64 = RUN_TIMEOUT_MS + 1000;

pub fn config() -> JournalConfig {
    JournalConfig {
        service: "shop".into(),
        replica: Replica::Primary,
        remember_bytes: 1 << 20,
        session_idle_ms: 60_000,
        takeover_ms: Some(500),
    }
}

pub fn at(mono_ms: u64) -> Now {
    Now { mono_ms, unix_ms: 1_700_000_000_000 + mono_ms }
}

pub fn number(epoch: u64, seq: u64) -> Number {
    Number { epoch, seq }
}

/// The link of the write with this number whose ids, and those before it, are `id(epoch, seq)`.
pub fn position(epoch: u64, seq: u64) -> Position {
    let id = |n| Id::new(format!("{epoch}-{n}")).unwrap();
    let link = (1..=seq).fold(Link::START, |link, n| link.next(&id(n)));
    Position { number: number(epoch, seq), link }
}

/// A live POST of session `s` that may wait, in its place in the chain of links.
pub fn write(epoch: u64, seq: u64) -> pb::Begin {
    pb::Begin {
        session: "s".into(),
        epoch,
        seq,
        link: position(epoch, seq).link.0.to_vec(),
        id: format!("{epoch}-{seq}"),
        method: "POST".into(),
        path: "/pay".into(),
        log: vec![1; 8],
        in_doubt: pb::InDoubtPolicy::ByMethod.into(),
        run_timeout_ms: RUN_TIMEOUT_MS as u32,
        wait_ms: WAIT_MS as u32,
        ..Default::default()
    }
}

pub fn put(epoch: u64, seq: u64) -> pb::Begin {
    pb::Begin { method: "PUT".into(), ..write(epoch, seq) }
}

pub fn delivery(begin: pb::Begin) -> pb::Begin {
    pb::Begin { delivery: true, ..begin }
}

pub fn of(session: &str, begin: pb::Begin) -> pb::Begin {
    pb::Begin { session: session.into(), ..begin }
}

pub struct Rig {
    pub store: MemoryStore,
    pub journal: Journal,
    pub now_ms: u64,
    pub outputs: Vec<Output>,
    tokens: u64,
    lives: u8,
}

impl Rig {
    /// A new journal with guard worker `1` connected on stream 1.
    pub fn new() -> Rig {
        Rig::on(MemoryStore::new(), config())
    }

    pub fn on(store: MemoryStore, config: JournalConfig) -> Rig {
        let journal = Journal::open(Box::new(store.clone()), config, [9; 16], at(1000)).unwrap();
        let outputs = Vec::new();
        let mut rig = Rig { store, journal, now_ms: 1000, outputs, tokens: 0, lives: 9 };
        rig.hello(1, 1, &[]);
        rig
    }

    /// Something ran in another session, so this journal is not one in place of a lost one.
    pub fn warm(&mut self) {
        self.run(of("warm", write(7, 1)));
    }

    /// The journal is lost, and an operator has taken an empty one in its place as it is.
    pub fn lose(&mut self) {
        let mut store = MemoryStore::new();
        seed::adopt(&mut store, "shop", Replica::Primary).unwrap();
        self.restart_on(store);
        self.hello(1, 1, &[]);
    }

    /// The process dies and starts again on what it had committed; nobody is connected.
    pub fn restart(&mut self) {
        self.restart_on(self.store.clone());
    }

    pub fn restart_on(&mut self, store: MemoryStore) {
        self.store = store.clone();
        self.lives += 1;
        let random = [self.lives; 16];
        self.now_ms = 500;
        self.journal = Journal::open(Box::new(store), config(), random, at(500)).unwrap();
    }

    pub fn handle(&mut self, input: Input) {
        self.journal.handle(at(self.now_ms), input);
    }

    pub fn commit(&mut self) {
        let outputs = self.journal.commit(at(self.now_ms)).unwrap();
        self.outputs.extend(outputs);
    }

    pub fn send(&mut self, stream: u64, ask: Ask) {
        let message = pb::GuardRequest { kind: Some(ask) };
        self.handle(Input::Guard { stream: StreamId(stream), message });
        self.commit();
    }

    pub fn hello(&mut self, stream: u64, owner: u8, running: &[(&str, u64, u64)]) {
        let running = running.iter().map(|(session, epoch, seq)| pb::Running {
            session: session.to_string(),
            epoch: *epoch,
            seq: *seq,
        });
        let hello = pb::GuardHello {
            version: VERSION,
            service: "shop".into(),
            replica: "primary".into(),
            owner: vec![owner; 8],
            running: running.collect(),
            gap_wait_ms: WAIT_MS as u32,
        };
        self.send(stream, Ask::Hello(hello));
    }

    pub fn close(&mut self, stream: u64) {
        self.handle(Input::GuardClosed { stream: StreamId(stream) });
        self.commit();
    }

    pub fn tick_after(&mut self, ms: u64) {
        self.now_ms += ms;
        self.handle(Input::Tick);
        self.commit();
    }

    /// Asks to begin; the token is the answer's.
    pub fn begin_on(&mut self, stream: u64, begin: pb::Begin) -> u64 {
        self.tokens += 1;
        self.send(stream, Ask::Begin(pb::Begin { token: self.tokens, ..begin }));
        self.tokens
    }

    pub fn begin(&mut self, begin: pb::Begin) -> u64 {
        self.begin_on(1, begin)
    }

    pub fn answers(&self, stream: u64) -> impl Iterator<Item = &Answer> {
        self.outputs.iter().filter_map(move |output| match output {
            Output::ToGuard { stream: to, message } if to.0 == stream => message.kind.as_ref(),
            _ => None,
        })
    }

    /// The answer to a begin; panics on a second one.
    pub fn begun(&self, token: u64) -> Option<pb::Begun> {
        let mut found = self.outputs.iter().filter_map(|output| match output {
            Output::ToGuard { message, .. } => match &message.kind {
                Some(Answer::Begun(begun)) if begun.token == token => Some(begun.clone()),
                _ => None,
            },
            _ => None,
        });
        let first = found.next();
        assert!(found.next().is_none(), "token {token} was answered twice");
        first
    }

    pub fn verdict(&self, token: u64) -> Option<Verdict> {
        self.begun(token).map(|begun| begun.verdict())
    }

    /// Asks to begin and gives the verdict; none if it waits.
    pub fn ask(&mut self, begin: pb::Begin) -> Option<Verdict> {
        let token = self.begin(begin);
        self.verdict(token)
    }

    pub fn outcome_on(&mut self, stream: u64, begin: &pb::Begin, kind: Kind, status: u32) {
        self.tokens += 1;
        let body = format!("ran {}.{}", begin.epoch, begin.seq).into_bytes();
        let response = pb::Response { status, headers: Vec::new(), body };
        let ran = kind == Kind::Ran;
        let outcome = pb::Outcome {
            token: self.tokens,
            session: begin.session.clone(),
            epoch: begin.epoch,
            seq: begin.seq,
            kind: kind.into(),
            status,
            digest: if ran { vec![begin.seq as u8; 8] } else { Vec::new() },
            response: ran.then_some(response),
        };
        self.send(stream, Ask::Outcome(outcome));
    }

    pub fn outcome(&mut self, begin: &pb::Begin, kind: Kind) {
        self.outcome_on(1, begin, kind, if kind == Kind::Ran { 201 } else { 0 });
    }

    /// The write begins and runs.
    pub fn run(&mut self, begin: pb::Begin) {
        assert_eq!(self.ask(begin.clone()), Some(Verdict::Run), "{begin:?}");
        self.outcome(&begin, Kind::Ran);
    }

    /// The write begins and its owner says that nobody knows.
    pub fn doubt(&mut self, begin: pb::Begin) {
        assert_eq!(self.ask(begin.clone()), Some(Verdict::Run), "{begin:?}");
        self.outcome(&begin, Kind::InDoubt);
    }

    pub fn resolve(&mut self, epoch: u64, seq: u64, action: Resolution) {
        let session = SessionKey::new("s").unwrap();
        self.handle(Input::Resolve { session, number: number(epoch, seq), action });
        self.commit();
    }

    pub fn await_run(&mut self, epoch: u64, seq: u64) -> u64 {
        self.tokens += 1;
        let ask = pb::AwaitRun {
            token: self.tokens,
            session: "s".into(),
            epoch,
            seq,
            wait_ms: WAIT_MS as u32,
        };
        self.send(1, Ask::AwaitRun(ask));
        self.tokens
    }

    pub fn awaited(&self, token: u64) -> Option<&pb::Awaited> {
        self.answers(1).find_map(|answer| match answer {
            Answer::Awaited(awaited) if awaited.token == token => Some(awaited),
            _ => None,
        })
    }

    /// The last welcome on a stream.
    pub fn welcome(&self, stream: u64) -> &pb::GuardWelcome {
        let welcomes = self.answers(stream).filter_map(|answer| match answer {
            Answer::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        welcomes.last().expect("a welcome")
    }

    pub fn closed(&self, stream: u64) -> bool {
        self.outputs.contains(&Output::CloseGuard { stream: StreamId(stream) })
    }

    /// Where the session stands, by the last answer to a begin.
    pub fn stands_at(&mut self, session: &str) -> Option<Position> {
        let probe = delivery(of(session, write(protocol::limits::NUMBER_MAX - 1, 2)));
        let token = self.begin(probe);
        self.begun(token)?.at.as_ref().and_then(Position::from_wire)
    }

    pub fn incarnation(&self) -> Incarnation {
        self.journal.incarnation()
    }
}
