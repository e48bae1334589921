//! What stands around a `reprise`: a gateway that appends writes of one session and lets them run
//! at a replica, and two guards that run what comes in order.

use crate::kernel::{Actor, Addr, ConnId, Cx, Event, MS, Micros, NetEvent, NodeId, Port, Timer};
use crate::wire::{self, Frame, Headers, StreamNo};
use prost::Message;
use protocol::pb::{self, appended, gateway_request, gateway_response, guard_request};
use protocol::stamp::WriteStamp;
use protocol::{Link, Number, Position, Replica, Stamp, Verdict, Word};
use std::collections::BTreeMap;

const GATEWAY: StreamNo = 7;
const GUARD: StreamNo = 8;

/// A guard and its replica.
#[derive(Default)]
pub struct Guard {
    pub ran: Vec<(Number, Link)>,
    /// It does not answer.
    pub away: bool,
}

impl Guard {
    fn ask(&mut self, replica: Replica, number: Number, link: Link) -> Option<Word> {
        let fresh = self.ran.last().is_none_or(|(last, _)| *last < number);
        let known = !fresh && self.ran.contains(&(number, link));
        let last = self.ran.last().map_or(0, |(number, _)| number.seq);
        let verdict = match () {
            () if self.away => return None,
            () if known => Verdict::Forgotten,
            () if number.seq == last + 1 => Verdict::Ran,
            () => Verdict::Gap,
        };
        if verdict == Verdict::Ran {
            self.ran.push((number, link));
        }
        let at = self.ran.last().map(|(number, link)| Position { number: *number, link: *link });
        let status = if verdict.has_run() { 200 } else { 0 };
        Some(Word { number: Some(number), status, at, ..Word::new(replica, verdict) })
    }
}

/// All of it.
pub struct Envoy {
    pub reprise: NodeId,
    pub guards: [Guard; 2],
    /// No new writes.
    pub quiet: bool,
    /// A copy of every write goes to the secondary's guard, which asks its journal.
    pub mirrors: bool,
    /// When each append went out.
    sent_us: BTreeMap<u64, Micros>,
    /// How long the log took for each answer.
    pub took: Vec<Micros>,
    /// What was acknowledged to clients.
    pub acknowledged: Vec<Number>,
    /// How streams ended: `grpc-status`, if they did.
    pub statuses: Vec<(StreamNo, u32)>,
    /// Answers to guards.
    pub guarded: Vec<pb::GuardResponse>,
    mirrored: BTreeMap<u64, pb::Numbered>,
    conn: Option<ConnId>,
    greeted: bool,
    ids: u64,
}

/// What a guard says first.
pub fn hello_of(replica: Replica) -> pb::GuardHello {
    pb::GuardHello {
        version: protocol::VERSION,
        service: "shop".into(),
        replica: replica.name().into(),
        owner: vec![1; 8],
        running: vec![],
        gap_wait_ms: 800,
    }
}

impl Envoy {
    pub fn new(reprise: NodeId) -> Box<Envoy> {
        Box::new(Envoy {
            reprise,
            guards: Default::default(),
            quiet: false,
            mirrors: false,
            sent_us: BTreeMap::new(),
            took: vec![],
            acknowledged: vec![],
            statuses: vec![],
            guarded: vec![],
            mirrored: BTreeMap::new(),
            conn: None,
            greeted: false,
            ids: 0,
        })
    }

    fn tell(&self, cx: &mut Cx<'_>, kind: Option<gateway_request::Kind>, ends: Vec<pb::End>) {
        if let Some(conn) = self.conn {
            let bytes = pb::GatewayRequest { kind, ends }.encode_to_vec();
            cx.send(conn, GATEWAY, Frame::Data { bytes, end: false });
        }
    }

    pub fn guard(&self, cx: &mut Cx<'_>, kind: guard_request::Kind) {
        if let Some(conn) = self.conn {
            let bytes = pb::GuardRequest { kind: Some(kind) }.encode_to_vec();
            cx.send(conn, GUARD, Frame::Data { bytes, end: false });
        }
    }

    fn connected(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        for (stream, path) in [(GATEWAY, "ReplayLog/Gateway"), (GUARD, "Journal/Guard")] {
            let path = format!("/reprise.replaylog.v1.{path}").into_bytes();
            let headers = vec![(":path".to_string(), path)];
            cx.send(conn, stream, Frame::Head { headers, body: vec![], end: false });
        }
        let hello = pb::GatewayHello {
            version: protocol::VERSION,
            service: "shop".into(),
            gateway: vec![1; 8],
        };
        self.tell(cx, Some(gateway_request::Kind::Hello(hello)), vec![]);
        if self.mirrors {
            self.guard(cx, guard_request::Kind::Hello(hello_of(Replica::Secondary)));
        }
    }

    /// The mirror's copy comes to the secondary's guard, which is granted it and runs it.
    fn mirror(&mut self, cx: &mut Cx<'_>, n: &pb::Numbered, token: u64) {
        let begin = pb::Begin {
            token,
            session: "s1".into(),
            epoch: n.epoch,
            seq: n.seq,
            link: n.link.clone(),
            id: format!("i{token}"),
            method: "POST".into(),
            path: "/items".into(),
            run_timeout_ms: 5_000,
            wait_ms: 800,
            ..Default::default()
        };
        self.guard(cx, guard_request::Kind::Begin(begin));
        self.mirrored.insert(token, n.clone());
    }

