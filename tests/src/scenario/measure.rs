//! What a run is measured by, beside the promises.

use crate::{Sites, status_of};
use anyhow::Result;
use demo::load::{Kind, Outcome, Record};
use demo::till::Listing;
use scenario::{Expect, Scenario};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at the edge's status until it is told to stop.
pub struct Measure {
    stop: oneshot::Sender<()>,
    looks: JoinHandle<Measured>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Sessions handed back, over all lives of the log.
    handed_back: u64,
    /// What its present life has said.
    of_this_life: u64,
    /// The most writes in doubt at a time.
    in_doubt: u64,
}

impl Measure {
    /// Begins to look.
    pub fn start(admin: SocketAddr) -> Measure {
        let (stop, mut stopped) = oneshot::channel();
        let looks = tokio::spawn(async move {
            let mut measured = Measured::default();
            loop {
                let last = stopped.try_recv().is_ok();
                // The log may be away.
                if let Ok(status) = status_of(admin).await {
                    measured.look(&status["log"]);
                }
                if last {
                    return measured;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Measure { stop, looks }
    }

    /// Looks once more and says what was seen.
    pub async fn stop(self) -> Result<Measured> {
        let _ = self.stop.send(());
        Ok(self.looks.await?)
    }
}

impl Measured {
    fn look(&mut self, log: &Value) {
        let now = log["handed_back"].as_u64().unwrap_or(0);
        // It counts from 0 after a restart.
        let before = if now < self.of_this_life { 0 } else { self.of_this_life };
        self.handed_back += now - before;
        self.of_this_life = now;
        let doubts = log["in_doubt"].as_array().map_or(0, Vec::len);
        self.in_doubt = self.in_doubt.max(doubts as u64);
    }

    /// What is not as expected.
    pub fn wrong(self, expect: &Expect, record: &Record, drained: Duration) -> Vec<String> {
        let ops = &record.ops;
        let failed: Vec<_> = ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
        let worst = record.worst_awake_ms();
        let written = |op: &&demo::load::Op| op.kind == Kind::Write && op.outcome == Outcome::Ok;
        let acknowledged = ops.iter().filter(written).count() as u64;
        let drained = u64::try_from(drained.as_millis()).unwrap_or(u64::MAX);
        let mut wrong = Vec::new();
        for (what, found, most) in [
            ("client_errors", failed.len() as u64, expect.client_errors),
            ("worst_latency_ms", worst, expect.worst_latency_ms),
            ("in_doubt", self.in_doubt, expect.in_doubt),
            ("drained_within_ms", drained, expect.drained_within_ms),
        ] {
            if let Some(most) = most.filter(|most| found > *most) {
                wrong.push(format!("{what}: {found}, at most {most}"));
            }
        }
        for (what, found, least) in [
            ("acknowledged", acknowledged, expect.acknowledged),
            ("handed_back", self.handed_back, expect.handed_back),
        ] {
            if let Some(least) = least.filter(|least| found < *least) {
                wrong.push(format!("{what}: {found}, at least {least}"));
            }
        }
        if !wrong.is_empty() {
            wrong.extend(failed.first().map(|op| format!("the first that failed: {op:?}")));
        }
        wrong
    }
}

/// Measures from now how long the primary takes to have what the secondary has now; no time at
/// all where nobody asks.
pub fn drain(sites: &Sites, scenario: &Scenario) -> JoinHandle<Duration> {
    let (primary, secondary) = (sites.primary.addr(), sites.secondary.addr());
    let limit = match scenario.expect.drained_within_ms {
        Some(_) => Duration::from_millis(scenario.stall_ms),
        None => Duration::ZERO,
    };
    tokio::spawn(async move {
        let begun = Instant::now();
        let wanted = counts(secondary).await.unwrap_or_default();
        while begun.elapsed() < limit {
            let there = counts(primary).await.unwrap_or_default();
            let lacks = |(id, count): (&String, &u64)| there.get(id).is_none_or(|n| n < count);
            if !wanted.iter().any(lacks) {
                return begun.elapsed();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if limit.is_zero() { limit } else { Duration::MAX }
    })
}

async fn counts(till: SocketAddr) -> Result<BTreeMap<String, u64>> {
    let listing = demo::fetch::get_json::<Listing>(till, "/_till/sessions").await?;
    Ok(listing.sessions.into_iter().map(|session| (session.session, session.count)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_log_counts_is_summed_over_its_lives() {
        let mut measured = Measured::default();
        for (handed_back, in_doubt) in [(0, 0), (3, 2), (3, 1), (1, 0), (4, 0)] {
            let in_doubt = vec![json!({}); in_doubt];
            measured.look(&json!({"handed_back": handed_back, "in_doubt": in_doubt}));
        }
        assert_eq!((measured.handed_back, measured.in_doubt), (7, 2));
    }

    #[test]
    fn bounds_that_are_not_kept_are_named() {
        let expect = Expect { in_doubt: Some(1), handed_back: Some(8), ..Expect::default() };
        let measured = Measured { handed_back: 7, of_this_life: 7, in_doubt: 2 };
        let wrong = measured.wrong(&expect, &Record::default(), Duration::ZERO);
        assert_eq!(wrong, ["in_doubt: 2, at most 1", "handed_back: 7, at least 8"]);
    }
}
