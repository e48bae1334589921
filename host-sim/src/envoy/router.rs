//! The router: attempts, retries on another priority, timeouts, the mirror.

use super::call::{Failure, local_reply};
use super::config::{Cluster, Route};
use super::exchange::Router;
use super::upstream::User;
use super::{Envoy, timer};
use crate::kernel::{Addr, Cx, Timer};
use crate::wire::{self, Frame};

/// The wait before a retry: at most ten milliseconds.
const BACKOFF_US: [u64; 2] = [0, 10_000];

impl Envoy {
    pub(super) fn route_request(&mut self, cx: &mut Cx<'_>, id: u64, route: Route) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let mut headers = exchange.request.headers.clone();
        wire::remove(&mut headers, "x-reprise-route");
        let mirror = wire::text(&headers, "x-reprise-mirror").and_then(Cluster::named);
        let worker = exchange.worker;
        exchange.router = Some(Router {
            route,
            headers,
            attempt: 0,
            retries_left: route.retries,
            tried: Vec::new(),
            at: None,
            sent: 0,
            sent_end: false,
        });
        if let Some(timeout) = route.timeout {
            cx.after(timeout, Timer { kind: timer::ROUTE, a: id, b: 0 });
        }
        if let Some(cluster) = mirror.filter(|_| route.mirror) {
            self.mirror(cx, id, worker, cluster);
        }
        self.attempt(cx, id);
    }

    /// Sends a copy and forgets it.
    fn mirror(&mut self, cx: &mut Cx<'_>, id: u64, worker: usize, cluster: Cluster) {
        let hosts = cluster.hosts(&self.config.hosts);
        let (Some(host), Some(exchange)) = (hosts.first(), self.exchanges.get(&id)) else { return };
        let Some(router) = &exchange.router else { return };
        let (headers, body) = (router.headers.clone(), exchange.request.body.clone());
        self.upstream.mirrored.insert(id, Frame::Head { headers, body, end: true });
        let (conn, _) = self.enter(cx, worker, cluster, *host, User::Mirror(id));
        self.flush(cx, conn);
    }

    /// Chooses a host: the first healthy priority that was not tried, or any healthy one.
    fn choose(&self, route: &Route, tried: &mut Vec<usize>) -> Option<Addr> {
        let hosts = route.cluster.hosts(&self.config.hosts);
        let is_well = |host: Addr| {
            let primary = Some(host) == self.config.hosts.primary_guard;
            !route.cluster.is_checked() || !primary || self.primary_is_healthy()
        };
        let well: Vec<usize> = (0..hosts.len()).filter(|n| is_well(hosts[*n])).collect();
        let fresh = well.iter().copied().find(|n| !tried.contains(n));
        let chosen = fresh.or_else(|| {
            tried.clear();
            well.first().copied()
        })?;
        tried.push(chosen);
        Some(hosts[chosen])
    }

    fn attempt(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(mut router) = self.exchanges.get_mut(&id).and_then(|e| e.router.take()) else {
            return;
        };
        let host = self.choose(&router.route, &mut router.tried);
        router.attempt += 1;
        router.sent = 0;
        router.sent_end = false;
        let (route, attempt) = (router.route, router.attempt);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let worker = exchange.worker;
        exchange.router = Some(router);
        let Some(host) = host else {
            return self.fail(cx, id, Failure::NoHost);
        };
        let at = self.enter(cx, worker, route.cluster, host, User::Attempt(id));
        if let Some(router) = self.exchanges.get_mut(&id).and_then(|e| e.router.as_mut()) {
            router.at = Some(at);
        }
        if let Some(per_try) = route.per_try {
            cx.after(per_try, Timer { kind: timer::PER_TRY, a: id, b: attempt });
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
                let retry = router.route.failover && wire::status(&headers) == 503;
                if retry && router.retries_left > 0 {
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
        let connect = matches!(why, Failure::Refused | Failure::ConnectTimeout);
        if !begun && router.retries_left > 0 && (router.route.failover || connect) {
            return self.retry(cx, id, false);
        }
        self.fail(cx, id, why);
    }

    fn fail(&mut self, cx: &mut Cx<'_>, id: u64, why: Failure) {
        let (headers, body) = local_reply(503, &why.text());
        self.reply(cx, id, headers, body, false);
    }

    fn retry(&mut self, cx: &mut Cx<'_>, id: u64, reset: bool) {
        if reset {
            self.stop_attempt(cx, id);
        } else {
            self.attempt_over(cx, id);
        }
        let wait = cx.rng().between(BACKOFF_US);
        let Some(router) = self.exchanges.get_mut(&id).and_then(|e| e.router.as_mut()) else {
            return;
        };
        router.retries_left -= 1;
        router.attempt += 1;
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
        let again = exchange.router.as_ref().is_some_and(|router| router.retries_left > 0);
        if exchange.response.begun {
            // Only until the first byte of the answer.
            return;
        }
        if again {
            return self.retry(cx, id, true);
        }
        let (headers, body) = local_reply(504, "upstream request timeout");
        self.reply(cx, id, headers, body, false);
    }

    pub(super) fn route_timed_out(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        if exchange.response.held {
            return;
        }
        let (headers, body) = local_reply(504, "upstream request timeout");
        self.reply(cx, id, headers, body, false);
    }
}
