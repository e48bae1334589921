//! The primary's service dies before, while and after it runs a write: what is redone, what is in
//! doubt, and what the operator does about it on the command line.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::load::{Load, LoadOptions, Outcome};
use demo::relay::Mode;
use http::Method;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tests::client::Answer;
use tests::{Sites, labels, sites_test, status_of};
use xtask::tools::Tools;

/// A write that the primary's till dies of, at a moment.
async fn deadly(sites: &Sites, method: Method, session: &str, moment: &str) -> Result<Answer> {
    let path = format!("/die-at/primary/{moment}");
    let write = sites.client.request(method, &path).session(session);
    write.header("x-label", &format!("{session}-deadly")).send().await
}

/// Waits until the primary's till has died by itself, and starts it again.
async fn revive(sites: &mut Sites) -> Result<()> {
    let ended = sites.primary.ended();
    tokio::time::timeout(Duration::from_secs(10), ended).await.context("the till lives")??;
    sites.primary.restart().await
}

/// `reprise resolve`, as an operator runs it; gives what it prints.
async fn resolve(admin: SocketAddr, session: &str, number: &str, action: &str) -> Result<String> {
    let reprise = tokio::task::spawn_blocking(|| Tools::find(None)).await??.reprise;
    let output = tokio::process::Command::new(reprise)
        .args(["resolve", "--session", session, "--number", number, action])
        .args(["--admin", &admin.to_string()])
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{output:?}");
    Ok(text)
}

/// The doubts of a journal, as `session` and `number`.
async fn doubts(admin: SocketAddr) -> Result<Vec<(String, String)>> {
    let listed = status_of(admin).await?["journal"]["in_doubt"].take();
    let text = |doubt: &Value, key: &str| doubt[key].as_str().unwrap_or_default().to_string();
    let all = listed.as_array().into_iter().flatten();
    Ok(all.map(|doubt| (text(doubt, "session"), text(doubt, "number"))).collect())
}

/// The primary dies of a write of the session `s` at a moment, under the load of others. Gives the
/// doubts that are left at the primary; others may be among them that were running just then.
async fn dies(sites: &mut Sites, method: Method, moment: &str) -> Result<Vec<(String, String)>> {
    sites.write("s", "first").await?;
    let load = Load::start(LoadOptions { sessions: 4, writes_per_second: 40, ..sites.load() });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = deadly(sites, method, "s", moment).await?;
    ensure!(answer.status == 200, "the secondary runs it: {answer:?}");
    let read = sites.client.read("s").send().await?;
    ensure!(read.json()["last"] == "s-deadly", "what was acknowledged is read: {read:?}");
    let next = sites.client.write("s", "next").send().await?;
    ensure!(next.status == 200, "the session goes on at the secondary: {next:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(load.progress().errors == 0, "others are served: {:?}", load.progress());
    revive(sites).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let record = load.stop().await;
    let failed = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).count();
    ensure!(failed == 0, "{failed} requests of others failed");
    doubts(sites.stack.journal_admin).await
}

/// A POST whose till died: in doubt at the primary, and resolved by `reprise resolve`.
async fn a_post_is_resolved(sites: &mut Sites, moment: &str, action: &str) -> Result<()> {
    let doubts = dies(sites, Method::POST, moment).await?;
    let of_s: Vec<_> = doubts.iter().filter(|(session, _)| session == "s").collect();
    let [(_, number)] = of_s.as_slice() else { anyhow::bail!("one doubt of s: {doubts:?}") };
    let listed = sites.log().await?["in_doubt"].take();
    let at_the_primary = |d: &Value| d["session"] == "s" && d["replica"] == "primary";
    ensure!(
        listed.as_array().is_some_and(|all| all.iter().any(at_the_primary)),
        "listed at the edge too: {listed}"
    );
    let said = resolve(sites.stack.journal_admin, "s", number, action).await?;
    println!("{moment}, {action}: {said}");
    sites.resolve_doubts().await?;
    sites.both_hold("s", &["first", "s-deadly", "next"]).await
}

sites_test! {
    async fn a_post_that_the_service_died_before_running_is_in_doubt_until_it_is_redone(sites) {
        a_post_is_resolved(&mut sites, "before", "--redo").await?;
    }
}

