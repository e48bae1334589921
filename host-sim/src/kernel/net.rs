//! Connections, and the links between the sites that carry them.
//!
//! Frames of one exchange arrive in order; those of different exchanges may overtake one another.
//! What a link swallows takes the rest of its connection's direction with it, as TCP would: a
//! later byte never arrives without an earlier one.

use super::queue::Due;
use super::world::{Kernel, Plan};
use super::{Addr, Micros, NetEvent, NodeId, Place};
use crate::rng::Rng;
use crate::wire::StreamNo;
use scenario::Cut;
use std::collections::BTreeMap;

/// Names one end of a connection for ever; its opener's end is even. A process may be at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl ConnId {
    pub(super) fn new(pair: u64, end: usize) -> ConnId {
        ConnId(pair << 1 | end as u64)
    }

    pub(super) fn pair(self) -> u64 {
        self.0 >> 1
    }

    pub(super) fn end(self) -> usize {
        usize::from(self.0 & 1 == 1)
    }

    pub(super) fn other(self) -> ConnId {
        ConnId(self.0 ^ 1)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// Who opened it.
    pub from: NodeId,
    /// To where.
    pub to: Addr,
    /// The shop whose link it goes over, if it leaves its site.
    pub link: Option<u32>,
    /// Per direction, the opener's first.
    pub(super) ways: [Way; 2],
    /// Which ends are closed, the opener's first.
    pub(super) closed: [bool; 2],
}

impl Conn {
    /// The process at an end.
    fn node(&self, end: usize) -> NodeId {
        if end == 0 { self.from } else { self.to.node }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Something of it was swallowed: nothing more arrives.
    pub broken: bool,
    /// The last arrival of each exchange that is under way.
    pub last: BTreeMap<StreamNo, Micros>,
    /// The last arrival of all.
    pub newest: Micros,
    /// What waits for a stalled link.
    pub stalled: Vec<NetEvent>,
}

/// A link between a shop's edge and the cloud.
#[derive(Debug)]
pub struct LinkState {
    /// How it is broken, if it is.
    pub cut: Option<Cut>,
    /// How much longer a frame may take.
    pub extra: Micros,
    pub(super) rng: Rng,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    Swallowed,
    Waits,
}

impl LinkState {
    pub(super) fn new(rng: Rng) -> LinkState {
        LinkState { cut: None, extra: 0, rng }
    }

    /// What becomes of something sent now, to the cloud or from it.
    pub(super) fn fate(&self, to_cloud: bool) -> Fate {
        match self.cut {
            None => Fate::Passes,
            Some(Cut::Refuse | Cut::Hole) => Fate::Swallowed,
            Some(Cut::Stall) => Fate::Waits,
            Some(Cut::Mute) if to_cloud => Fate::Passes,
            Some(Cut::Deaf) if !to_cloud => Fate::Passes,
            Some(Cut::Mute | Cut::Deaf) => Fate::Swallowed,
        }
    }
}

/// The link between two places, if they are not one.
pub(super) fn link_between(a: Place, b: Place) -> Option<u32> {
    match (a, b) {
        (Place::Edge(shop), Place::Cloud) | (Place::Cloud, Place::Edge(shop)) => Some(shop),
        _ => None,
    }
}

/// How long it takes at most until a connection that lost bytes in a cut is reset afterwards.
const TIDY_US: u64 = 2_000_000;

impl Kernel {
    pub(super) fn connect(&mut self, from: NodeId, to: Addr) -> ConnId {
        self.next_conn += 1;
        let pair = self.next_conn;
        let place = |node: NodeId| self.nodes[node.0 as usize].place;
        let link = link_between(place(from), place(to.node));
        let ways = [Way::default(), Way::default()];
        self.conns.insert(pair, Conn { from, to, link, ways, closed: [false; 2] });
        let [mine, theirs] = [0, 1].map(|end| ConnId::new(pair, end));
        let (there, back) = (self.delay(link), self.delay(link));
        let (now, up) = (self.now, self.nodes[to.node.0 as usize].up);
        let cut = link.and_then(|shop| self.links[shop as usize].cut);
        let to_cloud = self.to_cloud(from);
        let fates = link.map_or([Fate::Passes; 2], |shop| {
            [to_cloud, !to_cloud].map(|way| self.links[shop as usize].fate(way))
        });
        if cut == Some(Cut::Refuse) || (!up && fates == [Fate::Passes; 2]) {
            self.push(now + there + back, Due::Net(from, mine, NetEvent::Refused));
        } else if up && fates[0] == Fate::Passes {
            self.push(now + there, Due::Net(to.node, theirs, NetEvent::Opened(to.port)));
            if fates[1] == Fate::Passes {
                self.push(now + there + back, Due::Net(from, mine, NetEvent::Connected));
            }
            if let Some(conn) = self.conns.get_mut(&pair) {
                conn.ways[0].newest = now + there;
                conn.ways[1].newest = now + there + back;
            }
        }
        mine
    }

    /// The process at the other end.
    pub(super) fn peer(&self, id: ConnId) -> Option<NodeId> {
        self.conns.get(&id.pair()).map(|conn| conn.node(id.other().end()))
    }

    /// Sends something from this end to the other one; of an exchange if one is named.
    pub(super) fn send(&mut self, id: ConnId, stream: Option<StreamNo>, event: NetEvent) {
        if self.conns.get(&id.pair()).is_some_and(|conn| !conn.closed[id.end()]) {
            self.transmit(id, stream, event);
        }
    }

