//! The body of a request, and refusals, which wait for its end.

use super::{Gateway, Phase};
use crate::effects::{Effect, Exchange, Flow};
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::limits;
use protocol::problem::Problem;

/// Why a request goes no further.
pub(super) struct Refusal {
    pub(super) reply: Reply,
    /// Its body is too long to wait for.
    pub(super) at_once: bool,
}

impl Refusal {
    pub(super) fn later(reply: Reply) -> Refusal {
        Refusal { reply, at_once: false }
    }
}

impl Gateway {
    /// A part of a request body. `size` is what is buffered so far, `body` gives it.
    pub fn request_body(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        size: usize,
        end: bool,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Flow {
        match self.exchanges.remove(&exchange) {
            Some(Phase::Collecting(draft)) => {
                if size > self.config.body_bytes {
                    cx.emit(Effect::DropRequestBody(exchange, size));
                    let at_once = size > self.overread();
                    let refusal = Refusal { reply: self.too_large(), at_once };
                    return self.refuse(cx, exchange, refusal, end);
                }
                if end {
                    self.submit(cx, exchange, *draft, body());
                } else {
                    self.exchanges.insert(exchange, Phase::Collecting(draft));
                }
                Flow::Pause
            }
            Some(Phase::Answering(reply, dropped)) => {
                let dropped = dropped.saturating_add(size);
                cx.emit(Effect::DropRequestBody(exchange, size));
                if end || dropped > self.overread() {
                    self.reply(cx, exchange, reply);
                } else {
                    self.exchanges.insert(exchange, Phase::Answering(reply, dropped));
                }
                Flow::Pause
            }
            Some(phase) => {
                let flow = match phase {
                    Phase::Waiting(_) | Phase::Over => Flow::Pause,
                    _ => Flow::Continue,
                };
                self.exchanges.insert(exchange, phase);
                flow
            }
            None => Flow::Continue,
        }
    }

    /// Trailers of a request: its body has ended without saying so.
    pub fn request_trailers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Flow {
        match self.exchanges.get(&exchange) {
            Some(Phase::Collecting(_)) => {
                let body = body();
                self.request_body(cx, exchange, body.len(), true, || body)
            }
            Some(Phase::Answering(..)) => self.request_body(cx, exchange, 0, true, Vec::new),
            Some(Phase::Waiting(_) | Phase::Over) => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    pub(super) fn too_large(&self) -> Reply {
        let detail = format!("the limit is {} bytes", self.config.body_bytes);
        Reply::problem(Problem::BodyTooLarge, &detail)
    }

    pub(super) fn overread(&self) -> usize {
        self.config.body_bytes.saturating_mul(limits::OVERREAD)
    }

    /// Refuses, once the request body has ended: an earlier reply breaks the connection.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        refusal: Refusal,
        end: bool,
    ) -> Flow {
        cx.count(Metric::Refused);
        if end || refusal.at_once {
            self.reply(cx, exchange, refusal.reply);
        } else {
            self.exchanges.insert(exchange, Phase::Answering(refusal.reply, 0));
        }
        Flow::Pause
    }
}
