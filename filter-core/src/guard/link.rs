//! The stream to the journal: hello and welcome, and what happens when it is lost.

use super::Guard;
use super::run::Stage;
use crate::effects::{Effect, StreamId};
use crate::ports::Cx;
use crate::stream::refusal;
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::pb::{self, guard_request, guard_response::Kind};
use protocol::{Incarnation, VERSION, Verdict};

impl Guard {
    /// The gRPC service and method of the stream, and its cluster.
    pub fn stream_target(&self) -> (&str, &'static str, &'static str) {
        (&self.config.journal_cluster, "reprise.replaylog.v1.Journal", "Guard")
    }

    /// The host opened the stream.
    pub fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        self.stream.opened(cx, id);
        let Some(owner) = self.owner.or_else(|| cx.ports.random()) else {
            return self.give_up(cx, "the host has no randomness for a name");
        };
        self.owner = Some(owner);
        let hello = pb::GuardHello {
            version: VERSION,
            service: self.config.service.clone(),
            replica: self.config.replica.name().to_string(),
            owner: owner.to_vec(),
            running: match mutants::on(Mutant::ForgetRunning) {
                false => self.runs.running(),
                true => Vec::new(),
            },
            gap_wait_ms: u32::try_from(self.config.gap_wait_ms).unwrap_or(u32::MAX),
        };
        let message = pb::GuardRequest { kind: Some(guard_request::Kind::Hello(hello)) };
        cx.emit(Effect::Send(id, message.encode_to_vec()));
    }

    /// The host could not open the stream.
    pub fn stream_open_failed(&mut self, cx: &mut Cx<'_>) {
        self.stream.open_failed(cx);
    }

    /// The stream ended, whoever ended it.
    pub fn stream_closed(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        if self.stream.is(id) {
            self.stream.lost(cx, "it was closed");
            self.forget_asked(cx);
        }
    }

    /// A message from the journal.
    pub fn stream_message(&mut self, cx: &mut Cx<'_>, id: StreamId, bytes: &[u8]) {
        if !self.stream.is(id) {
            return;
        }
        self.stream.heard(cx);
        match pb::GuardResponse::decode(bytes).map(|m| m.kind) {
            Ok(Some(Kind::Welcome(welcome))) => self.welcomed(cx, &welcome),
            Ok(Some(Kind::Begun(begun))) => self.begun(cx, begun),
            Ok(Some(Kind::Noted(noted))) => self.noted(cx, &noted),
            Ok(Some(Kind::Awaited(awaited))) => self.awaited(cx, &awaited),
            // A kind that a later version added.
            Ok(None) => {}
            Err(e) => self.give_up(cx, &format!("a message cannot be read: {e}")),
        }
    }

    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, why: &str) {
        self.stream.give_up(cx, why);
        self.forget_asked(cx);
    }

    /// Sends a message if there is a stream.
    pub(super) fn send(&mut self, cx: &mut Cx<'_>, kind: guard_request::Kind) {
        if let Some(stream) = self.stream.ready() {
            let message = pb::GuardRequest { kind: Some(kind) };
            cx.emit(Effect::Send(stream, message.encode_to_vec()));
        }
    }

    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) {
        let reads = self.expire_reads(cx);
        let runs = self.expire_runs(cx);
        if reads || runs {
            self.give_up(cx, "it said nothing while requests waited");
        }
    }

    fn welcomed(&mut self, cx: &mut Cx<'_>, welcome: &pb::GuardWelcome) {
        if let Some(why) = refusal(&welcome.error, welcome.version) {
            return self.give_up(cx, &why);
        }
        self.stream.welcomed(cx);
        self.journal = Incarnation::from_wire(&welcome.journal);
        for token in self.runs.tokens(|run| matches!(run.stage, Stage::Finished { .. })) {
            self.send_outcome(cx, token);
        }
        for token in self.runs.tokens(|run| matches!(run.stage, Stage::Asking { .. })) {
            self.send_begin(cx, token);
        }
        let reads: Vec<u64> = self.reads.keys().copied().collect();
        for token in reads {
            self.send_read(cx, token);
        }
    }

    /// The stream is gone. What was asked on it gets no answer any more; a grant on its way was
    /// not used, as the next hello says by not naming it. What runs, runs on.
    fn forget_asked(&mut self, cx: &mut Cx<'_>) {
        let asked = |stage: &Stage| match stage {
            Stage::Asking { sent_ms, .. } => sent_ms.is_some(),
            Stage::Left => true,
            Stage::Dispatched { .. } | Stage::Finished { .. } => false,
        };
        for token in self.runs.tokens(|run| asked(&run.stage)) {
            let Some(run) = self.runs.take(token) else {
                continue;
            };
            if let Some(exchange) = run.exchange {
                let detail = "the journal was lost";
                let reply = self.turned_back(Verdict::NotRun, &run.stamp, None, detail);
                self.reply(cx, exchange, reply);
            }
        }
        for token in self.runs.tokens(|run| matches!(run.stage, Stage::Finished { .. })) {
            if let Some(run) = self.runs.get_mut(token)
                && let Stage::Finished { sent_ms, .. } = &mut run.stage
            {
                *sent_ms = None;
            }
        }
        let asked: Vec<u64> =
            self.reads.iter().filter(|(_, w)| w.sent_ms.is_some()).map(|(t, _)| *t).collect();
        for token in asked {
            if let Some(wait) = self.reads.remove(&token) {
                let reply = self.stale_read(cx, "the journal was lost");
                self.reply(cx, wait.exchange, reply);
            }
        }
    }
}
