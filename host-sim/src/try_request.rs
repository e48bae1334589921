//! One request through the filter, by hand: as text, and what became of it.

use crate::vm::Filter;
use crate::wire::Headers;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Pseudo-headers first.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A request from its parts; a header is `name: value`.
pub fn request(
    method: &str,
    path: &str,
    headers: &[impl AsRef<str>],
    body: &str,
) -> Result<Request, String> {
    let token = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    if !token(method) || !token(path) || !path.starts_with('/') {
        return Err(format!(
            "expected a method and a path, as POST /orders, found {method} {path}"
        ));
    }
    let mut authority = "localhost".to_string();
    let mut named = Headers::new();
    for header in headers {
        let header = header.as_ref();
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        if !token(name) || !header.contains(':') {
            return Err(format!("expected a header as 'name: value', found {header:?}"));
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => authority = value.trim().to_string(),
            // As Envoy counts it: the body says how long it is.
            "content-length" => {}
            name => named.push((name.to_string(), value.trim().into())),
        }
    }
    let mut all: Headers = [
        (":method", method),
        (":path", path),
        (":authority", authority.as_str()),
        (":scheme", "http"),
    ]
    .map(|(name, value)| (name.to_string(), value.into()))
    .into();
    all.extend(named);
    if !body.is_empty() {
        all.push(("content-length".to_string(), body.len().to_string().into()));
    }
    Ok(Request { headers: all, body: body.into() })
}

/// A request from HTTP/1.1 text: a request line, headers, an empty line, a body.
pub fn parse(text: &str) -> Result<Request, String> {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<&str> = lines.collect();
    request(method, path, &headers, body)
}

/// Sends it through the filter with this plugin configuration, and tells what happens. `Err`
/// where the configuration is refused, in the lines that Envoy's log would show.
pub fn try_request(_filter: &Filter, _config: &str, _request: &Request) -> Result<String, String> {
    Err("try".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::text;

    #[test]
    fn a_request_is_read_from_http_text() {
        let read =
            parse("PUT /a?b HTTP/1.1\r\nHost: shop\r\nX-Id: 7\r\nContent-Length: 99\r\n\r\n{}\n");
        let request = read.expect("a request");
        let get = |name| text(&request.headers, name);
        assert_eq!((get(":method"), get(":path")), (Some("PUT"), Some("/a?b")));
        assert_eq!((get(":authority"), get("x-id")), (Some("shop"), Some("7")));
        assert_eq!((get("content-length"), request.body), (Some("3"), b"{}\n".to_vec()));
    }

    #[test]
    fn the_same_request_can_be_given_in_parts() {
        let text = parse("POST / HTTP/1.1\nx-session-id: s\n\nhello").expect("a request");
        assert_eq!(request("POST", "/", &["X-Session-Id: s"], "hello"), Ok(text));
    }

    #[test]
    fn what_is_no_request_is_said_so() {
        assert!(parse("").is_err_and(|problem| problem.contains("expected a method and a path")));
        assert!(parse("GET shop\n\n").is_err());
        let header = request("GET", "/", &["x"], "");
        assert_eq!(header, Err("expected a header as 'name: value', found \"x\"".into()));
    }
}
