//! A log with one gateway, driven by hand: what the tests of the log have in common.
#![allow(dead_code, reason = "every test binary uses its own part")]

use protocol::{
    Digest, Incarnation, Number, Position, Replica, SessionKey, Stamp, Verdict, Word, pb,
};
use replay_log::log::{Delivery, Input, Log, LogConfig, Output};
use replay_log::store::MemoryStore;
use replay_log::{Now, StreamId};

pub const GATEWAY: StreamId = StreamId(1);
pub const TAKEOVER_MS: u64 = 500;
pub const HOLD_MS: u64 = 300;
pub const IDLE_MS: u64 = 60_000;

pub fn config() -> LogConfig {
    LogConfig {
        service: "shop".to_string(),
        mirror_cluster: None,
        sole_gateway: true,
        takeover_ms: TAKEOVER_MS,
        delivery_parallel: 8,
        delivery_per_second: 0,
        handback_hold_ms: HOLD_MS,
        mirror_grace_ms: 200,
        remember_ids_ms: 86_400_000,
        remember_ids_bytes: 1 << 20,
        session_idle_ms: IDLE_MS,
        max_entries: 1_000_000,
        max_bytes: 1 << 20,
    }
}

pub struct Desk {
    pub log: Log,
    pub store: MemoryStore,
    pub config: LogConfig,
    pub now: Now,
    pub token: u64,
    /// Deliveries that went out and were not answered.
    pub deliveries: Vec<Delivery>,
    pub probes: Vec<Replica>,
    pub replies: Vec<pb::GatewayResponse>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with(config(), MemoryStore::new())
    }

    pub fn with(config: LogConfig, store: MemoryStore) -> Desk {
        let now = Now { mono_ms: 1, unix_ms: 1_700_000_000_000 };
        let log = Log::open(Box::new(store.clone()), config.clone(), [7; 16], now).expect("opens");
        let mut desk = Desk {
            log,
            store,
            config,
            now,
            token: 0,
            deliveries: vec![],
            probes: vec![],
            replies: vec![],
        };
        desk.hello(GATEWAY, b"envoy-1");
        desk
    }

    /// The process dies and another opens the same store; the gateway comes back.
    pub fn restart(&mut self) {
        self.restart_alone();
        self.hello(GATEWAY, b"envoy-1");
    }

    /// The same, and no gateway connects.
    pub fn restart_alone(&mut self) {
        self.log = Log::open(Box::new(self.store.clone()), self.config.clone(), [9; 16], self.now)
            .expect("opens again");
        self.deliveries.clear();
        self.probes.clear();
        self.replies.clear();
    }

    pub fn hello(&mut self, stream: StreamId, gateway: &[u8]) -> pb::GatewayWelcome {
        let hello = pb::GatewayHello {
            version: protocol::VERSION,
            service: "shop".to_string(),
            gateway: gateway.to_vec(),
        };
        self.message(stream, pb::gateway_request::Kind::Hello(hello));
        match self.replies.pop().and_then(|r| r.kind) {
            Some(pb::gateway_response::Kind::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    pub fn message(&mut self, stream: StreamId, kind: pb::gateway_request::Kind) {
        let message = pb::GatewayRequest { kind: Some(kind), ends: vec![] };
        self.input(Input::Gateway { stream, message });
    }

    pub fn input(&mut self, input: Input) {
        self.log.handle(self.now, input);
        for output in self.log.commit(self.now).expect("commits") {
            match output {
                Output::ToGateway { message, .. } => self.replies.push(message),
                Output::Deliver(delivery) => self.deliveries.push(*delivery),
                Output::Probe { replica } => self.probes.push(replica),
                Output::CloseGateway { .. } => {}
            }
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.input(Input::Tick);
    }

    pub fn append_message(&mut self, session: &str, id: &str, body: &str) -> pb::Append {
        self.token += 1;
        pb::Append {
            token: self.token,
            session: session.to_string(),
            id: id.to_string(),
            method: "POST".to_string(),
            path: "/sale".to_string(),
            headers: vec![],
            body: body.as_bytes().to_vec(),
            received_ms: self.now.unix_ms,
            refuse_when_cut: false,
        }
    }

    pub fn append(&mut self, session: &str, id: &str) -> Option<pb::appended::Outcome> {
        let append = self.append_message(session, id, id);
        let token = append.token;
        self.message(GATEWAY, pb::gateway_request::Kind::Append(append));
        self.reply_to(token)
    }

    pub fn reply_to(&mut self, token: u64) -> Option<pb::appended::Outcome> {
        self.replies.iter().find_map(|r| match &r.kind {
            Some(pb::gateway_response::Kind::Appended(a)) if a.token == token => a.outcome.clone(),
            _ => None,
        })
    }

    /// Appends and expects a number at once.
    pub fn number(&mut self, session: &str, id: &str) -> pb::Numbered {
        match self.append(session, id) {
            Some(pb::appended::Outcome::Numbered(numbered)) => numbered,
            other => panic!("{session} {id} was not numbered but {other:?}"),
        }
    }

    pub fn end(
        &mut self,
        session: &str,
        n: &pb::Numbered,
        kind: pb::end::Kind,
        word: Option<Word>,
    ) {
        let end = pb::End {
            session: session.to_string(),
            epoch: n.epoch,
            seq: n.seq,
            kind: kind as i32,
            word: word.map(|w| w.to_string()).unwrap_or_default(),
            token: self.token,
            route: n.route,
        };
        let message = pb::GatewayRequest { kind: None, ends: vec![end] };
        self.input(Input::Gateway { stream: GATEWAY, message });
    }

    /// The write was answered by this replica.
    pub fn answered(&mut self, session: &str, n: &pb::Numbered, replica: Replica) {
        let word = ran(replica, n, 200);
        self.end(session, n, pb::end::Kind::Answered, Some(word));
    }

    /// Takes the only delivery that is out.
    pub fn delivery(&mut self) -> Delivery {
        assert_eq!(self.deliveries.len(), 1, "deliveries out: {:?}", self.deliveries);
        self.deliveries.remove(0)
    }

    pub fn deliver_ok(&mut self, delivery: &Delivery) {
        let word = delivered_word(delivery, Verdict::Ran);
        self.report(delivery, Some(word));
    }

    pub fn report(&mut self, delivery: &Delivery, word: Option<Word>) {
        self.input(Input::Delivered {
            replica: delivery.replica,
            session: delivery.session.clone(),
            number: delivery.number,
            word,
        });
    }

    /// Answers every delivery with "ran" until there are none; returns how many there were.
    pub fn drain(&mut self) -> usize {
        let mut count = 0;
        while let Some(delivery) = self.deliveries.pop() {
            self.deliver_ok(&delivery);
            count += 1;
        }
        count
    }

    /// One write, run by the primary and mirrored to the secondary.
    pub fn whole_write(&mut self, session: &str, id: &str) -> pb::Numbered {
        let n = self.number(session, id);
        self.answered(session, &n, Replica::Primary);
        self.drain();
        n
    }
}

/// The word of a guard that ran a numbered write.
pub fn ran(replica: Replica, n: &pb::Numbered, status: u16) -> Word {
    let number = Number { epoch: n.epoch, seq: n.seq };
    let link = protocol::Link::from_wire(&n.link).expect("a link");
    Word {
        number: Some(number),
        status,
        digest: Digest::of(b"ok"),
        at: Some(Position { number, link }),
        journal: Incarnation([replica.index() as u8 + 1; 8]),
        ..Word::new(replica, Verdict::Ran)
    }
}

pub fn delivered_word(delivery: &Delivery, verdict: Verdict) -> Word {
    let Stamp::Write(stamp) = &delivery.stamp else { panic!("a delivery is a write") };
    let has_run = verdict.has_run();
    Word {
        number: Some(delivery.number),
        status: if has_run && !stamp.noop { 200 } else { 0 },
        digest: Digest::of(b"ok"),
        at: has_run.then_some(Position { number: delivery.number, link: stamp.link }),
        journal: Incarnation([delivery.replica.index() as u8 + 1; 8]),
        ..Word::new(delivery.replica, verdict)
    }
}

pub fn session(name: &str) -> SessionKey {
    SessionKey::new(name).expect("a session key")
}