sites_test! {
    async fn a_post_that_the_service_ran_and_never_answered_is_in_doubt_until_it_is_skipped(sites) {
        a_post_is_resolved(&mut sites, "recorded", "--skip").await?;
    }
}

sites_test! {
    async fn a_put_that_the_service_died_of_is_redone_without_an_operator(sites) {
        let left = dies(&mut sites, Method::PUT, "before").await?;
        ensure!(!left.iter().any(|(session, _)| session == "s"), "{left:?}");
        sites.resolve_doubts().await?;
        sites.both_hold("s", &["first", "s-deadly", "next"]).await?;
    }
}

sites_test! {
    async fn a_delete_that_ran_and_was_not_answered_is_redone_and_runs_again(sites) {
        let left = dies(&mut sites, Method::DELETE, "recorded").await?;
        ensure!(!left.iter().any(|(session, _)| session == "s"), "{left:?}");
        sites.resolve_doubts().await?;
        // Idempotent by its method: to run it again is what such a method allows.
        let runs = labels(&sites.primary, "s").await?;
        ensure!(runs == ["first", "s-deadly", "s-deadly", "next"], "{runs:?}");
        ensure!(labels(&sites.secondary, "s").await? == ["first", "s-deadly", "next"]);
    }
}

sites_test! {
    async fn a_refusal_of_the_service_itself_is_an_answer_and_holds_up_nothing(sites) {
        sites.write("s", "first").await?;
        for status in [401, 403, 407] {
            let refused = sites.client.request(Method::POST, &format!("/fail/{status}")).session("s").send().await?;
            ensure!(refused.status == status, "{refused:?}");
            sites.write("s", &format!("after {status}")).await?;
        }
        sites.both_hold("s", &["first", "after 401", "after 403", "after 407"]).await?;
        let log = sites.log().await?;
        ensure!(log["held_up"] == serde_json::json!([]) && log["diverged"] == serde_json::json!([]), "{log}");
        sites.cut(Mode::Refuse).await?;
        let refused = sites.client.request(Method::POST, "/fail/403").session("s").send().await?;
        ensure!(refused.status == 403, "{refused:?}");
        sites.write("s", "cut").await?;
        sites.mend().await?;
        sites.both_hold("s", &["first", "after 401", "after 403", "after 407", "cut"]).await?;
    }
}

sites_test! {
    async fn a_service_that_dies_after_its_answer_leaves_no_doubt(sites) {
        let load = Load::start(LoadOptions { sessions: 4, writes_per_second: 40, ..sites.load() });
        let answer = deadly(&sites, Method::POST, "s", "answered").await?;
        ensure!(answer.status == 200, "{answer:?}");
        sites.primary.ended().await?;
        let next = sites.client.write("s", "next").send().await?;
        ensure!(next.status == 200, "{next:?}");
        revive(&mut sites).await?;
        let record = load.stop().await;
        let failed = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).count();
        ensure!(failed == 0, "{failed} requests failed");
        let of_s = doubts(sites.stack.journal_admin).await?;
        ensure!(!of_s.iter().any(|(session, _)| session == "s"), "{of_s:?}");
        sites.resolve_doubts().await?;
        sites.both_hold("s", &["s-deadly", "next"]).await?;
    }
}

sites_test! {
    async fn a_service_killed_in_the_middle_of_a_write_leaves_that_one_in_doubt_and_no_other(sites) {
        sites.write("s", "first").await?;
        sites.write("t", "first").await?;
        let slow = sites.client.request(Method::POST, "/slow/900").session("s").header("x-label", "slow").send();
        let killed = async {
            sites.under_way(sites.primary.addr(), "s", 2).await?;
            sites.primary.restart().await
        };
        let (answer, killed) = tokio::join!(slow, killed);
        killed?;
        let answer = answer?;
        ensure!(answer.status == 200, "the secondary runs it: {answer:?}");
        sites.write("t", "second").await?;
        sites.until("the doubt is listed", |s| s["log"]["in_doubt"].as_array().is_some_and(|d| !d.is_empty())).await?;
        let left = doubts(sites.stack.journal_admin).await?;
        ensure!(left.len() == 1 && left[0].0 == "s", "{left:?}");
        resolve(sites.stack.journal_admin, "s", &left[0].1, "--redo").await?;
        sites.both_hold("s", &["first", "slow"]).await?;
        sites.both_hold("t", &["first", "second"]).await?;
    }
}
