//! The head of a request: what kind of request it is, and where it goes from here.

use super::body::Refusal;
use super::held::{AppendInfo, What};
use super::slots::Place;
use super::{Gateway, Phase};
use crate::config::{Class, NoSession};
use crate::effects::{Effect, Exchange, Flow};
use crate::http::{self, Ambiguous, Header};
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::names::{self, route};
use protocol::pb::{self, gateway_request::Kind};
use protocol::problem::Problem;
use protocol::{Id, Number, SessionKey, Stamp};

/// A write whose body is not complete.
#[derive(Debug)]
pub(super) struct Draft {
    session: SessionKey,
    id: Id,
    method: String,
    path: String,
    headers: Vec<Header>,
    received_ms: u64,
    refuse_when_cut: bool,
}

impl Gateway {
    /// Headers of a request. They can be read only now, so all that is needed later is kept.
    pub fn request_headers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        headers: Vec<Header>,
        end: bool,
    ) -> Flow {
        match self.classify(cx, exchange, headers) {
            Ok(Request::Bypass { write }) => {
                let route = if write { route::PRIMARY_ONLY } else { route::PRIMARY };
                self.steer(cx, exchange, &Stamp::Bypass, route);
                self.exchanges.insert(exchange, Phase::Passing);
                Flow::Continue
            }
            Ok(Request::Read { session, upgrade }) => self.read(cx, exchange, session, upgrade),
            Ok(Request::Write(draft)) if end => {
                self.submit(cx, exchange, *draft, Vec::new());
                Flow::Pause
            }
            Ok(Request::Write(draft)) => {
                self.exchanges.insert(exchange, Phase::Collecting(draft));
                Flow::Pause
            }
            Err(refusal) => self.refuse(cx, exchange, refusal, end),
        }
    }

    fn classify(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        mut headers: Vec<Header>,
    ) -> Result<Request, Refusal> {
        let removed = self.remove_ours(cx, exchange, &mut headers);
        if removed > 0 && self.config.strict {
            let detail = "clients may not send headers of the gateway";
            return Err(Refusal::later(Reply::problem(Problem::ReservedHeader, detail)));
        }
        let method = http::text(&headers, ":method").unwrap_or_default().to_string();
        let path = http::text(&headers, ":path").unwrap_or_default().to_string();
        let write = names::is_write(&method);
        let class = self.config.routes.of(&method, &path).unwrap_or_default();
        if class == Class::NotReplicated {
            return Ok(Request::Bypass { write });
        }
        let session = self.session(&headers)?;
        let upgrade = http::is_upgrade(&headers);
        if upgrade || !write {
            return Ok(Request::Read { session, upgrade });
        }
        if let Some(length) = http::content_length(&headers)
            && length > self.config.body_bytes as u64
        {
            let at_once = length > self.overread() as u64;
            return Err(Refusal { reply: self.too_large(), at_once });
        }
        let id = self.id(cx, &headers)?;
        http::strip(&mut headers, &[":authority", ":scheme"], |_| false);
        Ok(Request::Write(Box::new(Draft {
            session,
            id,
            method,
            path,
            headers,
            received_ms: cx.now.wall_ms,
            refuse_when_cut: class == Class::RefusedWhenCut,
        })))
    }

    /// Takes our own headers off what a client sent, and says how many there were.
    fn remove_ours(&self, cx: &mut Cx<'_>, exchange: Exchange, headers: &mut Vec<Header>) -> u64 {
        let before = headers.len();
        let mut names: Vec<String> = Vec::new();
        headers.retain(|(name, _)| {
            let ours = self.config.names.is_ours(name);
            if ours && !names.contains(name) {
                names.push(name.clone());
            }
            !ours
        });
        for name in names {
            cx.emit(Effect::RemoveRequestHeader(exchange, name));
        }
        let removed = before.saturating_sub(headers.len()) as u64;
        cx.count_by(Metric::HeadersRemoved, removed);
        removed
    }

    fn session(&self, headers: &[Header]) -> Result<SessionKey, Refusal> {
        self.config.session.key(headers).map_err(|e| {
            let source = self.config.session.describe();
            let (problem, detail) = match e {
                NoSession::Absent => (Problem::NoSession, format!("expected {source}")),
                NoSession::Ambiguous => {
                    (Problem::NoSession, format!("{source} comes more than once"))
                }
                NoSession::Invalid(e) => (Problem::InvalidId, format!("the session key {e}")),
            };
            Refusal::later(Reply::problem(problem, &detail))
        })
    }

    fn id(&self, cx: &Cx<'_>, headers: &[Header]) -> Result<Id, Refusal> {
        let name = &self.config.id_header;
        let invalid = |why: String| {
            let detail = format!("the header {name} {why}");
            Refusal::later(Reply::problem(Problem::InvalidId, &detail))
        };
        match http::only(headers, name) {
            Ok(Some(id)) if !mutants::on(Mutant::NewIdForKey) => {
                Id::new(id).map_err(|e| invalid(e.to_string()))
            }
            Ok(_) => cx.ports.random().map(Id::mint).ok_or_else(|| {
                let detail = "the host has no randomness for an id";
                Refusal::later(Reply::problem(Problem::LogUnavailable, detail).retry_after_ms(0))
            }),
            Err(Ambiguous) => Err(invalid("comes more than once or is not text".into())),
        }
    }

    fn read(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        session: SessionKey,
        upgrade: bool,
    ) -> Flow {
        self.stream.want();
        if let Some(spell) = self.alone.spell(cx.ports)
            && let Some(place) = self.slots.get(cx, &session, spell)
        {
            return match self.let_read(cx, exchange, session, place, upgrade) {
                Ok(()) => Flow::Continue,
                Err(reply) => {
                    self.reply(cx, exchange, reply);
                    Flow::Pause
                }
            };
        }
        cx.count(Metric::ReadsLocated);
        self.hold(cx, exchange, What::Locate { session, upgrade }, 0, |what, token| {
            let What::Locate { session, .. } = what else {
                return None;
            };
            let locate = pb::Locate { token, session: session.as_str().to_string() };
            Some(Kind::Locate(locate))
        });
        Flow::Pause
    }

    /// Lets a read go to where its session is; an upgrade only where the session is not pinned.
    pub(super) fn let_read(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        session: SessionKey,
        place: Place,
        upgrade: bool,
    ) -> Result<(), Reply> {
        let route = match (upgrade, place.route) {
            (true, pb::Route::Secondary) => {
                cx.count(Metric::Refused);
                let detail = "streams and upgrades are not replicated";
                return Err(Reply::problem(Problem::RefusedWhileCut, detail).retry_after_ms(0));
            }
            (true, _) => route::PRIMARY_ONLY,
            (false, pb::Route::Secondary) => route::SECONDARY,
            (false, _) => route::PRIMARY,
        };
        let last = match mutants::on(Mutant::ReadWithoutNumber) {
            false => place.last,
            true => Number::default(),
        };
        self.steer(cx, exchange, &Stamp::Read { session, last }, route);
        self.exchanges.insert(exchange, Phase::Reading);
        Ok(())
    }

    pub(super) fn submit(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        draft: Draft,
        body: Vec<u8>,
    ) {
        let Draft { session, id, method, path, headers, received_ms, refuse_when_cut } = draft;
        let size = body.len();
        let what = What::Append(AppendInfo { session, id, received_ms, refuse_when_cut });
        self.hold(cx, exchange, what, size, |what, token| {
            let What::Append(append) = what else {
                return None;
            };
            let headers = headers.into_iter().map(|(name, value)| pb::Header { name, value });
            Some(Kind::Append(pb::Append {
                token,
                session: append.session.as_str().to_string(),
                id: append.id.as_str().to_string(),
                method,
                path,
                headers: headers.collect(),
                body,
                received_ms,
                refuse_when_cut,
            }))
        });
    }

    /// Holds an exchange for an answer of the log, and asks as soon as there is a stream.
    fn hold(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        what: What,
        size: usize,
        kind: impl FnOnce(&What, u64) -> Option<Kind>,
    ) {
        self.stream.want();
        let Some(token) = self.held.reserve(cx, size) else {
            cx.count(Metric::Refused);
            let reply = what.unavailable("too many requests are held");
            return self.reply(cx, exchange, reply);
        };
        let message = pb::GatewayRequest { kind: kind(&what, token), ends: Vec::new() };
        let deadline_ms = cx.after(self.config.timeout_ms);
        self.held.insert(token, exchange, deadline_ms, what, message.encode_to_vec());
        self.exchanges.insert(exchange, Phase::Waiting(token));
        self.ask(cx, token);
    }

    /// Sets the headers that steer a request.
    pub(super) fn steer(&self, cx: &mut Cx<'_>, exchange: Exchange, stamp: &Stamp, route: &str) {
        let names = &self.config.names;
        let stamp = stamp.to_string().into_bytes();
        cx.emit(Effect::SetRequestHeader(exchange, names.stamp.clone(), stamp));
        cx.emit(Effect::SetRequestHeader(exchange, names.route.clone(), route.into()));
    }
}

/// What a request is.
enum Request {
    Bypass { write: bool },
    Read { session: SessionKey, upgrade: bool },
    Write(Box<Draft>),
}
