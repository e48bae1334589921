//! The HTTP context: one exchange.

use crate::host::{buffer, headers};
use crate::worker::Worker;
use filter_core::effects::Flow;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use std::rc::Rc;

/// The most that is read of a buffer whose size was not told, bytes; limits are far below.
const ALL: usize = 1 << 30;

pub struct ExchangeContext {
    id: u32,
    /// `None` if the plugin is not configured: nothing may pass then.
    worker: Option<Rc<Worker>>,
}

impl ExchangeContext {
    pub fn new(id: u32, worker: Option<Rc<Worker>>) -> ExchangeContext {
        ExchangeContext { id, worker }
    }

    fn done(&self) {
        if let Some(worker) = &self.worker {
            worker.event(self.id, |role, cx| role.done(cx, self.id));
        }
    }
}

fn action(flow: Option<Flow>) -> Action {
    match flow {
        Some(Flow::Continue) => Action::Continue,
        Some(Flow::Pause) | None => Action::Pause,
    }
}

impl Context for ExchangeContext {
    fn on_done(&mut self) -> bool {
        self.done();
        true
    }
}

impl HttpContext for ExchangeContext {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        let Some(worker) = &self.worker else {
            let _ =
                hostcalls::send_http_response(503, vec![], Some(b"reprise is not configured\n"));
            return Action::Pause;
        };
        let headers = headers(MapType::HttpRequestHeaders);
        #[cfg(feature = "panic-on-demand")]
        {
            crate::panics::told(self.id, &headers);
            crate::panics::at(self.id, "headers");
        }
        let flow =
            worker.event(self.id, |role, cx| role.request_headers(cx, self.id, headers, end));
        action(flow)
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let Some(worker) = &self.worker else {
            return Action::Pause;
        };
        #[cfg(feature = "panic-on-demand")]
        crate::panics::at(self.id, "body");
        let body = || buffer(BufferType::HttpRequestBody, size);
        let flow =
            worker.event(self.id, |role, cx| role.request_body(cx, self.id, size, end, body));
        action(flow)
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let Some(worker) = &self.worker else {
            return Action::Pause;
        };
        let body = || buffer(BufferType::HttpRequestBody, ALL);
        action(worker.event(self.id, |role, cx| role.request_trailers(cx, self.id, body)))
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(worker) = &self.worker else {
            return Action::Continue;
        };
        #[cfg(feature = "panic-on-demand")]
        crate::panics::at(self.id, "response");
        let headers = headers(MapType::HttpResponseHeaders);
        action(worker.event(self.id, |role, cx| role.response_headers(cx, self.id, &headers)))
    }

    fn on_log(&mut self) {
        self.done();
    }
}
