//! Builds the request of a delivery out of what a gateway captured.

use super::config::HeaderNames;
use crate::wire::{Frame, Headers};
use protocol::{Replica, Stamp, names, pb};
use replay_log::log::Delivery;

/// The delivery listener of Envoy, as who asks names it where the client did not.
const LISTENER: &str = "127.0.0.1:7402";

/// The request of a delivery.
pub fn delivery(names: &HeaderNames, delivery: Delivery) -> Frame {
    let Delivery { replica, stamp, method, path, headers: captured, body, .. } = delivery;
    let authority = captured.iter().find(|h| h.name == ":authority").map(|h| h.value.clone());
    let mut headers = pseudo(method, path, authority);
    append(&mut headers, captured, names);
    headers.push(("content-length".into(), body.len().to_string().into_bytes()));
    address(&mut headers, names, replica, &stamp);
    Frame::Head { headers, body, end: true }
}

/// A request that asks the guard of a replica whether it is there.
pub fn probe(names: &HeaderNames, replica: Replica) -> Frame {
    let mut headers = pseudo("GET".into(), "/".into(), None);
    address(&mut headers, names, replica, &Stamp::Probe);
    Frame::Head { headers, body: Vec::new(), end: true }
}

fn pseudo(method: String, path: String, authority: Option<Vec<u8>>) -> Headers {
    vec![
        (":method".into(), method.into_bytes()),
        (":path".into(), path.into_bytes()),
        (":authority".into(), authority.unwrap_or_else(|| LISTENER.into())),
        (":scheme".into(), b"http".to_vec()),
    ]
}

/// Says whom the request is for, and what it is.
fn address(headers: &mut Headers, names: &HeaderNames, replica: Replica, stamp: &Stamp) {
    let route = match replica {
        Replica::Primary => names::route::PRIMARY_ONLY,
        Replica::Secondary => names::route::SECONDARY_ONLY,
    };
    headers.push((names.route.clone(), route.into()));
    headers.push((names.stamp.clone(), stamp.to_string().into_bytes()));
}

/// The captured headers without those that belong to one connection (RFC 9110 7.6.1), without
/// what the client library sets itself, and without ours.
fn append(headers: &mut Headers, captured: Vec<pb::Header>, names: &HeaderNames) {
    let named: Vec<String> = captured
        .iter()
        .filter(|h| h.name == "connection")
        .flat_map(|h| h.value.split(|b| *b == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    for pb::Header { name, value } in captured {
        let ours = [&names.stamp, &names.route].contains(&&name);
        if !ours && !is_dropped(&name) && !named.contains(&name) {
            headers.push((name, value));
        }
    }
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
    ) || name.starts_with(':')
        || name.starts_with(names::PREFIX)
}
