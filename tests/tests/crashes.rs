//! Processes that die without warning (SIGKILL) and come back.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use demo::load::{Load, LoadOptions, Outcome, Record};
use demo::relay::Mode;
use std::time::Duration;
use tests::{Sites, UNTIL_BACK, sites_test, status_of};
use xtask::stack::Process;

/// A load during which something happens; clients repeat what failed, with the same key.
fn retrying(sites: &Sites) -> Load {
    Load::start(LoadOptions { retries: UNTIL_BACK, ..sites.load() })
}

fn all_acknowledged(record: &Record) -> Result<()> {
    let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
    ensure!(failed.is_empty(), "{} requests failed for good: {:?}", failed.len(), failed.first());
    Ok(())
}

/// Stops the load, plays the operator, and judges: every promise kept, every write acknowledged.
async fn judge_resolved(sites: &Sites, load: Load) -> Result<()> {
    let record = sites.stop_resolving(load).await?;
    sites.judge_record(&record).await?;
    all_acknowledged(&record)
}

sites_test! {
    async fn the_replay_service_dies_and_numbering_goes_on(sites) {
        let load = retrying(&sites);
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sites.stack.restart(Process::EdgeReprise).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        judge_resolved(&sites, load).await?;
    }
}

sites_test! {
    async fn writes_are_refused_and_known_sessions_are_read_while_the_replay_service_is_away(sites) {
        sites.write("s", "a").await?;
        sites.stack.kill(Process::EdgeReprise).await?;
        let refused = sites.client.write("s", "b").send().await?;
        ensure!(refused.status == 503 && refused.problem() == "log-unavailable", "{refused:?}");
        ensure!(!refused.header("retry-after").is_empty(), "{refused:?}");
        ensure!(refused.took < Duration::from_secs(4), "a bounded wait: {:?}", refused.took);
        let read = sites.client.read("s").send().await?;
        ensure!(read.status == 200 && read.json()["last"] == "a", "{read:?}");
        let unknown = sites.client.read("unknown").send().await?;
        ensure!(unknown.status == 503, "{unknown:?}");
        sites.stack.restart(Process::EdgeReprise).await?;
        let again = sites.client.write("s", "c").send().await?;
        ensure!(again.status == 200, "{again:?}");
        sites.both_hold("s", &["a", "c"]).await?;
    }
}

sites_test! {
    async fn the_clouds_reprise_dies_and_its_journal_knows_what_ran(sites) {
        let load = retrying(&sites);
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sites.stack.restart(Process::CloudReprise).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        judge_resolved(&sites, load).await?;
    }
}

sites_test! {
    async fn the_edge_envoy_dies_while_cut(sites) {
        let load = retrying(&sites);
        tokio::time::sleep(Duration::from_secs(1)).await;
        sites.link.set(Mode::Hole).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        sites.stack.restart(Process::EdgeEnvoy).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        sites.mend().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        judge_resolved(&sites, load).await?;
    }
}

sites_test! {
    async fn the_cloud_envoy_dies_and_its_guard_still_knows_what_ran(sites) {
        let load = retrying(&sites);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            sites.stack.restart(Process::CloudEnvoy).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        judge_resolved(&sites, load).await?;
    }
}

sites_test! {
    async fn each_replica_dies_and_comes_back(sites) {
        let load = retrying(&sites);
        tokio::time::sleep(Duration::from_secs(1)).await;
        sites.primary.restart().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        sites.secondary.restart().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        judge_resolved(&sites, load).await?;
    }
}

sites_test! {
    async fn a_post_that_broke_its_connection_is_in_doubt_and_put_is_redone(sites) {
        sites.write("s", "a").await?;
        sites.write("t", "a").await?;
        sites.drained().await?;
        let post = sites.client.request(http::Method::POST, "/break").session("s").header("x-label", "b").send().await?;
        ensure!(post.status == 503 && post.problem() == "maybe-done", "neither replica says that it ran: {post:?}");
        let status = sites.until("the doubt is listed", |s| s["log"]["in_doubt"].as_array().is_some_and(|d| !d.is_empty())).await?;
        ensure!(status["log"]["in_doubt"][0]["session"] == "s", "{status}");
        let cloud = status_of(sites.stack.journal_admin).await?;
        ensure!(cloud["journal"]["in_doubt"][0]["session"] == "s", "{cloud}");
        sites.write("other", "x").await?;
        sites.resolve_both("s", "b").await?;
        sites.drained().await?;
        sites.both_hold("s", &["a", "b"]).await?;
    }
}
