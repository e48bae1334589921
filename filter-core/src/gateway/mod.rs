//! The gateway role: holds each write until the log has numbered it, stamps it, lets it go, and
//! believes no answer without a guard's word.
//!
//! One exchange goes through [`Phase`]s. What waits for the log stands in the token table
//! ([`held`]); what became of released writes is reported in batches ([`reports`]).

mod alone;
mod answer;
mod body;
mod held;
mod link;
mod release;
mod reports;
mod request;
mod slots;

#[cfg(test)]
mod tests;

use crate::config::GatewayConfig;
use crate::effects::{Effect, Exchange, Flow, StreamId};
use crate::http::Header;
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use crate::stream::Stream;
use alone::Alone;
use held::{Held, What};
use link::Welcome;
use protocol::pb;
use protocol::problem::Problem;
use release::Released;
use reports::Reports;
use request::Draft;
use slots::Slots;
use std::collections::BTreeMap;

/// Where an exchange stands.
#[derive(Debug)]
enum Phase {
    /// It passes; only a word in its answer is removed.
    Passing,
    /// A read that went to a replica.
    Reading,
    /// Refused; the reply waits for the end of the request body, of which so much was dropped.
    Answering(Reply, usize),
    /// A write whose body is coming.
    Collecting(Box<Draft>),
    /// Waits for the log under this token.
    Waiting(u64),
    /// A numbered write on its way.
    Released(Box<Released>),
    /// Answered by us, or its end is reported.
    Over,
}

/// One worker's gateway.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    alone: Alone,
    slots: Slots,
    stream: Stream,
    welcome: Option<Welcome>,
    exchanges: BTreeMap<Exchange, Phase>,
    held: Held,
    reports: Reports,
}

impl Gateway {
    /// A gateway that has met nobody yet.
    pub fn new(config: GatewayConfig) -> Gateway {
        Gateway {
            alone: Alone::new(&config.service),
            slots: Slots::new(&config),
            stream: Stream::new("replay log"),
            welcome: None,
            exchanges: BTreeMap::new(),
            held: Held::default(),
            reports: Reports::default(),
            config,
        }
    }

    /// The checked configuration.
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Headers of an answer: takes the guard's word off and decides whether the client may see
    /// the rest.
    pub fn response_headers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        headers: &[Header],
    ) -> Flow {
        let word = answer::take_word(cx, exchange, headers, &self.config.names);
        match self.exchanges.remove(&exchange) {
            Some(Phase::Released(released)) => {
                self.exchanges.insert(exchange, Phase::Over);
                self.released_answered(cx, exchange, *released, word, headers)
            }
            Some(Phase::Reading) => {
                let stale = answer::is_stale_read(headers, word.as_ref());
                let phase = if stale { Phase::Over } else { Phase::Passing };
                self.exchanges.insert(exchange, phase);
                if !stale {
                    return Flow::Continue;
                }
                cx.count(Metric::Refused);
                let detail = "no replica that can be reached has run the writes of this session";
                let reply = Reply::problem(Problem::ReadUnavailable, detail).retry_after_ms(0);
                cx.emit(Effect::Reply(exchange, reply));
                Flow::Pause
            }
            Some(other) => {
                self.exchanges.insert(exchange, other);
                Flow::Continue
            }
            None => Flow::Continue,
        }
    }

    /// The exchange is over, whoever ended it. May be told more than once.
    pub fn done(&mut self, cx: &mut Cx<'_>, exchange: Exchange) {
        match self.exchanges.remove(&exchange) {
            Some(Phase::Collecting(_)) => cx.count(Metric::Abandoned),
            Some(Phase::Waiting(token)) => {
                if let Some(wait) = self.held.take(token)
                    && let What::Append(append) = wait.what
                {
                    cx.count(Metric::Abandoned);
                    if wait.ever_sent {
                        self.cancel(cx, token, &append);
                    }
                }
            }
            Some(Phase::Released(released)) => {
                cx.count(Metric::Abandoned);
                self.report(cx, released.end(pb::end::Kind::Abandoned, String::new()));
            }
            _ => {}
        }
    }

    /// Time passes.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        self.expire(cx);
        self.stream.tick(cx);
        self.flush(cx);
    }

    /// Exchanges that the gateway knows of.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    fn stream_is(&self, stream: StreamId) -> bool {
        self.stream.is(stream)
    }

    /// Answers at once and forgets what it was about.
    fn reply(&mut self, cx: &mut Cx<'_>, exchange: Exchange, reply: Reply) {
        self.exchanges.insert(exchange, Phase::Over);
        cx.emit(Effect::Reply(exchange, reply));
    }
}
