//! Rounds: a request goes out, once or twice at once; its answers come, or time runs out, and it
//! goes out again.

use super::outcome::{Answer, judge};
use super::request::Asked;
use super::session::{Doing, Lane, Link, Try};
use super::{Clients, PIECE, RETRY, RETRY_PAUSE, TIMEOUT};
use crate::history::Outcome;
use crate::kernel::{ConnId, Cx, MS, Timer};
use crate::wire::{self, Frame, Headers, StreamNo};
use scenario::ReplicaFault;

/// The longest pause in a slow body.
const SLOW_PAUSE_MS: u64 = 40;

impl Clients {
    /// Sends the request of a lane, or sends it again.
    pub(super) fn send(&mut self, cx: &mut Cx<'_>, at: usize) {
        let lanes = self.lanes.len() as u64;
        let doubles = u64::from(self.config.load.doubles_per_mille);
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let keyed = matches!(lane.asked, Asked::Write { keyed: true, .. });
        let doubled = keyed && lane.tries == 0 && doubles > 0 && cx.rng().one_in(doubles, 1_000);
        lane.doing = Doing::Waiting;
        lane.turn += 1;
        lane.tries += 1;
        lane.round.clear();
        for link in 0..=usize::from(doubled) {
            self.last += 1;
            let stream = self.last * lanes + at as u64;
            lane.round.push(Try {
                stream,
                link,
                sent: false,
                status: 0,
                body: Vec::new(),
                rest: Vec::new(),
                answer: None,
            });
        }
        lane.deadline = cx.now() + self.config.load.timeout_ms * MS;
        if !lane.reminded {
            lane.reminded = true;
            let timeout = self.config.load.timeout_ms * MS;
            cx.after(timeout, Timer { kind: TIMEOUT, a: at as u64, b: 0 });
        }
        let (op, tries, session) = (lane.op, lane.tries, lane.session as usize);
        if let Some(op) = cx.history().ops.get_mut(op) {
            op.tries = tries;
        }
        for link in 0..=usize::from(doubled) {
            if let Link::Connected(conn) = self.link(cx, session, link) {
                self.send_over(cx, at, conn, link);
            }
        }
    }

    /// Sends what waits for this connection of the lane's session.
    fn send_over(&mut self, cx: &mut Cx<'_>, at: usize, conn: ConnId, link: usize) {
        let shop = self.config.shop;
        let slow = u64::from(self.config.load.slow_bodies_per_mille);
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let (asked, session, turn) = (lane.asked, lane.session, lane.turn);
        let unsent = |t: &&mut Try| t.link == link && !t.sent && t.answer.is_none();
        let Some(one) = lane.round.iter_mut().find(unsent) else { return };
        one.sent = true;
        let (headers, body) = (asked.headers(shop, session), asked.body(session));
        let end = body.is_empty();
        cx.send(conn, one.stream, Frame::Head { headers, body: Vec::new(), end });
        if end {
            return;
        }
        let pieces = usize::try_from(cx.rng().between([1, 3])).unwrap_or(1);
        let mut pieces: Vec<Vec<u8>> =
            body.chunks(body.len().div_ceil(pieces)).map(<[u8]>::to_vec).collect();
        if cx.rng().one_in(slow, 1_000) {
            pieces.reverse();
            one.rest = pieces;
            let pause = cx.rng().below(SLOW_PAUSE_MS * MS);
            return cx.after(pause, Timer { kind: PIECE, a: at as u64, b: turn });
        }
        let last = pieces.len() - 1;
        for (n, bytes) in pieces.into_iter().enumerate() {
            cx.send(conn, one.stream, Frame::Data { bytes, end: n == last });
        }
    }

