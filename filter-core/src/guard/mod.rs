//! The guard role: stands before one replica, runs each number once and in order, and answers
//! duplicates without running them.
//!
//! The journal of the replica's own site decides (`begin`), so that all workers and a restarted
//! Envoy agree; the guard asks, dispatches what was granted, and reports. A dispatched write
//! belongs to no exchange: it runs to its end whoever leaves. Its outcome is with the journal
//! before its answer leaves.
//!
//! What goes to the service and comes back is a head and a whole body: trailers of writes are
//! dropped both ways, and an answer over 32 MiB cannot be told from a broken connection (Envoy's
//! bound for such calls). Reads pass as they are.

mod answer;
mod asking;
mod link;
mod outcome;
mod read;
mod request;
mod run;
mod seen;

#[cfg(test)]
mod tests;

use crate::config::GuardConfig;
use crate::effects::{Effect, Exchange, Flow};
use crate::http::{self, Header};
use crate::ports::Cx;
use crate::reply::Reply;
use crate::stream::Stream;
use protocol::Incarnation;
use read::Reads;
use request::Draft;
use run::Runs;
use seen::Seen;
use std::collections::{BTreeMap, BTreeSet};

/// Where an exchange stands.
#[derive(Debug)]
enum Phase {
    /// It passes; words in its answer are removed.
    Passing,
    /// A read that the replica may answer.
    Reading,
    /// A read that waits, under this token, until the replica has run far enough.
    Awaiting(u64),
    /// The reply waits for the end of the request body, of which so much was dropped.
    Answering(Reply, usize),
    /// A write whose body is coming.
    Collecting(Box<Draft>),
    /// A write that is asked about or runs, under this token.
    Writing(u64),
    /// Answered by us.
    Over,
}

/// One worker's guard.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    seen: Seen,
    stream: Stream,
    owner: Option<[u8; 16]>,
    journal: Incarnation,
    exchanges: BTreeMap<Exchange, Phase>,
    runs: Runs,
    reads: Reads,
    next_token: Option<u64>,
}

impl Guard {
    /// A guard that has met nobody yet.
    pub fn new(config: GuardConfig) -> Guard {
        Guard {
            seen: Seen::new(&config),
            stream: Stream::new("journal"),
            owner: None,
            journal: Incarnation::UNKNOWN,
            exchanges: BTreeMap::new(),
            runs: Runs::default(),
            reads: Reads::default(),
            next_token: None,
            config,
        }
    }

    /// The checked configuration.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Headers of an answer of the service to what was let through. Nobody but the guard speaks
    /// for it.
    pub fn response_headers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        headers: &[Header],
    ) -> Flow {
        // The host may report the guard's own answers too; those keep their word.
        let read = match self.exchanges.get(&exchange) {
            Some(Phase::Reading) => true,
            Some(Phase::Passing) => false,
            _ => return Flow::Continue,
        };
        for name in self.ours(headers) {
            cx.emit(Effect::RemoveResponseHeader(exchange, name));
        }
        if read {
            let word = self.word(protocol::Verdict::Read).to_string().into_bytes();
            cx.emit(Effect::SetResponseHeader(exchange, self.config.names.word.clone(), word));
        }
        Flow::Continue
    }

    /// The exchange is over, whoever ended it. May be told more than once.
    pub fn done(&mut self, cx: &mut Cx<'_>, exchange: Exchange) {
        match self.exchanges.remove(&exchange) {
            Some(Phase::Awaiting(token)) => self.leave_read(cx, token),
            Some(Phase::Writing(token)) => self.leave_run(cx, token),
            _ => {}
        }
    }

    /// Time passes.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        self.expire(cx);
        self.stream.tick(cx);
    }

    /// Exchanges that the guard knows of.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// Answers at once and forgets what it was about.
    fn reply(&mut self, cx: &mut Cx<'_>, exchange: Exchange, reply: Reply) {
        self.exchanges.insert(exchange, Phase::Over);
        cx.emit(Effect::Reply(exchange, reply));
    }

    /// Answers once the request body has ended: an earlier reply breaks the connection.
    fn answer(&mut self, cx: &mut Cx<'_>, exchange: Exchange, reply: Reply, end: bool) -> Flow {
        if end {
            self.reply(cx, exchange, reply);
        } else {
            self.exchanges.insert(exchange, Phase::Answering(reply, 0));
        }
        Flow::Pause
    }

    /// Takes every header of ours off a request that goes on to the service.
    fn remove_ours(&self, cx: &mut Cx<'_>, exchange: Exchange, headers: &[Header]) {
        for name in self.ours(headers) {
            cx.emit(Effect::RemoveRequestHeader(exchange, name));
        }
    }

    /// Names of ours among headers, each once.
    fn ours(&self, headers: &[Header]) -> BTreeSet<String> {
        let names = headers.iter().map(|(name, _)| name);
        names.filter(|name| self.config.names.is_ours(name)).cloned().collect()
    }

    /// A token for a question; `None` if the host has no randomness to begin with.
    fn token(&mut self, cx: &Cx<'_>) -> Option<u64> {
        let token = match self.next_token {
            Some(token) => token,
            None => crate::ports::first_token(cx)?,
        };
        self.next_token = Some(token.wrapping_add(1));
        Some(token)
    }

    fn method(headers: &[Header]) -> String {
        http::text(headers, ":method").unwrap_or_default().to_string()
    }
}
