//! Effects to host calls.
//!
//! Each effect runs in the context that it belongs to: the exchange's own, or the root's for the
//! stream and for calls. Streams and calls are bound by the SDK to the context whose callback is
//! running, which is why the core opens streams in ticks and dispatches in stream messages only.

use crate::worker::Worker;
use filter_core::effects::{Dispatch, Effect, Level};
use filter_core::http::Header;
use filter_core::reply::Reply;
use filter_core::upstream::upstream;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};
use std::collections::VecDeque;
use std::time::Duration;

/// Carries out effects in order, and those that follow from them.
pub fn all(worker: &Worker, here: u32, effects: Vec<Effect>) {
    let mut queue = VecDeque::from(effects);
    let mut context = Context { here, current: here };
    while let Some(effect) = queue.pop_front() {
        queue.extend(one(worker, &mut context, effect));
    }
    context.enter(here);
}

/// Envoy's effective context.
struct Context {
    here: u32,
    current: u32,
}

impl Context {
    /// Makes a context the effective one; false if it is gone.
    fn enter(&mut self, id: u32) -> bool {
        if self.current == id {
            return true;
        }
        if hostcalls::set_effective_context(id).is_ok() {
            self.current = id;
            return true;
        }
        if hostcalls::set_effective_context(self.here).is_ok() {
            self.current = self.here;
        }
        false
    }
}

fn one(worker: &Worker, context: &mut Context, effect: Effect) -> Vec<Effect> {
    match effect {
        Effect::SetRequestHeader(id, name, value) => {
            set_header(context, id, MapType::HttpRequestHeaders, &name, Some(&value));
        }
        Effect::RemoveRequestHeader(id, name) => {
            set_header(context, id, MapType::HttpRequestHeaders, &name, None);
        }
        Effect::SetResponseHeader(id, name, value) => {
            set_header(context, id, MapType::HttpResponseHeaders, &name, Some(&value));
        }
        Effect::RemoveResponseHeader(id, name) => {
            set_header(context, id, MapType::HttpResponseHeaders, &name, None);
        }
        Effect::DropRequestBody(id, size) => {
            if size > 0 && context.enter(id) {
                let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, size, b"");
            }
        }
        Effect::Resume(id) => {
            if context.enter(id) {
                let _ = hostcalls::resume_http_request();
            }
        }
        Effect::Reply(id, reply) => {
            if context.enter(id) {
                send_reply(&reply);
            }
        }
        Effect::OpenStream => return open(worker, context),
        Effect::Send(stream, message) => {
            let sent = context.enter(worker.root)
                && hostcalls::send_grpc_stream_message(stream, Some(&message), false).is_ok();
            if !sent {
                return follow(worker.decide(|role, cx| role.stream_closed(cx, stream)));
            }
        }
        Effect::CloseStream(stream) => {
            if context.enter(worker.root) {
                let _ = hostcalls::cancel_grpc_stream(stream);
            }
        }
        Effect::Dispatch(call) => return dispatch(worker, context, *call),
        Effect::Count(metric, by) => worker.count(metric, by),
        Effect::Log(Level::Error, text) => log::error!("{text}"),
        Effect::Log(Level::Warn, text) => log::warn!("{text}"),
        Effect::Log(Level::Info, text) => log::info!("{text}"),
    }
    Vec::new()
}

/// The effects of an event that followed from an effect.
fn follow(decided: Option<((), Vec<Effect>)>) -> Vec<Effect> {
    decided.map(|((), effects)| effects).unwrap_or_default()
}

fn set_header(context: &mut Context, id: u32, map: MapType, name: &str, value: Option<&[u8]>) {
    if context.enter(id) {
        let _ = hostcalls::set_map_value_bytes(map, name, value);
    }
}

fn send_reply(reply: &Reply) {
    let body = (!reply.body.is_empty()).then_some(reply.body.as_slice());
    let headers = as_text(&reply.headers);
    let _ = hostcalls::send_http_response(u32::from(reply.status), headers, body);
}

fn open(worker: &Worker, context: &mut Context) -> Vec<Effect> {
    let opened = worker.stream_target().filter(|_| context.enter(worker.root)).and_then(
        |(cluster, service, method)| {
            hostcalls::open_grpc_stream(&upstream(&cluster)?, service, method, Vec::new()).ok()
        },
    );
    follow(worker.decide(|role, cx| match opened {
        Some(stream) => role.stream_opened(cx, stream),
        None => role.stream_open_failed(cx),
    }))
}

fn dispatch(worker: &Worker, context: &mut Context, call: Dispatch) -> Vec<Effect> {
    let Dispatch { token, cluster, headers, body, timeout_ms } = call;
    let body = (!body.is_empty()).then_some(body.as_slice());
    let timeout = Duration::from_millis(timeout_ms);
    let sent = context.enter(worker.root)
        && match hostcalls::dispatch_http_call(&cluster, as_text(&headers), body, vec![], timeout) {
            Ok(call) => {
                worker.call_begins(call, token);
                true
            }
            Err(_) => false,
        };
    follow(worker.decide(|role, cx| role.dispatched(cx, token, sent)))
}

/// Header values as the SDK wants them. HTTP allows bytes that are not UTF-8, the host takes any
/// bytes, but two of the SDK's calls ask for `&str`.
#[allow(unsafe_code, reason = "the SDK has no form of these calls that takes bytes")]
fn as_text(headers: &[Header]) -> Vec<(&str, &str)> {
    fn text(value: &[u8]) -> &str {
        // SAFETY: proxy-wasm 0.2.5 only copies the bytes of these strings into the map that it
        // hands to the host (`utils::serialize_map`: `len`, `as_bytes`); nothing reads them as
        // text.
        unsafe { std::str::from_utf8_unchecked(value) }
    }
    headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}
