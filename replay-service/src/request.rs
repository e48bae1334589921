//! Builds the HTTP request of a delivery out of what a gateway captured.

use crate::config::Headers;
use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use protocol::{Replica, Stamp, names, pb};
use replay_log::log::Delivery;

/// Why a captured request cannot be sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The method is not a token.
    #[error("the method is not one")]
    Method,
    /// The path is not one even with its odd characters encoded.
    #[error("the path is not one")]
    Path,
    /// The stamp has characters that a header cannot carry.
    #[error("the stamp does not fit into a header")]
    Stamp,
}

/// The request of a delivery, to the listener at `authority`.
pub fn delivery(
    authority: &http::uri::Authority,
    names: &Headers,
    delivery: Delivery,
) -> Result<Request<Full<Bytes>>, Unsendable> {
    let mut request = Request::new(Full::new(Bytes::from(delivery.body)));
    *request.method_mut() =
        Method::from_bytes(delivery.method.as_bytes()).map_err(|_| Unsendable::Method)?;
    *request.uri_mut() = uri(authority, &delivery.path).ok_or(Unsendable::Path)?;
    *request.headers_mut() = headers(delivery.headers);
    address(request.headers_mut(), names, delivery.replica, &delivery.stamp)?;
    Ok(request)
}

/// A request that asks the guard of a replica whether it is there.
pub fn probe(
    authority: &http::uri::Authority,
    names: &Headers,
    replica: Replica,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri(authority, "/").unwrap_or_default();
    // The text of a probe's stamp is always a header's.
    let _ = address(request.headers_mut(), names, replica, &Stamp::Probe);
    request
}

/// Says whom the request is for, and what it is.
fn address(
    headers: &mut HeaderMap,
    names: &Headers,
    replica: Replica,
    stamp: &Stamp,
) -> Result<(), Unsendable> {
    let route = match replica {
        Replica::Primary => names::route::PRIMARY_ONLY,
        Replica::Secondary => names::route::SECONDARY_ONLY,
    };
    headers.insert(&names.route, HeaderValue::from_static(route));
    let stamp = Bytes::from(stamp.to_string());
    let stamp = HeaderValue::from_maybe_shared(stamp).map_err(|_| Unsendable::Stamp)?;
    headers.insert(&names.stamp, stamp);
    Ok(())
}

fn uri(authority: &http::uri::Authority, path: &str) -> Option<Uri> {
    let path = match path.bytes().all(is_path) {
        true => PathAndQuery::try_from(path),
        false => PathAndQuery::try_from(encode(path)),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(path.ok()?);
    Uri::from_parts(parts).ok()
}

/// Whether RFC 3986 lets a byte stand in a path or query as it is. Envoy lets more through;
/// such bytes are delivered percent-encoded, which means the same.
fn is_path(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]|^{}\"\\".contains(&b)
}

fn encode(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len() + 16), |mut out, b| {
        if is_path(b) && !b"[]|^{}\"\\".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}

/// The captured headers without those that belong to one connection (RFC 9110 7.6.1), without
/// what the client library sets itself, and without ours.
fn headers(captured: Vec<pb::Header>) -> HeaderMap {
    let named: Vec<String> = captured
        .iter()
        .filter(|h| h.name.eq_ignore_ascii_case("connection"))
        .flat_map(|h| h.value.split(|b| *b == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    let mut headers = HeaderMap::with_capacity(captured.len() + 4);
    for pb::Header { name, value } in captured {
        let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) else { continue };
        if name == ":authority" {
            headers.insert(header::HOST, value);
            continue;
        }
        // Pseudo-headers are not names either.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if !is_dropped(name.as_str()) && !named.iter().any(|n| n == name.as_str()) {
            headers.append(name, value);
        }
    }
    headers
}

