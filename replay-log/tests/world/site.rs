//! The rest of the world: the log, a gateway, clients, and the messages under way.

use crate::guard::{Answer, Asked, Guard, Origin, delivery_stamp, live_stamp};
use protocol::{Number, Replica, Verdict, Word, pb};
use replay_log::log::{Input, Log, LogConfig, Output};
use replay_log::store::MemoryStore;
use replay_log::{Now, StreamId};
use std::collections::{BTreeMap, BTreeSet};

const SESSIONS: [&str; 2] = ["a", "b"];

enum Message {
    Request(Replica, Asked),
    Answer(Replica, Answer),
    Probe(Replica),
}

pub struct World {
    log: Log,
    store: MemoryStore,
    stream: StreamId,
    guards: [Guard; 2],
    messages: Vec<Message>,
    now: Now,
    cut: bool,
    token: u64,
    /// Ids in the order of their numbers, as the log has told them, by session.
    numbered: BTreeMap<String, BTreeMap<Number, String>>,
    /// What clients asked for, and by which token.
    asked: BTreeMap<u64, (String, String)>,
    sent: Vec<(String, String)>,
    acknowledged: BTreeSet<(String, String)>,
    /// Ids whose Append the gateway will cancel.
    leaving: BTreeSet<u64>,
    withdrawn: BTreeSet<(String, String)>,
}

fn open(store: &MemoryStore, now: Now, random: u8) -> Log {
    let config = LogConfig {
        service: "shop".to_string(),
        mirror_cluster: None,
        sole_gateway: true,
        takeover_ms: 500,
        delivery_parallel: 2,
        delivery_per_second: 0,
        handback_hold_ms: 300,
        mirror_grace_ms: 0,
        remember_ids_ms: 86_400_000,
        remember_ids_bytes: 1 << 20,
        session_idle_ms: 30_000,
        max_entries: 1_000_000,
        max_bytes: 1 << 20,
    };
    Log::open(Box::new(store.clone()), config, [random; 16], now).expect("the log opens")
}

impl World {
    pub fn new() -> World {
        let now = Now { mono_ms: 1, unix_ms: 1_700_000_000_000 };
        let store = MemoryStore::new();
        let mut world = World {
            log: open(&store, now, 1),
            store,
            stream: StreamId(1),
            guards: Replica::BOTH.map(|r| Guard::new(r, now)),
            messages: vec![],
            now,
            cut: false,
            token: 0,
            numbered: BTreeMap::new(),
            asked: BTreeMap::new(),
            sent: vec![],
            acknowledged: BTreeSet::new(),
            leaving: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
        };
        world.hello();
        world
    }

    pub fn step(&mut self, (what, which): (u8, u16)) {
        let pick = |len: usize| if len == 0 { None } else { Some(usize::from(which) % len) };
        let replica = Replica::BOTH[usize::from(which) % 2];
        match what % 20 {
            0..=2 => self.append_new(which),
            3 => {
                if let Some(i) = pick(self.sent.len()) {
                    let (session, id) = self.sent[i].clone();
                    self.append(&session, &id);
                }
            }
            4..=8 => {
                if let Some(i) = pick(self.messages.len()) {
                    let message = self.messages.remove(i);
                    self.arrive(message);
                }
            }
            9 => {
                if let Some(i) = pick(self.messages.len()) {
                    let message = self.messages.remove(i);
                    self.lose(message);
                }
            }
            10 => {
                if let Some(i) = pick(self.messages.len())
                    && let Message::Request(r, asked) = &self.messages[i]
                {
                    let copy = Message::Request(*r, asked.clone());
                    self.messages.push(copy);
                }
            }
            11..=13 => {
                if let Some(i) = pick(self.guards[replica.index()].granted.len()) {
                    let answers = self.guards[replica.index()].execute(self.now, i);
                    self.answers(replica, answers);
                }
            }
            14 => {
                for origin in self.guards[replica.index()].crash_envoy(self.now, which % 4 < 2) {
                    self.answered(replica, origin, None);
                }
            }
            15 => {
                let answers = self.guards[replica.index()].crash_journal(self.now, which as u8 | 1);
                self.answers(replica, answers);
            }
            16 => self.crash_log(which as u8 | 1),
            17 => self.cut = !self.cut,
            18 => {
                self.append_new(which);
                self.leaving.insert(self.token);
            }
            _ => self.pass(1 << (which % 12)),
        }
    }

