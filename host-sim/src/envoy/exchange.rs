//! One request of a downstream and what has become of it.

use super::plugin::Root;
use super::table::Going;
use crate::kernel::{ConnId, Micros};
use crate::wire::{Headers, StreamNo};

/// An exchange.
pub(super) struct Exchange {
    pub worker: usize,
    pub listener: usize,
    pub down: (ConnId, StreamNo),
    /// The filter's context for it, if its listener has a filter.
    pub filter: Option<(Root, u32)>,
    pub request: Request,
    pub response: Response,
    pub router: Option<Router>,
    /// When something last moved.
    pub touched_us: Micros,
    /// How long nothing may move.
    pub idle: Micros,
}

/// The request, as far as it has come.
#[derive(Default)]
pub(super) struct Request {
    /// Headers as the filter has left them.
    pub headers: Headers,
    /// What has come of the body and is not with the VM; for a retry all of it is kept.
    pub body: Vec<u8>,
    /// All of it is here.
    pub ended: bool,
    /// The filter has let it go on.
    pub passed: bool,
}

/// The response, as far as it has come.
#[derive(Default)]
pub(super) struct Response {
    /// Its head is out, or on its way through the filter.
    pub begun: bool,
    /// The filter holds it.
    pub held: bool,
    pub headers: Headers,
    /// What has come of the body and is not with the client yet.
    pub body: Vec<u8>,
    pub ended: bool,
    /// The head is with the client.
    pub sent: bool,
}

/// The router at work.
pub(super) struct Router {
    pub going: Going,
    /// What goes upstream.
    pub headers: Headers,
    /// Counts attempts; timers of an earlier one are void.
    pub attempt: u64,
    pub retries_left: u32,
    /// Priorities that have been tried.
    pub tried: Vec<usize>,
    /// Where the current attempt is.
    pub at: Option<(ConnId, StreamNo)>,
    /// How much of the body the current attempt has sent; all of it and the end.
    pub sent: usize,
    pub sent_end: bool,
}

impl Router {
    /// For the whole exchange, from the end of the request on.
    pub(super) fn timeout(&self) -> Option<Micros> {
        self.going.way.timeout
    }

    /// How often it was tried again.
    pub(super) fn retries(&self) -> u32 {
        self.going.way.retry.map_or(0, |retry| retry.times) - self.retries_left
    }
}
