//! The world: all processes, and the loop that lets the next thing happen.

use super::cx::Cx;
use super::net::{Conn, LinkState, link_between};
use super::queue::{Due, Queue};
use super::trace::Trace;
use super::{Actor, ConnId, Event, Micros, NetEvent, NodeId, Place, Reach};
use crate::history::{History, Note};
use crate::rng::Rng;
use scenario::{Cut, Normal, What};
use std::collections::BTreeMap;

/// What the world itself does at a time.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Breaks or mends a link.
    Link(u32, Option<Cut>),
    /// Lets frames over a link take up to so much longer.
    Extra(u32, Micros),
    /// Resets every connection over a link.
    Reset(u32),
    /// Kills a process.
    Kill(NodeId),
    /// Ends a process in good order.
    Stop(NodeId),
    /// Starts a process that is down.
    Start(NodeId),
    /// Freezes a process, or thaws it.
    Freeze(NodeId, bool),
    /// Lets something break inside a process.
    Break(NodeId, What),
    /// Moves the wall clock of a place, milliseconds.
    Step(Place, i64),
    /// A connection whose bytes were swallowed is reset at last.
    Tidy(u64),
}

pub(super) struct Node {
    pub name: String,
    pub place: Place,
    pub up: bool,
    pub frozen: bool,
    /// Which life this is; reminders of another one are dropped.
    pub life: u32,
    pub rng: Rng,
    /// What came while it was frozen.
    pub backlog: Vec<Due>,
}

/// Everything but the processes.
pub struct Kernel {
    pub(super) now: Micros,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<Node>,
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) links: Vec<LinkState>,
    pub(super) trace: Trace,
    pub(super) dying: Vec<(NodeId, Micros)>,
    pub(super) history: History,
    local: Rng,
    pub(super) order: Rng,
    normal: Normal,
    clocks: BTreeMap<Place, (i64, i64)>,
    pub(super) next_conn: u64,
    seed: u64,
    events: u64,
}

/// When the world begins, unix microseconds.
const EPOCH_US: u64 = 1_800_000_000_000_000;

impl Kernel {
    pub(super) fn push(&mut self, at: Micros, due: Due) {
        let salt = u32::try_from(self.order.below(1 << 16)).unwrap_or(0);
        self.queue.push(at, salt, due);
    }

    pub(super) fn wall_us(&self, node: NodeId) -> u64 {
        let place = self.nodes[node.0 as usize].place;
        let (offset, ppm) = self.clocks.get(&place).copied().unwrap_or((0, 0));
        let now = i64::try_from(self.now).unwrap_or(i64::MAX / 2);
        let drift = now / 1_000_000 * ppm;
        EPOCH_US.saturating_add(self.now).saturating_add_signed(offset.saturating_add(drift))
    }

    pub(super) fn delay(&mut self, link: Option<u32>) -> Micros {
        let Some(shop) = link else {
            return self.local.between(self.normal.local_us);
        };
        let link = &mut self.links[shop as usize];
        let extra = link.rng.below(link.extra + 1);
        link.rng.between(self.normal.link_us) + extra
    }

    pub(super) fn to_cloud(&self, from: NodeId) -> bool {
        self.nodes[from.0 as usize].place != Place::Cloud
    }

    pub(super) fn reach(&mut self, from: NodeId, to: &[NodeId]) -> Reach {
        let Some(first) = to.first() else { return Reach::Silent };
        let place = |node: NodeId| self.nodes[node.0 as usize].place;
        let link = link_between(place(from), place(*first));
        match link.and_then(|shop| self.links[shop as usize].cut) {
            Some(Cut::Refuse) => return Reach::Refused,
            Some(_) => return Reach::Silent,
            None => {}
        }
        let nodes = || to.iter().map(|n| &self.nodes[n.0 as usize]);
        if nodes().any(|node| !node.up) {
            Reach::Refused
        } else if nodes().any(|node| node.frozen) {
            Reach::Silent
        } else {
            Reach::After(self.delay(link) + self.delay(link))
        }
    }
}

