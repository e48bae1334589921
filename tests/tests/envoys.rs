//! Envoys that die, are drained, restarted hot, or are two at once.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::load::{Load, LoadOptions, Outcome, Record};
use http::Method;
use std::time::Duration;
use tests::client::Client;
use tests::roaming::Roaming;
use tests::{Sites, UNTIL_BACK, labels, sites_test, status_of};
use xtask::stack::{Process, StackOptions};

/// A load during which something happens; clients repeat what failed, with the same key.
fn retrying(sites: &Sites) -> Load {
    Load::start(LoadOptions { retries: UNTIL_BACK, ..sites.load() })
}

fn all_acknowledged(record: &Record) -> Result<()> {
    let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
    ensure!(failed.is_empty(), "{} requests failed for good: {:?}", failed.len(), failed.first());
    Ok(())
}

fn repeated(record: &Record) -> usize {
    record.ops.iter().filter(|op| op.tries > 1).count()
}

/// Two gateways on one log.
fn two_gateways(options: &mut StackOptions) {
    options.second_gateway = true;
    options.log_extra.insert("gateways".to_string(), "shared".into());
}

/// Connections that deliveries to the primary have opened so far.
async fn connections_for_delivery(sites: &Sites) -> Result<u64> {
    let name = "cluster.primary-guard.upstream_cx_total";
    let path = format!("/stats?filter={name}");
    let stats = xtask::stack::http::get(sites.stack.edge_admin, &path).await?.text();
    let value = stats.trim().strip_prefix(&format!("{name}: ")).context("no such counter")?;
    Ok(value.parse()?)
}

impl Gateways for Sites {
    fn both(&self) -> Result<[std::net::SocketAddr; 2]> {
        let (second, _) = self.stack.second.context("there is a second gateway")?;
        Ok([self.stack.clients, second])
    }
}

trait Gateways {
    fn both(&self) -> Result<[std::net::SocketAddr; 2]>;
}

sites_test! {
    async fn what_a_dead_guard_had_under_way_is_in_doubt_and_nothing_else(sites) {
        for session in ["s", "t", "u"] {
            sites.write(session, "first").await?;
        }
        let slow = sites.client.request(Method::POST, "/slow/800").session("s").header("x-label", "slow").send();
        let killed = async {
            sites.under_way(sites.primary.addr(), "s", 2).await?;
            sites.stack.restart(Process::CloudEnvoy).await
        };
        let (answer, killed) = tokio::join!(slow, killed);
        killed?;
        ensure!(answer?.status == 200, "the secondary runs it");
        for session in ["t", "u"] {
            sites.write(session, "second").await?;
        }
        sites.until("the doubt is listed", |s| s["log"]["in_doubt"].as_array().is_some_and(|d| !d.is_empty())).await?;
        let doubts = status_of(sites.stack.journal_admin).await?["journal"]["in_doubt"].take();
        ensure!(doubts.as_array().is_some_and(|d| d.len() == 1 && d[0]["session"] == "s"), "{doubts}");
        sites.resolve_doubts().await?;
        sites.both_hold("s", &["first", "slow"]).await?;
        for session in ["t", "u"] {
            sites.both_hold(session, &["first", "second"]).await?;
        }
        sites.every_number_ran_once().await?;
    }
}

sites_test! {
    async fn a_guard_restarted_hot_twice_under_load_runs_nothing_twice(sites, |options| {
        options.hot_restart_s = Some(3);
    }) {
        let load = retrying(&sites);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sites.stack.restart_hot(Process::CloudEnvoy).await?;
            sites.stack.elders_end().await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let record = load.stop().await;
        let doubts = sites.log().await?["in_doubt"].take();
        sites.resolve_doubts().await?;
        sites.judge_record(&record).await?;
        all_acknowledged(&record)?;
        println!("{} requests, {} repeated, in doubt: {doubts}", record.ops.len(), repeated(&record));
        sites.every_number_ran_once().await?;
    }
}

sites_test! {
    async fn the_new_guard_does_not_run_what_the_old_one_is_running(sites, |options| {
        // Long times: the write is delivered, to the new guard, while the old one runs it.
        options.detect_ms = 6000;
        options.hot_restart_s = Some(12);
    }) {
        sites.write("s", "first").await?;
        sites.drained().await?;
        ensure!(connections_for_delivery(&sites).await? == 0, "nothing was delivered to the primary");
        let slow = sites.client.request(Method::POST, "/slow/5500").session("s").header("x-label", "slow").send();
        let restarted = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            sites.stack.restart_hot(Process::CloudEnvoy).await
        };
        let (answer, restarted) = tokio::join!(slow, restarted);
        restarted?;
        let answer = answer?;
        ensure!(answer.status == 200, "{answer:?}");
        sites.both_hold("s", &["first", "slow"]).await?;
        // A connection made after the old one stopped listening: the new guard was asked, and again.
        let asked = sites.stack.cloud_status().await?["journal"]["duplicates"].take();
        println!("took {:?}; delivered {asked} times meanwhile", answer.took);
        ensure!(connections_for_delivery(&sites).await? > 0 && asked.as_u64() > Some(0), "{asked}");
    }
}

