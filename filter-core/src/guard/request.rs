//! The request side: what the stamp says, and the body of a write.

use super::{Guard, Phase};
use crate::effects::{Effect, Exchange, Flow};
use crate::http::{self, Ambiguous, Header};
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::limits;
use protocol::problem::Problem;
use protocol::stamp::WriteStamp;
use protocol::{Stamp, Verdict, names};

/// A numbered write whose body is not complete.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) stamp: WriteStamp,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<Header>,
}

impl Guard {
    /// Headers of a request.
    pub fn request_headers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        headers: Vec<Header>,
        end: bool,
    ) -> Flow {
        let write = names::is_write(&Self::method(&headers));
        let stamp = match self.stamp(&headers) {
            Ok(stamp) => stamp,
            Err(detail) => return self.unnumbered(cx, exchange, detail, end),
        };
        match stamp {
            None if write => self.unnumbered(cx, exchange, "it carries no stamp", end),
            Some(Stamp::Read { .. }) if write => {
                self.unnumbered(cx, exchange, "it carries the stamp of a read", end)
            }
            None | Some(Stamp::Bypass) => {
                self.remove_ours(cx, exchange, &headers);
                self.exchanges.insert(exchange, Phase::Passing);
                Flow::Continue
            }
            Some(Stamp::Probe) => {
                self.stream.want();
                let reply = self.probe();
                self.answer(cx, exchange, reply, end)
            }
            Some(Stamp::Read { session, last }) => {
                self.remove_ours(cx, exchange, &headers);
                self.read(cx, exchange, session, last)
            }
            Some(Stamp::Write(stamp)) => self.write(cx, exchange, *stamp, headers, end),
        }
    }

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
                    let reply = self.too_large(&draft.stamp);
                    let over = size > self.overread();
                    return self.answer(cx, exchange, reply, end || over);
                }
                if end {
                    self.ask(cx, exchange, *draft, body());
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
                    Phase::Passing | Phase::Reading => Flow::Continue,
                    _ => Flow::Pause,
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
            None | Some(Phase::Passing | Phase::Reading) => Flow::Continue,
            Some(Phase::Awaiting(_) | Phase::Writing(_) | Phase::Over) => Flow::Pause,
        }
    }

    fn overread(&self) -> usize {
        self.config.body_bytes.saturating_mul(limits::OVERREAD)
    }

    fn stamp(&self, headers: &[Header]) -> Result<Option<Stamp>, &'static str> {
        match http::only(headers, &self.config.names.stamp) {
            Ok(None) => Ok(None),
            Ok(Some(text)) => Stamp::parse(text).map(Some).ok_or("its stamp cannot be read"),
            Err(Ambiguous) => Err("it carries several stamps"),
        }
    }

    fn unnumbered(&mut self, cx: &mut Cx<'_>, exchange: Exchange, detail: &str, end: bool) -> Flow {
        cx.count(Metric::GuardUnnumbered);
        let reply = Reply::problem(Problem::Unnumbered, detail);
        self.answer(cx, exchange, reply, end)
    }

    fn write(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        stamp: WriteStamp,
        mut headers: Vec<Header>,
        end: bool,
    ) -> Flow {
        self.stream.want();
        if stamp.delivery && self.stream.ready().is_none() {
            let reply = self.turned_back(Verdict::NotRun, &stamp, None, "no journal");
            return self.answer(cx, exchange, reply, end);
        }
        let long = http::content_length(&headers)
            .is_some_and(|length| length > self.config.body_bytes as u64);
        if long {
            let reply = self.too_large(&stamp);
            return self.answer(cx, exchange, reply, end);
        }
        let method = Self::method(&headers);
        let path = http::text(&headers, ":path").unwrap_or_default().to_string();
        let names = &self.config.names;
        http::strip(&mut headers, &[":method", ":path", ":authority", ":scheme"], |n| {
            names.is_ours(n)
        });
        let draft = Draft { stamp, method, path, headers };
        if end {
            self.ask(cx, exchange, draft, Vec::new());
        } else {
            self.exchanges.insert(exchange, Phase::Collecting(Box::new(draft)));
        }
        Flow::Pause
    }
}
