//! What an answer means to a client.

use serde::Deserialize;

/// Problem types that promise that no trace was left.
const NO_TRACE: [&str; 7] = [
    "log-unavailable",
    "log-full",
    "refused-while-cut",
    "payload-mismatch",
    "no-session",
    "invalid-id",
    "body-too-large",
];

/// How one try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Ok,
    /// With a problem type that promises that no trace was left.
    Refused(&'static str),
    /// Anything else.
    Unknown(String),
}

/// An answer of RFC 9457.
#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
}

/// Judges a complete answer.
pub(super) fn judge(status: u16, body: &[u8]) -> Answer {
    if (200..300).contains(&status) {
        return Answer::Ok;
    }
    let problem = serde_json::from_slice::<Problem<'_>>(body).ok();
    let name = problem.and_then(|p| p.kind.strip_prefix("urn:reprise:problem:"));
    match NO_TRACE.into_iter().find(|known| name == Some(known)) {
        Some(known) => Answer::Refused(known),
        None => Answer::Unknown(format!("{status} {}", name.unwrap_or_default()).trim_end().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_promises_that_no_trace_was_left_is_a_refusal() {
        assert_eq!(judge(204, b""), Answer::Ok);
        let problem = |name| format!(r#"{{"type":"urn:reprise:problem:{name}","status":503}}"#);
        assert_eq!(judge(503, problem("log-full").as_bytes()), Answer::Refused("log-full"));
        let maybe = Answer::Unknown("503 maybe-done".into());
        assert_eq!(judge(503, problem("maybe-done").as_bytes()), maybe);
        assert_eq!(judge(504, b"upstream request timeout"), Answer::Unknown("504".into()));
    }
}
