//! One session: its lanes, each with one write under way at a time, and what they know together.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Kind, Op, Outcome, Record, Shared, client::Client, record};

/// What the lanes of a session know together.
#[derive(Debug, Default)]
struct Known {
    /// The number of the write sent last.
    sent: u64,
    /// How many writes were acknowledged.
    acknowledged: u64,
    /// The highest number among them.
    last: u64,
}

impl Known {
    fn of(index: u32, record: &Record) -> Self {
        let mut known = Self::default();
        let writes = record.ops.iter().filter(|op| op.session == index && op.kind == Kind::Write);
        for write in writes {
            known.sent = known.sent.max(write.number);
            if write.outcome == Outcome::Ok {
                known.acknowledge(write.number);
            }
        }
        known
    }

    fn acknowledge(&mut self, number: u64) {
        self.acknowledged += 1;
        self.last = self.last.max(number);
    }
}

#[derive(Debug)]
struct Session {
    index: u32,
    shared: Arc<Shared>,
    client: Client,
    /// What the keys of this session begin with: keys of another run must not be met again.
    key: String,
    known: Mutex<Known>,
}

/// The lanes of the session `index`, which has done what is recorded, as futures that give what
/// they did.
pub fn lanes(
    index: u32,
    shared: &Arc<Shared>,
    before: &Record,
) -> Vec<impl Future<Output = Vec<Op>> + Send + use<>> {
    let options = &shared.options;
    let mut entropy = [0; 8];
    // Without entropy keys are still unique within the run.
    let _ = getrandom::fill(&mut entropy);
    let session = Arc::new(Session {
        index,
        shared: Arc::clone(shared),
        client: Client::new(&format!("{}{index}", options.prefix), options),
        key: format!("{:016x}", u64::from_be_bytes(entropy)),
        known: Mutex::new(Known::of(index, before)),
    });
    let lanes = options.in_flight.max(1);
    let all = u64::from(lanes) * u64::from(options.sessions);
    let period = match options.writes_per_second {
        0 => None,
        rate => Some(Duration::from_nanos(1_000_000_000 * all / u64::from(rate))),
    };
    let lane = |lane| {
        // All lanes of all sessions spread evenly over one period.
        let place = u64::from(lane) * u64::from(options.sessions) + u64::from(index);
        let offset = |period: Duration| period.mul_f64(place as f64 / all as f64);
        let seed = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let pace = period.map(|period| Pace::new(period, offset(period), seed));
        run(Arc::clone(&session), pace)
    };
    (0..lanes).map(lane).collect()
}

/// When a lane writes: every period on average, each pause between half and one and a half.
///
/// People do not act in step. Clients of a fixed pause would, after all of them had waited for
/// the end of one stall, and every burst of theirs would queue.
#[derive(Debug)]
struct Pace {
    period: Duration,
    next: Instant,
    random: u64,
}

impl Pace {
    fn new(period: Duration, offset: Duration, seed: u64) -> Self {
        Self { period, next: Instant::now() + offset, random: seed.wrapping_mul(2) | 1 }
    }

    /// Waits for the moment of the next write.
    async fn wait(&mut self) {
        tokio::time::sleep_until(self.next).await;
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let part = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        let planned = self.next + self.period.mul_f64(0.5 + part);
        // What was missed in a stall is not made up for, but spread over a period.
        let late = Instant::now() + self.period.mul_f64(part);
        self.next = if planned < Instant::now() { late } else { planned };
    }
}

async fn run(session: Arc<Session>, mut pace: Option<Pace>) -> Vec<Op> {
    let mut stop = session.shared.stop.clone();
    let mut ops = Vec::new();
    loop {
        if let Some(pace) = &mut pace {
            tokio::select! {
                () = pace.wait() => {}
                // An error means that nobody is left who could stop it: the same.
                _ = stop.wait_for(|stop| *stop) => return ops,
            }
        }
        if *stop.borrow() {
            return ops;
        }
        let Some(number) = session.next() else {
            return ops;
        };
        ops.push(session.write(number).await);
        let every = u64::from(session.shared.options.read_every);
        if every > 0 && number.is_multiple_of(every) {
            ops.push(session.read(number).await);
        }
    }
}

impl Session {
    fn known<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn next(&self) -> Option<u64> {
        let limit = self.shared.options.writes_per_session.unwrap_or(u64::MAX);
        self.known(|known| {
            let number = known.sent + 1;
            (number <= limit).then(|| {
                known.sent = number;
                number
            })
        })
    }

    async fn write(&self, number: u64) -> Op {
        let label = record::label(self.index, number);
        let head = format!(r#"{{"label":"{label}","n":{number},"pad":""#);
        let pad = self.shared.options.body_bytes.saturating_sub(head.len() + 2);
        let body = format!("{head}{}\"}}", "x".repeat(pad));
        let start_us = self.shared.now_us();
        let answer = self.client.write(&format!("{}-{label}", self.key), body.into()).await;
        let op = Op {
            kind: Kind::Write,
            session: self.index,
            number,
            start_us,
            latency_us: self.shared.now_us() - start_us,
            status: answer.status,
            outcome: answer.outcome,
            tries: answer.tries,
            stale: false,
            error: answer.error,
        };
        if op.outcome == Outcome::Ok {
            self.known(|known| known.acknowledge(number));
        }
        self.shared.count(&op);
        op
    }

    async fn read(&self, number: u64) -> Op {
        let (acknowledged, last) = self.known(|known| (known.acknowledged, known.last));
        let start_us = self.shared.now_us();
        let mut answer = self.client.read().await;
        let mut stale = false;
        if answer.outcome == Outcome::Ok {
            match Seen::of(&answer.body) {
                Some(seen) => stale = !self.shows(&seen, acknowledged, last),
                None => {
                    answer.outcome = Outcome::Unknown;
                    answer.error = Some("not the answer of a till".to_owned());
                }
            }
        }
        let op = Op {
            kind: Kind::Read,
            session: self.index,
            number,
            start_us,
            latency_us: self.shared.now_us() - start_us,
            status: answer.status,
            outcome: answer.outcome,
            tries: answer.tries,
            stale,
            error: answer.error,
        };
        self.shared.count(&op);
        op
    }

    /// Whether the answer shows `acknowledged` writes, up to the number `last`. With several
    /// writes under way at once the last one at the replica may be any of them.
    fn shows(&self, seen: &Seen, acknowledged: u64, last: u64) -> bool {
        let newest = seen.last.as_deref().and_then(|label| record::number(self.index, label));
        let serial = self.shared.options.in_flight <= 1;
        seen.count >= acknowledged && (!serial || newest.unwrap_or(0) >= last)
    }
}

/// What a till says of a session.
#[derive(Debug, Deserialize)]
struct Seen {
    count: u64,
    last: Option<String>,
}

impl Seen {
    fn of(body: &Bytes) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}
