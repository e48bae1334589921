//! What became of a dispatched write.
//!
//! Measured on Envoy 1.40.0, HTTP/1.1 to the service, what `dispatch_http_call` and
//! `on_http_call_response` show (`tests` below replays these forms):
//!
//! | what happened | what the filter sees |
//! |---|---|
//! | no endpoint, none healthy, circuit breaker | dispatch fails, `InternalFailure` |
//! | unknown cluster | dispatch fails, `BadArgument` |
//! | connection refused | 503, text, `... reset reason: remote connection failure` |
//! | connect timeout | 503, text, `... reset reason: connection timeout` |
//! | RST or close before response headers | 503, text, `... reset reason: connection termination` |
//! | no HTTP, or half of a response head | 502, text, `... reset reason: protocol error` |
//! | run timeout | 504, text, `upstream request timeout` |
//! | closed inside the response body | no headers at all |
//! | response body over 32 MiB | no headers at all |
//! | any answer of the service, 503 included | its own, with `x-envoy-upstream-service-time` |
//!
//! Envoy's own replies have three fields (`:status`, `content-length`, `content-type`) and no
//! `x-envoy-upstream-service-time`. The rules do not lean on that difference, so a service gains
//! nothing by faking: a 503 of its own means "not run" whatever its body, unless the body is
//! Envoy's text of a broken connection. Then it is in doubt, also when it comes from a proxy
//! farther in, where it means the same.

use super::Guard;
use super::run::{Answer, Run, Stage};
use crate::http::{self, Header};
use crate::metrics::Metric;
use crate::ports::Cx;
use protocol::mutants::{self, Mutant};
use protocol::pb::guard_request::Kind;
use protocol::pb::{self, outcome};
use protocol::stamp::WriteStamp;
use protocol::{Digest, Position, Verdict};

/// Body of Envoy's local reply when the service's connection failed.
const LOCAL_REPLY: &[u8] = b"upstream connect error or disconnect/reset before headers";

/// Reset reasons after which the service cannot have seen the request.
const NEVER_SENT: [&str; 6] = [
    "local connection failure",
    "remote connection failure",
    "connection timeout",
    "overflow",
    "remote refused stream reset",
    "local refused stream reset",
];

/// What the end of a call says of the write. Where the client's credentials are not taken any more,
/// a delivery did not run; where the other replica said the same to the client, it is the answer.
pub(super) fn classify(headers: &[Header], body: &[u8], stamp: &WriteStamp) -> outcome::Kind {
    let status = http::text(headers, ":status").and_then(|s| s.parse::<u16>().ok());
    match status {
        Some(503) if body.starts_with(LOCAL_REPLY) => {
            let text = String::from_utf8_lossy(body);
            let reason = text.split_once("reset reason: ").map_or("", |(_, reason)| reason);
            let never_sent = NEVER_SENT.iter().any(|r| reason.starts_with(r))
                || mutants::on(Mutant::BreakAsNotRun);
            if never_sent { outcome::Kind::NotRun } else { outcome::Kind::InDoubt }
        }
        Some(429 | 503) => outcome::Kind::NotRun,
        Some(401 | 403 | 407) if stamp.delivery && stamp.ran != status => outcome::Kind::NotRun,
        Some(502 | 504) if mutants::on(Mutant::TimeoutAsNotRun) => outcome::Kind::NotRun,
        Some(502 | 504) => outcome::Kind::InDoubt,
        Some(status) if http::is_final(status) => outcome::Kind::Ran,
        _ => outcome::Kind::InDoubt,
    }
}

impl Guard {
    /// The host took the request, or could not send it at all.
    pub fn dispatched(&mut self, cx: &mut Cx<'_>, token: u64, sent: bool) {
        if sent {
            return;
        }
        if let Some(run) = self.runs.take(token) {
            self.finish(cx, token, run, outcome::Kind::NotRun, 0, "the service cannot be reached");
        }
    }

    /// The call of a dispatched write has ended. `headers` is empty if it ended without an answer.
    pub fn call_ended(&mut self, cx: &mut Cx<'_>, token: u64, headers: Vec<Header>, body: Vec<u8>) {
        let Some(mut run) = self.runs.take(token) else {
            return;
        };
        let Stage::Dispatched { forced } = run.stage else {
            return self.runs.insert(token, run);
        };
        let kind = classify(&headers, &body, &run.stamp);
        let status = http::text(&headers, ":status").and_then(|s| s.parse().ok()).unwrap_or(0);
        run.stage = Stage::Left;
        match kind {
            outcome::Kind::Ran => self.finish_ran(cx, token, run, forced, status, headers, body),
            outcome::Kind::NotRun => {
                let detail = format!("the service did not take the write (status {status})");
                self.finish(cx, token, run, kind, status, &detail);
            }
            outcome::Kind::InDoubt | outcome::Kind::Unspecified => {
                let detail = "the service gave no answer; it may have run the write";
                self.finish(cx, token, run, outcome::Kind::InDoubt, status, detail);
            }
        }
    }

