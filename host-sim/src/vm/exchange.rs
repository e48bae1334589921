//! Host calls about exchanges: buffers, header maps, letting go on, answering.

use super::guest::{Called, Slice, Status, call, hand_over};
use super::headers;
use super::host::{Host, Running};
use super::imports::{Imports, end, number, show};
use super::words::Action;
use wasmtime::{Caller, Error};

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.env("proxy_get_buffer_bytes", get_buffer)?;
    imports.env("proxy_set_buffer_bytes", set_buffer)?;
    imports.env("proxy_get_header_map_pairs", map_pairs)?;
    imports.env("proxy_set_header_map_pairs", set_map_pairs)?;
    imports.env("proxy_get_header_map_value", map_value)?;
    imports.env("proxy_replace_header_map_value", replace_value)?;
    imports.env("proxy_add_header_map_value", add_value)?;
    imports.env("proxy_remove_header_map_value", remove_value)?;
    imports.env("proxy_set_effective_context", effective_context)?;
    imports.env("proxy_continue_stream", continue_stream)?;
    imports.env("proxy_send_local_response", local_response)
}

/// The buffers of proxy-wasm that are there.
const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_RESPONSE_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;

/// A buffer's bytes; `None` if it cannot be read now. Where there is no body, it is empty.
fn buffer(host: &Host, kind: u32) -> Option<&[u8]> {
    let exchange = host.contexts.get(&host.context());
    match kind {
        REQUEST_BODY => Some(exchange.map_or(&[], |exchange| &exchange.request_body)),
        RESPONSE_BODY => Some(exchange.map_or(&[], |exchange| &exchange.response_body)),
        CALL_RESPONSE_BODY => host.call_response.as_ref().map(|(_, body)| body.as_slice()),
        GRPC_MESSAGE => Some(&host.grpc_message),
        VM_CONFIGURATION => Some(&[]),
        PLUGIN_CONFIGURATION => {
            (host.running == Running::Configure).then_some(host.configuration.as_slice())
        }
        _ => None,
    }
}

fn get_buffer(
    mut caller: Caller<'_, Host>,
    kind: u32,
    start: u32,
    max: u32,
    pointer_at: u32,
    size_at: u32,
) -> Called {
    let status = hand_over(&mut caller, [pointer_at, size_at], |_, host, into| {
        let buffer = buffer(host, kind).ok_or(Status::NotFound)?;
        let from = buffer.get(start as usize..).unwrap_or_default();
        into.extend_from_slice(from.get(..max as usize).unwrap_or(from));
        Ok(())
    })?;
    end(&mut caller, "proxy_get_buffer_bytes", status, |memory| {
        format!("buffer {kind}, from {start}, {} B", number(memory, size_at))
    })
}

