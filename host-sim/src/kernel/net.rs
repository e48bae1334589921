//! Connections, and the links between the sites that carry them.
//!
//! Frames of one exchange arrive in order; those of different exchanges may overtake one another.
//! What a link swallows takes the rest of its connection's direction with it, as TCP would: a
//! later byte never arrives without an earlier one.

use super::{Addr, Micros, NetEvent, NodeId, Place};
use crate::rng::Rng;
use crate::wire::StreamNo;
use scenario::Cut;
use std::collections::BTreeMap;

/// Names a connection for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

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
