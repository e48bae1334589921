//! One round: faults under load, then everything is mended, settled and judged.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use demo::format::count;
use demo::load::{Kind, Load, LoadOptions, Op, Outcome, Record};
use tempfile::TempDir;
use tokio::time::sleep;

use super::judge::{Findings, judge};
use super::operator::{DRAIN_LIMIT, Operator};
use super::plan::{Round, Setting};
use super::sites::{Parts, Sites, Times};
use super::{Sums, evidence, say};

/// How often a client repeats a request that failed.
const RETRIES: u32 = 25;

/// Sites under trial, over all rounds.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) seed: u64,
    pub(super) sums: Sums,
    parts: Parts,
    /// Where directories are made.
    out: PathBuf,
    life: Option<Life>,
}

/// Sites from their fresh start on.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) setting: Setting,
    pub(super) sites: Sites,
    /// All that clients have done here.
    pub(super) record: Record,
    /// What was done when in this round.
    pub(super) times: Times,
    dir: TempDir,
}

impl Trial {
    pub(super) fn new(seed: u64, parts: Parts, out: PathBuf) -> Self {
        Self { seed, sums: Sums::default(), parts, out, life: None }
    }

    /// Performs a round; `false` if a promise was broken, and then all that may explain it is
    /// printed and kept.
    pub(super) async fn perform(&mut self, round: &Round) -> bool {
        say(&round.to_string());
        let findings = match self.suffer(round).await {
            Ok(findings) => findings,
            Err(error) => Findings { broken: vec![format!("{error:#}")], ..Findings::default() },
        };
        if findings.broken.is_empty() {
            return true;
        }
        self.sums.broken = findings.broken.len();
        self.lost(round, &findings).await;
        false
    }

    /// Ends what runs, in order, and removes its files.
    pub(super) async fn end(&mut self) -> Result<()> {
        match self.life.take() {
            Some(life) => life.sites.stack.shutdown().await,
            None => Ok(()),
        }
    }

    async fn suffer(&mut self, round: &Round) -> Result<Findings> {
        if let Some(setting) = &round.fresh {
            self.end().await.context("end the sites of the rounds before")?;
            self.life = Some(Life::start(&self.parts, setting, &self.out, self.seed).await?);
        }
        let life = self.life.as_mut().ok_or_else(|| anyhow!("the first round is not fresh"))?;
        let before = life.record.ops.len();
        let (drained, decided) = life.suffer(round).await?;
        let ops = ops_of(life.record.ops.get(before..).unwrap_or_default());
        let mut findings = judge(&life.sites, &life.record).await?;
        let drained = drained.unwrap_or_else(|error| {
            findings.broken.insert(0, format!("{error:#}"));
            DRAIN_LIMIT
        });
        self.sum_up(round, ops, drained, decided);
        Ok(findings)
    }

    fn sum_up(&mut self, round: &Round, ops: Ops, drained: Duration, decided: u64) {
        let sums = &mut self.sums;
        let kills = round.faults.iter().map(|fault| fault.harm.kills()).sum::<u64>();
        let others = round.faults.iter().filter(|fault| fault.harm.kills() == 0).count() as u64;
        sums.rounds += 1;
        sums.kills += kills;
        sums.others += others;
        sums.acknowledged += ops.acknowledged;
        sums.reads += ops.reads;
        sums.unanswered += ops.unanswered;
        sums.decided += decided;
        sums.slowest_drain = sums.slowest_drain.max(drained);
        say(&format!(
            "round {}: {kills} kill -9 ({} so far), {others} other faults, {} writes acknowledged \
             ({} so far), {} requests given up, {decided} doubts decided, drained in {:.1} s",
            round.number,
            count(sums.kills),
            count(ops.acknowledged),
            count(sums.acknowledged),
            ops.unanswered,
            drained.as_secs_f64(),
        ));
    }

    /// Says what broke and keeps what may explain it.
    async fn lost(&mut self, round: &Round, findings: &Findings) {
        let (seed, number) = (self.seed, round.number);
        println!("BROKEN in round {number} of seed {seed}: {}", findings.broken.join("; "));
        for example in &findings.examples {
            println!("  {example}");
        }
        let Some(life) = self.life.take() else { return };
        println!("what was done when, in {round}\n{}", life.times.text());
        let kept = evidence::gather(&life, round, findings).await;
        // In order, so that the stores are whole; what does not end is killed.
        let ended = life.sites.stack.shutdown().await;
        for error in [kept.err(), ended.err()].into_iter().flatten() {
            say(&format!("{error:#}"));
        }
        println!(
            "logs, configurations, stores and ledgers are kept in {}",
            life.dir.keep().display()
        );
    }
}

impl Life {
    async fn start(
        parts: &Parts,
        setting: &Setting,
        out: &std::path::Path,
        seed: u64,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(&format!("seed-{seed}-")).tempdir_in(out)?;
        let sites = Sites::start(parts, setting, dir.path()).await?;
        Ok(Self { setting: *setting, sites, record: Record::default(), times: Times::start(), dir })
    }

    /// The faults under load, then the end of the load and of all doubts. Gives how long it took
    /// until everything was settled, or that it never was, and how often the operator decided.
    async fn suffer(&mut self, round: &Round) -> Result<(Result<Duration>, u64)> {
        let load = Load::go_on(self.load(), &self.record);
        self.times = Times::start();
        let length = sleep(Duration::from_millis(round.length_ms));
        let (_, suffered) = tokio::join!(length, self.sites.suffer(round, &self.times));
        suffered?;
        let mut operator = Operator::default();
        // Clients whose writes are in doubt end only after somebody has decided.
        let record = tokio::select! {
            record = load.stop() => record,
            failed = operator.work(&self.sites) => return Err(failed),
        };
        self.record.extend(record);
        let drained = operator.drain(&self.sites).await;
        self.sites.all_run()?;
        Ok((drained, operator.decided))
    }

    fn load(&self) -> LoadOptions {
        LoadOptions {
            // Many, since a write in doubt stops its session until the round is over.
            sessions: 40,
            writes_per_second: 120,
            read_every: 4,
            body_bytes: 300,
            timeout: Duration::from_secs(5),
            retries: RETRIES,
            in_flight: self.setting.in_flight,
            http2: self.setting.http2,
            ..LoadOptions::new(self.sites.stack.clients)
        }
    }
}

/// What clients have done.
struct Ops {
    acknowledged: u64,
    reads: u64,
    unanswered: u64,
}

fn ops_of(ops: &[Op]) -> Ops {
    let count = |is: fn(&&Op) -> bool| ops.iter().filter(is).count() as u64;
    Ops {
        acknowledged: count(|op| op.kind == Kind::Write && op.outcome == Outcome::Ok),
        reads: count(|op| op.kind == Kind::Read && op.outcome == Outcome::Ok),
        unanswered: count(|op| op.outcome != Outcome::Ok),
    }
}
