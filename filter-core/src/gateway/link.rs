//! The stream to the replay log: hello and welcome, questions, answers, deadlines.

use super::held::{AppendInfo, What};
use super::{Gateway, Phase};
use crate::effects::{Effect, StreamId};
use crate::metrics::Metric;
use crate::ports::{Cx, Ports};
use crate::reply::Reply;
use crate::stream::refusal;
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::names::route;
use protocol::pb::{self, appended::Outcome, gateway_request, gateway_response::Kind};
use protocol::problem::Problem;
use protocol::{Incarnation, Stamp, VERSION};

/// What the log said when it welcomed us, valid until it says otherwise.
#[derive(Clone, Debug)]
pub(super) struct Welcome {
    pub(super) log: Incarnation,
    pub(super) mirror_cluster: String,
}

impl Gateway {
    /// The gRPC service and method of the stream, and its cluster.
    pub fn stream_target(&self) -> (&str, &'static str, &'static str) {
        (&self.config.log_cluster, "reprise.replaylog.v1.ReplayLog", "Gateway")
    }

    /// The host opened the stream.
    pub fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        self.stream.opened(cx, id);
        self.hello(cx, id);
    }

    fn hello(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        let Some(gateway) = gateway_id(cx.ports, &self.config.service) else {
            return self.give_up(cx, "the host has no randomness for a name");
        };
        let hello = pb::GatewayHello {
            version: VERSION,
            service: self.config.service.clone(),
            gateway: gateway.to_vec(),
        };
        let message = pb::GatewayRequest {
            kind: Some(gateway_request::Kind::Hello(hello)),
            ends: Vec::new(),
        };
        cx.emit(Effect::Send(id, message.encode_to_vec()));
    }

    /// The host could not open the stream.
    pub fn stream_open_failed(&mut self, cx: &mut Cx<'_>) {
        self.stream.open_failed(cx);
    }

    /// The stream ended, whoever ended it.
    pub fn stream_closed(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        if self.stream_is(id) {
            self.stream.lost(cx, "it was closed");
            self.held.stream_lost();
        }
    }

    /// A message from the log.
    pub fn stream_message(&mut self, cx: &mut Cx<'_>, id: StreamId, bytes: &[u8]) {
        if !self.stream_is(id) {
            return;
        }
        self.stream.heard(cx);
        match pb::GatewayResponse::decode(bytes).map(|m| m.kind) {
            Ok(Some(Kind::Welcome(welcome))) => self.welcomed(cx, welcome),
            Ok(Some(Kind::Appended(appended))) => self.appended(cx, appended),
            Ok(Some(Kind::Located(located))) => self.located(cx, located),
            Ok(Some(Kind::Moved(_))) if mutants::on(Mutant::SlotsThoughShared) => {}
            Ok(Some(Kind::Moved(moved))) => self.slots.moved(cx, &moved),
            // A kind that a later version added.
            Ok(None) => {}
            Err(e) => self.give_up(cx, &format!("a message cannot be read: {e}")),
        }
    }

    fn give_up(&mut self, cx: &mut Cx<'_>, why: &str) {
        self.stream.give_up(cx, why);
        self.held.stream_lost();
    }

    fn welcomed(&mut self, cx: &mut Cx<'_>, welcome: pb::GatewayWelcome) {
        if let Some(why) = refusal(&welcome.error, welcome.version) {
            // Another gateway may be there in its place.
            self.alone.told(cx.ports, false);
            return self.give_up(cx, &why);
        }
        // Welcomed again: others come or have gone, and the log wants to know that it was heard.
        let again = self.stream.ready();
        self.stream.welcomed(cx);
        self.alone.told(cx.ports, welcome.sole || mutants::on(Mutant::SlotsThoughShared));
        self.welcome = Some(Welcome {
            log: Incarnation::from_wire(&welcome.log),
            mirror_cluster: welcome.mirror_cluster,
        });
        if let Some(stream) = again {
            return self.hello(cx, stream);
        }
        self.flush(cx);
        for token in self.held.unsent() {
            self.ask(cx, token);
        }
    }

    /// Sends the question of a token if there is a stream; ends ride along.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, token: u64) {
        let Some(stream) = self.stream.ready() else {
            return;
        };
        let Some(wait) = self.held.get_mut(token) else {
            return;
        };
        wait.ever_sent = true;
        wait.sent_ms = Some(cx.now.mono_ms);
        let mut message = wait.message.clone();
        self.reports.ride(&mut message);
        cx.emit(Effect::Send(stream, message));
    }

    fn appended(&mut self, cx: &mut Cx<'_>, appended: pb::Appended) {
        let Some(wait) = self.held.take(appended.token) else {
            return cx.count(Metric::LateReplies);
        };
        let What::Append(append) = wait.what else {
            return self.reply(cx, wait.exchange, wait.what.unavailable("the log answered oddly"));
        };
        match appended.outcome {
            Some(Outcome::Numbered(numbered)) => {
                self.release(cx, wait.exchange, appended.token, append, numbered);
            }
            Some(Outcome::Refused(refused)) => {
                cx.count(Metric::Refused);
                self.reply(cx, wait.exchange, refused_reply(&refused));
            }
            None => {
                self.cancel(cx, appended.token, &append);
                self.maybe_done(cx, wait.exchange, "the log answered oddly");
            }
        }
    }

    fn located(&mut self, cx: &mut Cx<'_>, located: pb::Located) {
        let Some(wait) = self.held.take(located.token) else {
            return cx.count(Metric::LateReplies);
        };
        let What::Locate { session, upgrade } = wait.what else {
            if let What::Append(append) = wait.what {
                self.cancel(cx, located.token, &append);
            }
            return self.maybe_done(cx, wait.exchange, "the log answered oddly");
        };
        let spell = self.alone.spell(cx.ports);
        let place = self.slots.located(cx, &session, &located, spell);
        match self.let_read(cx, wait.exchange, session, place, upgrade) {
            Ok(()) => cx.emit(Effect::Resume(wait.exchange)),
            Err(reply) => self.reply(cx, wait.exchange, reply),
        }
    }

    /// Answers what has waited too long, and gives up a stream that said nothing meanwhile.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) {
        let expired = self.held.expired(cx);
        let silent = |token: &u64| {
            let sent_ms = self.held.get(*token).and_then(|wait| wait.sent_ms);
            sent_ms.is_some_and(|sent_ms| self.stream.silent_since(sent_ms))
        };
        if expired.iter().any(silent) {
            self.give_up(cx, "it said nothing while requests waited");
        }
        for token in expired {
            let Some(wait) = self.held.take(token) else { continue };
            cx.count(Metric::HeldTimeouts);
            match wait.what {
                What::Append(_) if mutants::on(Mutant::BypassWhenSilent) => {
                    self.steer(cx, wait.exchange, &Stamp::Bypass, route::PRIMARY_ONLY);
                    self.exchanges.insert(wait.exchange, Phase::Passing);
                    cx.emit(Effect::Resume(wait.exchange));
                }
                What::Append(append) if wait.ever_sent => {
                    self.cancel(cx, token, &append);
                    self.maybe_done(cx, wait.exchange, "the replay log did not answer in time");
                }
                what => {
                    cx.count(Metric::Refused);
                    let reply = what.unavailable("the replay log cannot be reached");
                    self.reply(cx, wait.exchange, reply);
                }
            }
        }
    }

    pub(super) fn maybe_done(&mut self, cx: &mut Cx<'_>, exchange: u32, detail: &str) {
        cx.count(Metric::MaybeDone);
        let reply = Reply::problem(Problem::MaybeDone, detail).retry_after_ms(0);
        self.reply(cx, exchange, reply);
    }

    /// Tells the log that the write of a token was not released and never will be. A reply that
    /// comes for it later needs nothing more.
    pub(super) fn cancel(&mut self, cx: &mut Cx<'_>, token: u64, append: &AppendInfo) {
        self.reports.cancel(pb::Cancel {
            token,
            session: append.session.as_str().to_string(),
            id: append.id.as_str().to_string(),
        });
        self.flush_cancels(cx);
    }

    /// Queues the end of a released write.
    pub(super) fn report(&mut self, cx: &mut Cx<'_>, end: pb::End) {
        if self.reports.end(end) {
            self.flush(cx);
        }
    }

    fn flush_cancels(&mut self, cx: &mut Cx<'_>) {
        if let Some(stream) = self.stream.ready() {
            while let Some(message) = self.reports.next_cancel() {
                cx.emit(Effect::Send(stream, message));
            }
        }
    }

    /// Sends all that is queued, if there is a stream.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) {
        self.flush_cancels(cx);
        if let Some(stream) = self.stream.ready() {
            while let Some(message) = self.reports.next_ends() {
                cx.emit(Effect::Send(stream, message));
            }
        }
    }
}

fn refused_reply(refused: &pb::Refused) -> Reply {
    use pb::refused::Reason;
    let (problem, retry) = match refused.reason() {
        Reason::Full => (Problem::LogFull, true),
        Reason::PayloadMismatch => (Problem::PayloadMismatch, false),
        Reason::Cut => (Problem::RefusedWhileCut, true),
        Reason::Invalid => (Problem::InvalidId, false),
        Reason::Superseded | Reason::Unspecified => (Problem::LogUnavailable, true),
    };
    let reply = Reply::problem(problem, &refused.detail);
    if retry { reply.retry_after_ms(u64::from(refused.retry_after_ms)) } else { reply }
}

/// The name of this Envoy's gateway: made by the first worker, kept for all in shared data.
fn gateway_id(ports: &dyn Ports, service: &str) -> Option<[u8; 16]> {
    let key = format!("reprise/gateway/{service}/id");
    let read = || ports.shared_get(&key).0.and_then(|v| <[u8; 16]>::try_from(v).ok());
    if let Some(id) = read() {
        return Some(id);
    }
    let id = ports.random()?;
    match ports.shared_set(&key, &id, None) {
        Ok(()) => Some(id),
        Err(_) => read(),
    }
}