/// The world.
pub struct World {
    kernel: Kernel,
    actors: Vec<Box<dyn Actor>>,
}

impl World {
    /// An empty world with this many links, before its beginning.
    pub fn new(seed: u64, links: u32, normal: &Normal, trace: Trace) -> World {
        let link = |n| LinkState::new(Rng::named(seed, &format!("link {n}")));
        World {
            kernel: Kernel {
                now: 0,
                queue: Queue::default(),
                nodes: Vec::new(),
                conns: BTreeMap::new(),
                links: (0..links).map(link).collect(),
                trace,
                dying: Vec::new(),
                history: History::default(),
                local: Rng::named(seed, "local network"),
                order: Rng::named(seed, "order"),
                normal: normal.clone(),
                clocks: BTreeMap::new(),
                next_conn: 0,
                seed,
                events: 0,
            },
            actors: Vec::new(),
        }
    }

    /// Adds a process, which is down until [`World::start`].
    pub fn add(&mut self, name: &str, place: Place, actor: Box<dyn Actor>) -> NodeId {
        let id = NodeId(u32::try_from(self.actors.len()).unwrap_or(u32::MAX));
        let rng = Rng::named(self.kernel.seed, name);
        let name = name.to_string();
        let node = Node { name, place, up: false, frozen: false, life: 0, rng, backlog: vec![] };
        self.kernel.nodes.push(node);
        let ppm = i64::from(self.kernel.normal.drift_ppm);
        let seed = self.kernel.seed;
        self.kernel.clocks.entry(place).or_insert_with(|| {
            let mut rng = Rng::named(seed, &format!("clock {place:?}"));
            let offset = i64::try_from(rng.below(2_000_000)).unwrap_or(0) - 1_000_000;
            let drift = i64::try_from(rng.below(2 * ppm.unsigned_abs() + 1)).unwrap_or(0) - ppm;
            (offset, drift)
        });
        self.actors.push(actor);
        id
    }

    /// Puts another process in the place of one that is down.
    pub fn replace(&mut self, node: NodeId, actor: Box<dyn Actor>) {
        self.actors[node.0 as usize] = actor;
    }

    /// Starts a process.
    pub fn start(&mut self, node: NodeId) {
        let state = &mut self.kernel.nodes[node.0 as usize];
        if state.up {
            return;
        }
        state.up = true;
        state.life += 1;
        self.trace(node, "starts");
        self.with(node, |actor, cx| actor.start(cx));
    }

    /// Has something happen at a time.
    pub fn plan(&mut self, at: Micros, plan: Plan) {
        self.kernel.push(at, Due::World(plan));
    }

    /// Lets everything happen until that time.
    pub fn run_until(&mut self, until: Micros) {
        while let Some((at, due)) = self.kernel.queue.pop(until) {
            self.kernel.now = self.kernel.now.max(at);
            self.kernel.events += 1;
            self.happen(due);
            while let Some((node, wait)) = self.kernel.dying.pop() {
                self.kill(node);
                self.plan(self.kernel.now + wait, Plan::Start(node));
            }
        }
        self.kernel.now = until;
    }

    /// Now.
    pub fn now(&self) -> Micros {
        self.kernel.now
    }

    /// How many events there have been.
    pub fn events(&self) -> u64 {
        self.kernel.events
    }

    /// What was seen.
    pub fn history(&mut self) -> &mut History {
        &mut self.kernel.history
    }

