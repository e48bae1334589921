//! What a write costs each process of both sites: processor time, memory, disk; connected, and
//! while the primary is cut off. The figures of `docs/sizing.md` come from here.
//!
//! `cargo build --release -p demo && cargo run --release -p tests --example site_cost -- [SECONDS]`

#![allow(clippy::disallowed_methods, reason = "time is what is measured")]

use anyhow::{Context as _, Result, ensure};
use demo::load::{Load, LoadOptions, Outcome};
use demo::relay::Mode;
use std::time::Duration;
use tests::Sites;
use xtask::stack::Process;

const RATES: [u32; 3] = [50, 250, 500];
const BODIES: [usize; 2] = [1_000, 10_000];

/// Processor time so far, milliseconds, and resident memory, MiB.
fn used(pid: u32) -> Result<(u64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(") ").context("no such line")?.1;
    let ticks = fields.split(' ').skip(11).take(2).map(|n| n.parse().unwrap_or(0)).sum::<u64>();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse()?;
    Ok((ticks * 10, kib / 1024))
}

async fn phase(
    sites: &Sites,
    what: &str,
    rate: u32,
    body_bytes: usize,
    time: Duration,
) -> Result<()> {
    let look = || Process::ALL.map(|process| used(sites.stack.pid(process)?));
    let before = look();
    let disk = |status: &serde_json::Value| status["store"]["bytes"].as_u64().unwrap_or(0);
    let disk_before = disk(&sites.log().await?);
    let load = Load::start(LoadOptions {
        sessions: 50,
        writes_per_second: rate,
        read_every: 0,
        body_bytes,
        prefix: format!("{what}-{rate}-{body_bytes}-"),
        ..LoadOptions::new(sites.stack.clients)
    });
    tokio::time::sleep(time).await;
    let record = load.stop().await;
    let writes = record.ops.len() as u64;
    ensure!(record.ops.iter().all(|op| op.outcome == Outcome::Ok), "a write failed");
    let log = sites.log().await?;
    print!("{what}\t{rate}\t{body_bytes}\t{writes}");
    for ((process, before), after) in Process::ALL.into_iter().zip(before).zip(look()) {
        let ((cpu_before, _), (cpu, resident)) = (before?, after?);
        let per_write = (cpu - cpu_before) as f64 / writes as f64;
        print!("\t{} {per_write:.2} ms {resident} MiB", process.name());
    }
    let grown = disk(&log).saturating_sub(disk_before);
    println!("\tdisk {} B/write, behind {}", grown / writes.max(1), log["backlog"]["primary"]);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(8), |seconds| seconds.parse())?;
    let time = Duration::from_secs(seconds);
    println!("phase\twrites/s\tbody\twrites\tper process: processor time per write, memory");
    for body in BODIES {
        for rate in RATES {
            let sites = Sites::start().await?;
            phase(&sites, "connected", rate, body, time).await?;
            sites.drained().await?;
            sites.link.set(Mode::Refuse).await?;
            phase(&sites, "cut", rate, body, time).await?;
            sites.mend().await?;
            sites.drained().await?;
            sites.stack.shutdown().await?;
        }
    }
    Ok(())
}
