//! The root context: ticks, streams and calls.

use crate::exchange::Exchange;
use crate::ops::run;
use crate::raw::{self, Buffer, Map};
use crate::vm::{self, note};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::time::Duration;

/// Between two ticks.
const TICK: Duration = Duration::from_millis(10);

pub struct Root;

impl Root {
    pub fn new(id: u32) -> Root {
        vm::with(|vm| vm.root = id);
        Root
    }
}

/// Notes something that happened on a stream and carries out what the script has for it.
fn on_stream(stream: u32, phase: &str, seen: String) {
    if let Some(case) = vm::with(|vm| vm.streams.get(&stream).cloned()) {
        note(&case, seen);
        run(&case, phase);
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, _: usize) {
        let Some(case) = vm::with(|vm| vm.calls.remove(&call)) else { return };
        let status = raw::header(Map::CallResponse, ":status").unwrap_or_default();
        let status = if headers == 0 { "no-headers".to_string() } else { status };
        let text = raw::buffer(Buffer::CallResponse, 0, body).unwrap_or_default();
        // The wording of Envoy's own answers is its own.
        let text = if text.len() > 20 { "long".to_string() } else { printed(&text) };
        note(&case, format!("call({status},{text})"));
        run(&case, "call");
    }

    fn on_grpc_stream_initial_metadata(&mut self, stream: u32, _: u32) {
        on_stream(stream, "initial", "initial".to_string());
    }

    fn on_grpc_stream_message(&mut self, stream: u32, size: usize) {
        let text = raw::buffer(Buffer::GrpcReceive, 0, size).unwrap_or_default();
        on_stream(stream, "message", format!("message({})", printed(&text)));
    }

    fn on_grpc_stream_trailing_metadata(&mut self, stream: u32, _: u32) {
        on_stream(stream, "trailing", "trailing".to_string());
    }

    fn on_grpc_stream_close(&mut self, stream: u32, status: u32) {
        on_stream(stream, "close", format!("close({status})"));
    }
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(' ', "_")
}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn on_configure(&mut self, _: usize) -> bool {
        proxy_wasm::hostcalls::set_tick_period(TICK).is_ok()
    }

    fn on_tick(&mut self) {
        for (case, phase) in vm::with(|vm| std::mem::take(&mut vm.later)) {
            note(&case, "tick");
            run(&case, &phase);
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange::new(id)))
    }
}
