//! The HTTP context: one request.

use crate::ops::run;
use crate::raw::{self, Map};
use crate::script::Script;
use crate::vm::{self, Case, note};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

pub struct Exchange {
    id: u32,
    case: Option<String>,
}

impl Exchange {
    pub fn new(id: u32) -> Exchange {
        Exchange { id, case: None }
    }

    /// Notes a callback and carries out what the script has for it.
    fn phase(&self, name: &str, seen: String) -> Action {
        let Some(case) = &self.case else { return Action::Continue };
        note(case, seen);
        if run(case, name) { Action::Pause } else { Action::Continue }
    }
}

/// `name(size,end)`, with what is not so left out.
fn sized(name: &str, size: Option<usize>, end: bool) -> String {
    let size = size.map(|size| size.to_string());
    let parts: Vec<String> = size.into_iter().chain(end.then(|| "end".to_string())).collect();
    if parts.is_empty() { name.to_string() } else { format!("{name}({})", parts.join(",")) }
}

impl Context for Exchange {
    fn on_done(&mut self) -> bool {
        self.phase("done", "done".to_string());
        true
    }
}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        let header = |name| raw::header(Map::Request, name).unwrap_or_default();
        let wanted = header("x-result");
        if !wanted.is_empty() {
            let trace = vm::case(&wanted, |case| case.trace.join(" "));
            let _ = raw::reply(200, &[], trace.as_bytes());
            return Action::Pause;
        }
        let case = header("x-case");
        if case.is_empty() {
            return Action::Continue;
        }
        let script = Script::read(&header("x-script"));
        vm::with(|vm| {
            vm.requests += 1;
            vm.cases.insert(case.clone(), Case { context: self.id, script, ..Case::default() });
        });
        self.case = Some(case);
        self.phase("headers", sized("headers", None, end))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.phase(if end { "end" } else { "body" }, sized("body", Some(size), end))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.phase("end", "trailers".to_string())
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        if self.case.is_none() {
            return Action::Continue;
        }
        let status = raw::header(Map::Response, ":status").unwrap_or_default();
        self.phase("response", sized("response", status.parse().ok(), end))
    }

    fn on_log(&mut self) {
        self.phase("log", "log".to_string());
    }
}

impl Drop for Exchange {
    /// The SDK drops a context when the host deletes it.
    fn drop(&mut self) {
        vm::with(|vm| vm.gone = Some(self.id));
        if let Some(case) = &self.case {
            note(case, "delete");
        }
    }
}
