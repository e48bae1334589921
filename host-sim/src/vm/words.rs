//! What goes between a VM and the Envoy around it.

use super::ROOT;
use crate::wire::Headers;
use std::fmt;

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// For the curious.
    Info,
    /// Something changed.
    Warn,
    /// An operator should look.
    Error,
    /// A panic.
    Critical,
}

impl Level {
    pub(super) fn from_wire(level: u32) -> Option<Level> {
        use Level::*;
        [Trace, Debug, Info, Warn, Error, Critical].get(usize::try_from(level).ok()?).copied()
    }
}

/// A line of Envoy's log that the filter wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// The line as Envoy shows it: `wasm log NAME ROOT_ID: ...`.
    pub text: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", format!("{:?}", self.level).to_lowercase(), self.text)
    }
}

/// A call into the filter. Contexts are exchanges; tokens are of streams and calls.
#[derive(Clone, Debug)]
pub enum Callback {
    /// Time passes.
    Tick,
    /// The head of a request has come. Its headers can be read from now until the filter lets it
    /// go on.
    RequestHeaders {
        /// The exchange.
        context: u32,
        /// There is no body.
        end: bool,
    },
    /// More of a request's body has come.
    RequestBody {
        /// The exchange.
        context: u32,
        /// The bytes that can be read now.
        size: usize,
        /// It is complete.
        end: bool,
    },
    /// A request's trailers have come.
    RequestTrailers {
        /// The exchange.
        context: u32,
    },
    /// The head of a response has come. Its headers can be read from now until the filter lets it
    /// go on.
    ResponseHeaders {
        /// The exchange.
        context: u32,
        /// There is no body.
        end: bool,
    },
    /// More of a response's body has come.
    ResponseBody {
        /// The exchange.
        context: u32,
        /// The bytes that can be read now.
        size: usize,
        /// It is complete.
        end: bool,
    },
    /// A stream's head has come.
    GrpcInitialMetadata {
        /// The stream.
        token: u32,
    },
    /// A stream's message has come.
    GrpcMessage {
        /// The stream.
        token: u32,
        /// The message.
        message: Vec<u8>,
    },
    /// A stream's trailers have come.
    GrpcTrailers {
        /// The stream.
        token: u32,
    },
    /// A stream has ended. Envoy keeps it until the filter gives it up; nothing more is heard of it.
    GrpcClose {
        /// The stream.
        token: u32,
        /// `grpc-status`.
        status: u32,
    },
    /// A call has ended.
    CallResponse {
        /// The call.
        token: u32,
        /// The answer; `None` if it was cut off.
        response: Option<(Headers, Vec<u8>)>,
    },
    /// An exchange is over; may the context go?
    Done {
        /// The exchange.
        context: u32,
    },
    /// An exchange is over and is written to the access log; its headers can be read once more.
    Log {
        /// The exchange.
        context: u32,
    },
    /// The context goes.
    Delete {
        /// The exchange.
        context: u32,
    },
}

impl Callback {
    /// The context whose callback it is.
    pub(crate) fn context(&self) -> u32 {
        match self {
            Callback::RequestHeaders { context, .. }
            | Callback::RequestBody { context, .. }
            | Callback::RequestTrailers { context }
            | Callback::ResponseHeaders { context, .. }
            | Callback::ResponseBody { context, .. }
            | Callback::Done { context }
            | Callback::Log { context }
            | Callback::Delete { context } => *context,
            _ => ROOT,
        }
    }
}

/// What the filter returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The exchange may go on.
    Continue,
    /// The exchange is held.
    Pause,
    /// Whether the context may go.
    Done(bool),
    /// The callback returns nothing, or the token named nothing any more.
    Nothing,
}

/// What the filter asked for, other than what is answered at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Let a held exchange go on.
    Continue {
        /// The exchange.
        context: u32,
        /// Its request, or else its response.
        request: bool,
    },
    /// Answer in place of the upstream.
    Reply {
        /// The exchange.
        context: u32,
        /// The status.
        status: u16,
        /// Headers to add.
        headers: Headers,
        /// The body.
        body: Vec<u8>,
    },
    /// Open a gRPC stream. It is the root context's, whoever asks.
    OpenStream {
        /// Names the stream from now on.
        token: u32,
        /// The context that asked.
        owner: u32,
        /// Where to.
        cluster: String,
        /// The service.
        service: String,
        /// The method.
        method: String,
    },
    /// Send a message.
    Send {
        /// The stream.
        stream: u32,
        /// The message.
        message: Vec<u8>,
        /// Nothing follows.
        end: bool,
    },
    /// Say that nothing follows.
    CloseStream {
        /// The stream.
        stream: u32,
    },
    /// Give a stream up; nothing more is heard of it.
    CancelStream {
        /// The stream.
        stream: u32,
    },
    /// Send an HTTP request. It is the root context's, whoever asks.
    Call {
        /// Names the call from now on.
        token: u32,
        /// The context that asked.
        owner: u32,
        /// Where to.
        cluster: String,
        /// The head, pseudo-headers first.
        headers: Headers,
        /// The body.
        body: Vec<u8>,
        /// How long it may take; 0: for ever.
        timeout_ms: u64,
    },
    /// Write a log line.
    Log(LogLine),
}
