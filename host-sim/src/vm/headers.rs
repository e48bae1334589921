//! Header maps: which one a host call means, and their form on the wire.

use super::guest::{Answered, Status};
use super::host::{Host, Running};
use crate::wire::{self, Header, Headers};

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const CALL_RESPONSE_HEADERS: u32 = 6;
/// The last map that proxy-wasm names.
const LAST: u32 = 7;

/// The name of a map.
pub(super) fn name(map: u32) -> &'static str {
    match map {
        REQUEST_HEADERS => "request headers",
        REQUEST_TRAILERS => "request trailers",
        RESPONSE_HEADERS => "response headers",
        3 => "response trailers",
        4 => "initial metadata",
        5 => "trailing metadata",
        CALL_RESPONSE_HEADERS => "call headers",
        7 => "call trailers",
        _ => "no map",
    }
}

/// A map to read; `None` if it cannot be read now.
fn readable(host: &Host, map: u32) -> Option<&[Header]> {
    if map == CALL_RESPONSE_HEADERS {
        return host.call_response.as_ref().map(|(headers, _)| headers.as_slice());
    }
    let exchange = host.contexts.get(&host.context())?;
    let log = host.running == Running::Log;
    let (headers, open) = match map {
        REQUEST_HEADERS => (&exchange.request_headers, exchange.request_headers_open || log),
        REQUEST_TRAILERS => (&exchange.request_trailers, exchange.request_trailers_open && !log),
        RESPONSE_HEADERS => (&exchange.response_headers, exchange.response_headers_open || log),
        _ => return None,
    };
    open.then_some(headers.as_slice())
}

/// A map to change; `None` if it cannot be changed now.
fn changeable(host: &mut Host, map: u32) -> Option<&mut Headers> {
    let exchange = host.exchange()?;
    let (headers, open) = match map {
        REQUEST_HEADERS => (&mut exchange.request_headers, exchange.request_headers_open),
        REQUEST_TRAILERS => (&mut exchange.request_trailers, exchange.request_trailers_open),
        RESPONSE_HEADERS => (&mut exchange.response_headers, exchange.response_headers_open),
        _ => return None,
    };
    open.then_some(headers)
}

/// Appends a whole map. One that cannot be read has nothing in it; only single values say so.
pub(super) fn all(host: &Host, map: u32, into: &mut Vec<u8>) -> Answered {
    if map > LAST {
        return Err(Status::BadArgument);
    }
    let headers = readable(host, map).unwrap_or_default();
    if !headers.is_empty() {
        serialize(headers, into);
    }
    Ok(())
}

/// Appends the first value of a header.
pub(super) fn value(host: &Host, map: u32, key: &[u8], into: &mut Vec<u8>) -> Answered {
    let headers = readable(host, map).ok_or(Status::BadArgument)?;
    let found = headers.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(key));
    let (_, value) = found.ok_or(Status::NotFound)?;
    into.extend_from_slice(value);
    Ok(())
}

/// Sets a header in place of all others of its name.
pub(super) fn replace(host: &mut Host, map: u32, key: &[u8], value: &[u8]) -> Answered {
    let headers = changeable(host, map).ok_or(Status::BadArgument)?;
    wire::set(headers, &lower(key), value);
    Ok(())
}

/// Adds a header beside others of its name.
pub(super) fn add(host: &mut Host, map: u32, key: &[u8], value: &[u8]) -> Answered {
    let headers = changeable(host, map).ok_or(Status::BadArgument)?;
    headers.push((lower(key), value.to_vec()));
    Ok(())
}

/// Removes all headers of a name.
pub(super) fn remove(host: &mut Host, map: u32, key: &[u8]) -> Answered {
    let headers = changeable(host, map).ok_or(Status::BadArgument)?;
    headers.retain(|(name, _)| !name.as_bytes().eq_ignore_ascii_case(key));
    Ok(())
}

/// Puts other headers in place of a whole map.
pub(super) fn put(host: &mut Host, map: u32, serialized: &[u8]) -> Answered {
    let headers = changeable(host, map).ok_or(Status::BadArgument)?;
    *headers = deserialize(serialized);
    Ok(())
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

fn serialize(headers: &[Header], into: &mut Vec<u8>) {
    let number = |n: usize, into: &mut Vec<u8>| into.extend((n as u32).to_le_bytes());
    number(headers.len(), into);
    for (name, value) in headers {
        number(name.len(), into);
        number(value.len(), into);
    }
    for (name, value) in headers {
        into.extend_from_slice(name.as_bytes());
        into.push(0);
        into.extend_from_slice(value);
        into.push(0);
    }
}

/// Reads a map; what is no map is an empty one.
pub(super) fn deserialize(bytes: &[u8]) -> Headers {
    read_map(bytes).unwrap_or_default()
}

fn read_map(bytes: &[u8]) -> Option<Headers> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let count = number(0)?;
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    if at > bytes.len() {
        return None;
    }
    let mut text = |len: usize| {
        let text = bytes.get(at..at.checked_add(len)?)?;
        at += len + 1;
        Some(text)
    };
    let mut headers = Headers::with_capacity(count);
    for n in 0..count {
        let (name, value) = (number(4 + 8 * n)?, number(8 + 8 * n)?);
        headers.push((lower(text(name)?), text(value)?.to_vec()));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_as_it_was_written() {
        let headers: Headers = vec![
            (":method".into(), b"GET".to_vec()),
            ("empty".into(), vec![]),
            ("x".into(), vec![0xff, 0]),
        ];
        let mut bytes = Vec::new();
        serialize(&headers, &mut bytes);
        assert_eq!(deserialize(&bytes), headers);
    }

    #[test]
    fn what_is_cut_off_is_no_map() {
        let mut bytes = Vec::new();
        serialize(&[("name".into(), b"value".to_vec())], &mut bytes);
        for len in 0..bytes.len() - 1 {
            assert_eq!(deserialize(&bytes[..len]), [], "{len} bytes");
        }
        assert_eq!(deserialize(&[0xff; 64]), []);
    }
}