    fn granted(&mut self, cx: &mut Cx<'_>, begun: &pb::Begun) {
        let Some(n) = self.mirrored.remove(&begun.token) else { return };
        assert_eq!(begun.verdict(), pb::begun::Verdict::Run);
        let outcome = pb::Outcome {
            token: begun.token,
            session: "s1".into(),
            epoch: n.epoch,
            seq: n.seq,
            kind: pb::outcome::Kind::Ran.into(),
            status: 200,
            digest: vec![],
            response: None,
        };
        self.guard(cx, guard_request::Kind::Outcome(outcome));
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        cx.after(20 * MS, Timer { kind: 0, a: 0, b: 0 });
        if self.conn.is_none() {
            self.conn = Some(cx.connect(Addr { node: self.reprise, port: Port::Grpc }));
        }
        if !self.greeted || self.quiet {
            return;
        }
        self.ids += 1;
        self.sent_us.insert(self.ids, cx.now());
        let append = pb::Append {
            token: self.ids,
            session: "s1".into(),
            id: format!("i{}", self.ids),
            method: "POST".into(),
            path: "/items".into(),
            headers: vec![pb::Header { name: "x-label".into(), value: b"1".to_vec() }],
            body: b"body".to_vec(),
            received_ms: cx.wall_ms(),
            refuse_when_cut: false,
        };
        self.tell(cx, Some(gateway_request::Kind::Append(append)), vec![]);
    }

    fn answer(&mut self, cx: &mut Cx<'_>, response: pb::GatewayResponse) {
        let appended = match response.kind {
            Some(gateway_response::Kind::Welcome(welcome)) => {
                self.greeted = welcome.error.is_empty();
                return;
            }
            Some(gateway_response::Kind::Appended(appended)) => appended,
            _ => return,
        };
        let Some(appended::Outcome::Numbered(n)) = appended.outcome else { return };
        self.took.extend(self.sent_us.remove(&appended.token).map(|sent| cx.now() - sent));
        if self.mirrors {
            self.mirror(cx, &n, appended.token);
        }
        let number = Number { epoch: n.epoch, seq: n.seq };
        let link = Link::from_wire(&n.link).expect("a link");
        let first = match n.route() {
            pb::Route::Secondary => [Replica::Secondary, Replica::Primary],
            _ => [Replica::Primary, Replica::Secondary],
        };
        let word = first
            .into_iter()
            .find_map(|r| self.guards[r.index()].ask(r, number, link))
            .filter(|word| word.verdict.has_run());
        let kind = match word {
            Some(_) => pb::end::Kind::Answered,
            None => pb::end::Kind::MaybeDone,
        };
        if word.is_some() {
            self.acknowledged.push(number);
        }
        let end = pb::End {
            session: "s1".into(),
            epoch: n.epoch,
            seq: n.seq,
            kind: kind.into(),
            word: word.map(|w| w.to_string()).unwrap_or_default(),
            token: appended.token,
            route: n.route,
        };
        self.tell(cx, None, vec![end]);
    }

    fn deliver(&mut self, headers: &Headers) -> Option<Word> {
        let replica = match wire::text(headers, "x-reprise-route")? {
            "primary-only" => Replica::Primary,
            _ => Replica::Secondary,
        };
        let guard = &mut self.guards[replica.index()];
        match Stamp::parse(wire::text(headers, "x-reprise-stamp")?)? {
            Stamp::Write(stamp) => {
                let WriteStamp { number, link, .. } = *stamp;
                assert_eq!(wire::text(headers, "x-label"), Some("1"));
                guard.ask(replica, number, link)
            }
            _ if guard.away => None,
            _ => Some(Word::new(replica, Verdict::Ready)),
        }
    }

    fn frame(&mut self, cx: &mut Cx<'_>, conn: ConnId, stream: StreamNo, frame: Frame) {
        match (Some(conn) == self.conn, frame) {
            (true, Frame::Data { bytes, .. }) if stream == GATEWAY => {
                let response = pb::GatewayResponse::decode(&*bytes).expect("a response");
                self.answer(cx, response);
            }
            (true, Frame::Data { bytes, .. }) => {
                let response = pb::GuardResponse::decode(&*bytes).expect("a response");
                if let Some(pb::guard_response::Kind::Begun(begun)) = &response.kind {
                    self.granted(cx, begun);
                }
                self.guarded.push(response);
            }
            (true, Frame::Trailers { status }) => self.statuses.push((stream, status)),
            (false, Frame::Head { headers, .. }) => {
                let word = self.deliver(&headers);
                let status = if word.is_some() { "200" } else { "503" };
                let mut headers = vec![(":status".to_string(), status.into())];
                if let Some(word) = word {
                    headers.push(("x-reprise-word".into(), word.to_string().into_bytes()));
                }
                cx.send(conn, stream, Frame::Head { headers, body: vec![], end: true });
            }
            _ => {}
        }
    }
}

impl Actor for Envoy {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.tick(cx);
    }

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Timer(_) => self.tick(cx),
            Event::Net(conn, NetEvent::Connected) => self.connected(cx, conn),
            Event::Net(conn, NetEvent::Closed | NetEvent::Refused) if Some(conn) == self.conn => {
                self.conn = None;
                self.greeted = false;
            }
            Event::Net(conn, NetEvent::Frame(stream, frame)) => self.frame(cx, conn, stream, frame),
            _ => {}
        }
    }

    fn crash(&mut self, _cx: &mut Cx<'_>) {}

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}
