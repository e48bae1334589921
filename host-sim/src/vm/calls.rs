//! Host calls that reach other servers: gRPC streams and HTTP calls.

use super::guest::{Called, Slice, Status, call, write_u32};
use super::headers::deserialize;
use super::host::Host;
use super::imports::{Imports, end, number, show};
use super::words::Action;
use crate::wire;
use wasmtime::{Caller, Error};

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.env("proxy_grpc_stream", grpc_stream)?;
    imports.env("proxy_grpc_send", grpc_send)?;
    imports.env("proxy_grpc_close", grpc_close)?;
    imports.env("proxy_grpc_cancel", grpc_cancel)?;
    imports.env("proxy_http_call", http_call)
}

#[allow(clippy::too_many_arguments, reason = "the ABI's")]
fn grpc_stream(
    mut caller: Caller<'_, Host>,
    cluster_at: u32,
    cluster_len: u32,
    service_at: u32,
    service_len: u32,
    method_at: u32,
    method_len: u32,
    _metadata_at: u32,
    _metadata_len: u32,
    token_at: u32,
) -> Called {
    let cluster = Slice { at: cluster_at, len: cluster_len };
    let service = Slice { at: service_at, len: service_len };
    let method = Slice { at: method_at, len: method_len };
    let status = call(&mut caller, |memory, host| {
        let (cluster, service) = (text(memory, cluster)?, text(memory, service)?);
        let method = text(memory, method)?;
        let inhabited = *host.clusters.get(&cluster).ok_or(Status::ParseFailure)?;
        write_u32(memory, token_at, 0)?;
        if !inhabited {
            return Err(Status::InternalFailure);
        }
        let owner = host.context();
        let token = host.streams.open(owner);
        write_u32(memory, token_at, token)?;
        host.actions.push(Action::OpenStream { token, owner, cluster, service, method });
        Ok(())
    })?;
    end(&mut caller, "proxy_grpc_stream", status, |memory| {
        let (cluster, method) = (show(memory, cluster), show(memory, method));
        format!("{cluster}, {method}, stream {}", number(memory, token_at))
    })
}

fn grpc_send(
    mut caller: Caller<'_, Host>,
    stream: u32,
    message_at: u32,
    message_len: u32,
    last: u32,
) -> Called {
    let status = call(&mut caller, |memory, host| {
        let message = Slice { at: message_at, len: message_len }.read(memory)?.to_vec();
        if !host.streams.is_kind(stream) {
            return Err(Status::BadArgument);
        }
        let sends = host.streams.sends(stream, host.context()).ok_or(Status::NotFound)?;
        if sends {
            host.actions.push(Action::Send { stream, message, end: last != 0 });
        }
        Ok(())
    })?;
    end(&mut caller, "proxy_grpc_send", status, |_| {
        format!("stream {stream}, {message_len} B{}", if last != 0 { ", end" } else { "" })
    })
}

fn grpc_close(mut caller: Caller<'_, Host>, stream: u32) -> Called {
    let status = call(&mut caller, |_, host| {
        let context = host.context();
        if host.streams.half_close(stream, context).ok_or(Status::NotFound)? {
            host.actions.push(Action::CloseStream { stream });
        }
        Ok(())
    })?;
    end(&mut caller, "proxy_grpc_close", status, |_| format!("stream {stream}"))
}

fn grpc_cancel(mut caller: Caller<'_, Host>, stream: u32) -> Called {
    let status = call(&mut caller, |_, host| {
        let context = host.context();
        host.streams.cancel(stream, context).ok_or(Status::NotFound)?;
        host.actions.push(Action::CancelStream { stream });
        Ok(())
    })?;
    end(&mut caller, "proxy_grpc_cancel", status, |_| format!("stream {stream}"))
}

#[allow(clippy::too_many_arguments, reason = "the ABI's")]
fn http_call(
    mut caller: Caller<'_, Host>,
    cluster_at: u32,
    cluster_len: u32,
    headers_at: u32,
    headers_len: u32,
    body_at: u32,
    body_len: u32,
    _trailers_at: u32,
    _trailers_len: u32,
    timeout_ms: u32,
    token_at: u32,
) -> Called {
    let cluster = Slice { at: cluster_at, len: cluster_len };
    let status = call(&mut caller, |memory, host| {
        let cluster = text(memory, cluster)?;
        let body = Slice { at: body_at, len: body_len }.read(memory)?.to_vec();
        let mut headers = deserialize(Slice { at: headers_at, len: headers_len }.read(memory)?);
        write_u32(memory, token_at, 0)?;
        let complete = [":path", ":method", ":authority"]
            .iter()
            .all(|name| wire::get(&headers, name).is_some());
        let timeout_ok = timeout_ms <= i32::MAX as u32;
        let inhabited = *host.clusters.get(&cluster).ok_or(Status::BadArgument)?;
        if !complete || !timeout_ok {
            return Err(Status::BadArgument);
        }
        if !inhabited {
            return Err(Status::InternalFailure);
        }
        if !body.is_empty() {
            wire::set(&mut headers, "content-length", body.len().to_string());
        }
        let (token, owner) = (host.calls.open(), host.context());
        write_u32(memory, token_at, token)?;
        let timeout_ms = timeout_ms.into();
        host.actions.push(Action::Call { token, owner, cluster, headers, body, timeout_ms });
        Ok(())
    })?;
    end(&mut caller, "proxy_http_call", status, |memory| {
        let (cluster, token) = (show(memory, cluster), number(memory, token_at));
        format!("{cluster}, {body_len} B, {timeout_ms} ms, call {token}")
    })
}

fn text(memory: &[u8], slice: Slice) -> Result<String, Status> {
    Ok(String::from_utf8_lossy(slice.read(memory)?).into_owned())
}