    /// More of slow bodies goes out.
    pub(super) fn piece(&mut self, cx: &mut Cx<'_>, at: usize, turn: u64) {
        let Some(lane) = self.lanes.get_mut(at).filter(|lane| lane.turn == turn) else { return };
        let Some(session) = self.sessions.get(lane.session as usize) else { return };
        let mut more = false;
        for one in lane.round.iter_mut().filter(|t| t.answer.is_none()) {
            let Link::Connected(conn) = session.links[one.link] else { continue };
            if let Some(bytes) = one.rest.pop() {
                more |= !one.rest.is_empty();
                cx.send(conn, one.stream, Frame::Data { bytes, end: one.rest.is_empty() });
            }
        }
        if more {
            let pause = cx.rng().below(SLOW_PAUSE_MS * MS);
            cx.after(pause, Timer { kind: PIECE, a: at as u64, b: turn });
        }
    }

    /// A connection is there.
    pub(super) fn connected(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        let Some((session, link)) = self.conns.get(&conn).copied() else { return };
        if let Some(state) = self.sessions.get_mut(session) {
            state.links[link] = Link::Connected(conn);
        }
        for at in self.lanes_of(session) {
            self.send_over(cx, at, conn, link);
        }
    }

    /// A connection is gone, with everything that was under way on it.
    pub(super) fn disconnected(&mut self, cx: &mut Cx<'_>, conn: ConnId, how: &str) {
        let Some((session, link)) = self.unlink(conn) else { return };
        for at in self.lanes_of(session) {
            let Some(lane) = self.lanes.get_mut(at) else { continue };
            let cut = |t: &&mut Try| t.link == link && t.answer.is_none();
            let mut any = false;
            for one in lane.round.iter_mut().filter(cut) {
                one.answer = Some(Answer::Unknown(format!("connection {how}")));
                any = true;
            }
            if any {
                self.answered(cx, at);
            }
        }
    }

    /// A part of an answer.
    pub(super) fn frame(&mut self, cx: &mut Cx<'_>, stream: StreamNo, frame: Frame) {
        let at = usize::try_from(stream % self.lanes.len().max(1) as u64).unwrap_or(0);
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let under_way = |t: &&mut Try| t.stream == stream && t.answer.is_none();
        let Some(one) = lane.round.iter_mut().find(under_way) else { return };
        let end = match frame {
            Frame::Head { headers, body, end } => {
                one.status = wire::status(&headers);
                one.body = body;
                let read = matches!(lane.asked, Asked::Read) && one.status == 200;
                let (op, status) = (lane.op, one.status);
                if let Some(op) = cx.history().ops.get_mut(op) {
                    op.status = status;
                    op.showed = if read { showed(&headers) } else { None };
                }
                end
            }
            Frame::Data { bytes, end } => {
                one.body.extend_from_slice(&bytes);
                end
            }
            Frame::Trailers { .. } => true,
            Frame::Reset => {
                one.answer = Some(Answer::Unknown("reset".into()));
                return self.answered(cx, at);
            }
        };
        if end {
            one.answer = Some(judge(one.status, &one.body));
            // Answered before its body was out: nobody wants the rest.
            let cut = Some((one.stream, one.link)).filter(|_| !one.rest.is_empty());
            let session = lane.session as usize;
            if let (Some((stream, link)), Some(state)) = (cut, self.sessions.get(session))
                && let Link::Connected(conn) = state.links[link]
            {
                cx.send(conn, stream, Frame::Reset);
            }
            self.answered(cx, at);
        }
    }

