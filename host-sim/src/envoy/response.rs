//! Responses: from the router, from the filter or from Envoy itself, through the filter to clients.

use super::Envoy;
use super::call::local_reply;
use crate::kernel::Cx;
use crate::vm::{Answer, Callback};
use crate::wire::{self, Frame, Headers};

impl Envoy {
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
        self.reply(cx, id, headers, body);
    }

    /// A reply of Envoy's own. It goes through the filter like any other, unless that has seen
    /// the head of a response already.
    pub(super) fn reply(&mut self, cx: &mut Cx<'_>, id: u64, headers: Headers, body: Vec<u8>) {
        self.stop_attempt(cx, id);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if exchange.response.sent {
            let (conn, stream) = exchange.down;
            cx.send(conn, stream, Frame::Reset);
            return self.over(cx, id);
        }
        if exchange.response.begun {
            exchange.response.headers = headers;
            exchange.response.body = body;
            exchange.response.ended = true;
            return self.send_response(cx, id);
        }
        self.response(cx, id, headers, body, true);
    }

    /// Something moves on an exchange whose VM is gone, or its own callback panicked: nothing
    /// passes without the filter.
    pub(super) fn without_vm(&mut self, cx: &mut Cx<'_>, id: u64) {
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.filter = None;
            exchange.response.begun = true;
            let (headers, body) = local_reply(503, "");
            self.reply(cx, id, headers, body);
        }
    }

    /// The head of a response, and perhaps the first part of its body.
    pub(super) fn response(
        &mut self,
        cx: &mut Cx<'_>,
        id: u64,
        headers: Headers,
        body: Vec<u8>,
        end: bool,
    ) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let alone = end && body.is_empty();
        let bodiless = body.is_empty();
        exchange.touched_us = cx.now();
        exchange.response.begun = true;
        exchange.response.body = body;
        exchange.response.ended = end;
        let Some((root, context)) = exchange.filter else {
            exchange.response.headers = headers;
            return self.send_response(cx, id);
        };
        exchange.response.held = true;
        let Some(life) = self.life(root) else { return self.without_vm(cx, id) };
        if let Some(data) = life.vm.context(context) {
            data.response_headers = headers;
            data.response_headers_open = true;
        }
        let answer = self.call(cx, root, Callback::ResponseHeaders { context, end: alone });
        match answer {
            None => self.without_vm(cx, id),
            Some(Answer::Continue) if bodiless => self.resume_response(cx, id),
            Some(_) if bodiless => {}
            Some(_) => self.show_response(cx, id),
        }
    }

    /// Takes what the filter has left of a response.
    fn pass_response(&mut self, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.response.held = false;
        let head = !exchange.response.sent;
        let Some((root, context)) = exchange.filter else { return };
        let Some(data) = self.life(root).and_then(|life| life.vm.context(context)) else { return };
        let body = std::mem::take(&mut data.response_body);
        data.response_headers_open = false;
        // In `on_log` they can be read again.
        let headers = if head { data.response_headers.clone() } else { Headers::new() };
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if head {
            exchange.response.headers = headers;
        }
        if !body.is_empty() {
            exchange.response.body = body;
        }
    }

    /// The filter lets a held response go on.
    pub(super) fn resume_response(&mut self, cx: &mut Cx<'_>, id: u64) {
        if self.exchanges.get(&id).is_some_and(|exchange| exchange.response.held) {
            self.pass_response(id);
            self.send_response(cx, id);
        }
    }

    /// More of a response's body.
    pub(super) fn response_data(&mut self, cx: &mut Cx<'_>, id: u64, bytes: Vec<u8>, end: bool) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.touched_us = cx.now();
        exchange.response.ended = end;
        if exchange.response.body.is_empty() {
            exchange.response.body = bytes;
        } else {
            exchange.response.body.extend_from_slice(&bytes);
        }
        self.show_response(cx, id);
    }

    /// Shows the filter what is here of a response's body: of a held response all of it, which
    /// lies with the VM.
    fn show_response(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Some((root, context)) = exchange.filter else { return self.send_response(cx, id) };
        let end = exchange.response.ended;
        let body = std::mem::take(&mut exchange.response.body);
        let Some(life) = self.life(root) else { return self.without_vm(cx, id) };
        let Some(data) = life.vm.context(context) else { return };
        if data.response_body.is_empty() {
            data.response_body = body;
        } else {
            data.response_body.extend_from_slice(&body);
        }
        let size = data.response_body.len();
        let answer = self.call(cx, root, Callback::ResponseBody { context, size, end });
        match answer {
            None => self.without_vm(cx, id),
            Some(Answer::Continue) => {
                self.pass_response(id);
                self.send_response(cx, id);
            }
            Some(_) => {
                if let Some(exchange) = self.exchanges.get_mut(&id) {
                    exchange.response.held = true;
                }
            }
        }
    }

    /// What is here of a response goes to the client.
    fn send_response(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let (conn, stream) = exchange.down;
        let first = !std::mem::replace(&mut exchange.response.sent, true);
        let headers = std::mem::take(&mut exchange.response.headers);
        let body = std::mem::take(&mut exchange.response.body);
        let end = exchange.response.ended;
        if first {
            cx.send(conn, stream, Frame::Head { headers, body, end });
        } else {
            cx.send(conn, stream, Frame::Data { bytes: body, end });
        }
        if end {
            self.over(cx, id);
        }
    }
}
