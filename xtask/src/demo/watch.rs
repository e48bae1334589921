//! Watches the log's page `/status` while a run is performed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use demo::fetch;
use demo::run::{Noted, Sample};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks at the page.
const PERIOD: Duration = Duration::from_millis(200);

/// The part of `/status` that the demo shows.
#[derive(Debug, Deserialize)]
struct Status {
    log: Option<Log>,
}

#[derive(Debug, Deserialize)]
struct Log {
    pinned: u64,
    longest_hold_ms: u64,
    backlog: Replicas,
    delivered: Replicas,
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Replicas {
    primary: u64,
    secondary: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Event {
    seq: u64,
    at_ms: u64,
    kind: String,
    replica: Option<String>,
}

/// What the page said last; times are Unix milliseconds.
pub(super) type Latest = Option<Result<Sample, String>>;

/// A look at the page every 200 ms, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    latest: watch::Receiver<Latest>,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    samples: Vec<Sample>,
    /// By their numbers: the page shows only the last ones.
    events: BTreeMap<u64, Event>,
}

impl Watch {
    pub(super) fn start(admin: SocketAddr) -> Self {
        let (latest, latest_receiver) = watch::channel(None);
        let (seen, seen_receiver) = watch::channel(Seen::default());
        let task = tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let look = look(admin).await.map_err(|error| format!("{error:#}"));
                let sample = look.map(|(sample, events)| {
                    seen.send_modify(|seen| {
                        seen.samples.push(sample);
                        seen.events.extend(events.into_iter().map(|event| (event.seq, event)));
                    });
                    sample
                });
                if latest.send(Some(sample)).is_err() {
                    return;
                }
            }
        });
        Self { latest: latest_receiver, seen: seen_receiver, task }
    }

    /// What the page said last.
    pub(super) fn latest(&self) -> Latest {
        self.latest.borrow().clone()
    }

    /// Waits until the page says what is waited for, or `limit` is over: then `false`.
    pub(super) async fn reaches(
        &mut self,
        limit: Duration,
        what: impl Fn(&Sample) -> bool,
    ) -> bool {
        let reached = |latest: &Latest| matches!(latest, Some(Ok(sample)) if what(sample));
        // What was said before this call may be older than what was done before it.
        self.latest.mark_unchanged();
        let wait = async {
            while self.latest.changed().await.is_ok() {
                if reached(&self.latest.borrow_and_update()) {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(false)
    }

    /// Everything that was seen, on the clock of a load that began at `start_unix_ms`.
    ///
    /// # Errors
    /// If the page was never read.
    pub(super) fn finish(self, start_unix_ms: u64) -> Result<(Vec<Sample>, Vec<Noted>)> {
        if let (true, Some(Err(error))) = (self.seen.borrow().samples.is_empty(), self.latest()) {
            return Err(anyhow!(error)).context("watch the log");
        }
        let seen = self.seen.borrow();
        let since = |at_ms: u64| at_ms.checked_sub(start_unix_ms);
        let sample = |sample: &Sample| Some(Sample { at_ms: since(sample.at_ms)?, ..*sample });
        let noted = |event: &Event| {
            let (kind, replica) = (event.kind.clone(), event.replica.clone());
            Some(Noted { at_ms: since(event.at_ms)?, kind, replica })
        };
        let samples = seen.samples.iter().filter_map(sample).collect();
        Ok((samples, seen.events.values().filter_map(noted).collect()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(admin: SocketAddr) -> Result<(Sample, Vec<Event>)> {
    let status: Status = fetch::get_json(admin, "/status").await?;
    let log = status.log.context("the reprise at the edge has no log")?;
    let sample = Sample {
        at_ms: demo::unix_ms(),
        backlog_primary: log.backlog.primary,
        backlog_secondary: log.backlog.secondary,
        delivered_primary: log.delivered.primary,
        pinned: log.pinned,
        longest_hold_ms: log.longest_hold_ms,
    };
    Ok((sample, log.events))
}
