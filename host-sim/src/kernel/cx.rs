//! What a process can do while something happens to it.

use super::queue::Due;
use super::world::Kernel;
use super::{Addr, ConnId, Event, Micros, NetEvent, NodeId, Reach, Timer};
use crate::history::{History, Note};
use crate::rng::Rng;
use crate::wire::{Frame, StreamNo};

/// The world as one process sees it.
pub struct Cx<'a> {
    pub(super) kernel: &'a mut Kernel,
    pub(super) me: NodeId,
}

impl Cx<'_> {
    /// Now.
    pub fn now(&self) -> Micros {
        self.kernel.now
    }

    /// Who asks.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The name of this process, for traces.
    pub fn name(&self) -> &str {
        &self.kernel.nodes[self.me.0 as usize].name
    }

    /// Milliseconds of this machine's monotonic clock.
    pub fn mono_ms(&self) -> u64 {
        self.kernel.now / 1_000
    }

    /// Nanoseconds of this site's wall clock, which may jump and drift.
    pub fn wall_ns(&self) -> u64 {
        self.kernel.wall_us(self.me).saturating_mul(1_000)
    }

    /// Milliseconds of this site's wall clock.
    pub fn wall_ms(&self) -> u64 {
        self.kernel.wall_us(self.me) / 1_000
    }

    /// The time as the engines want it.
    pub fn engine_now(&self) -> replay_log::Now {
        replay_log::Now { mono_ms: self.mono_ms(), unix_ms: self.wall_ms() }
    }

    /// This process's stream of random numbers.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.kernel.nodes[self.me.0 as usize].rng
    }

    /// Reminds this process after so long, unless it dies before.
    pub fn after(&mut self, delay: Micros, timer: Timer) {
        let life = self.kernel.nodes[self.me.0 as usize].life;
        let due = Due::Node(self.me, life, Event::Timer(timer));
        self.kernel.push(self.kernel.now + delay, due);
    }

    /// Begins to connect; [`NetEvent::Connected`] or [`NetEvent::Refused`] may follow, or nothing.
    pub fn connect(&mut self, to: Addr) -> ConnId {
        self.kernel.connect(self.me, to)
    }

    /// Sends a frame over an open connection; nothing happens if it is closed.
    pub fn send(&mut self, conn: ConnId, stream: StreamNo, frame: Frame) {
        if self.tracing() {
            let peer = self.kernel.peer(conn);
            let peer =
                peer.map_or("nobody".into(), |n| self.kernel.nodes[n.0 as usize].name.clone());
            let what = format!("→ {peer} #{}/{stream} {frame}", conn.0);
            self.trace(&what);
        }
        self.kernel.send(conn, Some(stream), NetEvent::Frame(stream, frame));
    }

    /// Closes a connection, or gives up connecting.
    pub fn close(&mut self, conn: ConnId) {
        self.kernel.close(conn);
    }

    /// What would come of asking these processes, one behind the other, for a sign of life now.
    pub fn reach(&mut self, to: &[NodeId]) -> Reach {
        self.kernel.reach(self.me, to)
    }

    /// What clients and replicas saw.
    pub fn history(&mut self) -> &mut History {
        &mut self.kernel.history
    }

    /// Puts a note on the timeline.
    pub fn note(&mut self, shop: Option<u32>, kind: &'static str, text: String) {
        let at_us = self.kernel.now;
        self.kernel.history.notes.push(Note { at_us, shop, kind, text });
    }

    /// This process dies by itself, and is started again after so long, as by a supervisor.
    pub fn die(&mut self, restart_after: Micros) {
        self.kernel.dying.push((self.me, restart_after));
    }

    /// Whether anybody reads traces.
    pub fn tracing(&self) -> bool {
        self.kernel.trace.on()
    }

    /// Writes a line into the trace. Ask [`Cx::tracing`] before anything is formatted.
    pub fn trace(&mut self, what: &str) {
        let name = &self.kernel.nodes[self.me.0 as usize].name;
        self.kernel.trace.line(self.kernel.now, name, what);
    }
}
