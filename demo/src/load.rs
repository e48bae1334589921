//! The clients: sessions that write and read in a closed loop and note how each request went.
//!
//! A session has one write under way at a time (or a stated few), thinks, and writes again.
//! Every write has a label of its own, `s<session>-<n>`, by which the checker finds it at the
//! replicas, and an `Idempotency-Key`. After every few writes the session is read, and the
//! answer must show every write that it was acknowledged: otherwise the read is *stale*.

mod client;
mod pulse;
mod record;
mod session;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pulse::Pulse;
pub use record::{Kind, Op, Outcome, Record};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// What the clients do.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where they send it.
    pub target: SocketAddr,
    /// How many sessions there are, each with connections of its own.
    pub sessions: u32,
    /// The writes per second that all sessions together aim at; 0 means without a pause.
    pub writes_per_second: u32,
    /// How many writes a session has under way at once.
    pub in_flight: u32,
    /// A session is read after every so many of its writes; 0 means never.
    pub read_every: u32,
    /// The size of a write's body in bytes, roughly.
    pub body_bytes: usize,
    /// How long a client waits for an answer.
    pub timeout: Duration,
    /// How often a request that failed is sent again, with the same key. 0 compares alike what
    /// stands behind: nothing is repaired by the client.
    pub retries: u32,
    /// Whether to speak HTTP/2 (with prior knowledge) rather than HTTP/1.1.
    pub http2: bool,
    /// The ids of the sessions are this and their number.
    pub prefix: String,
    /// How many writes each session sends before it rests; `None` goes on until the load stops.
    pub writes_per_session: Option<u64>,
}

impl LoadOptions {
    /// 20 sessions with 250 writes of 1 kB per second, a read after every fifth.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            sessions: 20,
            writes_per_second: 250,
            in_flight: 1,
            read_every: 5,
            body_bytes: 1024,
            timeout: Duration::from_secs(10),
            retries: 0,
            http2: false,
            prefix: "s".to_owned(),
            writes_per_session: None,
        }
    }
}

/// How the load goes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// Reads answered.
    pub reads: u64,
    /// Requests refused, or without an answer.
    pub errors: u64,
    /// Reads that did not show an acknowledged write.
    pub stale: u64,
}

/// What the sessions share.
#[derive(Debug)]
struct Shared {
    options: LoadOptions,
    start: Instant,
    stop: watch::Receiver<bool>,
    acknowledged: AtomicU64,
    reads: AtomicU64,
    errors: AtomicU64,
    stale: AtomicU64,
}

impl Shared {
    /// Microseconds since the load began.
    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn count(&self, op: &Op) {
        let counter = match (op.outcome, op.kind) {
            (Outcome::Ok, Kind::Write) => &self.acknowledged,
            (Outcome::Ok, Kind::Read) => &self.reads,
            _ => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if op.stale {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sessions at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    start_unix_ms: u64,
    lanes: JoinSet<Vec<Op>>,
    pulse: Pulse,
}

impl Load {
    /// Sets all sessions to work.
    #[must_use]
    pub fn start(options: LoadOptions) -> Self {
        Self::go_on(options, &Record::default())
    }

    /// Sets all sessions to work where an earlier load has left them: its writes must still be
    /// there, and new ones are numbered after them.
    #[must_use]
    pub fn go_on(options: LoadOptions, before: &Record) -> Self {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            options,
            start: Instant::now(),
            stop: stopped,
            acknowledged: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        });
        let start_unix_ms = crate::unix_ms();
        let mut lanes = JoinSet::new();
        for index in 0..shared.options.sessions {
            for lane in session::lanes(index, &shared, before) {
                lanes.spawn(lane);
            }
        }
        let pulse = Pulse::start(shared.start.into_std());
        Self { shared, stop, start_unix_ms, lanes, pulse }
    }

    /// Milliseconds since the load began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.now_us() / 1000
    }

    /// How it goes so far.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            acknowledged: self.shared.acknowledged.load(Ordering::Relaxed),
            reads: self.shared.reads.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
            stale: self.shared.stale.load(Ordering::Relaxed),
        }
    }

    /// Lets every request that is under way end, and gives what happened.
    pub async fn stop(self) -> Record {
        // Fails only if every session has ended by itself, which is as good.
        let _ = self.stop.send(true);
        self.finish().await
    }

    /// Waits until every session has sent its `writes_per_session`.
    pub async fn finish(mut self) -> Record {
        let mut ops = Vec::new();
        while let Some(lane) = self.lanes.join_next().await {
            match lane {
                Ok(lane) => ops.extend(lane),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        ops.sort_by_key(|op| (op.start_us, op.session, op.number));
        Record {
            start_unix_ms: self.start_unix_ms,
            prefix: self.shared.options.prefix.clone(),
            ops,
            stalls: self.pulse.end(),
        }
    }
}
