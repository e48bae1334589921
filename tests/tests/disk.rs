//! The disk fails the real `reprise` at every place: it is killed at each sync and in each write,
//! syncs fail, there is no room.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use std::sync::Arc;
use tests::direct::Started;
use tests::direct::replicas::Held;
use tests::direct::run::{Book, Planned, Site, drive, plan, verify};
use tests::faults::{Faults, Word};
use tokio::task::JoinSet;

/// Runs at once: they wait for the disk and for processes to start.
const AT_ONCE: usize = 4;

/// Where the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    BeforeSync,
    AfterSync,
    AmidWrite,
}

/// How many syncs and writes a run has that nothing disturbs.
async fn counted(store: &'static str, plan: &[Planned]) -> Result<[i64; 2]> {
    let dir = tempfile::tempdir()?;
    let site = Site::new(store, &dir.path().join("data"), Held::default()).await?;
    let faults = Faults::new(&site.data)?;
    let mut reprise = site.started(Some(&faults)).await?;
    let book = Book::default();
    drive(&reprise, plan, 0, &book).await?;
    site.replicas.until(2 * plan.len()).await?;
    reprise.status_when("everything is settled", |s| s["log"]["entries"] == 0).await?;
    faults.in_force()?;
    reprise.kill().await?;
    Ok([faults.get(Word::Syncs)?, faults.get(Word::Writes)?])
}

/// Kills the process at its n-th sync or write, starts it again and checks. True if it was that
/// fault that killed it: runs differ a little.
async fn killed_at(
    store: &'static str,
    plan: Arc<Vec<Planned>>,
    place: Where,
    n: i64,
) -> Result<bool> {
    let dir = tempfile::tempdir()?;
    let site = Site::new(store, &dir.path().join("data"), Held::default()).await?;
    let faults = Faults::new(&site.data)?;
    let word = if place == Where::AmidWrite { Word::DieAtWrite } else { Word::DieAtSync };
    faults.set(word, n)?;
    faults.set(Word::DieAfter, (place == Where::AfterSync).into())?;
    let book = Book::default();
    let mut died = true;
    if let Started::Runs(mut reprise) = site.start(Some(&faults)).await? {
        // It ends with an error when the process dies, which is what is wanted.
        let driven = drive(&reprise, &plan, 0, &book).await;
        if driven.is_ok() {
            let settled = site.replicas.until(2 * plan.len()).await;
            ensure!(settled.is_ok() || !reprise.runs(), "{settled:?}");
            let quiet = std::time::Duration::from_millis(300);
            died = tokio::time::timeout(quiet, reprise.ended()).await.is_ok();
        }
        reprise.kill().await?;
    }
    let reprise = site.started(None).await?;
    verify(&site, &reprise, &plan, &book).await?;
    Ok(died)
}

/// How many of the places are tried; `FAULT_POINTS=all` tries every one.
fn points(default: usize) -> usize {
    match std::env::var("FAULT_POINTS") {
        Ok(all) if all == "all" => usize::MAX,
        Ok(points) => points.parse().unwrap_or(default),
        Err(_) => default,
    }
}

async fn killed_everywhere(store: &'static str) -> Result<()> {
    let plan = plan(200);
    let [syncs, writes] = counted(store, &plan).await?;
    let places =
        [(Where::BeforeSync, syncs), (Where::AfterSync, syncs), (Where::AmidWrite, writes)];
    let all: Vec<(Where, i64)> = places
        .into_iter()
        .flat_map(|(place, count)| (1..=count).map(move |n| (place, n)))
        .collect();
    let step = all.len().div_ceil(points(45)).max(1);
    let offset = usize::try_from(std::process::id())? % step;
    let chosen: Vec<_> = all.iter().copied().skip(offset).step_by(step).collect();
    let count = chosen.len();
    let (mut running, mut died, mut failed) = (JoinSet::new(), 0, vec![]);
    let mut todo = chosen.into_iter();
    loop {
        while running.len() < AT_ONCE
            && let Some((place, n)) = todo.next()
        {
            let plan = plan.clone();
            running.spawn(async move {
                let died = killed_at(store, plan, place, n).await;
                died.with_context(|| format!("{store}, killed {place:?} {n}"))
            });
        }
        let Some(done) = running.join_next().await else { break };
        match done? {
            Ok(by_the_fault) => died += usize::from(by_the_fault),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    println!(
        "{store}: {syncs} syncs and {writes} writes in a run; {count} of {} places tried, at {died} the process died",
        all.len()
    );
    ensure!(failed.is_empty(), "{} of {count} failed: {failed:#?}", failed.len());
    ensure!(died * 10 >= count * 8, "it died at {died} of {count} places only");
    Ok(())
}

/// Makes a test of each store.
macro_rules! for_both_stores {
    ($($(#[$meta:meta])* $name:ident => $body:path;)*) => {
        mod sled {
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> anyhow::Result<()> { $body("sled").await })*
        }
        mod fjall {
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> anyhow::Result<()> { $body("fjall").await })*
        }
    };
}

for_both_stores! {
    a_log_killed_at_any_sync_or_write_keeps_what_it_acknowledged => super::killed_everywhere;
}
