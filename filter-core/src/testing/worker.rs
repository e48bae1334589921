//! One fake Envoy worker around a role: carries effects out as the real adapter does, and fails
//! the test when the role asks for what a real host would punish.

use super::Host;
use super::role::Role;
use crate::effects::{Dispatch, Effect, Exchange, Flow, Level, StreamId};
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use std::collections::{BTreeMap, VecDeque};

/// Which callback is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Exchange,
    Body,
    Tick,
    Message,
    Other,
}

/// What became of one exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Request headers as they would go upstream.
    pub(crate) request: BTreeMap<String, Vec<u8>>,
    /// Response headers as they would go downstream.
    pub(crate) response: BTreeMap<String, Vec<u8>>,
    /// It went upstream.
    pub(crate) passed: bool,
    /// It was answered by the role.
    pub(crate) reply: Option<Reply>,
    held: bool,
    body: Vec<u8>,
    gone: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.request.get(name).map(|v| String::from_utf8(v.clone()).unwrap())
    }

    pub(crate) fn response_header(&self, name: &str) -> Option<String> {
        self.response.get(name).map(|v| String::from_utf8(v.clone()).unwrap())
    }

    /// The status and problem name of the reply.
    pub(crate) fn problem(&self) -> (u16, String) {
        let reply = self.reply.as_ref().expect("no reply");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let urn = body["type"].as_str().unwrap_or("").to_string();
        (reply.status, urn.trim_start_matches("urn:reprise:problem:").to_string())
    }

    pub(crate) fn reply_header(&self, name: &str) -> Option<String> {
        let reply = self.reply.as_ref()?;
        crate::http::text(&reply.headers, name).map(str::to_string)
    }
}

/// One worker.
pub(crate) struct Worker<R> {
    pub(crate) host: Host,
    pub(crate) role: R,
    /// The stream that is open.
    pub(crate) open: Option<StreamId>,
    /// Whether opening a stream works.
    pub(crate) can_open: bool,
    /// Whether a call can be sent.
    pub(crate) can_dispatch: bool,
    /// What was sent, and on which stream.
    pub(crate) sent: Vec<(StreamId, Vec<u8>)>,
    pub(crate) dispatched: Vec<Dispatch>,
    pub(crate) exchanges: BTreeMap<Exchange, Seen>,
    pub(crate) opened: u32,
    counts: BTreeMap<Metric, u64>,
    pub(crate) lines: Vec<(Level, String)>,
}

