//! The root context: configuration, time, the stream and the calls of one worker.

use crate::exchange::ExchangeContext;
use crate::host::{buffer, headers};
use crate::role::Role;
use crate::worker::Worker;
use filter_core::{config, limits::TICK_MS};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, MapType};
use std::rc::Rc;
use std::time::Duration;

pub struct Root {
    id: u32,
    worker: Option<Rc<Worker>>,
}

impl Root {
    pub fn new(id: u32) -> Root {
        Root { id, worker: None }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, fields: usize, size: usize, _: usize) {
        let Some(worker) = &self.worker else { return };
        let Some(token) = worker.call_ends(call) else {
            return;
        };
        let headers =
            if fields == 0 { Vec::new() } else { headers(MapType::HttpCallResponseHeaders) };
        let body =
            if size == 0 { Vec::new() } else { buffer(BufferType::HttpCallResponseBody, size) };
        worker.event(self.id, |role, cx| role.call_ended(cx, token, headers, body));
    }

    fn on_grpc_stream_message(&mut self, stream: u32, size: usize) {
        let Some(worker) = &self.worker else { return };
        let message = buffer(BufferType::GrpcReceiveBuffer, size);
        worker.event(self.id, |role, cx| role.stream_message(cx, stream, &message));
    }

    fn on_grpc_stream_close(&mut self, stream: u32, _: u32) {
        let Some(worker) = &self.worker else { return };
        worker.event(self.id, |role, cx| role.stream_closed(cx, stream));
        // Envoy keeps a stream that the other side closed until this side gives it up too: a link
        // that is away for a week would leave a million of them.
        let _ = hostcalls::cancel_grpc_stream(stream);
    }
}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn on_configure(&mut self, size: usize) -> bool {
        #[cfg(feature = "mutants")]
        if let Ok(name) = std::env::var(protocol::mutants::VARIABLE)
            && let Err(problem) = protocol::mutants::select(&name)
        {
            log::error!("{problem}");
            return false;
        }
        let json = buffer(BufferType::PluginConfiguration, size);
        match config::parse(&json, |name| std::env::var(name).ok()) {
            Ok(config) => {
                self.worker = Some(Rc::new(Worker::new(self.id, Role::new(config))));
                hostcalls::set_tick_period(Duration::from_millis(TICK_MS)).is_ok()
            }
            Err(problems) => {
                for problem in problems {
                    log::error!("plugin configuration: {problem}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        #[cfg(feature = "panic-on-demand")]
        crate::panics::at_tick();
        if let Some(worker) = &self.worker {
            worker.event(self.id, |role, cx| role.tick(cx));
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(ExchangeContext::new(id, self.worker.clone())))
    }
}
