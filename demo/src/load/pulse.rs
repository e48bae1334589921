//! When this process itself stood still. A stall of the whole machine makes every request late, and
//! says nothing of who answered it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two beats.
const BEAT: Duration = Duration::from_millis(10);
/// A beat that is so late is a stall.
const LATE: Duration = Duration::from_millis(50);

/// A thread that does nothing but look at the clock.
#[derive(Debug)]
pub struct Pulse {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<[u64; 2]>>>,
}

impl Pulse {
    /// Looks at the clock from now on; stalls are told in microseconds since `origin`.
    pub fn start(origin: Instant) -> Self {
        let end = Arc::<AtomicBool>::default();
        let ended = Arc::clone(&end);
        let since = move |at: Instant| u64::try_from((at - origin).as_micros()).unwrap_or(u64::MAX);
        let watch = move || {
            let mut stalls = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let due = Instant::now() + BEAT;
                std::thread::sleep(BEAT);
                let now = Instant::now();
                if now > due + LATE {
                    stalls.push([since(due), since(now)]);
                }
            }
            stalls
        };
        Self { end, thread: Some(std::thread::spawn(watch)) }
    }

    /// The stalls so far, from and until when.
    pub fn end(mut self) -> Vec<[u64; 2]> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}