fn is_dropped(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "content-length"
            | "expect"
            | "host"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    ) || name.starts_with(names::PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Number, SessionKey};

    fn header(name: &str, value: &str) -> pb::Header {
        pb::Header { name: name.into(), value: value.into() }
    }

    fn named(stamp: &'static str, route: &'static str) -> Headers {
        let [stamp, word, route] = [stamp, names::WORD, route].map(HeaderName::from_static);
        Headers { stamp, word, route }
    }

    fn built(path: &str, headers: Vec<pb::Header>) -> Request<Full<Bytes>> {
        built_with(&named(names::STAMP, names::ROUTE), path, headers)
    }

    fn built_with(names: &Headers, path: &str, headers: Vec<pb::Header>) -> Request<Full<Bytes>> {
        let number = Number { epoch: 1, seq: 1 };
        let session = SessionKey::new("s").expect("a key");
        let stamp = Stamp::Read { session: session.clone(), last: number };
        let (method, path, body) = ("POST".to_string(), path.to_string(), b"body".to_vec());
        let replica = Replica::Secondary;
        let captured = Delivery { replica, session, number, stamp, method, path, headers, body };
        let listener = "127.0.0.1:7402".parse().expect("an authority");
        delivery(&listener, names, captured).expect("a request")
    }

    #[test]
    fn a_delivery_names_its_replica_and_carries_its_stamp() {
        let request = built("/a?b=c", vec![]);
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "http://127.0.0.1:7402/a?b=c");
        assert_eq!(request.headers()["x-reprise-route"], "secondary-only");
        assert_eq!(request.headers()["x-reprise-stamp"], "v=1;kind=read;session=s;last=1.1");
    }

    #[test]
    fn a_delivery_speaks_in_the_headers_that_the_filters_were_given() {
        let renamed = named("x-trace-key", "x-wso2-cluster-header");
        let request = built_with(&renamed, "/", vec![header("x-trace-key", "spoofed")]);
        assert_eq!(request.headers()["x-wso2-cluster-header"], "secondary-only");
        let stamps: Vec<_> = request.headers().get_all("x-trace-key").iter().collect();
        assert_eq!(stamps, ["v=1;kind=read;session=s;last=1.1"]);
        assert!(request.headers().keys().all(|name| !name.as_str().starts_with(names::PREFIX)));
    }

    #[test]
    fn what_belongs_to_the_connection_or_to_us_is_not_sent_on() {
        let request = built(
            "/",
            vec![
                header(":authority", "shop.example"),
                header(":scheme", "https"),
                header("host", "other"),
                header("connection", "keep-alive, X-Hop"),
                header("x-hop", "1"),
                header("transfer-encoding", "chunked"),
                header("content-length", "999"),
                header("x-reprise-stamp", "spoofed"),
                header("accept", "a"),
                header("accept", "b"),
            ],
        );
        let names: Vec<_> = request.headers().keys().map(|k| k.as_str()).collect();
        let mut names = names.clone();
        names.sort();
        assert_eq!(names, ["accept", "host", "x-reprise-route", "x-reprise-stamp"]);
        assert_eq!(request.headers()["host"], "shop.example");
        assert_eq!(request.headers().get_all("accept").iter().count(), 2);
        assert_ne!(request.headers()["x-reprise-stamp"], "spoofed");
    }

    #[test]
    fn a_path_that_envoy_took_can_be_delivered() {
        assert_eq!(built("/a<b>`c d", vec![]).uri().path(), "/a%3Cb%3E%60c%20d");
        assert_eq!(built("/a%20b", vec![]).uri().path(), "/a%20b");
        assert_eq!(built("/{a}|b^c", vec![]).uri().path(), "/{a}|b^c");
        assert_eq!(built("/a?x=#y", vec![]).uri().query(), Some("x=%23y"));
        assert_eq!(built("/\u{e4}", vec![]).uri().path(), "/%C3%A4");
    }

    #[test]
    fn header_values_need_not_be_utf8() {
        let value = vec![0x80, 0xff];
        let request = built("/", vec![pb::Header { name: "x-raw".into(), value: value.clone() }]);
        assert_eq!(request.headers()["x-raw"].as_bytes(), value);
    }
}
