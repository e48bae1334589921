//! Connection pools: one connection for many exchanges with HTTP/2, one for each with HTTP/1.

use super::call::Failure;
use super::{Envoy, timer};
use crate::kernel::{Addr, ConnId, Cx, Micros, NetEvent, Timer};
use crate::wire::{Frame, StreamNo};
use std::collections::BTreeMap;

/// Whose exchange with an upstream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// The current attempt of an exchange.
    Attempt(u64),
    /// A stream or call of the filter.
    Asked(u64),
    /// Nobody waits for the answer: the mirror of an exchange that may be gone.
    Mirror(u64),
}

struct Up {
    worker: usize,
    cluster: usize,
    host: Addr,
    connected: bool,
    next: StreamNo,
    /// When the last exchange left it.
    left_us: Micros,
    streams: BTreeMap<StreamNo, (User, bool)>,
}

/// All connections to upstreams.
#[derive(Default)]
pub(super) struct Upstream {
    conns: BTreeMap<ConnId, Up>,
    /// What the mirror sends once it is connected.
    pub mirrored: BTreeMap<u64, Frame>,
}

impl Upstream {
    pub(super) fn is_connected(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|up| up.connected)
    }

    /// Whether nothing of an exchange has been sent so far; from now on something has.
    pub(super) fn begins(&mut self, conn: ConnId, stream: StreamNo) -> bool {
        let up = self.conns.get_mut(&conn);
        let entry = up.and_then(|up| up.streams.get_mut(&stream));
        entry.is_some_and(|(_, begun)| !std::mem::replace(begun, true))
    }

    fn usable(&self, worker: usize, cluster: usize, host: Addr, shared: bool) -> Option<ConnId> {
        let fits = |up: &Up| {
            (up.worker, up.cluster, up.host) == (worker, cluster, host)
                && (shared || up.streams.is_empty())
        };
        self.conns.iter().find(|(_, up)| fits(up)).map(|(id, _)| *id)
    }

    /// A connection of a cluster that nobody has used since then.
    fn unused(&self, cluster: usize, since: Micros) -> Option<ConnId> {
        let fits = |up: &Up| up.cluster == cluster && up.streams.is_empty() && up.left_us <= since;
        self.conns.iter().find(|(_, up)| fits(up)).map(|(id, _)| *id)
    }

    /// The connections of some clusters to a host.
    pub(super) fn to(&self, host: Addr, of: impl Fn(usize) -> bool) -> Vec<ConnId> {
        let fits = |up: &Up| up.host == host && of(up.cluster);
        self.conns.iter().filter(|(_, up)| fits(up)).map(|(id, _)| *id).collect()
    }
}

impl Envoy {
    /// Enters an exchange on a connection to a host, an open one or a new one.
    pub(super) fn enter(
        &mut self,
        cx: &mut Cx<'_>,
        worker: usize,
        cluster: usize,
        host: Addr,
        user: User,
    ) -> (ConnId, StreamNo) {
        let config = self.table.cluster(cluster);
        let (shared, connect) = (config.shared, config.connect);
        // Seen late, which nobody but the other side can tell.
        let since = config.idle.and_then(|idle| cx.now().checked_sub(idle));
        while let Some(conn) = since.and_then(|since| self.upstream.unused(cluster, since)) {
            self.upstream.conns.remove(&conn);
            cx.close(conn);
        }
        let conn = match self.upstream.usable(worker, cluster, host, shared) {
            Some(conn) => conn,
            None => {
                let conn = cx.connect(host);
                let up = Up {
                    worker,
                    cluster,
                    host,
                    connected: false,
                    next: 1,
                    left_us: cx.now(),
                    streams: BTreeMap::new(),
                };
                self.upstream.conns.insert(conn, up);
                let timer = Timer { kind: timer::CONNECT, a: conn.0, b: 0 };
                cx.after(connect, timer);
                conn
            }
        };
        let mut stream = 0;
        if let Some(up) = self.upstream.conns.get_mut(&conn) {
            stream = up.next;
            up.next += 1;
            up.streams.insert(stream, (user, false));
        }
        (conn, stream)
    }

