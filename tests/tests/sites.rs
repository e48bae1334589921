//! Disks and clocks of both sites misbehave under the whole stack.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::check::{History, Replica, Sent, check};
use demo::load::{Load, LoadOptions, Outcome, Record};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::faults::{Faults, Word};
use tests::{Sites, for_both_stores};
use xtask::stack::Process;

/// A day, milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Both sites with both `reprise` under faults.
async fn start(store: &'static str) -> Result<(Sites, BTreeMap<Process, Faults>)> {
    let mut faults = Ok(BTreeMap::new());
    let sites = Sites::start_with(|options| {
        options.reprise_extra.insert("store".into(), store.into());
        options.reprise_extra.insert("min_free_bytes".into(), 0.into());
        faults = [(Process::EdgeReprise, "edge"), (Process::CloudReprise, "cloud")]
            .into_iter()
            .map(|(process, site)| {
                let faults = Faults::new(&options.data.join(site))?;
                options.env.insert(process, faults.env());
                anyhow::Ok((process, faults))
            })
            .collect();
    })
    .await?;
    let faults = faults?;
    for faults in faults.values() {
        faults.in_force()?;
    }
    Ok((sites, faults))
}

/// Runs a test's body, and prints the logs if it fails.
async fn run(sites: Sites, body: impl AsyncFnOnce(&Sites) -> Result<()>) -> Result<()> {
    sites
        .run(|sites| async move {
            let result = body(&sites).await;
            (sites, result)
        })
        .await
}

/// The test's own writes of a session, beside those of a load.
fn own(session: &str, labels: &[(String, bool)]) -> History {
    let sent = |(at, (label, acknowledged)): (u64, &(String, bool))| Sent {
        label: label.clone(),
        start_us: 2 * at,
        acknowledged_us: acknowledged.then_some(2 * at + 1),
    };
    History { session: session.to_string(), writes: (0..).zip(labels).map(sent).collect() }
}