impl<R: Role> Worker<R> {
    pub(crate) fn new(host: &Host, role: R) -> Worker<R> {
        Worker {
            host: host.clone(),
            role,
            open: None,
            can_open: true,
            can_dispatch: true,
            sent: Vec::new(),
            dispatched: Vec::new(),
            exchanges: BTreeMap::new(),
            opened: 0,
            counts: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    pub(crate) fn count(&self, metric: Metric) -> u64 {
        self.counts.get(&metric).copied().unwrap_or(0)
    }

    pub(crate) fn seen(&self, e: Exchange) -> &Seen {
        &self.exchanges[&e]
    }

    fn event<T>(&mut self, moment: Moment, event: impl FnOnce(&mut R, &mut Cx<'_>) -> T) -> T {
        let mut effects = Vec::new();
        let host = self.host.clone();
        let mut cx = Cx { now: host.now(), ports: &host, effects: &mut effects };
        let result = event(&mut self.role, &mut cx);
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            queue.extend(self.carry_out(moment, effect));
        }
        result
    }

    fn follow(&mut self, event: impl FnOnce(&mut R, &mut Cx<'_>)) -> Vec<Effect> {
        let host = self.host.clone();
        let role = &mut self.role;
        host.drive(|cx| event(role, cx))
    }

    fn alive(&mut self, e: Exchange) -> &mut Seen {
        let seen = self.exchanges.get_mut(&e).expect("an effect for an exchange nobody knows");
        assert!(!seen.gone, "an effect for an exchange that is gone");
        seen
    }

    fn carry_out(&mut self, moment: Moment, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::SetRequestHeader(e, name, value) => {
                let seen = self.alive(e);
                assert!(!seen.passed, "request headers are closed");
                seen.request.insert(name, value);
            }
            Effect::RemoveRequestHeader(e, name) => {
                let seen = self.alive(e);
                assert!(!seen.passed, "request headers are closed");
                seen.request.remove(&name);
            }
            Effect::SetResponseHeader(e, name, value) => {
                self.alive(e).response.insert(name, value);
            }
            Effect::RemoveResponseHeader(e, name) => {
                self.alive(e).response.remove(&name);
            }
            Effect::DropRequestBody(e, size) => {
                assert_eq!(moment, Moment::Body, "a body is dropped in its event only");
                let seen = self.alive(e);
                assert!(size <= seen.body.len());
                seen.body.clear();
            }
            Effect::Resume(e) => {
                let seen = self.alive(e);
                assert!(seen.held && !seen.passed, "only a held request is resumed");
                assert!(seen.reply.is_none(), "an answered request is not resumed");
                seen.passed = true;
            }
            Effect::Reply(e, reply) => {
                let seen = self.alive(e);
                assert!(seen.reply.is_none(), "a second reply kills the VM");
                seen.reply = Some(reply);
            }
            Effect::OpenStream => {
                assert_eq!(moment, Moment::Tick, "a stream is opened in a tick only");
                assert_eq!(self.open, None, "one stream at a time");
                if !self.can_open {
                    return self.follow(|role, cx| role.stream_open_failed(cx));
                }
                self.opened += 1;
                let id = self.opened;
                self.open = Some(id);
                return self.follow(|role, cx| role.stream_opened(cx, id));
            }
            Effect::Send(id, message) => {
                if self.open != Some(id) {
                    return self.follow(|role, cx| role.stream_closed(cx, id));
                }
                self.sent.push((id, message));
            }
            Effect::CloseStream(id) => {
                if self.open == Some(id) {
                    self.open = None;
                }
            }
            Effect::Dispatch(call) => {
                assert_eq!(moment, Moment::Message, "calls are sent in stream messages only");
                let (token, sent) = (call.token, self.can_dispatch);
                if sent {
                    self.dispatched.push(*call);
                }
                return self.follow(|role, cx| role.dispatched(cx, token, sent));
            }
            Effect::Count(metric, by) => *self.counts.entry(metric).or_insert(0) += by,
            Effect::Log(level, text) => self.lines.push((level, text)),
        }
        Vec::new()
    }

    fn flow(&mut self, e: Exchange, flow: Flow) {
        let seen = self.exchanges.get_mut(&e).unwrap();
        match flow {
            Flow::Pause => seen.held = true,
            Flow::Continue => {
                assert!(seen.reply.is_none(), "an answered request goes no further");
                seen.passed = true;
            }
        }
    }

    /// The head of a request.
    pub(crate) fn head(&mut self, e: Exchange, list: &[(&str, &str)], end: bool) {
        let headers = super::headers(list);
        let seen = Seen { request: headers.iter().cloned().collect(), ..Seen::default() };
        assert!(self.exchanges.insert(e, seen).is_none(), "exchange {e} is taken");
        let flow =
            self.event(Moment::Exchange, |role, cx| role.request_headers(cx, e, headers, end));
        self.flow(e, flow);
    }

    /// A part of its body; Envoy keeps the parts of a held request.
    pub(crate) fn body(&mut self, e: Exchange, part: &[u8], end: bool) {
        let seen = self.exchanges.get_mut(&e).unwrap();
        seen.body.extend_from_slice(part);
        let body = seen.body.clone();
        let flow = self.event(Moment::Body, |role, cx| role.request_body(cx, e, &body, end));
        if !self.seen(e).passed {
            self.flow(e, flow);
        }
    }

    /// Its trailers.
    pub(crate) fn trailers(&mut self, e: Exchange) {
        let body = self.seen(e).body.clone();
        let flow = self.event(Moment::Body, |role, cx| role.request_trailers(cx, e, &body));
        if !self.seen(e).passed {
            self.flow(e, flow);
        }
    }

    /// A whole request.
    pub(crate) fn request(&mut self, e: Exchange, list: &[(&str, &str)], body: &[u8]) {
        self.head(e, list, body.is_empty());
        if !body.is_empty() {
            self.body(e, body, true);
        }
    }

    /// The head of an answer from upstream.
    pub(crate) fn respond(&mut self, e: Exchange, list: &[(&str, &str)]) {
        let headers = super::headers(list);
        let seen = self.alive(e);
        assert!(seen.passed, "nothing went upstream");
        seen.response = headers.iter().cloned().collect();
        let flow = self.event(Moment::Exchange, |role, cx| role.response_headers(cx, e, &headers));
        let replaced = self.seen(e).reply.is_some();
        assert_eq!(flow == Flow::Pause, replaced, "an answer is held to be replaced only");
    }

    /// The exchange ends; Envoy tells it twice.
    pub(crate) fn leave(&mut self, e: Exchange) {
        self.event(Moment::Exchange, |role, cx| role.done(cx, e));
        self.event(Moment::Exchange, |role, cx| role.done(cx, e));
        self.exchanges.get_mut(&e).unwrap().gone = true;
    }

    /// Time passes, tick by tick.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(protocol::limits::TICK_MS) {
            self.host.pass(protocol::limits::TICK_MS);
            self.tick();
        }
    }

    pub(crate) fn tick(&mut self) {
        self.event(Moment::Tick, |role, cx| role.tick(cx));
    }

    /// A message on the open stream.
    pub(crate) fn message(&mut self, message: &impl prost::Message) {
        let id = self.open.expect("no stream");
        self.raw_message(id, &message.encode_to_vec());
    }

    pub(crate) fn raw_message(&mut self, id: StreamId, bytes: &[u8]) {
        self.event(Moment::Message, |role, cx| role.stream_message(cx, id, bytes));
    }

    /// The other side goes away.
    pub(crate) fn lose_stream(&mut self) {
        let id = self.open.take().expect("no stream");
        self.event(Moment::Other, |role, cx| role.stream_closed(cx, id));
    }

    /// An event that only one role knows.
    pub(crate) fn other(&mut self, event: impl FnOnce(&mut R, &mut Cx<'_>)) {
        self.event(Moment::Other, event);
    }
}