    /// Leaves an exchange; `reset` tells the other side, if it has heard of it.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_>, conn: ConnId, stream: StreamNo, reset: bool) {
        let Some(up) = self.upstream.conns.get_mut(&conn) else { return };
        let Some((_, begun)) = up.streams.remove(&stream) else { return };
        up.left_us = cx.now();
        if !reset || !begun {
            return;
        }
        if self.table.cluster(up.cluster).shared {
            cx.send(conn, stream, Frame::Reset);
        } else {
            // HTTP/1 has no other way to take a request back.
            self.upstream.conns.remove(&conn);
            cx.close(conn);
        }
    }

    /// Sends what its users have for a connection.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        let Some(up) = self.upstream.conns.get(&conn) else { return };
        if !up.connected {
            return;
        }
        let waiting: Vec<(StreamNo, User)> = up
            .streams
            .iter()
            .filter(|(_, (_, begun))| !begun)
            .map(|(stream, (user, _))| (*stream, *user))
            .collect();
        for (stream, user) in waiting {
            match user {
                User::Attempt(exchange) => self.flush_attempt(cx, exchange),
                User::Asked(asked) => self.flush_asked(cx, asked),
                User::Mirror(id) => {
                    if let Some(frame) = self.upstream.mirrored.remove(&id)
                        && self.upstream.begins(conn, stream)
                    {
                        cx.send(conn, stream, frame);
                    }
                }
            }
        }
    }

    pub(super) fn hear_upstream(&mut self, cx: &mut Cx<'_>, conn: ConnId, event: NetEvent) {
        match event {
            NetEvent::Connected => {
                if let Some(up) = self.upstream.conns.get_mut(&conn) {
                    up.connected = true;
                    self.flush(cx, conn);
                }
            }
            NetEvent::Refused => self.lost(cx, conn, Failure::Refused),
            NetEvent::Closed => self.lost(cx, conn, Failure::Broken),
            NetEvent::Frame(stream, frame) => {
                let up = self.upstream.conns.get_mut(&conn);
                let Some((user, _)) = up.and_then(|up| up.streams.get(&stream)).copied() else {
                    return;
                };
                match user {
                    User::Attempt(exchange) => self.attempt_frame(cx, exchange, frame),
                    User::Asked(asked) => self.asked_frame(cx, asked, frame),
                    User::Mirror(_) => {
                        if let Frame::Head { end: true, .. }
                        | Frame::Data { end: true, .. }
                        | Frame::Reset = frame
                        {
                            self.leave(cx, conn, stream, false);
                        }
                    }
                }
            }
            NetEvent::Opened(_) => {}
        }
    }

    /// A connection is gone, or never was: everything on it fails.
    pub(super) fn lost(&mut self, cx: &mut Cx<'_>, conn: ConnId, why: Failure) {
        let Some(up) = self.upstream.conns.remove(&conn) else { return };
        for (user, _) in up.streams.into_values() {
            match user {
                User::Attempt(exchange) => self.attempt_failed(cx, exchange, why),
                User::Asked(asked) => self.asked_failed(cx, asked, why),
                User::Mirror(id) => {
                    self.upstream.mirrored.remove(&id);
                }
            }
        }
    }

    pub(super) fn connect_timed_out(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        if self.upstream.conns.get(&conn).is_some_and(|up| !up.connected) {
            cx.close(conn);
            self.lost(cx, conn, Failure::ConnectTimeout);
        }
    }

    /// Envoy itself gives connections up.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, conns: Vec<ConnId>) {
        for conn in conns {
            cx.close(conn);
            self.lost(cx, conn, Failure::Broken);
        }
    }
}
