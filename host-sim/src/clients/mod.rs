//! The clients of one shop: each session is one client with a connection of its own and a few
//! lanes; each lane has one request under way and waits for its answer.

mod outcome;
mod request;
mod rounds;
mod session;
#[cfg(test)]
mod tests;

use self::request::Asked;
use self::session::{Doing, Lane, Link, Session};
use crate::history::{Kind, Micros, Op, Outcome};
use crate::kernel::{Actor, Addr, ConnId, Cx, Event, MS, NetEvent, SECOND, Timer};
use crate::wire::StreamNo;
use scenario::Load;
use std::collections::BTreeMap;

/// A lane writes.
const WRITE: u16 = 1;
/// A round may have taken too long.
const TIMEOUT: u16 = 2;
/// A lane sends again.
const RETRY: u16 = 3;
/// A client gives up.
const ABORT: u16 = 4;
/// More of a slow body goes out.
const PIECE: u16 = 5;

/// How long a client waits before it sends a request again.
const RETRY_PAUSE: Micros = 200 * MS;
/// A client gives up within one of these: while its request is on its way, runs, or waits.
const PATIENCE: [Micros; 5] = [MS, 10 * MS, 30 * MS, 200 * MS, 2_000 * MS];

/// What clients are to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Their shop.
    pub shop: u32,
    /// The gateways; a session is at one of them.
    pub gateways: Vec<Addr>,
    /// The load.
    pub load: Load,
    /// When they send nothing new any more.
    pub stop_at_us: Micros,
}

/// The clients of a shop.
pub struct Clients {
    config: Config,
    /// Between two writes of a lane, on average; 0: there are no writes.
    period: Micros,
    sessions: Vec<Session>,
    lanes: Vec<Lane>,
    conns: BTreeMap<ConnId, (usize, usize)>,
    /// The last exchange; its number modulo the lanes is its lane.
    last: StreamNo,
    /// Lanes with a request under way.
    busy: usize,
}

impl Clients {
    /// Clients that begin with the world.
    pub fn new(config: Config) -> Box<dyn Actor> {
        let load = &config.load;
        let lanes = u64::from(load.in_flight.max(1)) * u64::from(load.sessions);
        let period = match load.writes_per_second {
            0 => 0,
            rate => (SECOND * lanes / rate).max(1),
        };
        let session =
            |n: usize| Session { gateway: n % config.gateways.len().max(1), ..Session::default() };
        let sessions = (0..usize::try_from(load.sessions).unwrap_or(0)).map(session).collect();
        // All lanes of all sessions spread evenly over one period.
        let first = |place: u64| load.from_ms * MS + period * place / lanes.max(1);
        let session_of =
            |place: u64| u32::try_from(place % u64::from(load.sessions.max(1))).unwrap_or(0);
        let lanes = (0..lanes).map(|place| Lane::new(session_of(place), first(place))).collect();
        let conns = BTreeMap::new();
        Box::new(Clients { config, period, sessions, lanes, conns, last: 0, busy: 0 })
    }

    /// Whether no request is under way.
    pub fn idle(&self) -> bool {
        self.busy == 0
    }

    /// The lane writes, and it is settled when it will write next.
    fn write(&mut self, cx: &mut Cx<'_>, at: usize) {
        let now = cx.now();
        if now >= self.config.stop_at_us {
            return;
        }
        let part = cx.rng().below(1_000_000);
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let planned = lane.next + self.period / 2 + self.period * part / 1_000_000;
        // What was missed in a stall is not made up for, but spread over a period.
        let late = now + self.period * part / 1_000_000;
        lane.next = if planned < now { late } else { planned };
        let Some(session) = self.sessions.get_mut(lane.session as usize) else { return };
        session.label += 1;
        let label = session.label;
        let load = &self.config.load;
        let methods = load.methods;
        let put =
            cx.rng().one_in(methods.put.into(), u64::from(methods.post) + u64::from(methods.put));
        let keyed = !cx.rng().one_in(load.keyless_per_mille.into(), 1_000);
        let length = usize::try_from(cx.rng().between(load.body_bytes)).unwrap_or(0);
        self.begin(cx, at, Asked::Write { label, put, keyed, length });
    }

