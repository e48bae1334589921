//! A filter whose VM panics, in either role, at any callback. It is a build of its own that can be
//! told to; the one that is shipped cannot.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use demo::load::{Load, LoadOptions, Outcome};
use http::Method;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::client::{Client, Sending};
use tests::sites_test;
use xtask::stack::StackOptions;
use xtask::tools::{Tools, build_panicking_filter};

/// The header that tells it to.
const TOLD_BY: &str = "x-panic-on-demand";
/// What only that build can say.
const SAYS: &[u8] = b" asked for it, at ";
/// Envoy loads a new VM when the last load was so long ago, at the latest.
const RELOAD: Duration = Duration::from_millis(1500);

/// The filter that can be told to panic, built once per process.
fn panicking() -> Option<PathBuf> {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    // What fails to build is said by cargo; the stack then says which file it misses.
    let built = || build_panicking_filter().unwrap_or_else(|error| format!("({error:#})").into());
    Some(BUILT.get_or_init(built).clone())
}

/// One worker, so that its only VM is the one that panics.
fn one_worker(options: &mut StackOptions) {
    options.filter = panicking();
    options.workers = 1;
}

fn told(sending: Sending, role: &str, moment: &str, token: &str) -> Sending {
    sending.header(TOLD_BY, &format!("{role}/{moment}/{token}"))
}

/// Sends a write again, with its key, until it is acknowledged; gives how long that took.
async fn until_acknowledged(send: impl Fn() -> Sending) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let answer = send().send().await?;
        if answer.status == 200 {
            return Ok(begun.elapsed());
        }
        ensure!(answer.status == 503, "{answer:?}");
        ensure!(begun.elapsed() < Duration::from_secs(20), "still refused: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn the_shipped_filter_cannot_be_told_to_panic() -> Result<()> {
    let has = |file: &Path| -> Result<bool> {
        let bytes = std::fs::read(file)?;
        Ok(bytes.windows(SAYS.len()).any(|window| window == SAYS))
    };
    ensure!(!has(&Tools::find(None)?.filter)?, "the shipped filter can be told to");
    ensure!(has(&build_panicking_filter()?)?, "nothing can: the test looks for the wrong thing");
    Ok(())
}

sites_test! {
    async fn after_a_panic_of_the_gateway_the_next_vm_serves_and_nothing_is_lost(sites, one_worker) {
        let mut labels = vec!["first".to_string()];
        sites.write("s", "first").await?;
        for moment in ["headers", "body", "response"] {
            tokio::time::sleep(RELOAD).await;
            let write = || sites.client.write("s", moment).key(moment);
            let died = told(write(), "gateway", moment, moment).send().await?;
            ensure!(died.status == 503, "{moment}: {died:?}");
            let took = until_acknowledged(|| told(write(), "gateway", moment, moment)).await?;
            println!("{moment}: answered {:?} after the panic", took);
            ensure!(took < RELOAD + Duration::from_secs(1), "{moment}: {took:?}");
            labels.push(moment.to_string());
            let read = sites.client.read("s").send().await?;
            ensure!(read.json()["last"] == moment, "{read:?}");
        }
        let log = sites.log().await?;
        ensure!(log["gateways"] == 1, "the streams of dead VMs are closed: {log}");
        sites.resolve_doubts().await?;
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        sites.both_hold("s", &labels).await?;
    }
}

/// A write that is still running when a guard dies of its next tick, however late that comes.
fn slow(moment: &str) -> &'static str {
    if moment == "tick" { "/slow/700" } else { "/slow/30" }
}

