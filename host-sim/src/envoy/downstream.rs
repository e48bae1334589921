//! From clients to the filter and back.

use super::call::local_reply;
use super::config::{Role, route};
use super::exchange::{Exchange, Request, Response};
use super::{Envoy, clock, timer};
use crate::kernel::{ConnId, Cx, NetEvent, Port, Timer};
use crate::vm::{Answer, Callback};
use crate::wire::{self, Frame, Headers, StreamNo};

impl Envoy {
    pub(super) fn from_downstream(&mut self, cx: &mut Cx<'_>, conn: ConnId, event: NetEvent) {
        match event {
            NetEvent::Frame(stream, frame) => self.downstream_frame(cx, conn, stream, frame),
            NetEvent::Closed => {
                let Some(down) = self.down.remove(&conn) else { return };
                for exchange in down.streams.into_values() {
                    self.over(cx, exchange);
                }
            }
            _ => {}
        }
    }

    fn downstream_frame(&mut self, cx: &mut Cx<'_>, conn: ConnId, stream: StreamNo, frame: Frame) {
        let Some(down) = self.down.get(&conn) else { return };
        let (worker, port) = (down.worker, down.port);
        let known = down.streams.get(&stream).copied();
        match (frame, known) {
            (Frame::Head { headers, body, end }, None) => {
                let id = self.number();
                if let Some(down) = self.down.get_mut(&conn) {
                    down.streams.insert(stream, id);
                }
                let exchange = Exchange {
                    worker,
                    port,
                    down: (conn, stream),
                    filter: None,
                    request: Request { headers, ..Request::default() },
                    response: Response::default(),
                    router: None,
                    touched_us: cx.now(),
                };
                self.exchanges.insert(id, exchange);
                let idle = self.idle(port);
                cx.after(idle, Timer { kind: timer::IDLE, a: id, b: 0 });
                self.request_headers(cx, id, end && body.is_empty());
                if !body.is_empty() {
                    self.request_data(cx, id, &body, end);
                }
            }
            (Frame::Data { bytes, end }, Some(id)) => self.request_data(cx, id, &bytes, end),
            (Frame::Reset, Some(id)) => self.over(cx, id),
            _ => {}
        }
    }

    fn idle(&self, port: Port) -> u64 {
        if port == Port::Guard { self.config.times.guard_idle } else { self.config.times.idle }
    }

    pub(super) fn look_whether_idle(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let due = exchange.touched_us + self.idle(exchange.port);
        if cx.now() < due {
            let wait = due - cx.now();
            return cx.after(wait, Timer { kind: timer::IDLE, a: id, b: 0 });
        }
        let status = if exchange.request.ended { 504 } else { 408 };
        let (headers, body) = local_reply(status, "stream timeout");
        self.reply(cx, id, headers, body, true);
    }

    fn request_headers(&mut self, cx: &mut Cx<'_>, id: u64, end: bool) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.request.ended = end;
        let (worker, port) = (exchange.worker, exchange.port);
        let role = match port {
            Port::Clients => Role::Gateway,
            Port::Guard => {
                wire::remove(&mut exchange.request.headers, "x-reprise-mirror");
                Role::Guard
            }
            _ => {
                exchange.request.passed = true;
                return self.start_router(cx, id);
            }
        };
        let root = self.serving(cx, worker, role);
        let now = clock(cx);
        let context =
            root.and_then(|root| Some((root, self.life(root)?.vm.new_context(now).ok()?)));
        let Some((root, context)) = context else {
            // Fails closed until a new VM may be started.
            let (headers, body) = local_reply(503, "");
            return self.reply(cx, id, headers, body, true);
        };
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.filter = Some((root, context));
        let headers = std::mem::take(&mut exchange.request.headers);
        if let Some(life) = self.life(root) {
            life.contexts.insert(context, id);
            if let Some(data) = life.vm.context(context) {
                data.request_headers = headers;
                data.request_headers_open = true;
            }
        }
        let answer = self.call(cx, root, Callback::RequestHeaders { context, end });
        match answer {
            Some(Answer::Continue) => self.resume_request(cx, id),
            Some(_) => {}
            None => self.panicked(cx, id),
        }
    }

