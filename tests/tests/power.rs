//! The power fails: `reprise` is started on images of its file system, taken while it was at work.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tests::direct::replicas::Held;
use tests::direct::run::{Book, Planned, Site, drive, plan, verify};
use tests::ext4::Ext4;
use tests::faults::{Faults, Word};
use tests::for_both_stores;

/// Images of one run.
const PER_RUN: usize = 5;

/// What the power left, and what had been acknowledged by then.
struct Left {
    image: PathBuf,
    book: Book,
    held: Held,
}

fn signal(pid: u32, signal: &str) -> Result<()> {
    ensure!(Command::new("kill").args([signal, &pid.to_string()]).status()?.success());
    Ok(())
}

/// Every thread has stopped: none is in the middle of a system call.
async fn stopped(pid: u32) -> Result<()> {
    loop {
        let mut running = false;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
            running |= !state.starts_with('T');
        }
        if !running {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// A run on a file system of its own, and images of it at random moments.
async fn run(
    store: &'static str,
    dir: &Path,
    plan: &[Planned],
    seed: u64,
    syncs: bool,
) -> Result<Option<Vec<Left>>> {
    let Some(disk) = Ext4::new(dir, 256)? else { return Ok(None) };
    let mut site = Site::new(store, &disk.mount.join("data"), Held::default()).await?;
    site.top = "min_free_bytes = 0\n".into();
    let faults = Faults::new(&site.data)?;
    faults.set(Word::NoSync, (!syncs).into())?;
    let mut reprise = site.started(Some(&faults)).await?;
    faults.in_force()?;
    let (pid, book, mut images) = (reprise.pid()?, Book::default(), vec![]);
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let snapshots = async {
        for n in 0..PER_RUN {
            tokio::time::sleep(Duration::from_millis(random.random_range(2..60))).await;
            // What is acknowledged from here on may or may not be in the image.
            let before = book.copy();
            signal(pid, "-STOP")?;
            stopped(pid).await?;
            let image = dir.join(format!("copy-{n}"));
            disk.copy_to(&image)?;
            images.push(Left { image, book: before, held: site.replicas.held() });
            signal(pid, "-CONT")?;
        }
        anyhow::Ok(())
    };
    let driven = async { drive(&reprise, plan, 0, &book).await };
    let (taken, driven) = tokio::join!(snapshots, driven);
    taken?;
    driven?;
    reprise.kill().await?;
    Ok(Some(images))
}

/// Starts on an image and checks it.
async fn survives(store: &'static str, left: &Left, plan: &[Planned]) -> Result<()> {
    let disk = Ext4::of(&left.image, &left.image.with_extension("mount"))?;
    let mut site = Site::new(store, &disk.mount.join("data"), left.held.clone()).await?;
    site.top = "min_free_bytes = 0\n".into();
    let mut reprise = site.started(None).await?;
    verify(&site, &reprise, plan, &left.book).await?;
    reprise.kill().await
}

/// Runs, takes images and checks each; gives how many there were and what was wrong with some.
async fn images(
    store: &'static str,
    wanted: usize,
    syncs: bool,
) -> Result<Option<(usize, Vec<String>)>> {
    let plan = plan(800);
    let seed = u64::from(std::process::id());
    let (mut count, mut acknowledged, mut failed) = (0, 0, vec![]);
    while count < wanted {
        let dir = tempfile::tempdir()?;
        let seed = seed * 1000 + count as u64;
        let Some(images) = run(store, dir.path(), &plan, seed, syncs).await? else {
            return Ok(None);
        };
        for left in images {
            count += 1;
            acknowledged += left.book.count();
            let found = survives(store, &left, &plan).await;
            if let Err(error) = found {
                failed.push(format!("seed {seed}, {}: {error:#}", left.image.display()));
            }
            std::fs::remove_file(&left.image).context("remove an image")?;
        }
    }
    println!(
        "{store}: {count} images, {acknowledged} acknowledged writes in them, {} bad",
        failed.len()
    );
    Ok(Some((count, failed)))
}

async fn power_fails(store: &'static str) -> Result<()> {
    let wanted = std::env::var("POWER_IMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    if let Some((_, failed)) = images(store, wanted, true).await? {
        ensure!(failed.is_empty(), "{failed:#?}");
    }
    Ok(())
}

/// The images tell a store that syncs from one that does not.
async fn without_syncs(store: &'static str) -> Result<()> {
    if let Some((count, failed)) = images(store, PER_RUN, false).await? {
        ensure!(!failed.is_empty(), "{count} images without a single sync, and nothing is missing");
    }
    Ok(())
}

for_both_stores! {
    a_power_failure_at_any_moment_loses_no_acknowledged_write => super::power_fails;
    without_syncs_a_power_failure_loses_writes => super::without_syncs;
}
