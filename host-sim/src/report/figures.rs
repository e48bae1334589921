//! What is counted and measured.

use crate::check::Promise;
use crate::history::{Kind, Micros, Op, Outcome, Session};
use crate::run::Report;
use scenario::{ReplicaFault as Replica, What};
use std::collections::BTreeMap;

/// When a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the first fault.
    Connected,
    /// While something was broken.
    Cut,
    /// After a fault, while nothing was broken.
    Healed,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Phase; 3] = [Phase::Connected, Phase::Cut, Phase::Healed];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Connected => "connected",
            Phase::Cut => "cut",
            Phase::Healed => "healed",
        }
    }
}

/// How long requests took, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// All but one in a hundred took no longer.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Latency {
    /// Of these, in whatever order.
    pub fn of(mut all: Vec<u64>) -> Latency {
        all.sort_unstable();
        let nth = |per_mille: usize| {
            let at = (all.len() * per_mille).div_ceil(1000).saturating_sub(1);
            all.get(at).copied().unwrap_or(0)
        };
        let count = all.len() as u64;
        Latency { count, p50_us: nth(500), p99_us: nth(990), max_us: nth(1000) }
    }
}

/// The figures of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests.
    pub requests: u64,
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Findings per promise, as the verdict counts them.
    pub broken: BTreeMap<Promise, u64>,
    /// Sessions whose writes ran in another order, or not all, at one of the replicas.
    pub diverged_sessions: u64,
    /// Sessions in all.
    pub sessions: u64,
    /// Requests that failed for good.
    pub client_errors: u64,
    /// How these ended, and how many.
    pub told: BTreeMap<String, u64>,
    /// Latency per phase.
    pub latency: BTreeMap<Phase, Latency>,
    /// The slowest request of all.
    pub worst_us: u64,
    /// Writes that the secondary ran first and the primary later.
    pub replayed: u64,
    /// From the end of the last fault until the last of these ran, if any ran after it.
    pub drain_us: Option<Micros>,
    /// How many of them ran meanwhile.
    pub drained: u64,
    /// From the end of the load until every shop was at rest; `None` if one never was.
    pub rest_us: Option<Micros>,
}

/// When faults begin and end, per shop or for all.
pub struct Windows(Vec<(Option<u32>, Micros, Micros)>);

impl Windows {
    /// The faults of a run that last.
    pub fn of(report: &Report) -> Windows {
        let end = report.scenario.duration_ms;
        let lasts = |what: &What| {
            use What::{Clock, Panic, Reload, Reset, Store};
            !matches!(what, Reset | Panic(_) | Reload | Clock(_) | Store(_))
        };
        let faults = report.scenario.faults.iter().filter(|fault| lasts(&fault.what));
        let window = |fault: &scenario::Fault| {
            let to = fault.for_ms.map_or(end, |lasts| fault.at_ms.saturating_add(lasts));
            (fault.shop, fault.at_ms * 1000, to.min(end) * 1000)
        };
        Windows(faults.map(window).collect())
    }

    /// All of them: at which shop, from, to.
    pub fn all(&self) -> &[(Option<u32>, Micros, Micros)] {
        &self.0
    }

    /// When the last one ends.
    pub fn end(&self) -> Option<Micros> {
        self.0.iter().map(|(_, _, to)| *to).max()
    }

    /// The phase of a shop at a time.
    pub fn phase(&self, of: u32, at: Micros) -> Phase {
        let mine = || self.0.iter().filter(|(shop, ..)| shop.is_none_or(|shop| shop == of));
        if mine().any(|(_, from, to)| (*from..*to).contains(&at)) {
            Phase::Cut
        } else if mine().any(|(_, from, _)| *from <= at) {
            Phase::Healed
        } else {
            Phase::Connected
        }
    }
}

