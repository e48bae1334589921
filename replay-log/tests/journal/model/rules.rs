//! One session as the rules have it: so many writes settled, the next perhaps in flight.

use crate::rig::number;
use protocol::Number;
use std::collections::BTreeMap;

/// Writes of an epoch; the next one names its end.
pub const EPOCH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Running { deadline_ms: u64 },
    Doubt,
    Redo,
}

#[derive(Clone, Debug)]
pub struct Flight {
    pub owner: usize,
    pub state: State,
}

/// What the rules say of one session: the first `settled` writes are done, and the next may be in
/// flight.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub settled: usize,
    pub flight: Option<Flight>,
    pub statuses: BTreeMap<usize, u32>,
}

pub fn write_number(index: usize) -> Number {
    number(7 + 2 * (index / EPOCH) as u64, (index % EPOCH) as u64 + 1)
}

impl Session {
    pub fn settle(&mut self, status: u32) {
        self.statuses.insert(self.settled, status);
        self.settled += 1;
        self.flight = None;
    }

    /// Whether its next write may be granted to one who may redo it or not.
    pub fn is_free(&self, redo: bool) -> bool {
        match self.flight.as_ref().map(|flight| flight.state) {
            None | Some(State::Redo) => true,
            Some(State::Doubt) => redo,
            Some(State::Running { .. }) => false,
        }
    }

    pub fn is_running(&self) -> bool {
        self.flight.as_ref().is_some_and(|f| matches!(f.state, State::Running { .. }))
    }

    pub fn epoch_of_last(&self) -> u64 {
        write_number(self.settled - 1).epoch
    }
}
