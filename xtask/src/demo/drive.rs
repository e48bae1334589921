//! One run on a stage: connected, cut, healed, at rest, judged.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use demo::check::{Replica, check};
use demo::format::{count, duration_ms};
use demo::load::{Load, LoadOptions, Op, Outcome};
use demo::relay::{Mode, Relay};
use demo::run::{Observed, Run, Times};
use tokio::time::{Instant, sleep, sleep_until};

use super::watch::Watch;
use super::{DemoArgs, say, summed_up};

/// How long the backlog may take to be worked off once the clients have stopped.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// How long the sessions may then take to be handed back; not all must be.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(5);
/// A till that has recorded nothing for so long is at rest.
const QUIET: Duration = Duration::from_millis(500);
/// How long the tills may take to come to rest.
const QUIET_LIMIT: Duration = Duration::from_secs(15);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// What the ids of the sessions begin with that only warm the stage up.
const WARM: &str = "warm-";

/// Where a run is performed.
pub(super) struct Stage<'a> {
    /// What it is called.
    pub(super) name: &'static str,
    /// Where clients go.
    pub(super) clients: SocketAddr,
    /// The primary till, for the judge.
    pub(super) primary: SocketAddr,
    /// The secondary till, for the judge.
    pub(super) secondary: SocketAddr,
    /// The link to the primary.
    pub(super) relay: &'a Relay,
    /// The log's page, where there is one.
    pub(super) watch: Option<Watch>,
}

/// Performs a run.
pub(super) async fn perform(args: &DemoArgs, mut stage: Stage<'_>) -> Result<Run> {
    warm_up(args, &stage).await?;
    let load = Load::start(options(args, &stage));
    let start = Instant::now();
    let at = |percent| start + Duration::from_millis(args.seconds * 10 * percent);
    let mut times = Times::default();

    wait(&stage, &load, "connected", at(30)).await;
    stage.relay.set(args.cut.mode()).await.context("cut the link")?;
    times.cut_ms = load.now_ms();
    say(&format!("{}: link cut ({})", stage.name, args.cut.name()));

    wait(&stage, &load, "cut", at(70)).await;
    stage.relay.set(Mode::Pass).await.context("heal the link")?;
    times.heal_ms = load.now_ms();
    say(&format!("{}: link healed", stage.name));

    wait(&stage, &load, "healed", at(100)).await;
    let stopped = Instant::now();
    times.stop_ms = load.now_ms();
    let record = load.stop().await;
    say(&format!("{}: clients stopped, waiting for rest", stage.name));
    let drained = rest(&mut stage).await?;
    times.end_ms = times.stop_ms + u64::try_from(stopped.elapsed().as_millis())?;

    let verdict =
        check(&record.histories(), &judged(stage.primary).await?, &judged(stage.secondary).await?);
    let (samples, noted) = match stage.watch {
        Some(watch) => watch.finish(record.start_unix_ms)?,
        None => Default::default(),
    };
    let run = Run::new(Observed {
        record,
        verdict,
        times,
        detect_ms: args.detect_ms,
        samples,
        noted,
        drained,
    });
    say(&summed_up(stage.name, &run));
    Ok(run)
}

fn options(args: &DemoArgs, stage: &Stage<'_>) -> LoadOptions {
    LoadOptions {
        sessions: args.sessions,
        writes_per_second: args.rate,
        in_flight: args.in_flight,
        http2: args.http2,
        ..LoadOptions::new(stage.clients)
    }
}

/// A few writes in sessions of their own, so that the first connections are not what is measured
/// and a stage on which nothing works is noticed at once.
async fn warm_up(args: &DemoArgs, stage: &Stage<'_>) -> Result<()> {
    let warm = LoadOptions {
        sessions: 2 * args.workers.max(1),
        prefix: WARM.to_owned(),
        writes_per_session: Some(5),
        ..options(args, stage)
    };
    let record = Load::start(warm).finish().await;
    let failed = |op: &&Op| op.outcome != Outcome::Ok;
    let Some(first) = record.ops.iter().find(failed) else {
        return Ok(());
    };
    bail!(
        "{}: {} of {} requests failed before anything was cut, the first with: {}",
        stage.name,
        record.ops.iter().filter(failed).count(),
        record.ops.len(),
        first.error.as_deref().unwrap_or("no reason given")
    )
}

/// Waits, and says every second how it goes.
async fn wait(stage: &Stage<'_>, load: &Load, phase: &str, until: Instant) {
    loop {
        let next = Instant::now() + PROGRESS;
        sleep_until(next.min(until)).await;
        let progress = load.progress();
        let backlog = match stage.watch.as_ref().and_then(Watch::latest) {
            Some(Ok(sample)) => format!(
                ", backlog {} to P and {} to S",
                count(sample.backlog_primary),
                count(sample.backlog_secondary)
            ),
            _ => String::new(),
        };
        say(&format!(
            "{:>10} {:>4.0} s  {phase:<10} {} acknowledged, {} errors, {} stale{backlog}",
            stage.name,
            load.now_ms() as f64 / 1000.0,
            count(progress.acknowledged),
            count(progress.errors),
            count(progress.stale),
        ));
        if Instant::now() >= until {
            return;
        }
    }
}

/// Waits until the backlog is worked off and the tills are at rest; `false` if it never is.
async fn rest(stage: &mut Stage<'_>) -> Result<bool> {
    let mut drained = true;
    if let Some(watch) = &mut stage.watch {
        drained = watch
            .reaches(DRAIN_LIMIT, |sample| {
                sample.backlog_primary == 0 && sample.backlog_secondary == 0
            })
            .await;
        if drained && !watch.reaches(HAND_BACK_LIMIT, |sample| sample.pinned == 0).await {
            say(&format!(
                "{}: some sessions are still served by the secondary after {}",
                stage.name,
                duration_ms(u64::try_from(HAND_BACK_LIMIT.as_millis())?)
            ));
        }
    }
    Ok(quiet(stage.primary, stage.secondary).await? && drained)
}

/// Waits until neither till records anything more.
async fn quiet(primary: SocketAddr, secondary: SocketAddr) -> Result<bool> {
    let writes = async || anyhow::Ok((recorded(primary).await?, recorded(secondary).await?));
    let start = Instant::now();
    let mut before = writes().await?;
    while start.elapsed() < QUIET_LIMIT {
        sleep(QUIET).await;
        let now = writes().await?;
        if now == before {
            return Ok(true);
        }
        before = now;
    }
    Ok(false)
}

async fn recorded(till: SocketAddr) -> Result<u64> {
    let listing: demo::till::Listing = demo::fetch::get_json(till, "/_till/sessions").await?;
    Ok(listing.sessions.iter().map(|session| session.count).sum())
}

/// What a till holds, but for the sessions that only warmed the stage up.
async fn judged(till: SocketAddr) -> Result<Replica> {
    let mut replica = Replica::fetch(till).await?;
    replica.sessions.retain(|id, _| !id.starts_with(WARM));
    Ok(replica)
}
