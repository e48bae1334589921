//! Messages of gateways and guards, and words of guards, into the log and the journal.

use crate::frames;
use prost::Message as _;
use protocol::pb::{self, gateway_request, guard_request};
use protocol::{Id, Link, Replica, SessionKey, Word};
use replay_log::journal::{self, Journal, JournalConfig, Resolution};
use replay_log::log::{self, Delivery, Log, LogConfig};
use replay_log::store::MemoryStore;
use replay_log::{Now, StreamId};
use std::collections::VecDeque;

/// How the log of the targets behaves: everything that waits does so shortly.
pub(crate) fn log_config() -> LogConfig {
    LogConfig {
        service: "shop".into(),
        mirror_cluster: None,
        sole_gateway: false,
        takeover_ms: 50,
        delivery_parallel: 2,
        delivery_per_second: 0,
        handback_hold_ms: 30,
        mirror_grace_ms: 20,
        remember_ids_ms: 1000,
        remember_ids_bytes: 1 << 16,
        session_idle_ms: 1000,
        max_entries: 1_000_000,
        max_bytes: 1 << 20,
    }
}

/// How the journal of the targets behaves.
pub(crate) fn journal_config() -> JournalConfig {
    JournalConfig {
        service: "shop".into(),
        replica: Replica::Primary,
        remember_bytes: 4096,
        session_idle_ms: 1000,
        takeover_ms: Some(50),
    }
}

pub(crate) const START: Now = Now { mono_ms: 1, unix_ms: 1_700_000_000_000 };
const STREAM: StreamId = StreamId(1);

/// Step kinds.
const GATEWAY: u8 = 0;
const GUARD: u8 = 1;
const TIME: u8 = 2;
const WORD: u8 = 3;
const PROBED: u8 = 4;
const CLOSED: u8 = 5;
const RESOLVE: u8 = 6;
const JOURNAL_RAN: u8 = 7;
const KINDS: u8 = 8;

struct Engines {
    log: Log,
    journal: Journal,
    now: Now,
    deliveries: VecDeque<Delivery>,
    probes: VecDeque<Replica>,
}

/// Hands each step to the engines and commits.
pub fn run(bytes: &[u8]) {
    let open = "an empty store opens";
    let store = || Box::new(MemoryStore::new());
    let mut engines = Engines {
        log: Log::open(store(), log_config(), [7; 16], START).expect(open),
        journal: Journal::open(store(), journal_config(), [7; 16], START).expect(open),
        now: START,
        deliveries: VecDeque::new(),
        probes: VecDeque::new(),
    };
    for (kind, payload) in frames::read(bytes) {
        engines.step(kind % KINDS, payload);
        engines.commit();
    }
    let _ = (engines.log.status(), engines.journal.status());
    engines.log.flush(engines.now).expect("a store in memory takes everything");
}

impl Engines {
    fn step(&mut self, kind: u8, payload: &[u8]) {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        match kind {
            GATEWAY => {
                if let Ok(message) = pb::GatewayRequest::decode(payload) {
                    self.log(log::Input::Gateway { stream: STREAM, message });
                }
            }
            GUARD => {
                if let Ok(message) = pb::GuardRequest::decode(payload) {
                    self.journal(journal::Input::Guard { stream: STREAM, message });
                }
            }
            TIME => {
                let ms = payload.iter().map(|byte| u64::from(*byte) * 8).sum::<u64>();
                self.now.mono_ms += ms;
                self.now.unix_ms += ms;
                self.log(log::Input::Tick);
                self.journal(journal::Input::Tick);
            }
            WORD => {
                if let Some(Delivery { replica, session, number, .. }) = self.deliveries.pop_front()
                {
                    let word = Word::parse(text);
                    self.log(log::Input::Delivered { replica, session, number, word });
                }
            }
            PROBED => {
                if let Some(replica) = self.probes.pop_front() {
                    self.log(log::Input::Probed { replica, word: Word::parse(text) });
                }
            }
            CLOSED => {
                self.log(log::Input::GatewayClosed { stream: STREAM });
                self.journal(journal::Input::GuardClosed { stream: STREAM });
            }
            RESOLVE => {
                let doubt = self.journal.status().in_doubt.into_iter().next();
                if let Some(doubt) = doubt {
                    let (session, number) = (doubt.session, doubt.number);
                    let action =
                        if payload.is_empty() { Resolution::Redo } else { Resolution::Skip };
                    self.journal(journal::Input::Resolve { session, number, action });
                }
            }
            _ => {
                if let Some(word) = Word::parse(text)
                    && let Ok(session) = SessionKey::new("s")
                {
                    let replica = word.replica;
                    self.log(log::Input::JournalRan { replica, session, word });
                }
            }
        }
    }

    fn log(&mut self, input: log::Input) {
        let _ = input.size();
        self.log.handle(self.now, input);
    }

    fn journal(&mut self, input: journal::Input) {
        self.journal.handle(self.now, input);
    }

    fn commit(&mut self) {
        let outputs = self.log.commit(self.now).expect("a store in memory takes everything");
        for output in outputs {
            match output {
                log::Output::Deliver(delivery) => self.deliveries.push_back(*delivery),
                log::Output::Probe { replica } => self.probes.push_back(replica),
                log::Output::ToGateway { .. } | log::Output::CloseGateway { .. } => {}
            }
        }
        self.journal.commit(self.now).expect("a store in memory takes everything");
        let _ = (self.log.next_wake_ms(), self.journal.next_wake_ms());
    }
}