    /// The request whose callback panicked is answered; others of its VM hang.
    fn panicked(&mut self, cx: &mut Cx<'_>, id: u64) {
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.filter = None;
            let (headers, body) = local_reply(503, "");
            self.reply(cx, id, headers, body, true);
        }
    }

    fn request_data(&mut self, cx: &mut Cx<'_>, id: u64, bytes: &[u8], end: bool) {
        let now = cx.now();
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.touched_us = now;
        exchange.request.body.extend_from_slice(bytes);
        exchange.request.ended = end;
        // Without `allow_on_headers_stop_iteration` a held request never shows its body.
        if exchange.filter.is_none() || exchange.request.passed || self.config.stop_iteration {
            self.show_body(cx, id);
        }
    }

    /// Shows the filter what it has not seen of the body: of a held request all of it so far, of
    /// one that goes on the new part.
    fn show_body(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Some((root, context)) = exchange.filter else {
            return self.flush_attempt(cx, id);
        };
        let passed = exchange.request.passed;
        let end = exchange.request.ended;
        let body = if passed {
            exchange.request.body.split_off(exchange.request.shown)
        } else {
            std::mem::take(&mut exchange.request.body)
        };
        let size = body.len();
        let Some(life) = self.life(root) else { return };
        if let Some(data) = life.vm.context(context) {
            data.request_body = body;
        }
        let answer = self.call(cx, root, Callback::RequestBody { context, size, end });
        let left = self
            .life(root)
            .and_then(|life| life.vm.context(context))
            .map(|data| std::mem::take(&mut data.request_body));
        if let (Some(exchange), Some(left)) = (self.exchanges.get_mut(&id), left) {
            exchange.request.body.extend_from_slice(&left);
            exchange.request.shown = exchange.request.body.len();
        }
        match answer {
            None => self.panicked(cx, id),
            Some(Answer::Continue) if !passed => self.resume_request(cx, id),
            Some(Answer::Continue) => self.flush_attempt(cx, id),
            Some(_) => {}
        }
    }

    /// The filter lets a request go on. The route is picked now, by the headers as they are.
    pub(super) fn resume_request(&mut self, cx: &mut Cx<'_>, id: u64) {
        let now = cx.now();
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if exchange.request.passed || exchange.response.begun {
            return;
        }
        exchange.touched_us = now;
        exchange.request.passed = true;
        if let Some((root, context)) = exchange.filter {
            let headers = self.life(root).and_then(|life| life.vm.context(context)).map(|data| {
                data.request_headers_open = false;
                // In `on_log` they can be read again.
                data.request_headers.clone()
            });
            if let (Some(exchange), Some(headers)) = (self.exchanges.get_mut(&id), headers) {
                exchange.request.headers = headers;
            }
        }
        self.start_router(cx, id);
    }

    fn start_router(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let headers = &exchange.request.headers;
        let method = wire::text(headers, ":method").unwrap_or_default();
        let to = wire::text(headers, "x-reprise-route");
        match route(exchange.port, &self.config.times, method, to) {
            Some(route) => self.route_request(cx, id, route),
            None => {
                let (headers, body) = local_reply(404, "");
                self.reply(cx, id, headers, body, false);
            }
        }
    }

    /// The filter answers in place of the upstream.
    pub(super) fn filter_reply(
        &mut self,
        cx: &mut Cx<'_>,
        id: u64,
        status: u16,
        mut headers: Headers,
        body: Vec<u8>,
    ) {
        wire::set(&mut headers, "content-length", body.len().to_string());
        headers.insert(0, (":status".to_string(), status.to_string().into_bytes()));
        let begun = self.exchanges.get(&id).is_some_and(|exchange| exchange.response.begun);
        self.reply(cx, id, headers, body, begun);
    }

    /// A reply of Envoy's own. It goes through the filter like any other, unless that has seen
    /// the response already (`direct`).
    pub(super) fn reply(
        &mut self,
        cx: &mut Cx<'_>,
        id: u64,
        headers: Headers,
        body: Vec<u8>,
        direct: bool,
    ) {
        self.stop_attempt(cx, id);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if exchange.response.sent {
            let (conn, stream) = exchange.down;
            cx.send(conn, stream, Frame::Reset);
            return self.over(cx, id);
        }
        if direct {
            exchange.response.begun = true;
            exchange.response.headers = headers;
            exchange.response.body = body;
            exchange.response.ended = true;
            return self.send_response(cx, id);
        }
        self.response(cx, id, headers, body, true);
    }

    /// The head of a response goes through the filter, then to the client.
    pub(super) fn response(
        &mut self,
        cx: &mut Cx<'_>,
        id: u64,
        headers: Headers,
        body: Vec<u8>,
        end: bool,
    ) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.touched_us = cx.now();
        exchange.response.begun = true;
        exchange.response.body = body;
        exchange.response.ended = end;
        let Some((root, context)) = exchange.filter else {
            exchange.response.headers = headers;
            return self.send_response(cx, id);
        };
        exchange.response.held = true;
        let last = end && exchange.response.body.is_empty();
        let Some(life) = self.life(root) else {
            // Its VM is gone: nothing may pass.
            return;
        };
        if let Some(data) = life.vm.context(context) {
            data.response_headers = headers;
            data.response_headers_open = true;
        }
        let answer = self.call(cx, root, Callback::ResponseHeaders { context, end: last });
        match answer {
            Some(Answer::Continue) => self.resume_response(cx, id),
            Some(_) => {}
            None => self.panicked(cx, id),
        }
    }

    /// The filter lets a response go on.
    pub(super) fn resume_response(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if !std::mem::take(&mut exchange.response.held) {
            return;
        }
        if let Some((root, context)) = exchange.filter {
            let headers = self.life(root).and_then(|life| life.vm.context(context)).map(|data| {
                data.response_headers_open = false;
                std::mem::take(&mut data.response_headers)
            });
            if let (Some(exchange), Some(headers)) = (self.exchanges.get_mut(&id), headers) {
                exchange.response.headers = headers;
            }
        }
        self.send_response(cx, id);
    }

    fn send_response(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let (conn, stream) = exchange.down;
        exchange.response.sent = true;
        let headers = std::mem::take(&mut exchange.response.headers);
        let body = std::mem::take(&mut exchange.response.body);
        let end = exchange.response.ended;
        cx.send(conn, stream, Frame::Head { headers, body, end });
        if end {
            self.over(cx, id);
        }
    }

    /// More of a response's body.
    pub(super) fn response_data(&mut self, cx: &mut Cx<'_>, id: u64, bytes: Vec<u8>, end: bool) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.touched_us = cx.now();
        exchange.response.ended = end;
        if !exchange.response.sent {
            exchange.response.body.extend_from_slice(&bytes);
            return;
        }
        let (conn, stream) = exchange.down;
        cx.send(conn, stream, Frame::Data { bytes, end });
        if end {
            self.over(cx, id);
        }
    }

    /// The exchange is over, one way or another: what is left of it upstream is reset, and the
    /// filter hears that it is done.
    pub(super) fn over(&mut self, cx: &mut Cx<'_>, id: u64) {
        self.stop_attempt(cx, id);
        let Some(exchange) = self.exchanges.remove(&id) else { return };
        let (conn, stream) = exchange.down;
        if let Some(down) = self.down.get_mut(&conn) {
            down.streams.remove(&stream);
        }
        let Some((root, context)) = exchange.filter else { return };
        if let Some(data) = self.life(root).and_then(|life| life.vm.context(context)) {
            data.request_headers_open = true;
        }
        for callback in
            [Callback::Log { context }, Callback::Done { context }, Callback::Delete { context }]
        {
            if self.call(cx, root, callback).is_none() {
                return;
            }
        }
        if let Some(life) = self.life(root) {
            life.contexts.remove(&context);
        }
    }
}