    fn append_new(&mut self, which: u16) {
        let session = SESSIONS[usize::from(which) % 2].to_string();
        let id = format!("w{}", self.sent.len());
        self.sent.push((session.clone(), id.clone()));
        self.append(&session, &id);
    }

    fn append(&mut self, session: &str, id: &str) {
        self.token += 1;
        self.asked.insert(self.token, (session.to_string(), id.to_string()));
        let append = pb::Append {
            token: self.token,
            session: session.to_string(),
            id: id.to_string(),
            method: "POST".to_string(),
            path: "/sale".to_string(),
            headers: vec![],
            body: id.as_bytes().to_vec(),
            received_ms: self.now.unix_ms,
            refuse_when_cut: false,
        };
        self.gateway(pb::gateway_request::Kind::Append(append));
    }

    fn hello(&mut self) {
        let hello = pb::GatewayHello {
            version: protocol::VERSION,
            service: "shop".to_string(),
            gateway: b"envoy".to_vec(),
        };
        self.gateway(pb::gateway_request::Kind::Hello(hello));
    }

    fn gateway(&mut self, kind: pb::gateway_request::Kind) {
        let message = pb::GatewayRequest { kind: Some(kind), ends: vec![] };
        self.input(Input::Gateway { stream: self.stream, message });
    }

    fn input(&mut self, input: Input) {
        self.log.handle(self.now, input);
        for output in self.log.commit(self.now).expect("the log commits") {
            match output {
                Output::ToGateway { message, .. } => self.reply(message),
                Output::Deliver(d) => {
                    let origin = Origin::Delivery { session: d.session.clone(), number: d.number };
                    let stamp = delivery_stamp(d.stamp.clone());
                    if !stamp.noop {
                        self.learn(d.session.as_str(), d.number, stamp.id.as_str());
                    }
                    self.messages.push(Message::Request(d.replica, Asked { origin, stamp }));
                }
                Output::Probe { replica } => self.messages.push(Message::Probe(replica)),
                Output::CloseGateway { .. } => {}
            }
        }
    }

    /// A number is heard of: from a reply, or from the delivery of what had none.
    fn learn(&mut self, session: &str, number: Number, id: &str) {
        let known =
            self.numbered.entry(session.to_string()).or_default().insert(number, id.to_string());
        assert!(known.is_none_or(|before| before == id), "{number} of {session} has two ids");
    }

    /// The gateway releases a numbered write, or cancels it if its client has left.
    fn reply(&mut self, message: pb::GatewayResponse) {
        let Some(pb::gateway_response::Kind::Appended(appended)) = message.kind else { return };
        let Some(pb::appended::Outcome::Numbered(n)) = appended.outcome else { return };
        let Some((session, id)) = self.asked.get(&appended.token).cloned() else { return };
        let number = Number { epoch: n.epoch, seq: n.seq };
        self.learn(&session, number, &id);
        if self.leaving.remove(&appended.token) {
            self.withdrawn.insert((session.clone(), id.clone()));
            let cancel = pb::Cancel { token: appended.token, session, id };
            return self.gateway(pb::gateway_request::Kind::Cancel(cancel));
        }
        let Some(stamp) = live_stamp(&session, &id, &n, self.log.incarnation()) else { return };
        let first =
            if n.route() == pb::Route::Secondary { Replica::Secondary } else { Replica::Primary };
        let origin = Origin::Live { token: appended.token, number: n, session, id, tried: 0 };
        self.messages.push(Message::Request(first, Asked { origin, stamp }));
    }

    fn arrive(&mut self, message: Message) {
        let primary = match &message {
            Message::Request(r, _) | Message::Answer(r, _) | Message::Probe(r) => {
                *r == Replica::Primary
            }
        };
        if self.cut && primary {
            return self.lose(message);
        }
        match message {
            Message::Request(replica, asked) => {
                let answers = self.guards[replica.index()].ask(self.now, asked);
                self.answers(replica, answers);
            }
            Message::Answer(replica, (origin, word)) => self.answered(replica, origin, Some(word)),
            Message::Probe(replica) => {
                let word = Some(Word::new(replica, Verdict::Ready));
                self.input(Input::Probed { replica, word });
            }
        }
    }

    fn lose(&mut self, message: Message) {
        match message {
            Message::Request(replica, asked) => self.answered(replica, asked.origin, None),
            Message::Answer(replica, (origin, _)) => self.answered(replica, origin, None),
            Message::Probe(replica) => self.input(Input::Probed { replica, word: None }),
        }
    }

    fn answers(&mut self, replica: Replica, answers: Vec<Answer>) {
        self.messages.extend(answers.into_iter().map(|a| Message::Answer(replica, a)));
    }

