//! Answers that the filter gives itself.

use crate::http::Header;
use protocol::problem::{self, Problem};

/// An answer. `headers` holds no pseudo-header and no content-length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A status and nothing else.
    pub fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A problem (RFC 9457).
    pub fn problem(problem: Problem, detail: &str) -> Reply {
        Reply {
            status: problem.status(),
            headers: vec![("content-type".into(), problem::CONTENT_TYPE.into())],
            body: problem.body(detail),
        }
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With `retry-after`, rounded up to whole seconds.
    pub fn retry_after_ms(self, ms: u64) -> Reply {
        let seconds = ms.div_ceil(1000).max(protocol::limits::RETRY_AFTER_S);
        self.with("retry-after", seconds.to_string())
    }
}
