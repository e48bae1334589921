//! Which of the two roles a worker plays; hands events to it.

use filter_core::config::Config;
use filter_core::effects::{Exchange, Flow, StreamId};
use filter_core::gateway::Gateway;
use filter_core::guard::Guard;
use filter_core::http::Header;
use filter_core::ports::Cx;

/// A worker's role.
pub enum Role {
    Gateway(Box<Gateway>),
    Guard(Box<Guard>),
}

/// The same call on whichever role it is.
macro_rules! each {
    ($self:expr, $role:ident => $call:expr) => {
        match $self {
            Role::Gateway($role) => $call,
            Role::Guard($role) => $call,
        }
    };
}

impl Role {
    pub fn new(config: Config) -> Role {
        match config {
            Config::Gateway(config) => Role::Gateway(Box::new(Gateway::new(*config))),
            Config::Guard(config) => Role::Guard(Box::new(Guard::new(*config))),
        }
    }

    pub fn stream_target(&self) -> (&str, &'static str, &'static str) {
        each!(self, role => role.stream_target())
    }

    pub fn request_headers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        headers: Vec<Header>,
        end: bool,
    ) -> Flow {
        each!(self, role => role.request_headers(cx, exchange, headers, end))
    }

    pub fn request_body(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        size: usize,
        end: bool,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Flow {
        each!(self, role => role.request_body(cx, exchange, size, end, body))
    }

    pub fn request_trailers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Flow {
        each!(self, role => role.request_trailers(cx, exchange, body))
    }

    pub fn response_headers(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        headers: &[Header],
    ) -> Flow {
        each!(self, role => role.response_headers(cx, exchange, headers))
    }

    pub fn done(&mut self, cx: &mut Cx<'_>, exchange: Exchange) {
        each!(self, role => role.done(cx, exchange));
    }

    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        each!(self, role => role.tick(cx));
    }

    pub fn stream_opened(&mut self, cx: &mut Cx<'_>, stream: StreamId) {
        each!(self, role => role.stream_opened(cx, stream));
    }

    pub fn stream_open_failed(&mut self, cx: &mut Cx<'_>) {
        each!(self, role => role.stream_open_failed(cx));
    }

    pub fn stream_closed(&mut self, cx: &mut Cx<'_>, stream: StreamId) {
        each!(self, role => role.stream_closed(cx, stream));
    }

    pub fn stream_message(&mut self, cx: &mut Cx<'_>, stream: StreamId, message: &[u8]) {
        each!(self, role => role.stream_message(cx, stream, message));
    }

    /// Only a guard dispatches.
    pub fn dispatched(&mut self, cx: &mut Cx<'_>, token: u64, sent: bool) {
        match self {
            Role::Gateway(_) => {}
            Role::Guard(guard) => guard.dispatched(cx, token, sent),
        }
    }

    /// Only a guard dispatches.
    pub fn call_ended(&mut self, cx: &mut Cx<'_>, token: u64, headers: Vec<Header>, body: Vec<u8>) {
        match self {
            Role::Gateway(_) => {}
            Role::Guard(guard) => guard.call_ended(cx, token, headers, body),
        }
    }
}
