//! A secondary that is lost and replaced by an empty one: recognised, refused until it is seeded,
//! and seeded as `docs/seeding.md` says.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::check::{Replica, check};
use demo::load::{Load, Record};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::{Sites, sites_test, status_of};
use xtask::stack::Process;
use xtask::tools::Tools;

/// Runs a command of `reprise`.
fn reprise(args: &[&std::ffi::OsStr]) -> Result<Output> {
    Ok(Command::new(Tools::find(None)?.reprise).args(args).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where a till keeps its sessions.
fn till(sites: &Sites, name: &str) -> Result<PathBuf> {
    Ok(sites.stack.data.parent().context("a directory above the stack's")?.join(name))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::remove_dir_all(to)?;
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A write that is repeated until it is acknowledged, as its guard's Envoy comes up.
async fn acknowledged(sites: &Sites, session: &str, label: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answer = sites.client.write(session, label).key(label).send().await?;
        if answer.status == 200 {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(20), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a session reads last, asked again while the new Envoy has not met the other replica yet.
async fn read_of(sites: &Sites, session: &str, last: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let read = sites.client.read(session).send().await?;
        if read.status == 200 {
            ensure!(read.json()["last"] == last, "{read:?}");
            return Ok(());
        }
        let refused =
            read.problem() == "read-unavailable" && !read.header("retry-after").is_empty();
        ensure!(refused && begun.elapsed() < Duration::from_secs(20), "{read:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Both replicas hold the same, and of a load nothing is lost, doubled or out of order.
async fn equal_and_as_sent(sites: &Sites, record: &Record) -> Result<()> {
    let mut primary = Replica::fetch(sites.primary.addr()).await?;
    let mut secondary = Replica::fetch(sites.secondary.addr()).await?;
    ensure!(primary.sessions.keys().eq(secondary.sessions.keys()));
    for (session, held) in &primary.sessions {
        let there = secondary.held(session);
        ensure!((&held.chain, held.count) == (&there.chain, there.count), "{session} differs");
    }
    let histories = record.histories();
    // The test's own writes are of other sessions.
    for replica in [&mut primary, &mut secondary] {
        replica.sessions.retain(|session, _| histories.iter().any(|h| h.session == *session));
    }
    let verdict = check(&histories, &primary, &secondary);
    ensure!(verdict.broken().is_empty() && verdict.acknowledged > 0, "{:?}", verdict.broken());
    Ok(())
}

/// The secondary's machine burns down: its service, its journal, and its Envoy's memory. What
/// comes in its place is empty; the log is on a disk of its own.
async fn replace_the_secondary(sites: &mut Sites) -> Result<()> {
    sites.stack.kill(Process::EdgeReprise).await?;
    sites.secondary.kill().await?;
    std::fs::remove_dir_all(sites.stack.data.join("edge/journal"))?;
    std::fs::remove_dir_all(till(sites, "secondary")?)?;
    sites.secondary.restart().await?;
    sites.stack.restart(Process::EdgeReprise).await?;
    sites.stack.restart(Process::EdgeEnvoy).await
}

sites_test! {
    async fn a_secondary_that_was_replaced_is_refused_until_it_is_seeded_and_then_both_are_equal(sites) {
        let load = Load::start(sites.load());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let record = load.stop().await;
        sites.write("s", "a").await?;
        sites.drained().await?;
        replace_the_secondary(&mut sites).await?;

        // Clients are served by the primary, and the empty replica runs nothing.
        acknowledged(&sites, "s", "b").await?;
        acknowledged(&sites, "new", "x").await?;
        sites.until("the secondary is listed", |s| s["log"]["unseeded"]["secondary"] == true).await?;
        read_of(&sites, "s", "b").await?;
        let empty = Replica::fetch(sites.secondary.addr()).await?;
        ensure!(empty.sessions.is_empty(), "{empty:?}");
        let log = sites.log().await?;
        ensure!(log["conflicts"] == serde_json::json!([]), "{log}");

        // The primary has run all that there is, and stands still while it is copied.
        sites.until("the primary has settled everything", |s| s["log"]["backlog"]["primary"] == 0).await?;
        sites.stack.terminate(Process::CloudEnvoy).await?;
        let admin = sites.stack.journal_admin.to_string();
        let positions = reprise(&["positions".as_ref(), "--admin".as_ref(), admin.as_ref()])?;
        ensure!(positions.status.success(), "{}", text(&positions.stderr));
        let file = sites.stack.data.join("positions");
        std::fs::write(&file, &positions.stdout)?;
        sites.secondary.kill().await?;
        copy(&till(&sites, "primary")?, &till(&sites, "secondary")?)?;
        sites.secondary.restart().await?;
        sites.stack.restart(Process::CloudEnvoy).await?;
        acknowledged(&sites, "s", "c").await?;

        let config = sites.stack.data.join("edge.toml");
        let seed = ["seed".as_ref(), "--config".as_ref(), config.as_os_str(), "--from".as_ref(), file.as_os_str()];
        let running = reprise(&seed)?;
        ensure!(!running.status.success(), "it was seeded while it ran");
        sites.stack.terminate(Process::EdgeReprise).await?;
        let seeded = reprise(&seed)?;
        ensure!(seeded.status.success(), "{}", text(&seeded.stderr));
        sites.stack.restart(Process::EdgeReprise).await?;

        // What came meanwhile is delivered; nothing of before runs again.
        sites.both_hold("s", &["a", "b", "c"]).await?;
        sites.both_hold("new", &["x"]).await?;
        sites.write("s", "d").await?;
        sites.both_hold("s", &["a", "b", "c", "d"]).await?;
        equal_and_as_sent(&sites, &record).await?;
        let log = sites.log().await?;
        ensure!(log["unseeded"]["secondary"] == false, "{log}");
        ensure!(log["conflicts"] == serde_json::json!([]) && log["diverged"] == serde_json::json!([]), "{log}");

        // It is a whole replica again: the primary may go.
        sites.cut(demo::relay::Mode::Refuse).await?;
        sites.write("s", "e").await?;
        sites.mend().await?;
        sites.both_hold("s", &["a", "b", "c", "d", "e"]).await?;
        let journal = status_of(sites.stack.log_admin).await?["journal"].take();
        ensure!(journal["distrusted"] == 0 && journal["forced"] == serde_json::json!([]), "{journal}");
    }
}

sites_test! {
    async fn a_whole_site_that_was_replaced_is_seeded_before_clients_come(sites) {
        sites.write("s", "a").await?;
        sites.write("s", "b").await?;
        sites.drained().await?;
        // Log, journal and service are new; nobody but the primary knows anything.
        sites.stack.kill(Process::EdgeEnvoy).await?;
        sites.stack.kill(Process::EdgeReprise).await?;
        sites.stack.terminate(Process::CloudEnvoy).await?;
        std::fs::remove_dir_all(sites.stack.data.join("edge"))?;
        let admin = sites.stack.journal_admin.to_string();
        let positions = reprise(&["positions".as_ref(), "--admin".as_ref(), admin.as_ref()])?;
        ensure!(positions.status.success(), "{}", text(&positions.stderr));
        sites.secondary.kill().await?;
        copy(&till(&sites, "primary")?, &till(&sites, "secondary")?)?;
        sites.secondary.restart().await?;
        let config = sites.stack.data.join("edge.toml");
        let seed = Command::new(Tools::find(None)?.reprise)
            .args(["seed".as_ref(), "--config".as_ref(), config.as_os_str(), "--from".as_ref(), "-".as_ref()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        seed.stdin.as_ref().context("its standard input")?.write_all(&positions.stdout)?;
        let seeded = seed.wait_with_output()?;
        ensure!(seeded.status.success(), "{}", text(&seeded.stderr));
        for process in [Process::CloudEnvoy, Process::EdgeReprise, Process::EdgeEnvoy] {
            sites.stack.restart(process).await?;
        }
        acknowledged(&sites, "s", "c").await?;
        sites.both_hold("s", &["a", "b", "c"]).await?;
        let log = sites.log().await?;
        let kinds: Vec<_> = log["conflicts"].as_array().into_iter().flatten().map(|c| &c["kind"]).collect();
        ensure!(kinds == ["forced", "forced"], "one at each replica, none without its past: {log}");
    }
}

sites_test! {
    async fn a_whole_site_that_was_replaced_and_not_seeded_is_listed(sites) {
        sites.write("s", "a").await?;
        sites.drained().await?;
        sites.stack.kill(Process::EdgeEnvoy).await?;
        sites.stack.kill(Process::EdgeReprise).await?;
        std::fs::remove_dir_all(sites.stack.data.join("edge"))?;
        for process in [Process::EdgeReprise, Process::EdgeEnvoy] {
            sites.stack.restart(process).await?;
        }
        acknowledged(&sites, "s", "b").await?;
        sites.until("the session is listed", |s| {
            let listed = s["log"]["conflicts"].as_array();
            listed.is_some_and(|listed| listed.iter().any(|case| case["kind"] == "unseeded"))
        }).await?;
    }
}