    fn answered(&mut self, replica: Replica, origin: Origin, word: Option<Word>) {
        match origin {
            Origin::Delivery { session, number } => {
                self.input(Input::Delivered { replica, session, number, word });
            }
            Origin::Live { token, number, session, id, tried } => {
                let ran = word.as_ref().is_some_and(|w| w.verdict.has_run());
                if !ran && tried == 0 {
                    // Envoy tries the other replica, with the same stamp.
                    let log = self.log.incarnation();
                    let Some(stamp) = live_stamp(&session, &id, &number, log) else { return };
                    let origin = Origin::Live { token, number, session, id, tried: 1 };
                    return self
                        .messages
                        .push(Message::Request(replica.other(), Asked { origin, stamp }));
                }
                if ran {
                    self.acknowledged.insert((session.clone(), id));
                }
                let kind = if ran { pb::end::Kind::Answered } else { pb::end::Kind::MaybeDone };
                let end = pb::End {
                    session,
                    epoch: number.epoch,
                    seq: number.seq,
                    kind: kind as i32,
                    word: word.map(|w| w.to_string()).unwrap_or_default(),
                    token,
                    route: number.route,
                };
                let message = pb::GatewayRequest { kind: None, ends: vec![end] };
                self.input(Input::Gateway { stream: self.stream, message });
            }
        }
    }

    /// The log's process dies. Its deliveries are cut off; what they asked may still arrive.
    fn crash_log(&mut self, random: u8) {
        self.log = open(&self.store, self.now, random);
        self.stream = StreamId(self.stream.0 + 1);
        let late: Vec<Message> = std::mem::take(&mut self.messages);
        for message in late {
            match message {
                Message::Answer(_, (Origin::Delivery { .. }, _)) | Message::Probe(_) => {}
                // Sent before the crash: runs at the guard, its answer finds nobody.
                other => self.messages.push(other),
            }
        }
        self.hello();
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        for replica in Replica::BOTH {
            let answers =
                self.guards[replica.index()].input(self.now, replay_log::journal::Input::Tick);
            self.answers(replica, answers);
        }
        self.input(Input::Tick);
    }

    /// Each replica has run a prefix of the numbered order, each write once.
    pub fn check_prefixes(&self) {
        for guard in &self.guards {
            for (session, ran) in &guard.service {
                let mut order = self.numbered[session].values();
                for id in ran {
                    assert!(
                        order.any(|numbered| numbered == id),
                        "the {} ran {id} twice or out of order in {session}: {ran:?} of {:?}",
                        guard.replica,
                        self.numbered[session]
                    );
                }
            }
        }
    }

    /// Everything works again: messages arrive, writes run, doubts are resolved.
    pub fn heal(&mut self) {
        self.cut = false;
        for _ in 0..3000 {
            while !self.messages.is_empty() {
                let message = self.messages.remove(0);
                self.arrive(message);
            }
            for replica in Replica::BOTH {
                while !self.guards[replica.index()].granted.is_empty() {
                    let answers = self.guards[replica.index()].execute(self.now, 0);
                    self.answers(replica, answers);
                }
                let answers = self.guards[replica.index()].resolve(self.now);
                self.answers(replica, answers);
            }
            let status = self.log.status();
            if status.entries == 0 && self.messages.is_empty() {
                return;
            }
            self.pass(50);
        }
        let status = self.log.status();
        panic!(
            "it does not converge: {status:#?} {:#?}",
            self.guards.each_ref().map(|g| g.journal.status())
        );
    }

    /// Both replicas have run everything that was numbered and not withdrawn, in that order.
    pub fn check_whole(&self) {
        assert_eq!(self.log.status().conflicts, [], "no number conflicts without a lost store");
        assert_eq!(self.log.status().diverged, []);
        for session in SESSIONS {
            let Some(order) = self.numbered.get(session) else { continue };
            let [p, s] =
                self.guards.each_ref().map(|g| g.service.get(session).cloned().unwrap_or_default());
            assert_eq!(p, s, "the replicas differ in {session}");
            let must = order
                .values()
                .filter(|id| !self.withdrawn.contains(&(session.to_string(), (*id).clone())));
            for id in must {
                assert!(p.contains(id), "{id} of {session} never ran: {p:?}");
            }
        }
        for (session, id) in &self.acknowledged {
            assert!(
                self.guards[0].service.get(session).is_some_and(|ran| ran.contains(id)),
                "{id} was acknowledged and is lost"
            );
        }
    }
}
