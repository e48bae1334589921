//! What goes over a connection: HTTP exchanges, gRPC streams among them, in frames.

use std::fmt;

/// A header field; pseudo-headers come first.
pub type Header = (String, Vec<u8>);
/// Header fields in order.
pub type Headers = Vec<Header>;

/// Names an exchange on its connection; chosen by the side that opened the connection.
pub type StreamNo = u64;

/// A part of an exchange, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Headers, with the first part of the body where that goes out with them.
    Head {
        /// The headers.
        headers: Headers,
        /// The beginning of the body; the whole of it if `end`.
        body: Vec<u8>,
        /// Nothing follows.
        end: bool,
    },
    /// More of the body; on a gRPC stream exactly one message.
    Data {
        /// The bytes.
        bytes: Vec<u8>,
        /// Nothing follows.
        end: bool,
    },
    /// Ends a gRPC stream in good order.
    Trailers {
        /// `grpc-status`.
        status: u32,
    },
    /// This exchange is given up; the connection lives on.
    Reset,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: &bool| if *end { " end" } else { "" };
        match self {
            Frame::Head { headers, body, end: e } => {
                let get = |name| get(headers, name).map(String::from_utf8_lossy);
                match (get(":method"), get(":path"), get(":status")) {
                    (Some(method), Some(path), _) => write!(f, "{method} {path}")?,
                    (_, _, Some(status)) => write!(f, "{status}")?,
                    _ => write!(f, "headers")?,
                }
                for name in ["idempotency-key", "x-reprise-id"] {
                    if let Some(id) = get(name) {
                        write!(f, " {id}")?;
                        break;
                    }
                }
                write!(f, " +{} B{}", body.len(), end(e))
            }
            Frame::Data { bytes, end: e } => write!(f, "data {} B{}", bytes.len(), end(e)),
            Frame::Trailers { status } => write!(f, "grpc-status {status}"),
            Frame::Reset => write!(f, "reset"),
        }
    }
}

/// The first value of a header.
pub fn get<'a>(headers: &'a [Header], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
}

/// The same, if it is text.
pub fn text<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    get(headers, name).and_then(|value| std::str::from_utf8(value).ok())
}

/// Sets a header, in place of all others of its name.
pub fn set(headers: &mut Headers, name: &str, value: impl Into<Vec<u8>>) {
    let value = value.into();
    match headers.iter().position(|(n, _)| n == name) {
        Some(at) => {
            headers[at].1 = value;
            let mut seen = false;
            headers.retain(|(n, _)| n != name || !std::mem::replace(&mut seen, true));
        }
        None => headers.push((name.to_string(), value)),
    }
}

/// Removes all headers of a name.
pub fn remove(headers: &mut Headers, name: &str) {
    headers.retain(|(n, _)| n != name);
}

/// The status of a response; 0 if it has none.
pub fn status(headers: &[Header]) -> u16 {
    text(headers, ":status").and_then(|s| s.parse().ok()).unwrap_or(0)
}
