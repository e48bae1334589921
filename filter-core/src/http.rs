//! Header lists: lookup, and what must not travel on.

/// A field or pseudo-header, lower case, with the bytes of its value.
pub type Header = (String, Vec<u8>);

/// The first value of a header.
pub fn first<'a>(headers: &'a [Header], name: &str) -> Option<&'a [u8]> {
    all(headers, name).next()
}

/// All values of a header, in order.
pub fn all<'a>(headers: &'a [Header], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_slice())
}

/// The first value of a header, if it is UTF-8.
pub fn text<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    first(headers, name).and_then(|v| std::str::from_utf8(v).ok())
}

/// A header comes several times with different values, or is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// The one value of a header, without spaces around it.
pub fn only<'a>(headers: &'a [Header], name: &str) -> Result<Option<&'a str>, Ambiguous> {
    let mut values = all(headers, name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.any(|v| v != value) {
        return Err(Ambiguous);
    }
    std::str::from_utf8(value).map(|v| Some(v.trim())).map_err(|_| Ambiguous)
}

/// The path without its query.
pub fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Fields that belong to one connection (RFC 9110 7.6.1), and those that describe a framing
/// which the next hop makes anew.
const HOP: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Removes pseudo-headers except those in `keep`, hop-by-hop fields, what the `connection` field
/// names, and whatever `ours` says.
pub fn strip(headers: &mut Vec<Header>, keep: &[&str], ours: impl Fn(&str) -> bool) {
    let named: Vec<String> = all(headers, "connection")
        .filter_map(|v| std::str::from_utf8(v).ok())
        .flat_map(|v| v.split(','))
        .map(|v| v.trim().to_ascii_lowercase())
        .collect();
    headers.retain(|(name, _)| {
        if name.starts_with(':') {
            return keep.contains(&name.as_str());
        }
        !HOP.contains(&name.as_str()) && !named.contains(name) && !ours(name)
    });
}

/// Whether a status ends an exchange: neither interim nor out of three digits.
pub fn is_final(status: u16) -> bool {
    (200..=999).contains(&status)
}

/// A decimal content-length.
pub fn content_length(headers: &[Header]) -> Option<u64> {
    text(headers, "content-length").and_then(|v| v.trim().parse().ok())
}

/// Whether the request asks for a tunnel or another protocol: CONNECT (plain or extended) or an
/// `upgrade` field.
pub fn is_upgrade(headers: &[Header]) -> bool {
    first(headers, ":method") == Some(b"CONNECT") || first(headers, "upgrade").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn hop_by_hop_fields_and_what_connection_names_do_not_travel_on() {
        let mut list = headers(&[
            (":method", "POST"),
            (":authority", "shop"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("x-ours", "1"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        strip(&mut list, &[":authority"], |n| n == "x-ours");
        let names: Vec<_> = list.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, [":authority", "set-cookie", "set-cookie"]);
    }

    #[test]
    fn a_header_that_comes_twice_with_different_values_is_not_taken() {
        let list = headers(&[("a", "1"), ("a", "2"), ("b", "1"), ("b", "1")]);
        assert_eq!(only(&list, "a"), Err(Ambiguous));
        assert_eq!(only(&list, "b"), Ok(Some("1")));
        assert_eq!(only(&list, "c"), Ok(None));
    }

    #[test]
    fn connect_and_upgrade_are_told_from_plain_requests() {
        assert!(is_upgrade(&headers(&[(":method", "CONNECT")])));
        assert!(is_upgrade(&headers(&[(":method", "GET"), ("upgrade", "websocket")])));
        assert!(!is_upgrade(&headers(&[(":method", "GET")])));
    }
}
