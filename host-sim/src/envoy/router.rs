//! The router: attempts, retries on another priority, timeouts, the mirror.

use super::call::{Failure, local_reply};
use super::config::Retry;
use super::exchange::Router;
use super::table::Going;
use super::upstream::User;
use super::{Envoy, timer};
use crate::kernel::{Addr, Cx, Micros, Timer};
use crate::wire::{self, Frame};
use protocol::names::MIRROR;

impl Retry {
    /// Whether a try that failed in this way is made again.
    fn after(&self, why: Failure) -> bool {
        match why {
            Failure::NoHost => false,
            Failure::Refused | Failure::ConnectTimeout => self.connect || self.reset,
            Failure::Broken => self.reset,
        }
    }

    /// The most that is waited before a retry, the first of which is 1.
    fn wait(&self, retry: u32) -> Micros {
        let [first, most] = self.wait;
        first.saturating_mul((1 << retry.min(20)) - 1).min(most)
    }
}

impl Envoy {
    pub(super) fn route_request(&mut self, cx: &mut Cx<'_>, id: u64, going: Going) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let mut headers = exchange.request.headers.clone();
        for name in &self.table.config().listeners[exchange.listener].removes {
            wire::remove(&mut headers, name);
        }
        let mirror = going.way.mirror.then(|| wire::text(&headers, MIRROR)).flatten();
        let mirror = mirror.and_then(|name| self.table.named(name));
        let worker = exchange.worker;
        exchange.router = Some(Router {
            going,
            headers,
            attempt: 0,
            retries_left: going.way.retry.map_or(0, |retry| retry.times),
            tried: Vec::new(),
            at: None,
            sent: 0,
            sent_end: false,
        });
        if let Some(timeout) = going.way.timeout.filter(|_| exchange.request.ended) {
            cx.after(timeout, Timer { kind: timer::ROUTE, a: id, b: 0 });
        }
        if let Some(cluster) = mirror {
            self.mirror(cx, id, worker, cluster);
        }
        self.attempt(cx, id);
    }

    /// Sends a copy and forgets it.
    fn mirror(&mut self, cx: &mut Cx<'_>, id: u64, worker: usize, cluster: usize) {
        let Some(host) = self.table.cluster(cluster).hosts.first() else { return };
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let Some(router) = &exchange.router else { return };
        let (headers, body) = (router.headers.clone(), exchange.request.body.clone());
        self.upstream.mirrored.insert(id, Frame::Head { headers, body, end: true });
        let (conn, _) = self.enter(cx, worker, cluster, host.addr, User::Mirror(id));
        self.flush(cx, conn);
    }

    /// Chooses a host: the first healthy priority, and for a retry one that was not tried if the
    /// route says so.
    fn choose(&self, going: &Going, tried: &mut Vec<usize>) -> Option<Addr> {
        let hosts = &self.table.cluster(going.cluster).hosts;
        let healthy = self.is_healthy();
        let mut well = (0_usize..).zip(hosts).filter(|(_, host)| healthy || !host.checked);
        if !going.way.retry.is_some_and(|retry| retry.elsewhere) {
            return well.next().map(|(_, host)| host.addr);
        }
        let fresh = well.clone().find(|(n, _)| !tried.contains(n));
        let (n, host) = fresh.or_else(|| {
            tried.clear();
            well.next()
        })?;
        tried.push(n);
        Some(host.addr)
    }

    fn attempt(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(mut router) = self.exchanges.get_mut(&id).and_then(|e| e.router.take()) else {
            return;
        };
        let host = self.choose(&router.going, &mut router.tried);
        router.attempt += 1;
        router.sent = 0;
        router.sent_end = false;
        let going = router.going;
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let worker = exchange.worker;
        exchange.router = Some(router);
        let Some(host) = host else {
            return self.fail(cx, id, Failure::NoHost);
        };
        let at = self.enter(cx, worker, going.cluster, host, User::Attempt(id));
        if let Some(router) = self.exchanges.get_mut(&id).and_then(|e| e.router.as_mut()) {
            router.at = Some(at);
        }
        self.flush(cx, at.0);
    }

    /// Sends what the current attempt has not sent yet.
    pub(super) fn flush_attempt(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Some(router) = &mut exchange.router else { return };
        let Some((conn, stream)) = router.at else { return };
        if !self.upstream.is_connected(conn) || router.sent_end {
            return;
        }
        let end = exchange.request.ended;
        let rest = exchange.request.body[router.sent.min(exchange.request.body.len())..].to_vec();
        router.sent = exchange.request.body.len();
        router.sent_end = end;
        if let Some(per_try) = router.going.way.retry.and_then(|retry| retry.per_try)
            && end
        {
            cx.after(per_try, Timer { kind: timer::PER_TRY, a: id, b: router.attempt });
        }
        if self.upstream.begins(conn, stream) {
            let headers = router.headers.clone();
            cx.send(conn, stream, Frame::Head { headers, body: rest, end });
        } else if end || !rest.is_empty() {
            cx.send(conn, stream, Frame::Data { bytes: rest, end });
        }
    }

