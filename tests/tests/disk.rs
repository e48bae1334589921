//! The disk fails the real `reprise` at every place: it is killed at each sync and in each write,
//! syncs fail, there is no room.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::sync::Arc;
use tests::direct::Started;
use tests::direct::replicas::Held;
use tests::direct::run::{Book, Planned, Site, drive, plan, verify};
use tests::ext4::Ext4;
use tests::faults::{Faults, Word};
use tests::for_both_stores;
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

/// Kills the process at its n-th sync or write, starts it again and checks. False if its run was
/// over before: how many appends share a commit, and so the count of both, differs by the run.
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
    let counter = if place == Where::AmidWrite { Word::Writes } else { Word::Syncs };
    let book = Book::default();
    if let Started::Runs(mut reprise) = site.start(Some(&faults)).await? {
        // It ends with an error when the process dies, which is what is wanted.
        if drive(&reprise, &plan, 0, &book).await.is_ok() {
            let settled = |status: &Value| status["log"]["entries"] == 0;
            if let Err(error) = reprise.status_when("everything is settled", settled).await {
                reprise.ended().await.context(error)?;
            }
        }
        if faults.get(counter)? >= n {
            reprise.ended().await.context("the place was reached and nothing killed it")?;
        }
        reprise.kill().await?;
    } else {
        ensure!(faults.get(counter)? >= n, "it ended before its place was reached");
    }
    let reached = faults.get(counter)?;
    let reprise = site.started(None).await?;
    verify(&site, &reprise, &plan, &book).await?;
    Ok(reached >= n)
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
    let (mut running, mut reached, mut failed) = (JoinSet::new(), 0, vec![]);
    let mut todo = chosen.into_iter();
    loop {
        while running.len() < AT_ONCE
            && let Some((place, n)) = todo.next()
        {
            let plan = plan.clone();
            running.spawn(async move {
                let reached = killed_at(store, plan, place, n).await;
                reached.with_context(|| format!("{store}, killed {place:?} {n}"))
            });
        }
        let Some(done) = running.join_next().await else { break };
        match done? {
            Ok(was_reached) => reached += usize::from(was_reached),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    println!(
        "{store}: {syncs} syncs and {writes} writes in a run; {count} of {} places tried, at {reached} the process died",
        all.len()
    );
    ensure!(failed.is_empty(), "{} of {count} failed: {failed:#?}", failed.len());
    ensure!(reached * 2 > count, "runs were over before {} of {count} places", count - reached);
    Ok(())
}

/// A sync fails: the process ends at once, says where and what to do, and answers nothing more.
async fn eio_ends_the_process(store: &'static str) -> Result<()> {
    let plan = plan(200);
    let [syncs, _] = counted(store, &plan).await?;
    let (mut tried, mut missed) = (0, 0);
    for n in (12..syncs * 3 / 4).step_by(usize::try_from(syncs / 8)?.max(1)) {
        let dir = tempfile::tempdir()?;
        let site = Site::new(store, &dir.path().join("data"), Held::default()).await?;
        let faults = Faults::new(&site.data)?;
        faults.set(Word::EioAtSync, n)?;
        let Started::Runs(mut reprise) = site.start(Some(&faults)).await? else { continue };
        let book = Book::default();
        let driven = drive(&reprise, &plan, 0, &book).await;
        let settled = |status: &Value| status["log"]["entries"] == 0;
        if driven.is_ok()
            && reprise.status_when("everything is settled", settled).await.is_ok()
            && faults.get(Word::Syncs)? < n
        {
            // How many appends share a commit differs by the run, and so does the count of syncs.
            missed += 1;
            reprise.kill().await?;
            continue;
        }
        tried += 1;
        let line = reprise.line_with("the store has failed").await?;
        let place = site.data.join("log").display().to_string();
        ensure!(line.contains(&place), "it does not say where: {line}");
        let status = reprise.ended().await?;
        ensure!(status.code() == Some(4), "it ended with {status}; {driven:?}");
        let reprise = site.started(None).await?;
        verify(&site, &reprise, &plan, &book).await.with_context(|| format!("EIO at sync {n}"))?;
    }
    ensure!(tried > missed, "{missed} runs were over before their sync, only {tried} were not");
    Ok(())
}

/// From some write on there is no room: new writes are refused, what is there is delivered and
/// settled, and with room the same process takes writes again.
async fn full_at(store: &'static str, plan: &[Planned], n: i64) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    let mut site = Site::new(store, &dir.path().join("data"), Held::default()).await?;
    site.top = "min_free_bytes = 0\n".into();
    let faults = Faults::new(&site.data)?;
    faults.set(Word::FullSlack, n % 3 * 4096)?;
    faults.set(Word::FullAtWrite, n)?;
    let book = Book::default();
    let (reprise, refused) = match site.start(Some(&faults)).await? {
        Started::Runs(mut reprise) => {
            let refused = drive(&reprise, plan, 0, &book).await;
            let refused = match refused {
                Ok(refused) => refused,
                Err(error) => {
                    let said = reprise.line_with("the store has failed").await;
                    return Err(error.context(format!("it did not go on: {said:?}")));
                }
            };
            site.replicas.until(2 * book.count()).await.context("deliveries go on while full")?;
            faults.set(Word::FullAtWrite, 0)?;
            faults.set(Word::Capacity, 0)?;
            (reprise, refused.len())
        }
        Started::Ended(status, log) => {
            let said = log.last().map_or("", String::as_str);
            ensure!(status.code() == Some(1) && said.contains("No space left"), "{status}: {said}");
            (Box::new(site.started(None).await?), 0)
        }
    };
    verify(&site, &reprise, plan, &book).await?;
    Ok(refused)
}

async fn full_anywhere(store: &'static str) -> Result<()> {
    let plan = plan(200);
    let [_, writes] = counted(store, &plan).await?;
    let step = usize::try_from(writes)?.div_ceil(points(16)).max(1);
    let (mut refused, mut failed) = (0, vec![]);
    for n in (1..=writes).step_by(step) {
        match full_at(store, &plan, n).await {
            Ok(more) => refused += more,
            Err(error) => failed.push(format!("full at {n}: {error:#}")),
        }
    }
    println!("{store}: {refused} writes refused");
    ensure!(failed.is_empty(), "{failed:#?}");
    ensure!(refused > 0, "the disk was never full");
    Ok(())
}

/// The same on a real file system without room.
async fn full_for_real(store: &'static str) -> Result<()> {
    let plan = plan(400);
    let dir = tempfile::tempdir()?;
    let mut refused = 0;
    for k in 0..6 {
        let Some(disk) = Ext4::new(&dir.path().join(format!("{k}")), 256)? else { return Ok(()) };
        let mut site = Site::new(store, &disk.mount.join("data"), Held::default()).await?;
        site.top = "min_free_bytes = 0\n".into();
        let reprise = site.started(None).await?;
        let ballast = disk.fill(k * 100_000)?;
        let book = Book::default();
        let full = drive(&reprise, &plan, 0, &book).await;
        refused += full.with_context(|| format!("it did not go on with {k}00 kB left"))?.len();
        site.replicas.until(2 * book.count()).await.context("deliveries go on while full")?;
        std::fs::remove_file(ballast)?;
        verify(&site, &reprise, &plan, &book).await.with_context(|| format!("{k}00 kB left"))?;
    }
    println!("{store}: {refused} writes refused");
    ensure!(refused > 0, "the disk was never full");
    Ok(())
}

for_both_stores! {
    a_log_killed_at_any_sync_or_write_keeps_what_it_acknowledged => super::killed_everywhere;
    a_sync_that_fails_ends_the_process_and_nothing_after_it_is_acknowledged => super::eio_ends_the_process;
    a_disk_full_from_any_write_on_refuses_new_writes_and_delivers_the_others => super::full_anywhere;
    a_file_system_without_room_refuses_new_writes_until_there_is_some => super::full_for_real;
}