/// Judges a load and what the test wrote itself.
async fn judge(sites: &Sites, record: &Record, own: Vec<History>) -> Result<()> {
    sites.drained().await?;
    let primary = Replica::fetch(sites.primary.addr()).await?;
    let secondary = Replica::fetch(sites.secondary.addr()).await?;
    let histories = [record.histories(), own].concat();
    let verdict = check(&histories, &primary, &secondary);
    let broken = verdict.broken();
    ensure!(broken.is_empty(), "promises broken: {broken:?}; {:?}", verdict.examples);
    ensure!(verdict.acknowledged > 0, "nothing was acknowledged");
    Ok(())
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn slow_disk(store: &'static str) -> Result<()> {
    let (sites, faults) = start(store).await?;
    let body = async |sites: &Sites| {
        for faults in faults.values() {
            faults.set(Word::SyncDelayUs, 50_000)?;
        }
        let load = Load::start(LoadOptions { writes_per_second: 16, ..sites.load() });
        pause(5000).await;
        let (record, _) = sites.judge(load).await?;
        let failed = record.ops.iter().find(|op| op.outcome != Outcome::Ok);
        ensure!(failed.is_none(), "{failed:?}");
        let mut took: Vec<u64> = record.ops.iter().map(|op| op.latency_us / 1000).collect();
        took.sort_unstable();
        println!("{store}: {} requests, median {} ms", took.len(), took[took.len() / 2]);
        Ok(())
    };
    run(sites, body).await
}

async fn full_disk(store: &'static str) -> Result<()> {
    let (sites, faults) = start(store).await?;
    let edge = faults.get(&Process::EdgeReprise).context("no faults at the edge")?;
    let body = async |sites: &Sites| {
        sites.write("s", "a").await?;
        let load = Load::start(LoadOptions { retries: 30, ..sites.load() });
        pause(1000).await;
        edge.set(Word::FullAtWrite, 1)?;
        let (begun, mut filling) = (std::time::Instant::now(), vec![]);
        let refused = loop {
            let label = format!("x{:03}", filling.len());
            let large = tests::client::whole(vec![b'x'; 500_000]);
            let answer = sites.client.write("full", &label).body(large).send().await?;
            filling.push((label, answer.status == 200));
            if answer.status != 200 {
                break answer;
            }
            ensure!(begun.elapsed() < Duration::from_secs(20), "never full");
        };
        ensure!(refused.status == 503 && refused.problem() == "log-full", "{refused:?}");
        ensure!(!refused.header("retry-after").is_empty(), "{refused:?}");
        let read = sites.client.read("s").send().await?;
        ensure!(read.status == 200 && read.json()["last"] == "a", "{read:?}");
        pause(1000).await;
        edge.set(Word::FullAtWrite, 0)?;
        edge.set(Word::Capacity, 0)?;
        pause(2500).await;
        sites.write("s", "b").await?;
        let record = load.stop().await;
        let s = [("a".to_string(), true), ("b".to_string(), true)];
        judge(sites, &record, vec![own("full", &filling), own("s", &s)]).await?;
        ensure!(edge.get(Word::NoRoom)? > 0, "the disk was never full");
        Ok(())
    };
    run(sites, body).await
}

/// 5 seconds, or `STOP_SECONDS`.
async fn frozen(store: &'static str) -> Result<()> {
    let (sites, _faults) = start(store).await?;
    let seconds = std::env::var("STOP_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let body = async |sites: &Sites| {
        let load = Load::start(LoadOptions { retries: 60, ..sites.load() });
        pause(1000).await;
        sites.stack.stop_process(Process::EdgeReprise)?;
        pause(500).await;
        let answer = sites.client.write("frozen", "x").send().await?;
        ensure!(answer.status == 503, "{answer:?}");
        // The gateway takes it back as soon as the log hears it again.
        let problem = answer.problem();
        pause(seconds * 1000).await;
        sites.stack.cont(Process::EdgeReprise)?;
        pause(1500).await;
        let record = load.stop().await;
        sites.resolve_doubts().await?;
        sites.write("after", "x").await?;
        let frozen = own("frozen", &[("x".to_string(), false)]);
        judge(sites, &record, vec![frozen, own("after", &[("x".to_string(), true)])]).await?;
        let ran = Replica::fetch(sites.primary.addr()).await?.held("frozen").labels.len();
        println!(
            "{store}: the write to the frozen log was answered {problem:?}, and ran {ran} times"
        );
        ensure!(ran == 0 || problem == "maybe-done", "{problem:?} means no trace, and it ran");
        Ok(())
    };
    run(sites, body).await
}

/// The wall clock of both `reprise` steps by a day, back and forth, under load.
async fn clock_steps(store: &'static str) -> Result<()> {
    let (sites, faults) = start(store).await?;
    let body = async |sites: &Sites| {
        let load = Load::start(sites.load());
        for step in [DAY_MS, 0, -DAY_MS, DAY_MS, -DAY_MS, 0] {
            for faults in faults.values() {
                faults.set(Word::ClockMs, step)?;
            }
            pause(700).await;
        }
        for faults in faults.values() {
            ensure!(faults.get(Word::Clocks)? > 0, "nobody asked the clock");
        }
        let (record, _) = sites.judge(load).await?;
        let failed = record.ops.iter().find(|op| op.outcome != Outcome::Ok);
        ensure!(failed.is_none(), "{failed:?}");
        Ok(())
    };
    run(sites, body).await
}

fn copied(from: &Path, to: &Path) -> Result<()> {
    ensure!(Command::new("cp").arg("-a").args([from, to]).status()?.success(), "cp failed");
    Ok(())
}

/// What both tills hold of a session has every label at most once, in the order of sending.
async fn once_each(sites: &Sites, session: &str) -> Result<()> {
    for till in [&sites.primary, &sites.secondary] {
        let held = Replica::fetch(till.addr()).await?;
        let labels = &held.held(session).labels;
        let mut sorted = labels.clone();
        sorted.sort();
        sorted.dedup();
        ensure!(sorted.len() == labels.len(), "{session}: something ran twice: {labels:?}");
        ensure!(labels.is_sorted(), "{session}: out of order: {labels:?}");
    }
    Ok(())
}

/// The edge's log is replaced, by an older copy or by nothing, and writes go on.
async fn log_replaced(store: &'static str, by_a_copy: bool) -> Result<()> {
    let (sites, _faults) = start(store).await?;
    let body = async |sites: &Sites| {
        let log = sites.stack.data.join("edge/log");
        let old = sites.stack.data.join("old-log");
        for n in 0..5 {
            sites.write("s", &format!("{n:03}")).await?;
        }
        sites.drained().await?;
        sites.stack.terminate(Process::EdgeReprise).await?;
        copied(&log, &old)?;
        sites.stack.restart(Process::EdgeReprise).await?;
        for n in 5..10 {
            sites.write("s", &format!("{n:03}")).await?;
        }
        sites.drained().await?;
        sites.stack.kill(Process::EdgeReprise).await?;
        std::fs::remove_dir_all(&log)?;
        if by_a_copy {
            copied(&old, &log)?;
        }
        sites.stack.restart(Process::EdgeReprise).await?;
        let (mut acknowledged, mut statuses) = (0, vec![]);
        for n in 10..40 {
            let answer = sites.client.write("s", &format!("{n:03}")).send().await?;
            statuses.push((answer.status, answer.problem()));
            acknowledged += usize::from(answer.status == 200);
            if answer.status != 200 {
                pause(200).await;
            }
        }
        sites.resolve_doubts().await?;
        let log = sites.log().await?;
        let forced = |case: &serde_json::Value| case["kind"] == "forced" && case["session"] == "s";
        let listed = log["conflicts"].as_array().is_some_and(|all| all.iter().any(forced));
        ensure!(listed, "the forced epoch is not listed: {log}");
        ensure!(acknowledged > 0, "no write was taken any more: {statuses:?}");
        once_each(sites, "s").await
    };
    run(sites, body).await
}

async fn old_log(store: &'static str) -> Result<()> {
    log_replaced(store, true).await
}

async fn no_log(store: &'static str) -> Result<()> {
    log_replaced(store, false).await
}

for_both_stores! {
    a_slow_disk_slows_and_never_reorders => super::slow_disk;
    a_full_disk_refuses_writes_answers_reads_and_recovers_without_a_restart => super::full_disk;
    a_frozen_replay_service_never_makes_a_false_acknowledgement => super::frozen;
    clocks_that_step_by_a_day_change_no_order => super::clock_steps;
    an_older_copy_of_the_log_reuses_no_number => super::old_log;
    a_deleted_log_reuses_no_number => super::no_log;
}
