//! Virtual time, processes and the network between them.
//!
//! The next event is the one with the smallest (time, salt, sequence); the salt, drawn from the
//! seed, shuffles what happens at the same microsecond. Nothing reads a real clock, and nothing
//! is drawn from outside the seed, so the same seed gives the same run, event for event.

mod cx;
mod net;
mod queue;
mod trace;
mod world;

pub use self::cx::Cx;
pub use self::net::{Conn, ConnId, LinkState};
pub use self::queue::Queue;
pub use self::trace::Trace;
pub use self::world::{Plan, World};

use crate::wire::{Frame, StreamNo};

/// Microseconds of virtual time.
pub type Micros = u64;

/// One millisecond.
pub const MS: Micros = 1_000;
/// One second.
pub const SECOND: Micros = 1_000_000;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The edge of a shop.
    Edge(u32),
    /// The cloud.
    Cloud,
}

/// What a process listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// An Envoy's listener for clients.
    Clients,
    /// An Envoy's listener before the guard of its replica.
    Guard,
    /// An Envoy's listener for the replay log.
    Delivery,
    /// The gRPC of `reprise`.
    Grpc,
    /// A replica's service.
    Service,
}

/// Where to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Addr {
    /// The process.
    pub node: NodeId,
    /// Its port.
    pub port: Port,
}

/// What comes of asking for a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It answers after so long.
    After(Micros),
    /// Somebody says that nobody is there.
    Refused,
    /// Nothing comes back.
    Silent,
}

/// A process's own reminder; what the parts mean is its own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// What it is about.
    pub kind: u16,
    /// Whom it concerns.
    pub a: u64,
    /// More of it.
    pub b: u64,
}

/// What a process hears of its connections.
#[derive(Clone, Debug)]
pub enum NetEvent {
    /// Somebody connected to this port.
    Opened(Port),
    /// What this process opened is connected.
    Connected,
    /// What this process wanted to open was refused.
    Refused,
    /// A frame.
    Frame(StreamNo, Frame),
    /// The other side closed or reset it, or the network did; nothing follows.
    Closed,
}

/// What happens to a process.
#[derive(Clone, Debug)]
pub enum Event {
    /// A reminder is due.
    Timer(Timer),
    /// Something about a connection.
    Net(ConnId, NetEvent),
    /// Something breaks in it that it would not notice by itself, as a panic of a VM.
    Fault(scenario::What),
}

/// A process.
pub trait Actor {
    /// It starts, the first time or again. What it kept only in memory is gone.
    fn start(&mut self, cx: &mut Cx<'_>);

    /// Something happens.
    fn event(&mut self, cx: &mut Cx<'_>, event: Event);

    /// It is killed. Its connections end by themselves; here it loses what was not durable.
    fn crash(&mut self, cx: &mut Cx<'_>);

    /// It is told to end in good order, and is gone when this returns.
    fn stop(&mut self, cx: &mut Cx<'_>) {
        self.crash(cx);
    }

    /// For looking into it.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}