fn gateway(kind: gateway_request::Kind, ends: Vec<pb::End>) -> (u8, Vec<u8>) {
    (GATEWAY, pb::GatewayRequest { kind: Some(kind), ends }.encode_to_vec())
}

fn guard(kind: guard_request::Kind) -> (u8, Vec<u8>) {
    (GUARD, pb::GuardRequest { kind: Some(kind) }.encode_to_vec())
}

pub(crate) fn append(token: u64, id: &str) -> gateway_request::Kind {
    gateway_request::Kind::Append(pb::Append {
        token,
        session: "s".into(),
        id: id.into(),
        method: "POST".into(),
        path: "/x".into(),
        headers: vec![pb::Header { name: "a".into(), value: b"b".to_vec() }],
        body: b"body".to_vec(),
        received_ms: 5,
        refuse_when_cut: false,
    })
}

pub(crate) fn gateway_hello() -> gateway_request::Kind {
    let (version, service) = (protocol::VERSION, "shop".into());
    gateway_request::Kind::Hello(pb::GatewayHello { version, service, gateway: vec![1; 16] })
}

fn begin(token: u64, seq: u64, link: Link, id: &str) -> guard_request::Kind {
    guard_request::Kind::Begin(pb::Begin {
        token,
        session: "s".into(),
        epoch: 9,
        seq,
        link: link.0.to_vec(),
        id: id.into(),
        method: "POST".into(),
        path: "/x".into(),
        run_timeout_ms: 100,
        wait_ms: 50,
        ..pb::Begin::default()
    })
}

fn outcome(token: u64, seq: u64, kind: pb::outcome::Kind) -> guard_request::Kind {
    guard_request::Kind::Outcome(pb::Outcome {
        token,
        session: "s".into(),
        epoch: 9,
        seq,
        kind: kind.into(),
        status: 200,
        digest: vec![1; 8],
        response: Some(pb::Response { status: 200, headers: vec![], body: b"ok".to_vec() }),
    })
}

/// What a gateway and a guard say in good days and bad ones.
pub fn seeds() -> Vec<Vec<u8>> {
    use gateway_request::Kind as G;
    use guard_request::Kind as J;
    let [first, second] = ["a", "b"].map(|id| Id::new(id).expect("an id"));
    let (one, two) = (Link::START.next(&first), Link::START.next(&first).next(&second));
    let epoch = START.unix_ms + 1;
    let word = |replica: &str, verdict: &str, seq: u64, link: Link| {
        format!(
            "v=1;replica={replica};verdict={verdict};number={epoch}.{seq};status=200;digest=0101010101010101;at={epoch}.{seq}.{link}"
        )
    };
    let end = |seq, token, kind: pb::end::Kind, word: String| pb::End {
        session: "s".into(),
        epoch,
        seq,
        kind: kind.into(),
        word,
        token,
        route: pb::Route::Primary.into(),
    };
    let answered = end(1, 1, pb::end::Kind::Answered, word("primary", "ran", 1, one));
    let lost = end(2, 2, pb::end::Kind::MaybeDone, String::new());
    let locate = pb::Locate { token: 4, session: "s".into() };
    let cancel = pb::Cancel { token: 3, session: "s".into(), id: "c".into() };
    let hello = pb::GuardHello {
        version: protocol::VERSION,
        service: "shop".into(),
        replica: "primary".into(),
        owner: vec![1; 16],
        running: vec![pb::Running { session: "s".into(), epoch: 9, seq: 2 }],
        gap_wait_ms: 80,
    };
    let read = pb::AwaitRun { token: 6, session: "s".into(), epoch: 9, seq: 2, wait_ms: 50 };
    let text = |kind: u8, text: String| (kind, text.into_bytes());
    vec![
        frames::write([
            gateway(gateway_hello(), vec![]),
            gateway(append(1, "a"), vec![]),
            gateway(append(2, "b"), vec![answered]),
            gateway(G::Locate(locate), vec![lost]),
            text(WORD, word("secondary", "ran", 1, one)),
            text(WORD, word("secondary", "ran", 2, two)),
            (PROBED, b"v=1;replica=primary;verdict=ready".to_vec()),
            text(WORD, word("primary", "in-doubt", 2, one)),
            (TIME, vec![250, 250]),
            gateway(append(3, "c"), vec![]),
            gateway(G::Cancel(cancel), vec![]),
            (TIME, vec![9]),
            (CLOSED, vec![]),
            (TIME, vec![250; 9]),
            text(JOURNAL_RAN, word("secondary", "ran", 3, two)),
        ]),
        frames::write([
            guard(J::Hello(hello.clone())),
            guard(begin(1, 1, one, "a")),
            guard(begin(2, 2, two, "b")),
            guard(J::AwaitRun(read)),
            guard(outcome(3, 1, pb::outcome::Kind::Ran)),
            guard(begin(4, 1, one, "a")),
            guard(J::Hello(hello)),
            guard(outcome(5, 2, pb::outcome::Kind::InDoubt)),
            (RESOLVE, vec![]),
            guard(begin(7, 2, two, "b")),
            (TIME, vec![250, 250]),
            (RESOLVE, vec![1]),
            guard(J::Leave(pb::Leave { token: 7 })),
            (CLOSED, vec![]),
        ]),
    ]
}
