//! When new writes are refused because there is no room for them. What ends work goes on: ends,
//! settles, withdrawals, deliveries, and retries of what has a number.

use super::Log;
use crate::Now;

/// While the disk is full, how often it is looked at when nobody writes, milliseconds.
const LOOK_MS: u64 = 1000;

/// Why new writes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Unsettled entries take `max_bytes`.
    Bytes,
    /// The disk has too little left.
    Disk,
}

impl Full {
    /// Its name in the status.
    pub fn name(self) -> &'static str {
        match self {
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
        let no_bytes = self.live_bytes >= self.config.max_bytes;
        let bytes = no_bytes || self.full.cause == Some(Full::Bytes);
        if self.store.has_room() { bytes.then_some(Full::Bytes) } else { Some(Full::Disk) }
    }

    /// Why a new entry of so many bytes is refused, if it is.
    pub(super) fn refuses_as_full(&mut self, now: Now, bytes: u64) -> Option<String> {
        self.note_room(now);
        if self.full.cause == Some(Full::Disk) {
            return Some(self.disk_is_full());
        }
        if self.live_bytes + bytes <= self.config.max_bytes {
            return None;
        }
        let detail = format!("the replay log holds {} bytes, its bound", self.live_bytes);
        if self.full.cause.is_none() {
            self.full.cause = Some(Full::Bytes);
            self.event(now, "full", None, None, &detail);
        }
        Some(detail)
    }

    /// Notes that the disk has become full, and that there is room again.
    pub(super) fn note_room(&mut self, now: Now) {
        let room = self.store.has_room();
        match self.full.cause {
            Some(Full::Disk) if !room => self.full.look_at_ms = now.mono_ms + LOOK_MS,
            None | Some(Full::Bytes) if !room => {
                self.full = State { cause: Some(Full::Disk), look_at_ms: now.mono_ms + LOOK_MS };
                let detail = self.disk_is_full();
                self.event(now, "full", None, None, &detail);
            }
            // Not at its very edge, where the next write would fill it again.
            Some(Full::Bytes) if self.live_bytes > self.config.max_bytes / 8 * 7 => {}
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
