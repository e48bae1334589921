//! The mode over time, and what a connection has lost by it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Flow, Mode};

/// The mode, and what a connection must know of those before it.
#[derive(Clone, Copy, Debug)]
pub struct State {
    mode: Mode,
    /// Counts the changes.
    generation: u64,
    /// The generation of the last hole.
    hole: Option<u64>,
}

impl State {
    pub fn first() -> Self {
        Self { mode: Mode::Pass, generation: 0, hole: None }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn change(&mut self, mode: Mode) {
        self.mode = mode;
        self.generation += 1;
        if mode == Mode::Hole {
            self.hole = Some(self.generation);
        }
    }
}

/// A direction of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

impl Way {
    pub fn flow(self, state: &State) -> Flow {
        match self {
            Self::Up => state.mode.up(),
            Self::Down => state.mode.down(),
        }
    }
}

/// A generation that no mode has.
const NEVER: u64 = u64::MAX;

/// What a connection remembers of itself.
pub struct Life {
    /// The generation in which it was accepted.
    born: u64,
    /// The first generation in which something of it was swallowed; [`NEVER`] before that.
    lost: AtomicU64,
}

impl Life {
    pub fn new(born: u64) -> Self {
        Self { born, lost: AtomicU64::new(NEVER) }
    }

    /// Whether it can only be reset now: something of it went missing in a mode that has ended.
    pub fn doomed(&self, state: &State) -> bool {
        let in_hole = state.hole.is_some_and(|hole| hole >= self.born && state.generation > hole);
        state.mode == Mode::Refuse
            || in_hole
            || state.generation > self.lost.load(Ordering::Relaxed)
    }

    pub fn lose(&self, state: &State) {
        self.lost.fetch_min(state.generation, Ordering::Relaxed);
    }

    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) != NEVER
    }
}
