//! One replica's service: it keeps, durably, how many writes of each session it has run.
//!
//! A write takes effect at a moment inside its service time. Its answer depends on nothing but
//! the session and the count, so both replicas answer alike.

use crate::history::{Micros, Run, Session};
use crate::kernel::{Actor, ConnId, Cx, Event, MS, NetEvent, SECOND, Timer};
use crate::wire::{self, Frame, Headers, StreamNo};
use protocol::names::is_write;
use scenario::{Break, Range, ReplicaFault};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

/// A write takes effect.
const EFFECT: u16 = 1;
/// A request is done.
const DONE: u16 = 2;

/// How many requests the cloud's service runs at once, over all shops; the others wait in line.
#[derive(Debug)]
pub struct Capacity {
    /// When each place is free.
    free: BinaryHeap<Reverse<Micros>>,
}

impl Capacity {
    /// So many places.
    pub fn new(places: u32) -> Rc<RefCell<Capacity>> {
        let free = (0..places).map(|_| Reverse(0)).collect();
        Rc::new(RefCell::new(Capacity { free }))
    }

    /// Takes a place for so long as soon as one is free; when that is. Since nobody leaves the
    /// line, the times of all that stand in it are known when they come.
    fn take(&mut self, now: Micros, takes: Micros) -> Micros {
        let free = self.free.pop().map_or(0, |Reverse(at)| at);
        let begin = free.max(now);
        self.free.push(Reverse(begin + takes));
        begin
    }
}

/// What a replica is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its shop.
    pub shop: u32,
    /// Which of the two.
    pub replica: ReplicaFault,
    /// How long one request takes.
    pub service_us: Range,
    /// What primaries share.
    pub capacity: Option<Rc<RefCell<Capacity>>>,
}

/// A request that is being run.
struct Job {
    conn: ConnId,
    exchange: StreamNo,
    session: u32,
    /// The label of a write.
    write: Option<u32>,
    /// Where its run stands in the history, once it took effect.
    ran: Option<usize>,
    /// How many writes its session had run then.
    count: usize,
    /// The connection is to be closed instead of an answer.
    breaks: bool,
    /// Nobody waits for the answer any more.
    left: bool,
}

/// The process.
pub struct Replica {
    config: Config,
    /// Durable: how many writes of a session have run.
    counts: BTreeMap<u32, usize>,
    breaks: Vec<Break>,
    /// Requests whose body is not complete.
    heads: BTreeMap<(ConnId, StreamNo), Headers>,
    jobs: BTreeMap<u64, Job>,
    exchanges: BTreeMap<(ConnId, StreamNo), u64>,
    last: u64,
}

impl Replica {
    /// A replica that has run nothing.
    pub fn new(config: Config) -> Box<dyn Actor> {
        Box::new(Replica {
            config,
            counts: BTreeMap::new(),
            breaks: Vec::new(),
            heads: BTreeMap::new(),
            jobs: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            last: 0,
        })
    }

    /// It begins to misbehave in this way, beside others.
    pub fn misbehave(&mut self, how: Break) {
        self.breaks.push(how);
    }

    /// It misbehaves in this way no longer.
    pub fn behave(&mut self, how: Break) {
        if let Some(at) = self.breaks.iter().position(|b| *b == how) {
            self.breaks.remove(at);
        }
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    fn name(&self) -> &'static str {
        match self.config.replica {
            ReplicaFault::Primary => "primary",
            ReplicaFault::Secondary => "secondary",
        }
    }

    fn frame(&mut self, cx: &mut Cx<'_>, conn: ConnId, exchange: StreamNo, frame: Frame) {
        match frame {
            Frame::Head { headers, end: true, .. } => self.request(cx, conn, exchange, &headers),
            Frame::Head { headers, .. } => {
                self.heads.insert((conn, exchange), headers);
            }
            Frame::Data { end: true, .. } => {
                if let Some(headers) = self.heads.remove(&(conn, exchange)) {
                    self.request(cx, conn, exchange, &headers);
                }
            }
            Frame::Data { .. } | Frame::Trailers { .. } => {}
            Frame::Reset => {
                self.heads.remove(&(conn, exchange));
                if let Some(job) = self.exchanges.remove(&(conn, exchange)) {
                    self.leave(cx, job);
                }
            }
        }
    }

    fn request(&mut self, cx: &mut Cx<'_>, conn: ConnId, exchange: StreamNo, headers: &Headers) {
        if wire::get(headers, ":path") == Some(b"/healthz") {
            return answer(cx, conn, exchange, 200, Vec::new(), Vec::new());
        }
        if self.config.replica == ReplicaFault::Primary {
            count(cx);
        }
        let mut takes = cx.rng().between(self.config.service_us);
        let mut breaks = false;
        for how in &self.breaks {
            match *how {
                Break::Busy => return answer(cx, conn, exchange, 503, Vec::new(), Vec::new()),
                Break::TooMany => return answer(cx, conn, exchange, 429, Vec::new(), Vec::new()),
                Break::Slow(ms) => takes += ms.saturating_mul(MS),
                Break::BreakBefore(n) if cx.rng().one_in(1, n.into()) => {
                    return self.hang_up(cx, conn);
                }
                Break::BreakAfter(n) => breaks |= cx.rng().one_in(1, n.into()),
                Break::BreakBefore(_) => {}
            }
        }
        let Some((session, write)) = read(headers) else {
            return answer(cx, conn, exchange, 400, Vec::new(), Vec::new());
        };
        let now = cx.now();
        let line = self.config.capacity.as_ref();
        let begin = line.map_or(now, |line| line.borrow_mut().take(now, takes));
        self.last += 1;
        let id = self.last;
        if write.is_some() {
            let within = cx.rng().below(takes + 1);
            cx.after(begin + within - now, Timer { kind: EFFECT, a: id, b: takes - within });
        } else {
            cx.after(begin + takes - now, Timer { kind: DONE, a: id, b: 0 });
        }
        self.exchanges.insert((conn, exchange), id);
        let job = Job { conn, exchange, session, write, ran: None, count: 0, breaks, left: false };
        self.jobs.insert(id, job);
    }

