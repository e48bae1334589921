//! Memory and disk while writes go on: many sessions, no growth beyond the stated bounds.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::load::{Load, LoadOptions};
use std::time::Duration;
use tests::{Sites, sites_test};
use xtask::stack::Process;

/// Writes of each half. `STEADY_WRITES` sets the sum of both; the figures in
/// `docs/decisions/0006-what-the-log-takes-on-disk.md` come from 80,000 and 200,000.
const WRITES: u64 = 10_000;
const SESSIONS: u32 = 2_000;
/// Writes per second, all sessions together: what two cores carry without a growing backlog.
const RATE: u32 = 1_000;
/// What an Envoy may grow in the second half, when its tables are filled: allocator and noise.
const ENVOY_GROWTH_MB: u64 = 24;

fn resident_mb(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
    let kb: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kb / 1024)
}

/// Resident memory of all four processes, and the disk of the log's store, MB.
async fn figures(sites: &Sites) -> Result<([u64; 4], u64)> {
    let mut memory = [0; 4];
    for (mb, process) in memory.iter_mut().zip(Process::ALL) {
        *mb = resident_mb(sites.stack.pid(process)?)?;
    }
    let store = &sites.log().await?["store"];
    Ok((memory, store["bytes"].as_u64().context("no store bytes")? >> 20))
}

async fn write(sites: &Sites, writes: u64, prefix: &str) -> Result<()> {
    let load = Load::start(LoadOptions {
        sessions: SESSIONS,
        writes_per_second: RATE,
        writes_per_session: Some(writes / u64::from(SESSIONS)),
        read_every: 0,
        // Two thousand clients at once on two cores queue; none may be turned away.
        timeout: Duration::from_secs(60),
        retries: 10,
        prefix: prefix.to_string(),
        ..LoadOptions::new(sites.stack.clients)
    });
    let record = load.finish().await;
    let failed = record.ops.iter().filter(|op| op.status != 200).count();
    ensure!(
        failed == 0,
        "{failed} of {} writes failed: {:?}",
        record.ops.len(),
        record.ops.iter().find(|op| op.status != 200)
    );
    sites.drained().await?;
    Ok(())
}

sites_test! {
    async fn envoys_memory_and_the_logs_disk_stay_bounded(sites, |options| {
        options.detect_ms = 20_000;
        options.log_extra.insert("remember_ids_bytes".to_string(), 2_000_000.into());
    }) {
        let writes = std::env::var("STEADY_WRITES").ok().and_then(|n| n.parse().ok()).unwrap_or(2 * WRITES);
        write(&sites, writes / 2, "s").await?;
        let (before, disk_before) = figures(&sites).await?;
        write(&sites, writes / 2, "s").await?;
        let (after, disk_after) = figures(&sites).await?;
        println!("{writes} writes; MB resident of {:?}: {before:?}, then {after:?}; the log's disk {disk_before}, then {disk_after} MB", Process::ALL);
        for (process, (before, after)) in Process::ALL.into_iter().zip(before.into_iter().zip(after)) {
            if matches!(process, Process::EdgeEnvoy | Process::CloudEnvoy) {
                ensure!(after <= before + ENVOY_GROWTH_MB, "{} grew from {before} to {after} MB", process.name());
            }
        }
        ensure!(disk_after <= 2 * disk_before + 64, "the log's store grew from {disk_before} to {disk_after} MB");
        let log = sites.log().await?;
        ensure!(log["entries"] == 0, "{log}");
    }
}