/// As Envoy: at the beginning, over everything, or at the end; nothing in between.
fn set_buffer(
    mut caller: Caller<'_, Host>,
    kind: u32,
    start: u32,
    size: u32,
    at: u32,
    len: u32,
) -> Called {
    let status = call(&mut caller, |memory, host| {
        let bytes = Slice { at, len }.read(memory)?;
        let exchange = host.exchange().ok_or(Status::BadArgument)?;
        let body = match kind {
            REQUEST_BODY => &mut exchange.request_body,
            RESPONSE_BODY => &mut exchange.response_body,
            _ => return Err(Status::BadArgument),
        };
        let (start, size) = (start as usize, size as usize);
        match start {
            0 if size == 0 => drop(body.splice(..0, bytes.iter().copied())),
            0 if size >= body.len() => *body = bytes.to_vec(),
            _ if start > 0 && start >= body.len() => body.extend_from_slice(bytes),
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    })?;
    end(&mut caller, "proxy_set_buffer_bytes", status, |_| {
        format!("buffer {kind}, from {start}, {size} B become {len} B")
    })
}

fn map_pairs(mut caller: Caller<'_, Host>, map: u32, pointer_at: u32, size_at: u32) -> Called {
    let status = hand_over(&mut caller, [pointer_at, size_at], |_, host, into| {
        headers::all(host, map, into)
    })?;
    end(&mut caller, "proxy_get_header_map_pairs", status, |memory| {
        format!("{}, {} B", headers::name(map), number(memory, size_at))
    })
}

fn set_map_pairs(mut caller: Caller<'_, Host>, map: u32, at: u32, len: u32) -> Called {
    let status =
        call(&mut caller, |memory, host| headers::put(host, map, Slice { at, len }.read(memory)?))?;
    end(&mut caller, "proxy_set_header_map_pairs", status, |_| {
        format!("{}, {len} B", headers::name(map))
    })
}

fn map_value(
    mut caller: Caller<'_, Host>,
    map: u32,
    key_at: u32,
    key_len: u32,
    pointer_at: u32,
    size_at: u32,
) -> Called {
    let key = Slice { at: key_at, len: key_len };
    let status = hand_over(&mut caller, [pointer_at, size_at], |memory, host, into| {
        headers::value(host, map, key.read(memory)?, into)
    })?;
    end(&mut caller, "proxy_get_header_map_value", status, |memory| {
        format!("{}, {}", headers::name(map), show(memory, key))
    })
}

fn replace_value(
    caller: Caller<'_, Host>,
    map: u32,
    key_at: u32,
    key_len: u32,
    value_at: u32,
    value_len: u32,
) -> Called {
    let key = Slice { at: key_at, len: key_len };
    let value = Slice { at: value_at, len: value_len };
    set_value(caller, "proxy_replace_header_map_value", map, key, value)
}

fn add_value(
    caller: Caller<'_, Host>,
    map: u32,
    key_at: u32,
    key_len: u32,
    value_at: u32,
    value_len: u32,
) -> Called {
    let key = Slice { at: key_at, len: key_len };
    let value = Slice { at: value_at, len: value_len };
    set_value(caller, "proxy_add_header_map_value", map, key, value)
}

fn set_value(
    mut caller: Caller<'_, Host>,
    name: &str,
    map: u32,
    key: Slice,
    value: Slice,
) -> Called {
    let add = name == "proxy_add_header_map_value";
    let status = call(&mut caller, |memory, host| {
        let set = if add { headers::add } else { headers::replace };
        set(host, map, key.read(memory)?, value.read(memory)?)
    })?;
    end(&mut caller, name, status, |memory| {
        format!("{}, {}, {}", headers::name(map), show(memory, key), show(memory, value))
    })
}

fn remove_value(mut caller: Caller<'_, Host>, map: u32, key_at: u32, key_len: u32) -> Called {
    let key = Slice { at: key_at, len: key_len };
    let status = call(&mut caller, |memory, host| headers::remove(host, map, key.read(memory)?))?;
    end(&mut caller, "proxy_remove_header_map_value", status, |memory| {
        format!("{}, {}", headers::name(map), show(memory, key))
    })
}

fn effective_context(mut caller: Caller<'_, Host>, id: u32) -> Called {
    let host = caller.data_mut();
    let known = host.knows(id);
    if known {
        host.effective = id;
    }
    let status = if known { Status::Ok } else { Status::BadArgument };
    end(&mut caller, "proxy_set_effective_context", status, |_| id.to_string())
}

/// Whichever side goes on, the request's headers cannot be reached any more, as in Envoy.
fn continue_stream(mut caller: Caller<'_, Host>, side: u32) -> Called {
    let status = call(&mut caller, |_, host| {
        if side > 1 {
            return Err(Status::BadArgument);
        }
        let context = host.context();
        if let Some(exchange) = host.contexts.get_mut(&context) {
            exchange.request_headers_open = false;
            exchange.request_trailers_open = false;
            host.actions.push(Action::Continue { context, request: side == 0 });
        }
        Ok(())
    })?;
    end(&mut caller, "proxy_continue_stream", status, |_| side.to_string())
}

#[allow(clippy::too_many_arguments, reason = "the ABI's")]
fn local_response(
    mut caller: Caller<'_, Host>,
    code: u32,
    _details_at: u32,
    _details_len: u32,
    body_at: u32,
    body_len: u32,
    headers_at: u32,
    headers_len: u32,
    _grpc_status: u32,
) -> Called {
    let status = call(&mut caller, |memory, host| {
        let body = Slice { at: body_at, len: body_len }.read(memory)?.to_vec();
        let headers = Slice { at: headers_at, len: headers_len }.read(memory)?;
        let headers = headers::deserialize(headers);
        let status = u16::try_from(code).map_err(|_| Status::BadArgument)?;
        let context = host.context();
        host.replied |= context == host.current;
        if host.contexts.contains_key(&context) {
            host.actions.push(Action::Reply { context, status, headers, body });
        }
        Ok(())
    })?;
    end(&mut caller, "proxy_send_local_response", status, |_| format!("{code}, {body_len} B"))
}