    /// A new request of a lane.
    fn begin(&mut self, cx: &mut Cx<'_>, at: usize, asked: Asked) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let session = crate::history::Session { shop: self.config.shop, index: lane.session };
        let kind = match asked {
            Asked::Write { label, put, .. } => Kind::Write { label, idempotent: put },
            Asked::Read => Kind::Read,
        };
        let sent_us = cx.now();
        let ops = &mut cx.history().ops;
        lane.op = ops.len();
        ops.push(Op {
            session,
            kind,
            sent_us,
            ended_us: None,
            outcome: Outcome::Unknown(String::new()),
            tries: 0,
            status: 0,
            showed: None,
        });
        (lane.asked, lane.tries, lane.refused, lane.content) = (asked, 0, None, false);
        self.busy += 1;
        self.send(cx, at);
        let aborts = u64::from(self.config.load.aborts_per_mille);
        if aborts > 0 && cx.rng().one_in(aborts, 1_000) {
            let most = cx.rng().pick(&PATIENCE).copied().unwrap_or(MS);
            let patience = cx.rng().below(most);
            let b = self.lanes.get(at).map_or(0, |lane| lane.turn);
            cx.after(patience, Timer { kind: ABORT, a: at as u64, b });
        }
    }

    /// The client is done with a request.
    fn end(&mut self, cx: &mut Cx<'_>, at: usize, outcome: Outcome) {
        let Some(lane) = self.lanes.get(at) else { return };
        let ended_us = cx.now();
        if let Some(op) = cx.history().ops.get_mut(lane.op) {
            op.ended_us = Some(ended_us);
            op.outcome = outcome;
        }
    }

    /// The lane has nothing more to do with its request, and goes on.
    fn go_on(&mut self, cx: &mut Cx<'_>, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        lane.doing = Doing::Nothing;
        lane.turn += 1;
        lane.round.clear();
        self.busy -= 1;
        let (now, every) = (cx.now(), self.config.load.read_every);
        match lane.asked {
            Asked::Write { label, .. }
                if every > 0 && label % every == 0 && now < self.config.stop_at_us =>
            {
                self.begin(cx, at, Asked::Read);
            }
            _ => cx.after(lane.next.saturating_sub(now), Timer { kind: WRITE, a: at as u64, b: 0 }),
        }
    }

    /// A session's connection, which is opened if there is none.
    fn link(&mut self, cx: &mut Cx<'_>, session: usize, link: usize) -> Link {
        let Some(state) = self.sessions.get_mut(session) else { return Link::None };
        if let Link::None = state.links[link] {
            let gateways = &self.config.gateways;
            let Some(to) = gateways.get((state.gateway + link) % gateways.len().max(1)) else {
                return Link::None;
            };
            let conn = cx.connect(*to);
            self.conns.insert(conn, (session, link));
            state.links[link] = Link::Connecting(conn);
        }
        state.links[link]
    }

    /// A connection is gone, or is given up.
    fn unlink(&mut self, conn: ConnId) -> Option<(usize, usize)> {
        let (session, link) = self.conns.remove(&conn)?;
        let state = self.sessions.get_mut(session)?;
        state.links[link] = Link::None;
        state.gateway = (state.gateway + 1) % self.config.gateways.len().max(1);
        Some((session, link))
    }

    /// The lanes of a session.
    fn lanes_of(&self, session: usize) -> impl Iterator<Item = usize> + use<> {
        (session..self.lanes.len()).step_by(self.sessions.len().max(1))
    }
}

impl Actor for Clients {
    fn start(&mut self, cx: &mut Cx<'_>) {
        if self.period == 0 {
            return;
        }
        let now = cx.now();
        for (at, lane) in self.lanes.iter().enumerate() {
            cx.after(lane.next.saturating_sub(now), Timer { kind: WRITE, a: at as u64, b: 0 });
        }
    }

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Net(conn, NetEvent::Connected) => self.connected(cx, conn),
            Event::Net(conn, NetEvent::Refused) => self.disconnected(cx, conn, "refused"),
            Event::Net(conn, NetEvent::Closed) => self.disconnected(cx, conn, "closed"),
            Event::Net(_, NetEvent::Frame(stream, frame)) => self.frame(cx, stream, frame),
            Event::Timer(Timer { kind, a, b }) => {
                let at = usize::try_from(a).unwrap_or(usize::MAX);
                match kind {
                    WRITE => self.write(cx, at),
                    TIMEOUT => self.timeout(cx, at),
                    RETRY => self.retry(cx, at, b),
                    ABORT => self.abort(cx, at, b),
                    _ => self.piece(cx, at, b),
                }
            }
            Event::Net(_, NetEvent::Opened(_)) | Event::Fault(_) => {}
        }
    }

    /// Clients do not crash; if one did, nobody would ever know what became of its requests.
    fn crash(&mut self, _cx: &mut Cx<'_>) {
        self.conns.clear();
        self.busy = 0;
        for session in &mut self.sessions {
            session.links = Default::default();
        }
        for lane in &mut self.lanes {
            *lane = Lane::new(lane.session, lane.next);
        }
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}
