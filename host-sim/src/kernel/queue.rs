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

/// Small, for it is moved about: what is due lies in its slot.
struct Entry {
    key: (Micros, u32, u64),
    slot: u32,
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
    slots: Vec<Option<Due>>,
    free: Vec<u32>,
    sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Micros, salt: u32, due: Due) {
        self.sequence += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(due);
                slot
            }
            None => {
                self.slots.push(Some(due));
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.heap.push(Reverse(Entry { key: (at, salt, self.sequence), slot }));
    }

    pub(super) fn pop(&mut self, until: Micros) -> Option<(Micros, Due)> {
        if self.heap.peek()?.0.key.0 > until {
            return None;
        }
        let Reverse(Entry { key, slot }) = self.heap.pop()?;
        self.free.push(slot);
        Some((key.0, self.slots[slot as usize].take()?))
    }
}
