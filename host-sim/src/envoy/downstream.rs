//! Requests: from clients through the filter to the router.

use super::call::local_reply;
use super::exchange::{Exchange, Request, Response, Router};
use super::table::Going;
use super::{Envoy, clock, timer};
use crate::kernel::{ConnId, Cx, Micros, NetEvent, Timer};
use crate::vm::{Answer, Callback};
use crate::wire::{Frame, StreamNo};

impl Envoy {
    pub(super) fn hear_downstream(&mut self, cx: &mut Cx<'_>, conn: ConnId, event: NetEvent) {
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
        let (worker, listener) = (down.worker, down.listener);
        let known = down.streams.get(&stream).copied();
        match (frame, known) {
            (Frame::Head { headers, body, end }, None) => {
                let id = self.number();
                if let Some(down) = self.down.get_mut(&conn) {
                    down.streams.insert(stream, id);
                }
                let idle = self.idle(listener, self.table.pick(listener, &headers));
                let exchange = Exchange {
                    worker,
                    listener,
                    down: (conn, stream),
                    filter: None,
                    request: Request { headers, ..Request::default() },
                    response: Response::default(),
                    router: None,
                    touched_us: cx.now(),
                    idle,
                };
                self.exchanges.insert(id, exchange);
                cx.after(idle, Timer { kind: timer::IDLE, a: id, b: 0 });
                self.request_headers(cx, id, end && body.is_empty());
                if !body.is_empty() {
                    self.request_data(cx, id, body, end);
                }
            }
            (Frame::Data { bytes, end }, Some(id)) => self.request_data(cx, id, bytes, end),
            (Frame::Reset, Some(id)) => self.over(cx, id),
            _ => {}
        }
    }

    /// How long nothing may move on a request that goes there, as far as is known yet.
    fn idle(&self, listener: usize, going: Option<Going>) -> Micros {
        let own = going.and_then(|going| going.way.idle);
        own.unwrap_or_else(|| self.table.config().listeners[listener].idle)
    }

    pub(super) fn look_whether_idle(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let due = exchange.touched_us + exchange.idle;
        if cx.now() < due {
            let wait = due - cx.now();
            return cx.after(wait, Timer { kind: timer::IDLE, a: id, b: 0 });
        }
        let status = if exchange.request.ended { 504 } else { 408 };
        let (headers, body) = local_reply(status, "stream timeout");
        self.reply(cx, id, headers, body);
    }

    fn request_headers(&mut self, cx: &mut Cx<'_>, id: u64, end: bool) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.request.ended = end;
        let (worker, listener) = (exchange.worker, exchange.listener);
        if self.table.plugin(listener).is_none() {
            exchange.request.passed = true;
            return self.start_router(cx, id);
        }
        let root = self.serving(cx, worker, listener);
        let now = clock(cx);
        let context =
            root.and_then(|root| Some((root, self.life(root)?.vm.new_context(now).ok()?)));
        let Some((root, context)) = context else {
            // Fails closed until a new VM may be started.
            return self.without_vm(cx, id);
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
            None => self.without_vm(cx, id),
        }
    }

    /// More of a request's body. The filter is shown the new part of a request that goes on, and
    /// all that is held of another one; what is held lies with the VM, within the filter's reach.
    fn request_data(&mut self, cx: &mut Cx<'_>, id: u64, bytes: Vec<u8>, end: bool) {
        let now = cx.now();
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.touched_us = now;
        exchange.request.ended = end;
        let passed = exchange.request.passed;
        if let Some(timeout) = exchange.router.as_ref().filter(|_| end).and_then(Router::timeout) {
            cx.after(timeout, Timer { kind: timer::ROUTE, a: id, b: 0 });
        }
        // Without `allow_on_headers_stop_iteration` a held request never shows its body.
        let stops =
            self.table.plugin(exchange.listener).is_some_and(|plugin| plugin.stop_iteration);
        let Some((root, context)) = exchange.filter.filter(|_| passed || stops) else {
            exchange.request.body.extend_from_slice(&bytes);
            return self.flush_attempt(cx, id);
        };
        let Some(life) = self.life(root) else { return self.without_vm(cx, id) };
        let Some(data) = life.vm.context(context) else { return };
        if data.request_body.is_empty() {
            data.request_body = bytes;
        } else {
            data.request_body.extend_from_slice(&bytes);
        }
        let size = data.request_body.len();
        let answer = self.call(cx, root, Callback::RequestBody { context, size, end });
        if passed {
            self.take_body(id);
        }
        match answer {
            None => self.without_vm(cx, id),
            Some(Answer::Continue) if !passed => self.resume_request(cx, id),
            Some(Answer::Continue) => self.flush_attempt(cx, id),
            Some(_) => {}
        }
    }

    /// Takes what the filter has left of a body.
    fn take_body(&mut self, id: u64) {
        let Some((root, context)) = self.exchanges.get(&id).and_then(|e| e.filter) else { return };
        let data = self.life(root).and_then(|life| life.vm.context(context));
        let left = data.map(|data| std::mem::take(&mut data.request_body));
        if let (Some(exchange), Some(left)) = (self.exchanges.get_mut(&id), left) {
            if exchange.request.body.is_empty() {
                exchange.request.body = left;
            } else {
                exchange.request.body.extend_from_slice(&left);
            }
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
            self.take_body(id);
        }
        self.start_router(cx, id);
    }

    fn start_router(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let going = self.table.pick(exchange.listener, &exchange.request.headers);
        let idle = self.idle(exchange.listener, going);
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.idle = idle;
        }
        match going {
            Some(going) => self.route_request(cx, id, going),
            None => {
                let (headers, body) = local_reply(404, "");
                self.reply(cx, id, headers, body);
            }
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