    /// A try of this lane has come to an end.
    fn answered(&mut self, cx: &mut Cx<'_>, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if !lane.content && lane.round.iter().any(|t| t.answer == Some(Answer::Ok)) {
            lane.content = true;
            self.end(cx, at, Outcome::Ok);
        }
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if lane.round.iter().all(|t| t.answer.is_some()) {
            self.round_over(cx, at);
        }
    }

    fn round_over(&mut self, cx: &mut Cx<'_>, at: usize) {
        let retries = self.config.load.retries;
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if lane.content {
            return self.go_on(cx, at);
        }
        let (refused, unknown) = verdict(lane);
        let keyless = matches!(lane.asked, Asked::Write { keyed: false, .. });
        // A refusal other than 503 is meant for this request, now and later.
        let again = unknown.is_some() || lane.round.iter().any(|t| t.status == 503);
        lane.refused = if lane.tries == 1 { refused } else { lane.refused.and(refused) };
        if again && !keyless && lane.tries <= retries {
            lane.doing = Doing::Pausing;
            lane.turn += 1;
            lane.round.clear();
            return cx.after(RETRY_PAUSE, Timer { kind: RETRY, a: at as u64, b: lane.turn });
        }
        let outcome = match (lane.refused, unknown) {
            (Some(name), _) => Outcome::Refused(name.to_string()),
            (None, unknown) => Outcome::Unknown(unknown.unwrap_or_else(|| "an earlier try".into())),
        };
        self.end(cx, at, outcome);
        self.go_on(cx, at);
    }

    /// The pause before the next try is over.
    pub(super) fn retry(&mut self, cx: &mut Cx<'_>, at: usize, turn: u64) {
        let lane = self.lanes.get(at);
        if lane.is_some_and(|lane| lane.turn == turn && lane.doing == Doing::Pausing) {
            self.send(cx, at);
        }
    }

    /// A round may have taken too long.
    pub(super) fn timeout(&mut self, cx: &mut Cx<'_>, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        lane.reminded = lane.doing == Doing::Waiting && cx.now() < lane.deadline;
        if lane.reminded {
            let left = lane.deadline - cx.now();
            return cx.after(left, Timer { kind: TIMEOUT, a: at as u64, b: 0 });
        }
        if lane.doing != Doing::Waiting {
            return;
        }
        let late = lane.round.iter_mut().filter(|t| t.answer.is_none());
        let late: Vec<_> = late
            .map(|t| {
                t.answer = Some(Answer::Unknown("no answer in time".into()));
                (t.stream, t.link)
            })
            .collect();
        let session = lane.session as usize;
        self.leave(cx, session, &late);
        self.answered(cx, at);
    }

    /// Gives up exchanges. On a connection that answers in time nothing else is lost; after a
    /// timeout the session moves to the other gateway with its next connection.
    fn leave(&mut self, cx: &mut Cx<'_>, session: usize, exchanges: &[(StreamNo, usize)]) {
        for (stream, link) in exchanges {
            match self.sessions.get(session).map(|s| s.links[*link]) {
                Some(Link::Connected(conn) | Link::Connecting(conn)) if cx.rng().one_in(1, 2) => {
                    cx.close(conn);
                    self.disconnected(cx, conn, "given up");
                }
                Some(Link::Connected(conn)) => cx.send(conn, *stream, Frame::Reset),
                _ => {}
            }
        }
    }

    /// A client gives up.
    pub(super) fn abort(&mut self, cx: &mut Cx<'_>, at: usize, turn: u64) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if lane.turn != turn || lane.doing != Doing::Waiting {
            return;
        }
        let round = std::mem::take(&mut lane.round);
        let left: Vec<_> =
            round.iter().filter(|t| t.answer.is_none()).map(|t| (t.stream, t.link)).collect();
        let (session, content) = (lane.session as usize, lane.content);
        if !content {
            self.end(cx, at, Outcome::Unknown("given up by its client".into()));
        }
        self.leave(cx, session, &left);
        self.go_on(cx, at);
    }
}

/// What a whole round says: the promise that no trace was left, and why nothing is known.
fn verdict(lane: &Lane) -> (Option<&'static str>, Option<String>) {
    let (mut refused, mut unknown) = (None, None);
    for one in &lane.round {
        match &one.answer {
            Some(Answer::Refused(name)) => refused = Some(*name),
            Some(Answer::Unknown(why)) => unknown = Some(why.clone()),
            Some(Answer::Ok) | None => {}
        }
    }
    (refused.filter(|_| unknown.is_none()), unknown)
}

/// Which replica answered a read, and how many writes it showed.
fn showed(headers: &Headers) -> Option<(ReplicaFault, usize)> {
    let replica = match wire::text(headers, "x-replica")? {
        "primary" => ReplicaFault::Primary,
        "secondary" => ReplicaFault::Secondary,
        _ => return None,
    };
    Some((replica, wire::text(headers, "x-count")?.parse().ok()?))
}
