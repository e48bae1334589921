//! A request as people write it down, and what became of it.

use crate::try_request::{Request, Shown};
use crate::wire::{self, Headers};
use std::fmt::Write as _;

/// A request from its parts; a header is `name: value`.
pub fn parts(
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
    let mut named = Headers::new();
    for header in headers {
        let header = header.as_ref();
        let parts = header.split_once(':').filter(|(name, _)| token(name));
        let Some((name, value)) = parts else {
            return Err(format!("expected a header as 'name: value', found {header:?}"));
        };
        match name.to_ascii_lowercase().as_str() {
            "host" => named.insert(0, (":authority".to_string(), value.trim().into())),
            // It follows from the body.
            "content-length" => {}
            name => named.push((name.to_string(), value.trim().into())),
        }
    }
    if !body.is_empty() {
        named.push(("content-length".to_string(), body.len().to_string().into()));
    }
    let (method, path) = (method.to_string(), path.to_string());
    Ok(Request { method, path, headers: named, body: body.into() })
}

/// A request from HTTP/1.1 text: a request line, headers, an empty line, a body.
pub fn parse(text: &str) -> Result<Request, String> {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<&str> = lines.collect();
    parts(method, path, &headers, body)
}

/// What became of it, for a terminal.
pub fn show(request: &Request, shown: &Shown) -> String {
    let mut text = String::from("what happened\n");
    for line in &shown.trace {
        let _ = writeln!(text, "  {line}");
    }
    for (replica, headers) in &shown.at_services {
        let _ = writeln!(text, "\nthe service of the {replica} got");
        for (name, value) in headers {
            let sent = match name.as_str() {
                ":method" => request.method == text_of(value),
                ":path" => request.path == text_of(value),
                name => wire::get(&request.headers, name) == Some(value.as_slice()),
            };
            let mark = if sent { ' ' } else { '+' };
            let _ = writeln!(text, "{mark} {name}: {}", text_of(value));
        }
        for (name, _) in &request.headers {
            if wire::get(headers, name).is_none() {
                let _ = writeln!(text, "- {name}");
            }
        }
    }
    if shown.at_services.is_empty() {
        text.push_str("\nno service got it\n");
    }
    let Some(answer) = &shown.answer else {
        text.push_str("\nthe client got no answer\n");
        return text;
    };
    let ms = shown.took_us as f64 / 1000.0;
    let _ = writeln!(text, "\nthe client got, after {ms:.2} ms");
    for (name, value) in answer {
        let _ = writeln!(text, "  {name}: {}", text_of(value));
    }
    if !shown.body.is_empty() {
        let _ = writeln!(text, "\n{}", text_of(&shown.body).trim_end());
    }
    text
}

fn text_of(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_from_http_text() {
        let read =
            parse("PUT /a?b HTTP/1.1\r\nHost: shop\r\nX-Id: 7\r\nContent-Length: 99\r\n\r\n{}\n");
        let request = read.expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/a?b"));
        let get = |name| wire::text(&request.headers, name);
        assert_eq!((get(":authority"), get("x-id")), (Some("shop"), Some("7")));
        assert_eq!((get("content-length"), request.body.as_slice()), (Some("3"), &b"{}\n"[..]));
    }

    #[test]
    fn the_same_request_can_be_given_in_parts() {
        let text = parse("POST / HTTP/1.1\nx-session-id: s\n\nhello").expect("a request");
        let parts = parts("POST", "/", &["X-Session-Id: s"], "hello").expect("a request");
        assert_eq!((parts.headers, parts.body), (text.headers, text.body));
    }

    #[test]
    fn what_is_no_request_is_said_so() {
        let problem = |text| parse(text).expect_err("no request");
        assert!(problem("").contains("expected a method and a path"));
        assert!(problem("GET shop\n\n").contains("found GET shop"));
        assert!(problem("GET / HTTP/1.1\nx\n\n").contains("expected a header as 'name: value'"));
    }

    #[test]
    fn what_the_filter_added_and_removed_is_marked() {
        let request = parts("GET", "/", &["a: 1", "b: 2"], "").expect("a request");
        let header = |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
        let at = vec![header(":path", "/"), header("a", "1"), header("x-reprise-stamp", "s")];
        let shown = Shown { at_services: vec![("primary".into(), at)], ..Shown::default() };
        let text = show(&request, &shown);
        let expected =
            "got\n  :path: /\n  a: 1\n+ x-reprise-stamp: s\n- b\n\nthe client got no answer\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
