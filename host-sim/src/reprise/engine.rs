//! The thread of an engine: turns of taking what has queued up, handling, one commit, and letting
//! the outputs go once the sync is done. What comes meanwhile waits for the next turn.

use super::disk::Disk;
use crate::kernel::{Cx, MS, Micros, Timer};
use replay_log::journal::{self, Journal};
use replay_log::log::{self, Log};
use replay_log::store::StoreError;
use replay_log::{Now, StreamId};
use scenario::Range;
use std::collections::VecDeque;

/// Inputs of one commit.
const BATCH_MESSAGES: usize = 1024;
/// Bytes of the inputs of one commit; the input that passes it is the last.
const BATCH_BYTES: usize = 4 << 20;
/// A tick that is due already waits this long for company.
const SHORTEST_WAIT: Micros = MS;

/// An engine.
pub trait Machine {
    /// What happens to it.
    type Input;
    /// What it wants done.
    type Output;
    /// Its place among the engines of its process, for timers.
    const PLACE: u64;

    fn tick() -> Self::Input;
    fn closed(stream: StreamId) -> Self::Input;
    fn handle(&mut self, now: Now, input: Self::Input);
    fn commit(&mut self, now: Now) -> Result<Vec<Self::Output>, StoreError>;
    fn flush(&mut self, now: Now) -> Result<(), StoreError>;
    fn next_wake_ms(&self) -> Option<u64>;
}

impl Machine for Log {
    type Input = log::Input;
    type Output = log::Output;
    const PLACE: u64 = 0;

    fn tick() -> log::Input {
        log::Input::Tick
    }
    fn closed(stream: StreamId) -> log::Input {
        log::Input::GatewayClosed { stream }
    }
    fn handle(&mut self, now: Now, input: log::Input) {
        Log::handle(self, now, input);
    }
    fn commit(&mut self, now: Now) -> Result<Vec<log::Output>, StoreError> {
        Log::commit(self, now)
    }
    fn flush(&mut self, now: Now) -> Result<(), StoreError> {
        Log::flush(self, now)
    }
    fn next_wake_ms(&self) -> Option<u64> {
        Log::next_wake_ms(self)
    }
}

impl Machine for Journal {
    type Input = journal::Input;
    type Output = journal::Output;
    const PLACE: u64 = 1;

    fn tick() -> journal::Input {
        journal::Input::Tick
    }
    fn closed(stream: StreamId) -> journal::Input {
        journal::Input::GuardClosed { stream }
    }
    fn handle(&mut self, now: Now, input: journal::Input) {
        Journal::handle(self, now, input);
    }
    fn commit(&mut self, now: Now) -> Result<Vec<journal::Output>, StoreError> {
        Journal::commit(self, now)
    }
    fn flush(&mut self, now: Now) -> Result<(), StoreError> {
        Journal::commit(self, now).map(drop)
    }
    fn next_wake_ms(&self) -> Option<u64> {
        Journal::next_wake_ms(self)
    }
}

/// A sync is done.
pub const SYNC: u16 = 1;
/// A tick may be due.
pub const TICK: u16 = 2;

/// An engine and its queue.
pub struct Turns<M: Machine> {
    /// The engine.
    pub machine: M,
    disk: Disk,
    sync_us: Range,
    queue: VecDeque<(M::Input, usize)>,
    /// Outputs of the commit that is being synced.
    syncing: Option<Vec<M::Output>>,
    /// The earliest reminder that is under way.
    reminder: Option<Micros>,
}

impl<M: Machine> Turns<M> {
    /// An engine that was opened on this disk; a sync takes so long.
    pub fn new(machine: M, disk: Disk, sync_us: Range) -> Turns<M> {
        Turns { machine, disk, sync_us, queue: VecDeque::new(), syncing: None, reminder: None }
    }

    /// Queues an input of about `bytes`.
    pub fn feed(&mut self, input: M::Input, bytes: usize) {
        self.queue.push_back((input, bytes));
    }

    fn is_due(&self, now: Now) -> bool {
        let tick = || self.machine.next_wake_ms().is_some_and(|wake| wake <= now.mono_ms);
        // A tick comes by its reminder, never sooner than the shortest wait.
        self.syncing.is_none() && (!self.queue.is_empty() || (self.reminder.is_none() && tick()))
    }

    fn handle(&mut self, now: Now) {
        let (mut messages, mut bytes) = (0, 0);
        while messages < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let Some((input, size)) = self.queue.pop_front() else { break };
            messages += 1;
            bytes += size;
            self.machine.handle(now, input);
        }
        if self.machine.next_wake_ms().is_some_and(|wake| wake <= now.mono_ms) {
            self.machine.handle(now, M::tick());
        }
    }

    /// One turn if there is something to do; `None` if there is not. Outputs that depend on a
    /// sync come out of [`Turns::synced`] instead.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Option<Result<Vec<M::Output>, StoreError>> {
        let now = cx.engine_now();
        if !self.is_due(now) {
            return None;
        }
        self.handle(now);
        let outputs = match self.machine.commit(now) {
            Ok(outputs) => outputs,
            Err(error) => return Some(Err(error)),
        };
        if !self.disk.is_dirty() {
            return Some(Ok(outputs));
        }
        let usual = cx.rng().between(self.sync_us);
        let takes = self.disk.slow().unwrap_or(usual);
        cx.after(takes, Timer { kind: SYNC, a: M::PLACE, b: 0 });
        self.syncing = Some(outputs);
        Some(Ok(Vec::new()))
    }

    /// The sync is done: what waited for it may go.
    pub fn synced(&mut self, now: Micros) -> Vec<M::Output> {
        self.disk.synced(now);
        self.syncing.take().unwrap_or_default()
    }

    /// A reminder has come.
    pub fn reminded(&mut self, now: Micros) {
        if self.reminder.is_some_and(|at| at <= now) {
            self.reminder = None;
        }
    }

    /// Sees to it that a reminder comes when a tick is due.
    pub fn remind(&mut self, cx: &mut Cx<'_>) {
        if self.syncing.is_some() {
            return;
        }
        let Some(wake) = self.machine.next_wake_ms() else { return };
        let now = cx.now();
        let at = wake.saturating_mul(1_000).max(now + SHORTEST_WAIT);
        if self.reminder.is_none_or(|earlier| at < earlier) {
            self.reminder = Some(at);
            cx.after(at - now, Timer { kind: TICK, a: M::PLACE, b: 0 });
        }
    }

    /// The last turn, to the end: everything queued, and what was waiting for company.
    pub fn finish(&mut self, cx: &mut Cx<'_>) -> Result<Vec<M::Output>, StoreError> {
        let (now, at) = (cx.engine_now(), cx.now());
        let mut outputs = self.synced(at);
        while !self.queue.is_empty() {
            self.handle(now);
        }
        outputs.append(&mut self.machine.commit(now)?);
        self.machine.flush(now)?;
        self.disk.synced(at);
        Ok(outputs)
    }
}
