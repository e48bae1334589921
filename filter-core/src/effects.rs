//! What a role asks of its host. Effects are carried out in order, after the event returns.

use crate::http::Header;
use crate::metrics::Metric;
use crate::reply::Reply;

/// Names one HTTP exchange, as the host does.
pub type Exchange = u32;
/// Names one gRPC stream, as the host does.
pub type StreamId = u32;

/// What the host does with the exchange whose event it reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Let it go on.
    Continue,
    /// Hold headers and body.
    Pause,
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An operator should look.
    Error,
    /// Something changed.
    Warn,
    /// For the curious.
    Info,
}

/// One thing for the host to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Sets a request header, in place of any other of its name.
    SetRequestHeader(Exchange, String, Vec<u8>),
    /// Removes a request header.
    RemoveRequestHeader(Exchange, String),
    /// Throws away the request body seen so far, this many bytes. Only within a body event.
    DropRequestBody(Exchange, usize),
    /// Lets a held request go on.
    Resume(Exchange),
    /// Answers in place of the upstream. At most once for an exchange.
    Reply(Exchange, Reply),
    /// Sets a response header, in place of any other of its name.
    SetResponseHeader(Exchange, String, Vec<u8>),
    /// Removes a response header.
    RemoveResponseHeader(Exchange, String),
    /// Opens the role's stream; the host reports `stream_opened` or `stream_open_failed`. Only
    /// within a tick.
    OpenStream,
    /// Sends a message; the host reports `stream_closed` if there is no such stream.
    Send(StreamId, Vec<u8>),
    /// Gives a stream up; no `stream_closed` follows.
    CloseStream(StreamId),
    /// Sends a request to the service on behalf of nobody, so that it runs to its end; the host
    /// reports `dispatched` at once and `call_ended` later. Only within a stream message.
    Dispatch(Box<Dispatch>),
    /// Adds to a counter.
    Count(Metric, u64),
    /// Writes a log line.
    Log(Level, String),
}

/// A request for the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Names the run.
    pub token: u64,
    /// The Envoy cluster.
    pub cluster: String,
    /// Pseudo-headers first.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
}
