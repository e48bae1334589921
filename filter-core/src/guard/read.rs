//! Reads: answered by a replica that has run what they must see, or not at all.

use super::{Guard, Phase};
use crate::effects::{Effect, Exchange, Flow};
use crate::metrics::Metric;
use crate::ports::Cx;
use protocol::mutants::{self, Mutant};
use protocol::pb::{self, guard_request::Kind};
use protocol::{Number, SessionKey, limits};
use std::collections::BTreeMap;

/// A read that waits.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) exchange: Exchange,
    pub(super) session: SessionKey,
    pub(super) deadline_ms: u64,
    last: Number,
    /// When it was sent on the present stream.
    pub(super) sent_ms: Option<u64>,
}

/// Reads that wait, by token.
pub(super) type Reads = BTreeMap<u64, Wait>;

impl Guard {
    /// Lets a read pass if the replica is known to have run far enough, else asks the journal. What
    /// is known is of the life of the journal that last welcomed this worker.
    pub(super) fn read(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        session: SessionKey,
        last: Number,
    ) -> Flow {
        let passes = last.seq == 0 || mutants::on(Mutant::ReadThoughBehind);
        if passes || self.seen.has_run(cx, self.journal, &session, last) {
            self.exchanges.insert(exchange, Phase::Reading);
            return Flow::Continue;
        }
        self.stream.want();
        let token = if self.reads.len() < limits::HELD_REQUESTS { self.token(cx) } else { None };
        let Some(token) = token else {
            let reply = self.stale_read(cx, "too many requests are held");
            self.reply(cx, exchange, reply);
            return Flow::Pause;
        };
        let deadline_ms = cx.after(self.config.gap_wait_ms);
        self.reads.insert(token, Wait { exchange, session, deadline_ms, last, sent_ms: None });
        self.exchanges.insert(exchange, Phase::Awaiting(token));
        self.send_read(cx, token);
        Flow::Pause
    }

    /// Asks for a waiting read if there is a stream. The journal waits for what is left of its
    /// time; our own deadline is only for a journal that says nothing.
    pub(super) fn send_read(&mut self, cx: &mut Cx<'_>, token: u64) {
        if self.stream.ready().is_none() {
            return;
        }
        let Some(wait) = self.reads.get_mut(&token) else {
            return;
        };
        let left = wait.deadline_ms.saturating_sub(cx.now.mono_ms);
        wait.deadline_ms = wait.deadline_ms.saturating_add(limits::ANSWER_MARGIN_MS);
        wait.sent_ms = Some(cx.now.mono_ms);
        let await_run = pb::AwaitRun {
            token,
            session: wait.session.as_str().to_string(),
            epoch: wait.last.epoch,
            seq: wait.last.seq,
            wait_ms: u32::try_from(left).unwrap_or(u32::MAX),
        };
        self.send(cx, Kind::AwaitRun(await_run));
    }

    /// The journal's answer to a read that waits.
    pub(super) fn awaited(&mut self, cx: &mut Cx<'_>, awaited: &pb::Awaited) {
        let Some(wait) = self.reads.remove(&awaited.token) else {
            return cx.count(Metric::LateReplies);
        };
        if let Some(at) = &awaited.at {
            let at = Number { epoch: at.epoch, seq: at.seq };
            self.seen.ran(cx, self.journal, &wait.session, at);
        }
        if awaited.ran {
            self.exchanges.insert(wait.exchange, Phase::Reading);
            cx.emit(Effect::Resume(wait.exchange));
        } else {
            let reply = self.stale_read(cx, "the replica has not run the writes of this session");
            self.reply(cx, wait.exchange, reply);
        }
    }

    /// The exchange of a waiting read is gone.
    pub(super) fn leave_read(&mut self, cx: &mut Cx<'_>, token: u64) {
        if let Some(wait) = self.reads.remove(&token)
            && wait.sent_ms.is_some()
        {
            self.send(cx, Kind::Leave(pb::Leave { token }));
        }
    }

    /// Refuses reads that have waited too long; says whether the journal was silent meanwhile.
    pub(super) fn expire_reads(&mut self, cx: &mut Cx<'_>) -> bool {
        let due = self.reads.iter().filter(|(_, w)| cx.passed(w.deadline_ms));
        let due: Vec<u64> = due.map(|(token, _)| *token).collect();
        let mut silent = false;
        for token in due {
            let Some(wait) = self.reads.remove(&token) else {
                continue;
            };
            cx.count(Metric::HeldTimeouts);
            if let Some(sent_ms) = wait.sent_ms {
                silent |= self.stream.silent_since(sent_ms);
                self.send(cx, Kind::Leave(pb::Leave { token }));
            }
            let reply = self.stale_read(cx, "the journal did not answer in time");
            self.reply(cx, wait.exchange, reply);
        }
        silent
    }
}
