//! Callbacks: what Envoy prepares for each, and what it makes of the answer.

use super::exports::Exports;
use super::host::{Host, Running};
use super::words::{Answer, Callback};
use super::{ContextData, ROOT};
use crate::wire::Headers;
use wasmtime::{Result, Store};

/// Runs one callback.
pub(super) fn run(
    store: &mut Store<Host>,
    exports: &Exports,
    callback: Callback,
) -> Result<Answer> {
    match callback {
        Callback::Tick => exports.tick.call(store, ROOT).map(|()| Answer::Nothing),
        Callback::RequestHeaders { context, end } => {
            with_map(store, context, Part::RequestHeaders, |store, count| {
                exports.request_headers.call(store, (context, count, end.into()))
            })
        }
        Callback::RequestBody { context, size, end } => {
            let arguments = (context, size as u32, end.into());
            let paused = exports.request_body.call(&mut *store, arguments)?;
            Ok(answer(store, paused))
        }
        Callback::RequestTrailers { context } => {
            with_map(store, context, Part::RequestTrailers, |store, count| {
                exports.request_trailers.call(store, (context, count))
            })
        }
        Callback::ResponseHeaders { context, end } => {
            with_map(store, context, Part::ResponseHeaders, |store, count| {
                exports.response_headers.call(store, (context, count, end.into()))
            })
        }
        Callback::ResponseBody { context, size, end } => {
            let arguments = (context, size as u32, end.into());
            let paused = exports.response_body.call(&mut *store, arguments)?;
            Ok(answer(store, paused))
        }
        Callback::Done { context } => {
            exports.done.call(store, context).map(|done| Answer::Done(done != 0))
        }
        Callback::Log { context } => {
            store.data_mut().running = Running::Log;
            exports.log.call(&mut *store, context)?;
            store.data_mut().running = Running::Other;
            Ok(Answer::Nothing)
        }
        Callback::Delete { context } => {
            exports.delete.call(&mut *store, context)?;
            store.data_mut().contexts.remove(&context);
            Ok(Answer::Nothing)
        }
        Callback::CallResponse { token, response } => {
            if store.data_mut().calls.close(token) {
                call_ended(store, exports, token, response)?;
            }
            Ok(Answer::Nothing)
        }
        Callback::GrpcInitialMetadata { token }
        | Callback::GrpcMessage { token, .. }
        | Callback::GrpcTrailers { token }
        | Callback::GrpcClose { token, .. } => {
            if store.data().streams.lives(token) {
                stream(store, exports, callback)?;
            }
            Ok(Answer::Nothing)
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
}

/// A map and whether the filter can reach it.
fn part(data: &mut ContextData, part: Part) -> (&Headers, &mut bool) {
    match part {
        Part::RequestHeaders => (&data.request_headers, &mut data.request_headers_open),
        Part::RequestTrailers => (&data.request_trailers, &mut data.request_trailers_open),
        Part::ResponseHeaders => (&data.response_headers, &mut data.response_headers_open),
    }
}

/// Opens a map for a callback, and closes it if the exchange goes on.
fn with_map(
    store: &mut Store<Host>,
    context: u32,
    map: Part,
    call: impl FnOnce(&mut Store<Host>, u32) -> Result<u32>,
) -> Result<Answer> {
    let mut count = 0;
    if let Some(data) = store.data_mut().contexts.get_mut(&context) {
        let (headers, open) = part(data, map);
        *open = true;
        count = headers.len();
    }
    let paused = call(store, count as u32)?;
    let answer = answer(store, paused);
    if answer == Answer::Continue
        && let Some(data) = store.data_mut().contexts.get_mut(&context)
    {
        *part(data, map).1 = false;
    }
    Ok(answer)
}

/// After its own reply nothing goes on, whatever the filter returned.
fn answer(store: &Store<Host>, paused: u32) -> Answer {
    if paused != 0 || store.data().replied { Answer::Pause } else { Answer::Continue }
}

fn call_ended(
    store: &mut Store<Host>,
    exports: &Exports,
    token: u32,
    response: Option<(Headers, Vec<u8>)>,
) -> Result<()> {
    let (fields, size) = response.as_ref().map_or((0, 0), |(h, body)| (h.len(), body.len()));
    store.data_mut().call_response = response;
    let arguments = (ROOT, token, fields as u32, size as u32, 0);
    exports.http_call_response.call(&mut *store, arguments)?;
    store.data_mut().call_response = None;
    Ok(())
}

fn stream(store: &mut Store<Host>, exports: &Exports, callback: Callback) -> Result<()> {
    match callback {
        Callback::GrpcInitialMetadata { token } => {
            exports.grpc_initial_metadata.call(store, (ROOT, token, 0))
        }
        Callback::GrpcMessage { token, message } => {
            let size = message.len() as u32;
            store.data_mut().grpc_message = message;
            exports.grpc_receive.call(&mut *store, (ROOT, token, size))?;
            store.data_mut().grpc_message = Vec::new();
            Ok(())
        }
        Callback::GrpcTrailers { token } => {
            exports.grpc_trailing_metadata.call(store, (ROOT, token, 0))
        }
        Callback::GrpcClose { token, status } => {
            exports.grpc_close.call(&mut *store, (ROOT, token, status))?;
            store.data_mut().streams.end(token);
            Ok(())
        }
        _ => Ok(()),
    }
}