    fn effect(&mut self, cx: &mut Cx<'_>, id: u64, rest: Micros) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(label) = job.write else { return };
        let counted = self.counts.entry(job.session).or_default();
        *counted += 1;
        job.count = *counted;
        let session = Session { shop: self.config.shop, index: job.session };
        let (replica, at_us, unanswered) = (self.config.replica, cx.now(), job.left);
        let runs = &mut cx.history().runs;
        job.ran = Some(runs.len());
        runs.push(Run { replica, session, label, at_us, unanswered });
        cx.after(rest, Timer { kind: DONE, a: id, b: 0 });
    }

    fn done(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if job.left {
            return;
        }
        self.exchanges.remove(&(job.conn, job.exchange));
        if job.breaks {
            unanswered(cx, &job);
            return self.hang_up(cx, job.conn);
        }
        let read = || self.counts.get(&job.session).copied().unwrap_or(0);
        let count = if job.write.is_some() { job.count } else { read() };
        let mut headers = vec![("x-replica".to_string(), self.name().into())];
        if job.write.is_none() {
            headers.push(("x-count".to_string(), count.to_string().into_bytes()));
        }
        let body = format!(r#"{{"session":"s{}","count":{count}}}"#, job.session).into_bytes();
        answer(cx, job.conn, job.exchange, 200, headers, body);
    }

    fn hang_up(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        cx.close(conn);
        self.disconnected(cx, conn);
    }

    /// Nobody hears the answers of this connection any more.
    fn disconnected(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        let all = (conn, StreamNo::MIN)..=(conn, StreamNo::MAX);
        let heads: Vec<_> = self.heads.range(all.clone()).map(|(key, _)| *key).collect();
        heads.iter().for_each(|key| drop(self.heads.remove(key)));
        let jobs: Vec<_> = self.exchanges.range(all).map(|(key, id)| (*key, *id)).collect();
        for (key, id) in jobs {
            self.exchanges.remove(&key);
            self.leave(cx, id);
        }
    }

    /// Nobody waits for this request any more. Some services give it up then, some do not.
    fn leave(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.left = true;
        unanswered(cx, job);
        if job.ran.is_none() && cx.rng().one_in(1, 2) {
            self.jobs.remove(&id);
        }
    }
}

/// Session, and label of a write, of a request.
fn read(headers: &Headers) -> Option<(u32, Option<u32>)> {
    let session = wire::text(headers, "x-session-id")?.strip_prefix('s')?.parse().ok()?;
    if !is_write(wire::text(headers, ":method")?) {
        return Some((session, None));
    }
    Some((session, Some(wire::text(headers, "x-label")?.parse().ok()?)))
}

fn unanswered(cx: &mut Cx<'_>, job: &Job) {
    let runs = &mut cx.history().runs;
    if let Some(run) = job.ran.and_then(|at| runs.get_mut(at)) {
        run.unanswered = true;
    }
}

fn count(cx: &mut Cx<'_>) {
    let second = usize::try_from(cx.now() / SECOND).unwrap_or(usize::MAX);
    let load = &mut cx.history().cloud_load;
    if load.len() <= second {
        load.resize(second + 1, 0);
    }
    load[second] += 1;
}

fn answer(
    cx: &mut Cx<'_>,
    conn: ConnId,
    exchange: StreamNo,
    status: u16,
    more: Headers,
    body: Vec<u8>,
) {
    let mut headers = vec![
        (":status".to_string(), status.to_string().into_bytes()),
        ("content-length".to_string(), body.len().to_string().into_bytes()),
    ];
    if !body.is_empty() {
        headers.push(("content-type".to_string(), b"application/json".to_vec()));
    }
    headers.extend(more);
    cx.send(conn, exchange, Frame::Head { headers, body, end: true });
}

impl Actor for Replica {
    fn start(&mut self, _cx: &mut Cx<'_>) {}

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Net(conn, NetEvent::Frame(exchange, frame)) => {
                self.frame(cx, conn, exchange, frame);
            }
            Event::Net(conn, NetEvent::Closed) => self.disconnected(cx, conn),
            Event::Timer(Timer { kind: EFFECT, a, b }) => self.effect(cx, a, b),
            Event::Timer(Timer { kind: DONE, a, .. }) => self.done(cx, a),
            Event::Net(..) | Event::Timer(_) | Event::Fault(_) => {}
        }
    }

    fn crash(&mut self, cx: &mut Cx<'_>) {
        self.heads.clear();
        self.exchanges.clear();
        for job in std::mem::take(&mut self.jobs).into_values() {
            unanswered(cx, &job);
        }
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_above_the_capacity_wait_in_line() {
        let capacity = Capacity::new(2);
        let mut capacity = capacity.borrow_mut();
        let begins: Vec<_> = (0..5).map(|_| capacity.take(100, 10)).collect();
        assert_eq!(begins, [100, 100, 110, 110, 120]);
        assert_eq!(capacity.take(500, 10), 500);
    }
}
