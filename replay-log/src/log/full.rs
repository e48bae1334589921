//! When new writes are refused because there is no room for them. What ends work goes on: ends,
//! settles, withdrawals, deliveries, and retries of what has a number.

use super::Log;
use crate::Now;

/// While the disk is full, how often it is looked at when nobody writes, milliseconds.
const LOOK_MS: u64 = 1000;

/// Why new writes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are `max_entries` unsettled entries.
    Entries,
    /// Unsettled entries take `max_bytes`.
    Bytes,
    /// The disk has too little left.
    Disk,
}

impl Full {
    /// Its name in the status.
    pub fn name(self) -> &'static str {
        match self {
            Full::Entries => "entries",
            Full::Bytes => "bytes",
            Full::Disk => "disk",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    cause: Option<Full>,
    look_at_ms: u64,
}

impl State {
    pub(super) fn look_at_ms(&self) -> Option<u64> {
        (self.cause == Some(Full::Disk)).then_some(self.look_at_ms)
    }
}

impl Log {
    /// Why new writes are refused now, if they are.
    pub(super) fn full(&self) -> Option<Full> {
        let was = self.full.cause.filter(|cause| *cause != Full::Disk);
        if self.store.has_room() { was.or(self.bound_of(1)) } else { Some(Full::Disk) }
    }

    /// Why a new entry of so many bytes is refused, if it is.
    pub(super) fn refuses_as_full(&mut self, now: Now, bytes: u64) -> Option<String> {
        self.note_room(now);
        if self.full.cause == Some(Full::Disk) {
            return Some(self.disk_is_full());
        }
        let cause = self.bound_of(bytes)?;
        let held = if cause == Full::Entries { self.live_entries } else { self.live_bytes };
        let detail = format!("the replay log holds {held} {}, its bound", cause.name());
        if self.full.cause.is_none() {
            self.full.cause = Some(cause);
            self.event(now, "full", None, None, &detail);
        }
        Some(detail)
    }

    /// The bound that one more entry of so many bytes would be over.
    fn bound_of(&self, bytes: u64) -> Option<Full> {
        if self.live_entries >= self.config.max_entries {
            Some(Full::Entries)
        } else {
            (self.live_bytes + bytes > self.config.max_bytes).then_some(Full::Bytes)
        }
    }

    /// Notes that the disk has become full, and that there is room again.
    pub(super) fn note_room(&mut self, now: Now) {
        let room = self.store.has_room();
        // Not at its very edge, where the next write would fill it again.
        let at_bound = self.live_bytes > self.config.max_bytes / 8 * 7
            || self.live_entries > self.config.max_entries / 8 * 7;
        match self.full.cause {
            Some(Full::Disk) if !room => self.full.look_at_ms = now.mono_ms + LOOK_MS,
            _ if !room => {
                self.full = State { cause: Some(Full::Disk), look_at_ms: now.mono_ms + LOOK_MS };
                let detail = self.disk_is_full();
                self.event(now, "full", None, None, &detail);
            }
            Some(Full::Entries | Full::Bytes) if at_bound => {}
            Some(_) => {
                self.full.cause = None;
                self.event(now, "room_again", None, None, "");
            }
            None => {}
        }
    }

    fn disk_is_full(&self) -> String {
        let path = self.store.path().display();
        match self.store.free_bytes() {
            Some(free) => {
                format!("the disk of the replay log at {path} is full: {free} bytes are free")
            }
            None => format!("the disk of the replay log at {path} is full"),
        }
    }
}