sites_test! {
    async fn after_panics_of_both_guards_each_replica_runs_each_write_once(sites, one_worker) {
        sites.write("s", "first").await?;
        let write = |moment: &'static str| {
            let write = sites.client.request(Method::POST, slow(moment)).session("s");
            told(write.header("x-label", moment).key(moment), "guard", moment, moment)
        };
        for moment in ["headers", "body", "response"] {
            tokio::time::sleep(RELOAD).await;
            let took = until_acknowledged(|| write(moment)).await?;
            println!("{moment}: acknowledged after {took:?}");
        }
        tokio::time::sleep(RELOAD).await;
        // Both were running it when they died: now it is in doubt at both, and nowhere guessed.
        let died = write("tick").send().await?;
        ensure!(died.status == 503, "{died:?}");
        let listed = |s: &serde_json::Value| s["log"]["in_doubt"].as_array().is_some_and(|d| d.len() == 2);
        let begun = Instant::now();
        sites.until("it is in doubt at both", listed).await?;
        println!("tick: listed after {:?}", begun.elapsed());
        sites.resolve_both("s", "tick").await?;
        sites.write("s", "next").await?;
        sites.both_hold("s", &["first", "headers", "body", "response", "tick", "next"]).await?;
    }
}

sites_test! {
    async fn a_request_held_by_a_vm_that_died_ends_by_its_deadline(sites, one_worker) {
        sites.write("s", "first").await?;
        // The log is frozen, so that the gateway holds the write when the panic comes.
        sites.stack.stop_process(xtask::stack::Process::EdgeReprise)?;
        let begun = Instant::now();
        let held = tokio::spawn(sites.client.write("s", "held").key("held").send());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let other = Client::new(sites.stack.clients, false);
        let died = told(other.write("t", "dies"), "gateway", "headers", "t").send().await?;
        ensure!(died.status == 503, "{died:?}");
        sites.stack.cont(xtask::stack::Process::EdgeReprise)?;
        let held = held.await??;
        println!("held for {:?}: {} {}", begun.elapsed(), held.status, held.problem());
        ensure!(held.status == 503 && begun.elapsed() < Duration::from_secs(17), "{held:?}");
        until_acknowledged(|| sites.client.write("s", "held").key("held")).await?;
        sites.both_hold("s", &["first", "held"]).await?;
    }
}

sites_test! {
    async fn panics_in_both_roles_under_load_break_no_promise(sites, |options| {
        options.filter = panicking();
    }) {
        // What is held when its VM dies waits for the stream's idle timeout, 15 s.
        let load = Load::start(LoadOptions { retries: 40, timeout: Duration::from_secs(18), ..sites.load() });
        tokio::time::sleep(Duration::from_secs(1)).await;
        for moment in ["headers", "body", "response", "tick"] {
            for role in ["gateway", "guard"] {
                let token = format!("{role}-{moment}");
                let write = || {
                    let write = sites.client.request(Method::POST, slow(moment)).session("panics");
                    told(write.header("x-label", &token).key(&token), role, moment, &token)
                };
                if (role, moment) == ("guard", "tick") {
                    // In doubt at both, until the operator looks.
                    let died = write().send().await?;
                    ensure!(died.status == 503, "{died:?}");
                } else {
                    until_acknowledged(write).await?;
                }
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
        let listed = |s: &serde_json::Value| s["log"]["in_doubt"].as_array().is_some_and(|d| d.iter().filter(|d| d["session"] == "panics").count() == 2);
        sites.until("the last is in doubt at both", listed).await?;
        sites.resolve_both("panics", "guard-tick").await?;
        // Others may have been running at both guards too: their clients wait for the operator.
        let record = sites.stop_resolving(load).await?;
        let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
        let repeated = record.ops.iter().filter(|op| op.tries > 1).count();
        let worst_ms = record.ops.iter().map(|op| op.latency_us / 1000).max().unwrap_or(0);
        println!("{} requests, {repeated} repeated, {} failed, worst {worst_ms} ms", record.ops.len(), failed.len());
        ensure!(failed.is_empty(), "{} failed for good: {:?}", failed.len(), failed.first());
        ensure!(tests::labels(&sites.primary, "panics").await?.len() == 8, "each of the eight has run");
        sites.judge_beside(&record).await?;
    }
}