    /// A grant that was never used.
    pub(super) fn unused(&mut self, cx: &mut Cx<'_>, token: u64, run: Run) {
        self.finish(cx, token, run, outcome::Kind::NotRun, 0, "the write was not sent");
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one response")]
    fn finish_ran(
        &mut self,
        cx: &mut Cx<'_>,
        token: u64,
        run: Run,
        forced: bool,
        status: u32,
        mut headers: Vec<Header>,
        body: Vec<u8>,
    ) {
        cx.count(Metric::GuardRan);
        let names = &self.config.names;
        http::strip(&mut headers, &[], |n| names.is_ours(n));
        let headers = headers.into_iter().map(|(name, value)| pb::Header { name, value });
        let response = pb::Response { status, headers: headers.collect(), body };
        let mut outcome = outcome_of(token, &run, outcome::Kind::Ran, status);
        outcome.digest = Digest::of(&response.body).0.to_vec();
        if response.body.len() <= self.config.response_bytes {
            outcome.response = Some(response.clone());
        }
        if mutants::on(Mutant::AnswerBeforeNoted) {
            let at = Position { number: run.stamp.number, link: run.stamp.link };
            let digest = Digest::from_wire(&outcome.digest);
            let reply = self.ran(Verdict::Ran, &run.stamp, Some(at), digest, response);
            self.send(cx, Kind::Outcome(outcome));
            return run.exchange.into_iter().for_each(|left| self.reply(cx, left, reply.clone()));
        }
        self.finished(cx, token, run, outcome, Answer::Ran { forced, response });
    }

    fn finish(
        &mut self,
        cx: &mut Cx<'_>,
        token: u64,
        run: Run,
        kind: outcome::Kind,
        status: u32,
        detail: &str,
    ) {
        let verdict = if kind == outcome::Kind::InDoubt {
            cx.count(Metric::GuardInDoubt);
            Verdict::InDoubt
        } else {
            Verdict::NotRun
        };
        let outcome = outcome_of(token, &run, kind, status);
        let reply = self.turned_back(verdict, &run.stamp, None, detail);
        self.finished(cx, token, run, outcome, Answer::TurnedBack(reply));
    }

    /// Keeps an outcome until the journal has noted it, and tells the journal.
    fn finished(
        &mut self,
        cx: &mut Cx<'_>,
        token: u64,
        run: Run,
        outcome: pb::Outcome,
        answer: Answer,
    ) {
        let deadline_ms = run.deadline_ms.max(cx.after(protocol::limits::ANSWER_MARGIN_MS));
        let stage = Stage::Finished { outcome: Box::new(outcome), answer, sent_ms: None };
        self.runs.insert(token, Run { deadline_ms, stage, ..run });
        self.send_outcome(cx, token);
    }

    /// Sends the outcome of a finished run if there is a stream.
    pub(super) fn send_outcome(&mut self, cx: &mut Cx<'_>, token: u64) {
        if self.stream.ready().is_none() {
            return;
        }
        let Some(run) = self.runs.get_mut(token) else {
            return;
        };
        let Stage::Finished { outcome, sent_ms, .. } = &mut run.stage else {
            return;
        };
        *sent_ms = Some(cx.now.mono_ms);
        let outcome = outcome.as_ref().clone();
        self.send(cx, Kind::Outcome(outcome));
    }

    /// The journal has noted an outcome: the answer may leave.
    pub(super) fn noted(&mut self, cx: &mut Cx<'_>, noted: &pb::Noted) {
        let Some(run) = self.runs.take(noted.token) else {
            return cx.count(Metric::LateReplies);
        };
        let Stage::Finished { outcome, answer, .. } = run.stage else {
            cx.count(Metric::LateReplies);
            return self.runs.insert(noted.token, run);
        };
        let at = noted.at.as_ref().and_then(Position::from_wire);
        // Only what the journal says: the grant may be from an earlier life of it.
        if let Some(at) = at.filter(|_| outcome.kind() == outcome::Kind::Ran) {
            self.seen.ran(cx, self.journal, &run.stamp.session, at.number);
        }
        let Some(exchange) = run.exchange else { return };
        let reply = match answer {
            // The journal has no memory of the grant and may give it again.
            Answer::Ran { .. } if at.is_none_or(|at| at.number < run.stamp.number) => {
                cx.count(Metric::GuardInDoubt);
                let detail = "the write ran, but the journal has no memory of its grant";
                self.turned_back(Verdict::InDoubt, &run.stamp, at, detail)
            }
            Answer::Ran { forced, response } => {
                let verdict = if forced { Verdict::Forced } else { Verdict::Ran };
                let digest = Digest::from_wire(&outcome.digest);
                self.ran(verdict, &run.stamp, at, digest, response)
            }
            Answer::TurnedBack(reply) => reply,
        };
        self.reply(cx, exchange, reply);
    }
}

fn outcome_of(token: u64, run: &Run, kind: outcome::Kind, status: u32) -> pb::Outcome {
    pb::Outcome {
        token,
        session: run.stamp.session.as_str().to_string(),
        epoch: run.stamp.number.epoch,
        seq: run.stamp.number.seq,
        kind: kind.into(),
        status,
        digest: Vec::new(),
        response: None,
    }
}
