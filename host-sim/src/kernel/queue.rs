//! What is to happen, ordered by (time, salt, sequence).

use super::{ConnId, Event, Micros, NetEvent, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something due.
#[derive(Debug)]
pub(super) enum Due {
    /// For a process in this life of it.
    Node(NodeId, u32, Event),
    /// A frame or a notice arrives at one end of a connection.
    Net(NodeId, ConnId, NetEvent),
    /// The world itself.
    World(super::world::Plan),
}

struct Entry {
    key: (Micros, u32, u64),
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// The queue of events.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Micros, salt: u32, due: Due) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { key: (at, salt, self.sequence), due }));
    }

    pub(super) fn pop(&mut self, until: Micros) -> Option<(Micros, Due)> {
        if self.heap.peek()?.0.key.0 > until {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.key.0, entry.due))
    }
}