sites_test! {
    async fn a_gateway_that_dies_under_load_skips_no_number_and_gives_none_twice(sites) {
        let load = retrying(&sites);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            sites.stack.restart(Process::EdgeEnvoy).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let record = load.stop().await;
        sites.resolve_doubts().await?;
        sites.judge_record(&record).await?;
        all_acknowledged(&record)?;
        println!("{} requests, {} repeated", record.ops.len(), repeated(&record));
        sites.every_number_ran_once().await?;
    }
}

sites_test! {
    async fn a_gateway_that_is_drained_and_ended_leaves_its_clients_to_the_other(sites, |options| {
        two_gateways(options);
        options.hot_restart_s = Some(3);
    }) {
        let [_, second] = sites.both()?;
        let roaming = Roaming::start(sites.both()?, 6);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let admin = sites.stack.admin(Process::SecondEnvoy)?;
        let drained = xtask::stack::http::post(admin, "/drain_listeners?graceful", "").await?;
        ensure!(drained.status == 200, "{}", drained.text());
        let begun = std::time::Instant::now();
        while tokio::net::TcpStream::connect(second).await.is_ok() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "it still listens");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let closed = begun.elapsed();
        sites.stack.terminate(Process::SecondEnvoy).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        sites.stack.restart(Process::SecondEnvoy).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (histories, seen) = roaming.stop().await?;
        sites.resolve_doubts().await?;
        let verdict = sites.judge_histories(&histories).await?;
        println!("closed after {closed:?}; {} acknowledged; {seen:?}", verdict.acknowledged);
        sites.every_number_ran_once().await?;
    }
}

sites_test! {
    async fn sessions_change_gateway_with_every_request_while_each_gateway_dies(sites, two_gateways) {
        let roaming = Roaming::start(sites.both()?, 8);
        tokio::time::sleep(Duration::from_secs(2)).await;
        for process in [Process::SecondEnvoy, Process::EdgeEnvoy, Process::SecondEnvoy] {
            sites.stack.restart(process).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (histories, seen) = roaming.stop().await?;
        sites.resolve_doubts().await?;
        let verdict = sites.judge_histories(&histories).await?;
        println!("{} acknowledged; {seen:?}", verdict.acknowledged);
        ensure!(verdict.acknowledged > 100 && seen.reads == verdict.acknowledged, "{verdict:?}");
        sites.every_number_ran_once().await?;
    }
}

sites_test! {
    async fn reads_hold_while_a_second_gateway_comes_and_goes_beside_a_sole_one(sites, |options| {
        options.second_gateway = true;
    }) {
        let roaming = Roaming::start(sites.both()?, 8);
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            sites.stack.kill(Process::SecondEnvoy).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            sites.stack.restart(Process::SecondEnvoy).await?;
        }
        let (histories, seen) = roaming.stop().await?;
        sites.resolve_doubts().await?;
        let verdict = sites.judge_histories(&histories).await?;
        println!("{} acknowledged; {seen:?}", verdict.acknowledged);
        ensure!(seen.reads == verdict.acknowledged && seen.reads > 100, "{seen:?}");
        sites.every_number_ran_once().await?;
    }
}

sites_test! {
    async fn a_write_begun_at_one_gateway_is_answered_once_at_the_other(sites, two_gateways) {
        let [_, second] = sites.both()?;
        let other = Client::new(second, false);
        sites.write("s", "first").await?;
        let slow = |client: &Client| client.request(Method::POST, "/slow/600").session("s").header("x-label", "slow").key("k").send();
        let (here, there) = tokio::join!(slow(&sites.client), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            slow(&other).await
        });
        let (here, there) = (here?, there?);
        ensure!(here.status == 200 && there.status == 200 && here.body == there.body, "{here:?} {there:?}");
        sites.both_hold("s", &["first", "slow"]).await?;
        let again = slow(&other).await?;
        ensure!(again.body == here.body && again.header("x-reprise-replayed") == "remembered", "{again:?}");
        // The gateway that numbered and released it dies before it can answer.
        let lagging = |client: &Client| client.request(Method::POST, "/lag/700").session("s").header("x-label", "lag").key("l").send();
        let (died, killed) = tokio::join!(lagging(&sites.client), async {
            sites.under_way(sites.primary.addr(), "s", 3).await?;
            sites.stack.kill(Process::EdgeEnvoy).await
        });
        killed?;
        ensure!(died.is_err(), "its gateway died: {died:?}");
        let repeated = lagging(&other).await?;
        ensure!(repeated.status == 200, "{repeated:?}");
        let read = other.read("s").send().await?;
        ensure!(read.json()["last"] == "lag", "{read:?}");
        sites.stack.restart(Process::EdgeEnvoy).await?;
        sites.resolve_doubts().await?;
        sites.drained().await?;
        for till in [&sites.primary, &sites.secondary] {
            ensure!(labels(till, "s").await? == ["first", "slow", "lag"]);
        }
        sites.every_number_ran_once().await?;
    }
}