    /// Something came from the upstream of the current attempt.
    pub(super) fn attempt_frame(&mut self, cx: &mut Cx<'_>, id: u64, frame: Frame) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Some(router) = &mut exchange.router else { return };
        match frame {
            Frame::Head { headers, body, end } => {
                let busy = router.going.way.retry.is_some_and(|retry| retry.busy);
                if busy && router.retries_left > 0 && wire::status(&headers) == 503 {
                    return self.retry(cx, id, !end);
                }
                if end {
                    self.attempt_over(cx, id);
                }
                self.response(cx, id, headers, body, end);
            }
            Frame::Data { bytes, end } => {
                if end {
                    self.attempt_over(cx, id);
                }
                self.response_data(cx, id, bytes, end);
            }
            Frame::Trailers { .. } => {}
            Frame::Reset => {
                self.attempt_over(cx, id);
                self.attempt_failed(cx, id, Failure::Broken);
            }
        }
    }

    fn attempt_over(&mut self, cx: &mut Cx<'_>, id: u64) {
        let router = self.exchanges.get_mut(&id).and_then(|e| e.router.as_mut());
        if let Some((conn, stream)) = router.and_then(|router| router.at.take()) {
            self.leave(cx, conn, stream, false);
        }
    }

    /// Resets what is under way upstream.
    pub(super) fn stop_attempt(&mut self, cx: &mut Cx<'_>, id: u64) {
        let router = self.exchanges.get_mut(&id).and_then(|e| e.router.as_mut());
        if let Some(router) = router {
            router.attempt += 1;
            if let Some((conn, stream)) = router.at.take() {
                self.leave(cx, conn, stream, true);
            }
        }
    }

    /// The current attempt has failed on its way.
    pub(super) fn attempt_failed(&mut self, cx: &mut Cx<'_>, id: u64, why: Failure) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let begun = exchange.response.begun;
        let Some(router) = &mut exchange.router else { return };
        router.at = None;
        let again = router.going.way.retry.is_some_and(|retry| retry.after(why));
        if !begun && router.retries_left > 0 && again {
            return self.retry(cx, id, false);
        }
        self.fail(cx, id, why);
    }

    fn fail(&mut self, cx: &mut Cx<'_>, id: u64, why: Failure) {
        let router = self.exchanges.get(&id).and_then(|exchange| exchange.router.as_ref());
        let retried = router.is_some_and(|router| router.retries() > 0);
        let (headers, body) = local_reply(503, &why.text(retried));
        self.reply(cx, id, headers, body);
    }

    fn retry(&mut self, cx: &mut Cx<'_>, id: u64, reset: bool) {
        if reset {
            self.stop_attempt(cx, id);
        } else {
            self.attempt_over(cx, id);
        }
        let Some(router) = self.exchanges.get_mut(&id).and_then(|e| e.router.as_mut()) else {
            return;
        };
        router.retries_left -= 1;
        router.attempt += 1;
        let most = router.going.way.retry.map_or(0, |retry| retry.wait(router.retries()));
        let wait = cx.rng().between([0, most]);
        let timer = Timer { kind: timer::BACKOFF, a: id, b: router.attempt };
        cx.after(wait, timer);
    }

    fn is_current(&self, id: u64, attempt: u64) -> bool {
        let router = self.exchanges.get(&id).and_then(|e| e.router.as_ref());
        router.is_some_and(|router| router.attempt == attempt)
    }

    pub(super) fn try_again(&mut self, cx: &mut Cx<'_>, id: u64, attempt: u64) {
        if self.is_current(id, attempt) {
            self.attempt(cx, id);
        }
    }

    pub(super) fn attempt_timed_out(&mut self, cx: &mut Cx<'_>, id: u64, attempt: u64) {
        if !self.is_current(id, attempt) {
            return;
        }
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let again = exchange.router.as_ref().is_some_and(|router| {
            router.retries_left > 0 && router.going.way.retry.is_some_and(|retry| retry.reset)
        });
        if exchange.response.begun {
            // Only until the first byte of the answer.
            return;
        }
        if again {
            return self.retry(cx, id, true);
        }
        let (headers, body) = local_reply(504, "upstream request timeout");
        self.reply(cx, id, headers, body);
    }

    pub(super) fn route_timed_out(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        if exchange.response.held {
            return;
        }
        let (headers, body) = local_reply(504, "upstream request timeout");
        self.reply(cx, id, headers, body);
    }
}
