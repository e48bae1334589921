//! Who sends the requests, each on a connection of its own.

use crate::cases::Request;
use host_sim::kernel::{Actor, Addr, ConnId, Cx, Event, MS, Micros, NetEvent, Timer};
use host_sim::wire::{self, Frame, Headers};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

/// Between two parts of a body.
const APART: Micros = 100 * MS;
const PART: u16 = 1;
const GIVE_UP: u16 = 2;

/// What came of a request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    pub body: Vec<u8>,
    /// Nothing more comes.
    pub over: bool,
    pub took: Micros,
}

struct Sent {
    head: Option<Headers>,
    parts: VecDeque<(Vec<u8>, bool)>,
    begun: Micros,
    answer: Answer,
}

#[derive(Default)]
pub struct Client {
    requests: BTreeMap<ConnId, Sent>,
}

impl Client {
    /// Sends a case's request.
    pub fn send(&mut self, cx: &mut Cx<'_>, to: Addr, case: &str, request: &Request) -> ConnId {
        let mut parts: VecDeque<_> =
            request.body.iter().map(|part| (part.clone().into_bytes(), false)).collect();
        match parts.back_mut() {
            Some((_, end)) if request.end_with_last => *end = true,
            Some(_) => parts.push_back((Vec::new(), true)),
            None => {}
        }
        let head = [("x-case", case), ("x-script", &request.script)];
        let conn = self.begin(cx, to, &request.method, &request.path, &head, parts);
        if let Some(ms) = request.abort_after_ms {
            cx.after(ms * MS, Timer { kind: GIVE_UP, a: conn.0, b: 0 });
        }
        conn
    }

    /// Asks for what the probe has noted of a case.
    pub fn ask(&mut self, cx: &mut Cx<'_>, to: Addr, case: &str) -> ConnId {
        self.begin(cx, to, "GET", "/", &[("x-result", case)], VecDeque::new())
    }

    fn begin(
        &mut self,
        cx: &mut Cx<'_>,
        to: Addr,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        parts: VecDeque<(Vec<u8>, bool)>,
    ) -> ConnId {
        let own =
            [(":method", method), (":path", path), (":authority", "probe"), (":scheme", "http")];
        let text = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
        let head = Some(own.iter().chain(more).map(text).collect());
        let conn = cx.connect(to);
        let sent = Sent { head, parts, begun: cx.now(), answer: Answer::default() };
        self.requests.insert(conn, sent);
        conn
    }

    /// What has come of a request so far.
    pub fn answer(&self, conn: ConnId) -> Answer {
        self.requests[&conn].answer.clone()
    }

    fn heard(&mut self, cx: &mut Cx<'_>, conn: ConnId, event: NetEvent) {
        let Some(sent) = self.requests.get_mut(&conn) else { return };
        let answer = &mut sent.answer;
        let mut over = false;
        match event {
            NetEvent::Connected => {
                let headers = sent.head.take().unwrap_or_default();
                let end = sent.parts.is_empty();
                cx.send(conn, 1, Frame::Head { headers, body: Vec::new(), end });
                if !end {
                    cx.after(APART, Timer { kind: PART, a: conn.0, b: 0 });
                }
            }
            NetEvent::Frame(_, Frame::Head { headers, body, end }) => {
                answer.status = Some(wire::status(&headers));
                answer.body = body;
                over = end;
            }
            NetEvent::Frame(_, Frame::Data { bytes, end }) => {
                answer.body.extend_from_slice(&bytes);
                over = end;
            }
            _ => {
                answer.status = None;
                over = true;
            }
        }
        if over && !answer.over {
            answer.over = true;
            answer.took = cx.now() - sent.begun;
            cx.close(conn);
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, timer: Timer) {
        let conn = ConnId(timer.a);
        let Some(sent) = self.requests.get_mut(&conn) else { return };
        if sent.answer.over {
            return;
        }
        if timer.kind == GIVE_UP {
            sent.answer = Answer { over: true, ..Answer::default() };
            return cx.close(conn);
        }
        if let Some((bytes, end)) = sent.parts.pop_front() {
            cx.send(conn, 1, Frame::Data { bytes, end });
            cx.after(APART, timer);
        }
    }
}

impl Actor for Client {
    fn start(&mut self, _: &mut Cx<'_>) {}

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Net(conn, event) => self.heard(cx, conn, event),
            Event::Timer(timer) => self.timer(cx, timer),
            Event::Fault(_) => {}
        }
    }

    fn crash(&mut self, _: &mut Cx<'_>) {}

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