    fn transmit(&mut self, id: ConnId, stream: Option<StreamNo>, event: NetEvent) {
        let Some(conn) = self.conns.get(&id.pair()) else { return };
        let (from, to, link) = (conn.node(id.end()), conn.node(id.other().end()), conn.link);
        let to_cloud = self.to_cloud(from);
        let fate = link.map_or(Fate::Passes, |shop| self.links[shop as usize].fate(to_cloud));
        let now = self.now;
        let arrival = now + self.delay(link);
        let Some(conn) = self.conns.get_mut(&id.pair()) else { return };
        let way = &mut conn.ways[id.end()];
        if way.broken {
            return;
        }
        let fate = if way.stalled.is_empty() { fate } else { Fate::Waits };
        match fate {
            Fate::Swallowed => way.broken = true,
            Fate::Waits => way.stalled.push(event),
            Fate::Passes => {
                let before = match stream {
                    Some(stream) => *way.last.get(&stream).unwrap_or(&0),
                    None => way.newest,
                };
                let at = arrival.max(before + 1);
                if let Some(stream) = stream {
                    if way.last.len() > 64 {
                        way.last.retain(|_, last| *last > now);
                    }
                    way.last.insert(stream, at);
                }
                way.newest = way.newest.max(at);
                self.push(at, Due::Net(to, id.other(), event));
            }
        }
    }

    /// Closes this end; the other one learns of it behind everything that was sent before.
    pub(super) fn close(&mut self, id: ConnId) {
        if self.conns.get(&id.pair()).is_some_and(|conn| !conn.closed[id.end()]) {
            self.transmit(id, None, NetEvent::Closed);
            self.closed(id);
        }
    }

    /// Notes that an end is closed, and forgets a connection whose both ends are.
    fn closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id.pair()) else { return };
        conn.closed[id.end()] = true;
        if conn.closed == [true; 2] && conn.ways.iter().all(|way| way.stalled.is_empty()) {
            self.conns.remove(&id.pair());
        }
    }

    /// Something has come to this end: whether anybody is there to hear it.
    pub(super) fn arrives(&mut self, id: ConnId, event: &NetEvent) -> bool {
        let Some(conn) = self.conns.get(&id.pair()) else { return false };
        if conn.closed[id.end()] {
            if let NetEvent::Frame(..) = event {
                // Nobody is there any more: the machine answers with a reset.
                self.transmit(id, None, NetEvent::Closed);
            }
            return false;
        }
        match event {
            NetEvent::Closed => self.closed(id),
            NetEvent::Refused => {
                self.conns.remove(&id.pair());
            }
            _ => {}
        }
        true
    }

    /// The ends that a process has.
    pub(super) fn ends_of(&self, node: NodeId) -> Vec<ConnId> {
        let ends = |pair: &u64, conn: &Conn| {
            let pair = *pair;
            [0, 1].map(|end| (conn.node(end) == node).then(|| ConnId::new(pair, end)))
        };
        self.conns.iter().flat_map(|(pair, conn)| ends(pair, conn)).flatten().collect()
    }

    pub(super) fn set_link(&mut self, shop: u32, cut: Option<Cut>) {
        let before = std::mem::replace(&mut self.links[shop as usize].cut, cut);
        if cut == Some(Cut::Refuse) {
            self.reset_link(shop);
        }
        if cut.is_some() || before.is_none() {
            return;
        }
        for pair in self.over(shop) {
            self.release(pair);
            if self.conns.get(&pair).is_some_and(|c| c.ways.iter().any(|way| way.broken)) {
                let wait = self.links[shop as usize].rng.below(TIDY_US);
                self.push(self.now + wait, Due::World(Plan::Tidy(pair)));
            }
        }
    }

    /// The connections over a link.
    fn over(&self, shop: u32) -> Vec<u64> {
        let over = self.conns.iter().filter(|(_, conn)| conn.link == Some(shop));
        over.map(|(pair, _)| *pair).collect()
    }

    /// Lets go what waited for a stalled link, in order even across exchanges: it is one queue.
    fn release(&mut self, pair: u64) {
        for end in 0..2 {
            let Some(conn) = self.conns.get_mut(&pair) else { return };
            for event in std::mem::take(&mut conn.ways[end].stalled) {
                let stream = match &event {
                    NetEvent::Frame(stream, _) => Some(*stream),
                    _ => None,
                };
                if let (Some(conn), Some(stream)) = (self.conns.get_mut(&pair), stream) {
                    let newest = conn.ways[end].newest;
                    conn.ways[end].last.insert(stream, newest);
                }
                self.transmit(ConnId::new(pair, end), stream, event);
            }
        }
        if self.conns.get(&pair).is_some_and(|conn| conn.closed == [true; 2]) {
            self.conns.remove(&pair);
        }
    }

    pub(super) fn reset_link(&mut self, shop: u32) {
        for pair in self.over(shop) {
            self.reset(pair);
        }
    }

    /// Both ends learn that a connection is gone.
    pub(super) fn reset(&mut self, pair: u64) {
        let Some(conn) = self.conns.get_mut(&pair) else { return };
        let mut notices = Vec::new();
        for end in 0..2 {
            let way = &mut conn.ways[end];
            way.broken = true;
            way.stalled.clear();
            let newest = way.newest;
            let to = ConnId::new(pair, end).other();
            if !conn.closed[to.end()] {
                notices.push((conn.node(to.end()), to, newest));
            }
        }
        for (node, to, newest) in notices {
            let at = self.now.max(newest) + 1 + self.order.below(500);
            self.push(at, Due::Net(node, to, NetEvent::Closed));
        }
    }
}