impl Figures {
    /// The figures of a run.
    pub fn of(report: &Report) -> Figures {
        let windows = Windows::of(report);
        let mut figures = Figures {
            broken: report.verdict.broken.iter().map(|b| (b.promise, b.count)).collect(),
            rest_us: rest(report),
            ..Figures::default()
        };
        let mut latencies: BTreeMap<Phase, Vec<u64>> = BTreeMap::new();
        for op in &report.history.ops {
            figures.count(op);
            if let Some(ended) = op.ended_us {
                let took = ended.saturating_sub(op.sent_us);
                figures.worst_us = figures.worst_us.max(took);
                let phase = windows.phase(op.session.shop, op.sent_us);
                latencies.entry(phase).or_default().push(took);
            }
        }
        figures.latency =
            latencies.into_iter().map(|(phase, all)| (phase, Latency::of(all))).collect();
        figures.runs(report, windows.end());
        figures
    }

    fn count(&mut self, op: &Op) {
        self.requests += 1;
        let write = matches!(op.kind, Kind::Write { .. });
        let told = match &op.outcome {
            Outcome::Ok => {
                self.acknowledged += u64::from(write);
                return;
            }
            Outcome::Refused(told) | Outcome::Unknown(told) => told,
        };
        self.client_errors += 1;
        *self.told.entry(told.clone()).or_default() += 1;
    }

    fn runs(&mut self, report: &Report, healed: Option<Micros>) {
        let mut ran: BTreeMap<Session, [Vec<u32>; 2]> = BTreeMap::new();
        let mut first: BTreeMap<(Session, u32), Replica> = BTreeMap::new();
        let mut last = None;
        for run in &report.history.runs {
            let [primary, secondary] = ran.entry(run.session).or_default();
            let was_first = *first.entry((run.session, run.label)).or_insert(run.replica);
            match run.replica {
                Replica::Primary => primary.push(run.label),
                Replica::Secondary => secondary.push(run.label),
            }
            if run.replica == Replica::Primary && was_first == Replica::Secondary {
                self.replayed += 1;
                if let Some(healed) = healed.filter(|healed| run.at_us >= *healed) {
                    self.drained += 1;
                    last = Some(run.at_us - healed);
                }
            }
        }
        self.drain_us = last;
        self.sessions = ran.len() as u64;
        let diverged = ran.values().filter(|[primary, secondary]| primary != secondary);
        self.diverged_sessions = diverged.count() as u64;
    }

    /// Findings of a promise.
    pub fn broken(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).copied().unwrap_or(0)
    }
}

fn rest(report: &Report) -> Option<Micros> {
    let ended = &report.ended;
    let times: Option<Vec<Micros>> = ended.at_rest_us.iter().copied().collect();
    Some(times?.into_iter().max()?.saturating_sub(ended.healed_us))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn percentiles_are_those_of_values_that_were_there() {
        let latency = Latency::of((1..=100).rev().collect());
        assert_eq!(latency, Latency { count: 100, p50_us: 50, p99_us: 99, max_us: 100 });
        assert_eq!(Latency::of(vec![7]), Latency { count: 1, p50_us: 7, p99_us: 7, max_us: 7 });
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    #[test]
    fn a_request_belongs_to_the_phase_in_which_it_was_sent() {
        let report = sample::report();
        let windows = Windows::of(&report);
        let at = |ms: u64| windows.phase(0, ms * 1000);
        assert_eq!([at(999), at(1000), at(3999)], [Phase::Connected, Phase::Cut, Phase::Cut]);
        assert_eq!(at(4000), Phase::Healed);
        assert_eq!(windows.phase(1, 2_000_000), Phase::Connected, "another shop is not concerned");
    }

    #[test]
    fn what_the_secondary_ran_first_is_replayed_and_takes_until_its_last_run() {
        let figures = Figures::of(&sample::report());
        assert_eq!((figures.replayed, figures.drained, figures.drain_us), (1, 1, Some(250_000)));
        assert_eq!((figures.acknowledged, figures.client_errors), (2, 1));
        assert_eq!((figures.diverged_sessions, figures.sessions), (0, 1));
        assert_eq!(figures.rest_us, Some(500_000));
    }
}
