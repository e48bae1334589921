//! Requests of clients.

use crate::wire::Headers;

/// What a lane asks for; all tries of it are the same, byte for byte.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// The `label`th write of its session.
    Write {
        /// Its label.
        label: u32,
        /// Its method is PUT, else POST.
        put: bool,
        /// It has a key.
        keyed: bool,
        /// Bytes of its body.
        length: usize,
    },
    /// A read.
    Read,
}

impl Asked {
    /// The headers.
    pub(super) fn headers(self, shop: u32, session: u32) -> Headers {
        let field = |name: &str, value: String| (name.to_string(), value.into_bytes());
        let (method, path) = match self {
            Asked::Write { put: true, label, .. } => ("PUT", format!("/items/{label}")),
            Asked::Write { label, .. } => ("POST", format!("/items/{label}")),
            Asked::Read => ("GET", format!("/sessions/s{session}")),
        };
        let mut headers = Vec::with_capacity(10);
        headers.push(field(":method", method.into()));
        headers.push(field(":path", path));
        headers.push(field(":authority", format!("shop-{shop}.example")));
        headers.push(field(":scheme", "http".into()));
        headers.push(field("x-session-id", format!("s{session}")));
        if let Asked::Write { label, keyed, length, .. } = self {
            headers.push(field("x-label", label.to_string()));
            headers.push(field("content-type", "application/json".into()));
            headers.push(field("content-length", length.to_string()));
            if keyed {
                headers.push(field("idempotency-key", format!("s{session}-{label}")));
            }
        }
        headers
    }

    /// The body: of the length that was drawn, and of its own for every write that has room.
    pub(super) fn body(self, session: u32) -> Vec<u8> {
        let Asked::Write { label, length, .. } = self else { return Vec::new() };
        let mut body = format!(r#"{{"label":"s{session}-{label}","pad":""#).into_bytes();
        body.resize(length.max(2).saturating_sub(2), b'x');
        body.extend_from_slice(br#""}"#);
        body.truncate(length);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_length_that_its_headers_say() {
        for length in [0, 1, 2, 5, 20, 200, 20_000] {
            let asked = Asked::Write { label: 7, put: false, keyed: true, length };
            assert_eq!(asked.body(3).len(), length);
        }
        let asked = Asked::Write { label: 7, put: false, keyed: true, length: 40 };
        let text = String::from_utf8(asked.body(3)).unwrap();
        assert_eq!(text, format!(r#"{{"label":"s3-7","pad":"{}"}}"#, "x".repeat(15)));
    }
}
