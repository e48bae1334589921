//! A scenario from its beginning to its verdict.

mod faults;
mod operator;

use crate::check::{Verdict, judge};
use crate::clients::Clients;
use crate::history::{Ended, History, Listed, Micros, Sample};
use crate::kernel::{MS, NodeId, SECOND, Trace, World};
use crate::reprise::Reprise;
use crate::stack::{self, Shop, WARM};
use crate::vm::Filter;
use scenario::Scenario;
use std::time::Instant;

/// A run, whole.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// SHA-256 of the filter, hexadecimal.
    pub filter: String,
    /// What was seen.
    pub history: History,
    /// How it ended.
    pub ended: Ended,
    /// What follows.
    pub verdict: Verdict,
    /// How long it took in reality, microseconds; the one figure that differs from run to run.
    pub real_us: u64,
}

/// Between two looks at the lists and figures of the logs, at least.
const LOOK_EVERY: Micros = 100 * MS;
/// So many samples of each shop are kept at most.
const SAMPLES: u64 = 2_000;

/// Runs a scenario. The error is what is wrong with it.
#[expect(clippy::disallowed_methods, reason = "how long a run takes in reality is reported")]
pub fn run(filter: &Filter, scenario: &Scenario, trace: Trace) -> Result<Report, String> {
    let begun = Instant::now();
    let (world, shops) = stack::build(filter, scenario, scenario.seed, trace)?;
    let mut run = Run::new(scenario, world, shops);
    run.all();
    let (history, ended) = run.end();
    let verdict = judge(scenario, &history, &ended);
    let real_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let filter = filter.sha256().to_string();
    Ok(Report { scenario: scenario.clone(), filter, history, ended, verdict, real_us })
}

struct Run<'a> {
    scenario: &'a Scenario,
    world: World,
    shops: Vec<Shop>,
    healed_us: Micros,
    at_rest_us: Vec<Option<Micros>>,
    next_sample: Micros,
    sample_every: Micros,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, world: World, shops: Vec<Shop>) -> Run<'a> {
        let per_shop = SAMPLES.div_ceil(shops.len() as u64).max(50);
        let sample_every = (scenario.duration_ms * MS / per_shop).max(LOOK_EVERY);
        let at_rest_us = vec![None; shops.len()];
        let healed_us = WARM + scenario.duration_ms * MS;
        Run { scenario, world, shops, healed_us, at_rest_us, next_sample: 0, sample_every }
    }

    fn all(&mut self) {
        for shop in self.shops.clone() {
            for node in shop.processes() {
                self.world.start(node);
            }
        }
        self.pass_until(WARM);
        for shop in self.shops.clone() {
            self.world.start(shop.clients);
        }
        for (at, step) in faults::steps(self.scenario, &self.shops) {
            self.pass_until(WARM + at);
            step.take(&mut self.world);
        }
        self.pass_until(self.healed_us);
        self.settle();
    }

    /// Lets time pass, and takes samples on the way.
    fn pass_until(&mut self, until: Micros) {
        while self.next_sample <= until {
            let at = self.next_sample.max(self.world.now());
            self.world.run_until(at);
            self.next_sample = at + self.sample_every;
            self.sample();
        }
        self.world.run_until(until.max(self.world.now()));
    }

    fn sample(&mut self) {
        let at_us = self.world.now();
        for (shop, nodes) in (0_u32..).zip(self.shops.clone()) {
            let Some(log) = self.log_status(nodes.edge_reprise) else { continue };
            self.world.history().samples.push(Sample {
                at_us,
                shop,
                backlog_primary: log.backlog[0],
                backlog_secondary: log.backlog[1],
                pinned: log.pinned,
                in_doubt: log.in_doubt.len() as u64,
            });
        }
    }

    fn log_status(&mut self, node: NodeId) -> Option<replay_log::log::Status> {
        self.world.actor::<Reprise>(node)?.status().0
    }

    /// After the load: all works again, an operator decides what is in doubt, and everything must
    /// come to rest.
    fn settle(&mut self) {
        let mut progress = self.progress();
        let mut since = self.world.now();
        loop {
            let now = self.world.now();
            for shop in 0..self.shops.len() {
                let rests = self.rests(shop);
                let at = &mut self.at_rest_us[shop];
                *at = if rests { at.or(Some(now)) } else { None };
            }
            if self.at_rest_us.iter().all(Option::is_some) {
                return;
            }
            let seen = self.progress();
            if seen != progress {
                (progress, since) = (seen, now);
            } else if now >= since + self.scenario.stall_ms * MS {
                return;
            }
            if now >= self.healed_us + operator::PATIENCE {
                operator::decide(&mut self.world, &self.shops);
            }
            self.pass_until(now + LOOK_EVERY);
        }
    }

    /// Something that changes whenever anything gets on.
    fn progress(&mut self) -> u64 {
        let mut sum = 0_u64;
        for shop in self.shops.clone() {
            for node in [shop.edge_reprise, shop.cloud_reprise] {
                sum += self.world.actor::<Reprise>(node).map_or(0, |r| r.progress());
            }
        }
        let history = self.world.history();
        sum + history.runs.len() as u64 + history.ops.len() as u64
    }

    /// Nobody waits, and nothing is left to be settled.
    fn rests(&mut self, shop: usize) -> bool {
        let nodes = self.shops[shop];
        let idle = self.world.actor::<Clients>(nodes.clients).is_none_or(|c| c.idle());
        idle && self
            .log_status(nodes.edge_reprise)
            .is_some_and(|log| log.backlog == [0; 2] && log.pinned == 0 && log.entries == 0)
    }

    fn listed(&mut self) -> Vec<Listed> {
        let case = |c: &replay_log::log::Case| format!("{} {}: {}", c.session, c.number, c.kind);
        let mut all = Vec::new();
        for nodes in self.shops.clone() {
            let mut listed = Listed::default();
            if let Some(log) = self.log_status(nodes.edge_reprise) {
                let held = log.in_doubt.iter().chain(&log.held_up);
                listed.waiting = held
                    .map(|w| format!("{} {} at the {}: {}", w.session, w.number, w.replica, w.kind))
                    .collect();
                listed.diverged = log.diverged.iter().map(case).collect();
                listed.conflicts = log.conflicts.iter().map(case).collect();
                listed.quarantined = log.quarantined.iter().map(case).collect();
            }
            all.push(listed);
        }
        all
    }

    /// What was seen, on a clock that begins with the load.
    fn end(mut self) -> (History, Ended) {
        let listed = self.listed();
        let early = |at: Micros| at.saturating_sub(WARM);
        let ended = Ended {
            healed_us: early(self.healed_us),
            at_rest_us: self.at_rest_us.iter().map(|at| at.map(early)).collect(),
            listed,
            virtual_us: early(self.world.now()),
            events: self.world.events(),
        };
        let mut history = std::mem::take(self.world.history());
        for op in &mut history.ops {
            op.sent_us = early(op.sent_us);
            op.ended_us = op.ended_us.map(early);
        }
        history.runs.iter_mut().for_each(|run| run.at_us = early(run.at_us));
        history.notes.iter_mut().for_each(|note| note.at_us = early(note.at_us));
        history.samples.iter_mut().for_each(|sample| sample.at_us = early(sample.at_us));
        let warm = usize::try_from(WARM / SECOND).unwrap_or(0).min(history.cloud_load.len());
        history.cloud_load.drain(..warm);
        (history, ended)
    }
}
