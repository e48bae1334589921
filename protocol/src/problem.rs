//! Errors that clients see: `application/problem+json` (RFC 9457) with stable types.

use serde_json::json;

/// The media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A kind of problem; its `type` is `urn:reprise:problem:<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request names no session.
    NoSession,
    /// The session key or the write's id is not valid.
    InvalidId,
    /// A client sent one of our own headers, and the gateway is strict.
    ReservedHeader,
    /// The body is over the limit.
    BodyTooLarge,
    /// The id is known with another payload.
    PayloadMismatch,
    /// The replay service cannot take the write; it has left no trace.
    LogUnavailable,
    /// The log has no room; the write has left no trace.
    LogFull,
    /// The route refuses writes while the primary is cut off; the write has left no trace.
    RefusedWhileCut,
    /// Nobody knows yet whether the write ran; it is in the log and will be settled at both.
    MaybeDone,
    /// Neither replica can answer a read of this session now.
    ReadUnavailable,
    /// A write without a number came to a guard.
    Unnumbered,
    /// The number of the write does not fit what the guard knows.
    NumberConflict,
    /// The replica cannot run the write now; it did not run.
    NotRun,
}

impl Problem {
    /// HTTP status, name in the type URN, title.
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Problem::NoSession => (400, "no-session", "The request names no session"),
            Problem::InvalidId => (400, "invalid-id", "The session key or write id is not valid"),
            Problem::ReservedHeader => {
                (400, "reserved-header", "The request carries a reserved header")
            }
            Problem::BodyTooLarge => {
                (413, "body-too-large", "The body is larger than this route takes")
            }
            Problem::PayloadMismatch => {
                (422, "payload-mismatch", "The idempotency key was used with another payload")
            }
            Problem::LogUnavailable => (503, "log-unavailable", "The write could not be recorded"),
            Problem::LogFull => (503, "log-full", "The replay log is full"),
            Problem::RefusedWhileCut => {
                (503, "refused-while-cut", "This route is closed while the primary is cut off")
            }
            Problem::MaybeDone => {
                (503, "maybe-done", "The write is recorded and its result is not known yet")
            }
            Problem::ReadUnavailable => {
                (503, "read-unavailable", "No replica can answer this read now")
            }
            Problem::Unnumbered => {
                (400, "unnumbered-write", "A write without a number came to a guard")
            }
            Problem::NumberConflict => {
                (409, "number-conflict", "The number of the write does not fit")
            }
            Problem::NotRun => (503, "not-run", "The replica cannot run the write now"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.parts().0
    }

    /// The `type` URN.
    pub fn urn(self) -> String {
        format!("urn:reprise:problem:{}", self.parts().1)
    }

    /// The body: type, title, status, detail.
    pub fn body(self, detail: &str) -> Vec<u8> {
        let (status, _, title) = self.parts();
        let value = json!({"type": self.urn(), "title": title, "status": status, "detail": detail});
        value.to_string().into_bytes()
    }
}
