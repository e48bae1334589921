//! Every part is replaced under load, one after the other.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use demo::load::{Load, LoadOptions, Outcome, Record};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests::{Sites, sites_test};
use xtask::stack::Process;

/// What went wrong for clients while one part was replaced.
#[derive(Debug)]
struct Step {
    process: Process,
    begun: Duration,
    ended: Duration,
}

/// Replaces a part: an Envoy hot where it was started for that, else by an orderly end and a start.
async fn replace(sites: &Sites, process: Process, hot: bool) -> Result<()> {
    if hot && matches!(process, Process::EdgeEnvoy | Process::CloudEnvoy) {
        sites.stack.restart_hot(process).await?;
        return sites.stack.elders_end().await;
    }
    sites.stack.terminate(process).await?;
    sites.stack.restart(process).await
}

/// All requests that failed, by what was replaced when they were sent and what clients were told.
fn failures(record: &Record, steps: &[Step]) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for op in record.ops.iter().filter(|op| op.outcome != Outcome::Ok) {
        let at = Duration::from_micros(op.start_us);
        let step = steps.iter().find(|step| step.begun <= at && at <= step.ended);
        let during = step.map_or("none", |step| step.process.name());
        let told = op.error.clone().unwrap_or_default();
        *kinds.entry(format!("{during}: {told}")).or_default() += 1;
    }
    kinds
}

async fn replace_all(sites: &Sites, hot: bool, retries: u32) -> Result<(Record, Vec<Step>)> {
    let (load, start) = (Load::start(LoadOptions { retries, ..sites.load() }), Instant::now());
    let mut steps = Vec::new();
    for process in Process::ALL {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let begun = start.elapsed();
        replace(sites, process, hot).await?;
        steps.push(Step { process, begun, ended: start.elapsed() });
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    // What an ended guard had under way at one replica and another one at the other is in doubt at
    // both: its client waits for the operator.
    let record = sites.stop_resolving(load).await?;
    for step in &steps {
        let during = record.ops.iter().filter(|op| {
            let at = Duration::from_micros(op.start_us);
            step.begun <= at && at <= step.ended
        });
        let worst_ms = during.clone().map(|op| op.latency_us / 1000).max().unwrap_or(0);
        println!(
            "{}: {:?}, {} requests, worst {worst_ms} ms",
            step.process.name(),
            step.ended - step.begun,
            during.count()
        );
    }
    println!("failed: {:#?}", failures(&record, &steps));
    Ok((record, steps))
}

sites_test! {
    async fn every_part_is_replaced_under_load_without_an_error(sites, |options| {
        options.hot_restart_s = Some(3);
        // An append waits for as long as a new reprise may take on a slow machine.
        options.gateway_extra.insert("replay_log".into(), json!({"timeout_ms": 10_000}));
    }) {
        // Nothing is repeated, so that every failure is seen.
        let (record, steps) = replace_all(&sites, true, 0).await?;
        sites.resolve_doubts().await?;
        sites.judge_record(&record).await?;
        let failed = failures(&record, &steps);
        ensure!(failed.is_empty(), "{failed:?}");
    }
}

sites_test! {
    async fn envoys_that_are_ended_and_started_cost_nothing_that_a_retry_does_not_mend(sites) {
        let (record, steps) = replace_all(&sites, false, 100).await?;
        sites.resolve_doubts().await?;
        sites.judge_record(&record).await?;
        let failed = failures(&record, &steps);
        ensure!(failed.is_empty(), "{failed:?}");
    }
}
