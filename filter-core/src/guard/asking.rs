//! Asking the journal whether a write may run, and what its answer means.

use super::request::Draft;
use super::run::{Run, Stage};
use super::{Guard, Phase};
use crate::effects::{Dispatch, Effect, Exchange, Level};
use crate::http::{Header, is_final};
use crate::metrics::Metric;
use crate::ports::Cx;
use protocol::limits;
use protocol::mutants::{self, Mutant};
use protocol::pb::begun;
use protocol::pb::guard_request::Kind;
use protocol::stamp::WriteStamp;
use protocol::{Digest, Position, Verdict, pb};

impl Guard {
    /// A numbered write is complete: ask whether it may run.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, exchange: Exchange, draft: Draft, body: Vec<u8>) {
        let Draft { stamp, method, path, headers } = draft;
        let token = if self.runs.has_room(body.len()) { self.token(cx) } else { None };
        let Some(token) = token else {
            let detail = "too many requests are held";
            let reply = self.turned_back(Verdict::NotRun, &stamp, None, detail);
            return self.reply(cx, exchange, reply);
        };
        if stamp.delivery && self.stream.ready().is_none() {
            let reply = self.turned_back(Verdict::NotRun, &stamp, None, "no journal");
            return self.reply(cx, exchange, reply);
        }
        let begin = self.begin(token, &stamp, method, path);
        let deadline_ms = cx.after(self.config.gap_wait_ms);
        let stage = Stage::Asking { begin, headers, body, sent_ms: None };
        self.runs.insert(token, Run { exchange: Some(exchange), stamp, deadline_ms, stage });
        self.exchanges.insert(exchange, Phase::Writing(token));
        self.send_begin(cx, token);
    }

    fn begin(
        &self,
        token: u64,
        stamp: &WriteStamp,
        method: String,
        path: String,
    ) -> Box<pb::Begin> {
        let ms = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        Box::new(pb::Begin {
            token,
            session: stamp.session.as_str().to_string(),
            epoch: stamp.number.epoch,
            seq: stamp.number.seq,
            link: stamp.link.0.to_vec(),
            id: stamp.id.as_str().to_string(),
            after: stamp.after.map(Position::to_wire),
            in_doubt: self.config.in_doubt.policy(&method, &path).into(),
            method,
            delivery: stamp.delivery,
            noop: stamp.noop,
            again: stamp.again,
            journal: stamp.journal(self.config.replica).to_wire(),
            log: stamp.log.to_wire(),
            run_timeout_ms: ms(self.config.run_timeout_ms),
            wait_ms: if stamp.delivery { 0 } else { ms(self.config.gap_wait_ms) },
            path,
        })
    }

    /// Asks for a write if there is a stream. The journal waits for what is left of its time; our
    /// own deadline is only for a journal that says nothing.
    pub(super) fn send_begin(&mut self, cx: &mut Cx<'_>, token: u64) {
        if self.stream.ready().is_none() {
            return;
        }
        let Some(run) = self.runs.get_mut(token) else {
            return;
        };
        let Stage::Asking { begin, sent_ms, .. } = &mut run.stage else {
            return;
        };
        let left = run.deadline_ms.saturating_sub(cx.now.mono_ms);
        run.deadline_ms = run.deadline_ms.saturating_add(limits::ANSWER_MARGIN_MS);
        *sent_ms = Some(cx.now.mono_ms);
        begin.wait_ms = begin.wait_ms.min(u32::try_from(left).unwrap_or(u32::MAX));
        let begin = begin.as_ref().clone();
        self.send(cx, Kind::Begin(begin));
    }

    /// The journal's answer to a begin.
    pub(super) fn begun(&mut self, cx: &mut Cx<'_>, begun: pb::Begun) {
        let granted = match begun.verdict() {
            begun::Verdict::Run => true,
            begun::Verdict::Ran => mutants::on(Mutant::RunDuplicates),
            begun::Verdict::Running | begun::Verdict::Gap | begun::Verdict::InDoubt => {
                mutants::on(Mutant::DispatchWithoutGrant)
            }
            _ => false,
        };
        let Some(run) = self.runs.take(begun.token) else {
            cx.count(Metric::LateReplies);
            if granted {
                // Nobody knows what was granted; a new stream's hello says it was not used.
                self.give_up(cx, "it granted a write that nobody asks for");
            }
            return;
        };
        match (run.stage, run.exchange) {
            (Stage::Asking { headers, body, .. }, Some(exchange)) => {
                let run = Run { stage: Stage::Left, ..run };
                if granted && !run.stamp.noop {
                    self.dispatch(cx, begun, run, headers, body);
                } else if granted {
                    self.unused(cx, begun.token, run);
                } else {
                    let reply = self.refused(cx, &run.stamp, begun);
                    self.reply(cx, exchange, reply);
                }
            }
            (Stage::Asking { .. } | Stage::Left, _) => {
                cx.count(Metric::LateReplies);
                if granted {
                    let run = Run { stage: Stage::Left, ..run };
                    self.unused(cx, begun.token, run);
                }
            }
            (stage, _) => {
                cx.count(Metric::LateReplies);
                self.runs.insert(begun.token, Run { stage, ..run });
            }
        }
    }

    fn dispatch(
        &mut self,
        cx: &mut Cx<'_>,
        begun: pb::Begun,
        run: Run,
        mut headers: Vec<Header>,
        body: Vec<u8>,
    ) {
        let names = &self.config.names;
        headers.push((names.id.clone(), run.stamp.id.as_str().into()));
        headers.push((names.time.clone(), run.stamp.time_ms.to_string().into()));
        let wait = self.config.run_timeout_ms.saturating_add(limits::ANSWER_MARGIN_MS);
        let deadline_ms = cx.after(wait);
        let stage = Stage::Dispatched { forced: begun.forced };
        if begun.forced {
            cx.count(Metric::GuardForced);
            let (session, number) = (&run.stamp.session, run.stamp.number);
            let text = format!("session {session} opens a forced epoch at {number}");
            cx.log(Level::Warn, text);
        }
        self.runs.insert(begun.token, Run { deadline_ms, stage, ..run });
        cx.emit(Effect::Dispatch(Box::new(Dispatch {
            token: begun.token,
            cluster: self.config.service_cluster.clone(),
            headers,
            body,
            timeout_ms: self.config.run_timeout_ms,
        })));
    }

    /// The answer to a write that the journal did not grant.
    fn refused(
        &self,
        cx: &mut Cx<'_>,
        stamp: &WriteStamp,
        begun: pb::Begun,
    ) -> crate::reply::Reply {
        let at = begun.at.as_ref().and_then(Position::from_wire);
        if let Some(at) = at {
            self.seen.ran(cx, self.journal, &stamp.session, at.number);
        }
        let digest = Digest::from_wire(&begun.digest);
        let (verdict, metric, detail) = match begun.verdict() {
            begun::Verdict::Ran => {
                cx.count(Metric::GuardDuplicates);
                return match begun.response {
                    Some(response) if u16::try_from(response.status).is_ok_and(is_final) => {
                        self.ran(Verdict::Remembered, stamp, at, digest, response)
                    }
                    _ => self.forgotten(stamp, at, begun.status, digest),
                };
            }
            begun::Verdict::Running => {
                let detail = "the write is running here";
                (Verdict::Running, Some(Metric::GuardDuplicates), detail)
            }
            begun::Verdict::Gap => {
                (Verdict::Gap, Some(Metric::GuardGap), "what precedes the write has not run here")
            }
            begun::Verdict::InDoubt => {
                let detail = "the write, or what precedes it, may have run here";
                (Verdict::InDoubt, Some(Metric::GuardInDoubt), detail)
            }
            begun::Verdict::Conflict => {
                let detail = "another write has this number";
                (Verdict::Conflict, Some(Metric::GuardConflict), detail)
            }
            begun::Verdict::StaleEpoch => {
                let detail = "a later epoch of the session is known here";
                (Verdict::StaleEpoch, Some(Metric::GuardStaleEpoch), detail)
            }
            begun::Verdict::NotRun if begun.unseeded => {
                cx.count(Metric::GuardUnseeded);
                return self.unseeded(stamp);
            }
            begun::Verdict::Run | begun::Verdict::NotRun | begun::Verdict::Unspecified => {
                (Verdict::NotRun, None, "the journal cannot take the write now")
            }
        };
        if let Some(metric) = metric {
            cx.count(metric);
        }
        self.turned_back(verdict, stamp, at, detail)
    }

    /// The exchange of a write is gone. What is dispatched runs on.
    pub(super) fn leave_run(&mut self, cx: &mut Cx<'_>, token: u64) {
        let Some(mut run) = self.runs.take(token) else {
            return;
        };
        match run.stage {
            Stage::Asking { sent_ms: None, .. } => {}
            Stage::Asking { .. } => {
                run.stage = Stage::Left;
                run.exchange = None;
                run.deadline_ms = cx.after(limits::LEFT_MS);
                self.runs.insert(token, run);
                self.send(cx, Kind::Leave(pb::Leave { token }));
            }
            Stage::Dispatched { .. } if mutants::on(Mutant::LeftAsNotRun) => {
                run.exchange = None;
                self.unused(cx, token, run);
            }
            stage => self.runs.insert(token, Run { stage, exchange: None, ..run }),
        }
    }

    /// Answers writes that have waited too long; says whether the journal was silent meanwhile.
    pub(super) fn expire_runs(&mut self, cx: &mut Cx<'_>) -> bool {
        let mut silent = false;
        for token in self.runs.expired(cx) {
            let Some(run) = self.runs.get_mut(token) else {
                continue;
            };
            let Some(exchange) = run.exchange else {
                self.runs.take(token);
                continue;
            };
            let stamp = run.stamp.clone();
            let (verdict, sent_ms, detail) = match &run.stage {
                Stage::Asking { sent_ms, .. } => {
                    (Verdict::NotRun, *sent_ms, "the journal did not answer in time")
                }
                Stage::Finished { sent_ms, .. } => {
                    (Verdict::InDoubt, *sent_ms, "the journal did not note the outcome in time")
                }
                Stage::Left | Stage::Dispatched { .. } => {
                    (Verdict::InDoubt, None, "the service has not answered in time")
                }
            };
            cx.count(Metric::HeldTimeouts);
            silent |= sent_ms.is_some_and(|sent| self.stream.silent_since(sent));
            self.leave_run(cx, token);
            let reply = self.turned_back(verdict, &stamp, None, detail);
            self.reply(cx, exchange, reply);
        }
        silent
    }
}
