//! Giving disk space back: asked of the store every few seconds, done on a thread of its own, one
//! at a time, so that no turn waits for it.

use super::thread::{ExitOnPanic, failed};
use crate::logging;
use replay_log::store::Reclaim;
use std::thread::JoinHandle;

/// How often a store is asked, milliseconds.
const EVERY_MS: u64 = 5_000;

/// The state of it.
#[derive(Default)]
pub(super) struct Reclaiming {
    due_ms: u64,
    under_way: Option<JoinHandle<()>>,
}

impl Reclaiming {
    /// When the store is to be asked again, on the monotonic clock.
    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Asks, if it is time and nothing is under way, and begins what is to be done. An error of it
    /// is as fatal as that of a commit.
    pub(super) fn go_on(
        &mut self,
        engine: &'static str,
        now_ms: u64,
        ask: impl FnOnce() -> Option<Reclaim>,
    ) {
        if now_ms < self.due_ms {
            return;
        }
        self.due_ms = now_ms + EVERY_MS;
        if self.under_way.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let Some(work) = ask() else { return };
        let begun = std::thread::Builder::new().name(format!("{engine} space")).spawn(move || {
            let fatal = ExitOnPanic(engine);
            if let Err(cause) = work() {
                failed(engine, &cause);
            }
            std::mem::forget(fatal);
        });
        match begun {
            Ok(thread) => self.under_way = Some(thread),
            Err(cause) => {
                let fields: [logging::Field; 2] = [("engine", &engine), ("cause", &cause)];
                logging::warn("no thread to give disk space back; tried again later", &fields);
            }
        }
    }
}
