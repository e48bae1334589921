//! The judge: reads what both replicas hold and what the clients were told, and finds every
//! write that was lost, doubled or out of order. It knows nothing of how Reprise works.

mod order;
mod replica;

use std::collections::{BTreeMap, BTreeSet};

pub use replica::{Held, Replica};
use serde::Serialize;

/// How many findings of each kind are spelled out; the rest is counted only.
const EXAMPLES: u64 = 5;

/// A write that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its label, which no other write has.
    pub label: String,
    /// When it was sent, on the clients' clock.
    pub start_us: u64,
    /// When it was acknowledged; `None` if it failed or nobody knows.
    pub acknowledged_us: Option<u64>,
}

/// All writes of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The session's id.
    pub session: String,
    /// Its writes.
    pub writes: Vec<Sent>,
}

/// A number per replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Both {
    /// At the primary.
    pub primary: u64,
    /// At the secondary.
    pub secondary: u64,
}

impl Both {
    /// The two together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.primary + self.secondary
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Acknowledged writes that are missing at one replica at least.
    pub lost: u64,
    /// Acknowledged writes that are missing at each replica.
    pub lost_at: Both,
    /// Runs of a write after its first, at each replica.
    pub duplicated: Both,
    /// Acknowledged writes that stand at a replica behind one that was sent only after their
    /// acknowledgement.
    pub reordered: Both,
    /// Writes that the two replicas ran in unlike orders, where no acknowledgement says which
    /// is right.
    pub disagreed: u64,
    /// Sessions whose chains differ.
    pub diverged: Vec<String>,
    /// Writes that began at a replica while another one of their session was running there.
    pub overlaps: Both,
    /// Labels at a replica that no client sent.
    pub invented: Both,
    /// Some findings in words.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Everything out of order, each write once where it can be told.
    #[must_use]
    pub fn out_of_order(&self) -> u64 {
        self.reordered.sum().max(self.disagreed)
    }

    /// The promises that are broken, in words; none if all is well.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let counts = [
            (self.lost, "acknowledged writes lost"),
            (self.duplicated.sum(), "writes run twice"),
            (self.out_of_order(), "writes out of order"),
            (self.diverged.len() as u64, "sessions diverged"),
            (self.overlaps.sum(), "writes run at once in one session"),
            (self.invented.sum(), "writes that nobody sent"),
        ];
        let found = counts.into_iter().filter(|(count, _)| *count > 0);
        found.map(|(count, what)| format!("{count} {what}")).collect()
    }

    /// Spells out the `nth` finding of a kind, if it is among the first.
    fn example(&mut self, nth: u64, text: impl FnOnce() -> String) {
        if nth <= EXAMPLES {
            self.examples.push(text());
        }
    }
}

/// Judges the two replicas by what the clients sent and were told.
#[must_use]
pub fn check(histories: &[History], primary: &Replica, secondary: &Replica) -> Verdict {
    let mut verdict = Verdict::default();
    let none = History { session: String::new(), writes: Vec::new() };
    let by_id: BTreeMap<&str, &History> =
        histories.iter().map(|history| (history.session.as_str(), history)).collect();
    let mut ids: BTreeSet<&str> = by_id.keys().copied().collect();
    ids.extend(primary.sessions.keys().chain(secondary.sessions.keys()).map(String::as_str));
    for id in ids {
        let history = by_id.get(id).copied().unwrap_or(&none);
        let (at_primary, at_secondary) = (primary.held(id), secondary.held(id));
        check_lost(&mut verdict, id, history, at_primary, at_secondary);
        check_replica(&mut verdict, id, history, at_primary, "primary", |both| &mut both.primary);
        check_replica(&mut verdict, id, history, at_secondary, "secondary", |both| {
            &mut both.secondary
        });
        verdict.disagreed += order::disagreed(&at_primary.labels, &at_secondary.labels);
        if (at_primary.count, &at_primary.chain) != (at_secondary.count, &at_secondary.chain) {
            verdict.diverged.push(id.to_owned());
            verdict.example(verdict.diverged.len() as u64, || {
                format!(
                    "{id}: {} writes at the primary, {} at the secondary, unlike chains",
                    at_primary.count, at_secondary.count
                )
            });
        }
    }
    verdict
}

fn check_lost(
    verdict: &mut Verdict,
    id: &str,
    history: &History,
    primary: &Held,
    secondary: &Held,
) {
    let at_primary: BTreeSet<&str> = primary.labels.iter().map(String::as_str).collect();
    let at_secondary: BTreeSet<&str> = secondary.labels.iter().map(String::as_str).collect();
    for write in history.writes.iter().filter(|write| write.acknowledged_us.is_some()) {
        verdict.acknowledged += 1;
        let label = write.label.as_str();
        let missing = (!at_primary.contains(label), !at_secondary.contains(label));
        verdict.lost_at.primary += u64::from(missing.0);
        verdict.lost_at.secondary += u64::from(missing.1);
        if missing.0 || missing.1 {
            verdict.lost += 1;
            let place = match missing {
                (true, true) => "both replicas",
                (true, false) => "the primary",
                _ => "the secondary",
            };
            verdict.example(verdict.lost, || {
                format!("{id}: {label} was acknowledged and is missing at {place}")
            });
        }
    }
}

fn check_replica(
    verdict: &mut Verdict,
    id: &str,
    history: &History,
    held: &Held,
    name: &str,
    at: impl Fn(&mut Both) -> &mut u64,
) {
    let sent: BTreeMap<&str, &Sent> =
        history.writes.iter().map(|write| (write.label.as_str(), write)).collect();
    let mut seen = BTreeSet::new();
    let mut first_runs = Vec::new();
    for label in &held.labels {
        match sent.get(label.as_str()) {
            _ if !seen.insert(label) => {
                let nth = found(at(&mut verdict.duplicated));
                verdict.example(nth, || format!("{id}: {label} ran again at the {name}"));
            }
            Some(write) => first_runs.push(*write),
            None => {
                let nth = found(at(&mut verdict.invented));
                verdict.example(nth, || format!("{id}: {label} at the {name} was never sent"));
            }
        }
    }
    for write in order::late(&first_runs) {
        let nth = found(at(&mut verdict.reordered));
        verdict.example(nth, || format!("{id}: {} ran too late at the {name}", write.label));
    }
    *at(&mut verdict.overlaps) += held.overlaps;
}

/// Counts one more and says how many there are now.
fn found(count: &mut u64) -> u64 {
    *count += 1;
    *count
}

#[cfg(test)]
mod tests;