    /// Whether a process is up.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.kernel.nodes[node.0 as usize].up
    }

    /// A process, as what it is.
    pub fn actor<A: Actor + 'static>(&mut self, node: NodeId) -> Option<&mut A> {
        self.actors.get_mut(node.0 as usize)?.as_any().downcast_mut()
    }

    /// Puts a note on the timeline.
    pub fn note(&mut self, shop: Option<u32>, kind: &'static str, text: String) {
        let at_us = self.kernel.now;
        if self.kernel.trace.on() {
            self.kernel.trace.line(at_us, "world", &format!("{kind}: {text}"));
        }
        self.kernel.history.notes.push(Note { at_us, shop, kind, text });
    }

    /// Runs code in the place of a process.
    pub fn with<R>(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut dyn Actor, &mut Cx<'_>) -> R,
    ) -> R {
        let mut cx = Cx { kernel: &mut self.kernel, me: node };
        act(self.actors[node.0 as usize].as_mut(), &mut cx)
    }

    fn trace(&mut self, node: NodeId, what: &str) {
        if self.kernel.trace.on() {
            let name = &self.kernel.nodes[node.0 as usize].name;
            self.kernel.trace.line(self.kernel.now, name, what);
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::World(plan) => self.carry_out(plan),
            Due::Node(node, life, event) => {
                let state = &mut self.kernel.nodes[node.0 as usize];
                if !state.up || state.life != life {
                    return;
                }
                if state.frozen {
                    return state.backlog.push(Due::Node(node, life, event));
                }
                self.with(node, |actor, cx| actor.event(cx, event));
            }
            Due::Net(node, conn, event) => self.arrive(node, conn, event),
        }
    }

    fn arrive(&mut self, node: NodeId, conn: ConnId, event: NetEvent) {
        let state = &mut self.kernel.nodes[node.0 as usize];
        if !state.up {
            return;
        }
        if state.frozen {
            return state.backlog.push(Due::Net(node, conn, event));
        }
        if !self.kernel.arrives(conn, &event) {
            return;
        }
        if self.kernel.trace.on() {
            let what = match &event {
                NetEvent::Frame(stream, frame) => format!("← #{}/{stream} {frame}", conn.0),
                other => format!("#{} {other:?}", conn.0),
            };
            self.trace(node, &what);
        }
        self.with(node, |actor, cx| actor.event(cx, Event::Net(conn, event)));
    }

    /// Does something to the world, now.
    pub fn carry_out(&mut self, plan: Plan) {
        if self.kernel.trace.on() {
            self.kernel.trace.line(self.kernel.now, "world", &format!("{plan:?}"));
        }
        match plan {
            Plan::Link(shop, cut) => self.kernel.set_link(shop, cut),
            Plan::Extra(shop, extra) => self.kernel.links[shop as usize].extra = extra,
            Plan::Reset(shop) => self.kernel.reset_link(shop),
            Plan::Kill(node) => self.kill(node),
            Plan::Stop(node) => {
                if self.kernel.nodes[node.0 as usize].up {
                    self.with(node, |actor, cx| actor.stop(cx));
                    self.bury(node);
                }
            }
            Plan::Start(node) => self.start(node),
            Plan::Freeze(node, frozen) => {
                let state = &mut self.kernel.nodes[node.0 as usize];
                state.frozen = frozen;
                if !frozen {
                    for due in std::mem::take(&mut state.backlog) {
                        self.happen(due);
                    }
                }
            }
            Plan::Break(node, what) => {
                let life = self.kernel.nodes[node.0 as usize].life;
                self.happen(Due::Node(node, life, Event::Fault(what)));
            }
            Plan::Step(place, by_ms) => {
                if let Some((offset, _)) = self.kernel.clocks.get_mut(&place) {
                    *offset = offset.saturating_add(by_ms.saturating_mul(1_000));
                }
            }
            Plan::Tidy(conn) => self.kernel.reset(conn),
        }
    }

    fn kill(&mut self, node: NodeId) {
        if self.kernel.nodes[node.0 as usize].up {
            self.with(node, |actor, cx| actor.crash(cx));
            self.bury(node);
        }
    }

    /// The machine's kernel closes what a process had open.
    fn bury(&mut self, node: NodeId) {
        self.trace(node, "is down");
        let state = &mut self.kernel.nodes[node.0 as usize];
        state.up = false;
        state.frozen = false;
        state.backlog.clear();
        for conn in self.kernel.ends_of(node) {
            self.kernel.close(conn);
        }
    }
}
