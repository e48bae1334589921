//! The promises, one file each, judged by what clients and replicas saw.

mod expected;
mod lost;
mod noticed;
mod order;
mod seen;
mod silent;
mod stale;
mod stalled;
mod twice;
mod weak;

#[cfg(test)]
mod hand;

use self::seen::Seen;
use crate::history::{Ended, History, Micros, Session};
use scenario::{ReplicaFault as Replica, Scenario};
use std::fmt;

/// How many findings of each promise are spelled out; the rest is counted only.
const EXAMPLES: usize = 5;

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// An acknowledged write is missing at a replica.
    Lost,
    /// A write ran twice at a replica.
    Twice,
    /// Writes of a session ran in an order that nobody may see.
    Order,
    /// A read did not show what had been acknowledged.
    Stale,
    /// A write that was refused left a trace, or the replicas differ and no list says so.
    Silent,
    /// A client had to wait or failed, more than a cut may cost.
    Noticed,
    /// After everything was mended it did not come to rest.
    Stalled,
    /// What this scenario expects beyond the promises.
    Expected,
}

impl Promise {
    /// All of them, in their order.
    pub const ALL: [Promise; 8] = [
        Promise::Lost,
        Promise::Twice,
        Promise::Order,
        Promise::Stale,
        Promise::Silent,
        Promise::Noticed,
        Promise::Stalled,
        Promise::Expected,
    ];

    /// Its name, as in `expect.broken`.
    pub fn name(self) -> &'static str {
        match self {
            Promise::Lost => "lost",
            Promise::Twice => "twice",
            Promise::Order => "order",
            Promise::Stale => "stale",
            Promise::Silent => "silent",
            Promise::Noticed => "noticed",
            Promise::Stalled => "stalled",
            Promise::Expected => "expected",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Promise> {
        Promise::ALL.into_iter().find(|promise| promise.name() == name)
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// How often.
    pub count: u64,
    /// Some findings in words.
    pub examples: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Broken promises, each once, in their order.
    pub broken: Vec<Broken>,
}

impl Verdict {
    /// Whether this one is broken.
    pub fn breaks(&self, promise: Promise) -> bool {
        self.broken.iter().any(|broken| broken.promise == promise)
    }
}

/// Judges a run. What the scenario says must be broken (`expect.broken`) is left out where it is,
/// and a finding of [`Promise::Expected`] where it is not.
pub fn judge(scenario: &Scenario, history: &History, ended: &Ended) -> Verdict {
    let seen = Seen::new(scenario, history, ended);
    let found = [
        lost::judge(&seen),
        twice::judge(&seen),
        order::judge(&seen),
        stale::judge(&seen),
        silent::judge(&seen),
        noticed::judge(&seen),
        stalled::judge(&seen),
        expected::judge(&seen),
    ];
    let broken = Promise::ALL
        .into_iter()
        .zip(found)
        .filter(|(_, finds)| finds.count > 0)
        .map(|(promise, Finds { count, examples })| Broken { promise, count, examples })
        .collect();
    expected::inverted(&scenario.expect.broken, Verdict { broken })
}

/// The findings of one checker.
#[derive(Default)]
struct Finds {
    count: u64,
    examples: Vec<String>,
}

impl Finds {
    /// Counts one more, and spells it out if it is among the first.
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(text());
        }
    }
}

/// A moment in words.
fn at(us: Micros) -> String {
    format!("{}.{:06} s", us / 1_000_000, us % 1_000_000)
}

/// A replica in words.
fn name(replica: Replica) -> &'static str {
    match replica {
        Replica::Primary => "the primary",
        Replica::Secondary => "the secondary",
    }
}

/// A session in words.
fn who(session: Session) -> String {
    format!("shop {}, session {}", session.shop, session.index)
}
