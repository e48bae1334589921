//! What the end-to-end tests stand on: a whole site pair on real processes, with two tills and a
//! link that can be cut, and a client that shows every detail of an answer.
//!
//! A failing test prints the end of every process's log.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

pub mod client;
pub mod direct;
pub mod ext4;
pub mod host_calls;
pub mod raw;
pub mod roaming;
pub mod rollout;
pub mod scenario;

pub use xtask::faults;

use anyhow::{Context as _, Result, bail, ensure};
use client::{Answer, Client};
use demo::check::{History, Replica, Sent, Verdict, check};
use demo::load::{Load, LoadOptions, Record};
use demo::relay::{Mode, Relay};
use demo::till::{Listing, TillCommand, TillProcess};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xtask::stack::{PortBlock, Process, Stack, StackOptions};

/// How long a silent primary may take in these tests, milliseconds.
pub const DETECT_MS: u64 = 1000;
/// Tries, 200 ms apart, in which whatever was killed is back: a stack waits 60 s for a process.
pub const UNTIL_BACK: u32 = 300;
/// No backlog of a test takes longer than this to drain.
const DRAIN: Duration = Duration::from_secs(30);
/// Between two looks at a status page, which cannot be awaited.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Both sites, running.
pub struct Sites {
    /// The Envoys and the reprises.
    pub stack: Stack,
    /// The replica behind the link.
    pub primary: TillProcess,
    /// The replica beside the clients.
    pub secondary: TillProcess,
    /// The link from the edge to the primary's guard.
    pub link: Relay,
    /// A client of the edge.
    pub client: Client,
    _dir: TempDir,
    _ports: PortBlock,
}

/// The binary `till`, which is built beside the tests by `cargo xtask test`.
pub fn till_binary() -> Result<PathBuf> {
    let mut dir = std::env::current_exe()?;
    dir.pop();
    dir.pop();
    let binary = dir.join("till");
    ensure!(binary.exists(), "{} is missing: cargo build -p demo --bin till", binary.display());
    Ok(binary)
}

impl Sites {
    /// Starts everything with the defaults of `cargo xtask up`.
    pub async fn start() -> Result<Sites> {
        Sites::start_with(|_| {}).await
    }

    /// Starts everything, with changes to the defaults.
    pub async fn start_with(change: impl FnOnce(&mut StackOptions)) -> Result<Sites> {
        let dir = tempfile::tempdir()?;
        let till = till_binary()?;
        let primary =
            TillCommand::new(&till, &dir.path().join("primary"), "primary").start().await?;
        let secondary =
            TillCommand::new(&till, &dir.path().join("secondary"), "secondary").start().await?;
        let mut ports = PortBlock::reserve()?;
        let cloud_port = ports.take()?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let link = Relay::start(any, (Ipv4Addr::LOCALHOST, cloud_port).into()).await?;
        let mut options =
            StackOptions::new(primary.addr(), secondary.addr(), dir.path().join("stack"));
        options.cloud_port = Some(cloud_port);
        options.cloud_via = Some(link.addr());
        options.detect_ms = DETECT_MS;
        change(&mut options);
        let stack = Stack::start(options).await?;
        let client = Client::new(stack.clients, false);
        let sites = Sites { stack, primary, secondary, link, client, _dir: dir, _ports: ports };
        Ok(sites)
    }

    /// Runs a test's body, and prints the logs if it fails.
    pub async fn run<F>(self, body: impl FnOnce(Self) -> F) -> Result<()>
    where
        F: Future<Output = (Self, Result<()>)>,
    {
        let (sites, result) = body(self).await;
        if result.is_err() {
            eprintln!("{}", sites.stack.dump_logs());
            for admin in [sites.stack.journal_admin, sites.stack.log_admin] {
                if let Ok(mut status) = status_of(admin).await {
                    eprintln!("── journal: {}", status["journal"].take());
                }
            }
        }
        let ended = sites.stack.shutdown().await;
        result?;
        ended
    }

    /// The log's part of the edge's `/status`.
    pub async fn log(&self) -> Result<Value> {
        Ok(self.stack.status().await?["log"].take())
    }

    /// Looks at the edge's `/status` until it is as wanted.
    pub async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let status = self.stack.status().await;
            match status {
                Ok(status) if is(&status) => return Ok(status),
                status if begun.elapsed() > DRAIN => {
                    bail!("not within {DRAIN:?}: {what}; the status is {status:?}")
                }
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Waits until both replicas have settled everything and no session is pinned.
    pub async fn drained(&self) -> Result<Value> {
        self.until("everything is settled at both", |s| {
            let log = &s["log"];
            log["backlog"]["primary"] == 0 && log["backlog"]["secondary"] == 0 && log["pinned"] == 0
        })
        .await
    }

    /// A load on the edge.
    pub fn load(&self) -> LoadOptions {
        LoadOptions { sessions: 8, writes_per_second: 160, ..LoadOptions::new(self.stack.clients) }
    }

    /// Stops a load, waits for the drain, and judges both replicas.
    pub async fn judge(&self, load: Load) -> Result<(Record, Verdict)> {
        let record = load.stop().await;
        let verdict = self.judge_record(&record).await?;
        Ok((record, verdict))
    }

    /// Waits for the drain, and judges both replicas by what a load has noted.
    pub async fn judge_record(&self, record: &Record) -> Result<Verdict> {
        let stale = record.ops.iter().filter(|op| op.stale).count();
        ensure!(stale == 0, "{stale} reads did not show an acknowledged write");
        self.judge_histories(&record.histories()).await
    }

    /// Waits for the drain, and judges both replicas by what was sent and acknowledged.
    pub async fn judge_histories(&self, histories: &[History]) -> Result<Verdict> {
        self.drained().await?;
        let primary = Replica::fetch(self.primary.addr()).await?;
        let secondary = Replica::fetch(self.secondary.addr()).await?;
        let verdict = check(histories, &primary, &secondary);
        let broken = verdict.broken();
        ensure!(broken.is_empty(), "promises broken: {broken:?}; {:?}", verdict.examples);
        ensure!(verdict.acknowledged > 0, "nothing was acknowledged");
        Ok(verdict)
    }

    /// Judges a load beside sessions of which it knows nothing: of those, only that both replicas
    /// ran the same writes, each once and in one order.
    pub async fn judge_beside(&self, record: &Record) -> Result<Verdict> {
        self.drained().await?;
        let stale = record.ops.iter().filter(|op| op.stale).count();
        ensure!(stale == 0, "{stale} reads did not show an acknowledged write");
        let mut histories = record.histories();
        for (session, held) in Replica::fetch(self.primary.addr()).await?.sessions {
            if histories.iter().all(|known| known.session != session) {
                let sent = |label| Sent { label, start_us: 0, acknowledged_us: None };
                let writes = held.labels.into_iter().map(sent).collect();
                histories.push(History { session, writes });
            }
        }
        self.judge_histories(&histories).await
    }

    /// Every number that the log gave out was run once at each replica, or withdrawn: none was
    /// given out twice, none was skipped. Only where the log has not been restarted.
    pub async fn every_number_ran_once(&self) -> Result<()> {
        let log = self.log().await?;
        let given = log["numbered"].as_u64().zip(log["withdrawn"].as_u64());
        let given = given.map(|(numbered, withdrawn)| numbered - withdrawn);
        for till in [&self.primary, &self.secondary] {
            let ran = Replica::fetch(till.addr()).await?.writes();
            ensure!(Some(ran) == given, "{ran} ran of {given:?} numbers: {log}");
        }
        Ok(())
    }

    /// A counter of an Envoy's filters, by its name without `reprise.`; 0 where it never counted.
    pub async fn counter(&self, envoy: Process, name: &str) -> Result<u64> {
        let name = format!("wasmcustom.reprise.{name}: ");
        let stats = xtask::stack::http::get(self.stack.admin(envoy)?, "/stats").await?.text();
        let value = stats.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
        Ok(value.unwrap_or(0))
    }

    /// Waits until a till has begun this many writes of a session.
    pub async fn under_way(&self, till: SocketAddr, session: &str, begun: u64) -> Result<()> {
        let since = Instant::now();
        loop {
            let listing: Listing = demo::fetch::get_json(till, "/_till/sessions").await?;
            if listing.sessions.iter().any(|s| s.session == session && s.calls >= begun) {
                return Ok(());
            }
            ensure!(since.elapsed() < DRAIN, "{session}: not {begun} writes begun: {listing:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Both tills hold exactly these labels of a session, in this order.
    pub async fn both_hold(&self, session: &str, labels: &[&str]) -> Result<()> {
        self.drained().await?;
        for till in [&self.primary, &self.secondary] {
            let held = Replica::fetch(till.addr()).await?;
            let held = &held.held(session).labels;
            ensure!(held == labels, "session {session}: {held:?} instead of {labels:?}");
        }
        Ok(())
    }

    /// A write that must be acknowledged.
    pub async fn write(&self, session: &str, label: &str) -> Result<Answer> {
        let answer = self.client.write(session, label).send().await?;
        ensure!(answer.status == 200, "write {session} {label}: {answer:?}");
        Ok(answer)
    }

    /// Cuts the link and waits until the edge has noticed by a write of its own.
    pub async fn cut(&self, mode: Mode) -> Result<()> {
        self.link.set(mode).await?;
        let answer = self.client.write("notice", "cut").send().await?;
        ensure!(answer.status == 200, "the write that notices the cut: {answer:?}");
        Ok(())
    }

    /// Mends the link.
    pub async fn mend(&self) -> Result<()> {
        Ok(self.link.set(Mode::Pass).await?)
    }
}

impl Sites {
    /// Stops a load and plays the operator meanwhile: a write that is in doubt at both replicas
    /// keeps its client waiting for one.
    pub async fn stop_resolving(&self, load: Load) -> Result<Record> {
        let mut stopping = std::pin::pin!(load.stop());
        loop {
            tokio::select! {
                record = &mut stopping => {
                    self.resolve_doubts().await?;
                    return Ok(record);
                }
                resolved = self.resolve_doubts() => resolved?,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Plays the operator until everything is settled: a write in doubt is skipped if the till
    /// has it, and redone if it has not. The other till tells which write a number is.
    pub async fn resolve_doubts(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let log = self.log().await?;
            if log["backlog"]["primary"] == 0 && log["backlog"]["secondary"] == 0 {
                return Ok(());
            }
            ensure!(begun.elapsed() < DRAIN, "not settled within {DRAIN:?}: {log}");
            for doubt in log["in_doubt"].as_array().into_iter().flatten() {
                self.resolve(doubt).await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Plays the operator who knows which write of a session is in doubt at both replicas.
    pub async fn resolve_both(&self, session: &str, label: &str) -> Result<()> {
        for (till, admin) in
            [(&self.primary, self.stack.journal_admin), (&self.secondary, self.stack.log_admin)]
        {
            let has_run = labels(till, session).await?.iter().any(|ran| ran == label);
            let action = if has_run { "skip" } else { "redo" };
            let journal = status_of(admin).await?["journal"].take();
            let doubts = journal["in_doubt"].as_array().into_iter().flatten();
            for doubt in doubts.filter(|d| d["session"] == session) {
                let body = serde_json::json!({"session": session, "number": doubt["number"], "action": action});
                let answer = xtask::stack::http::post(admin, "/resolve", &body.to_string()).await?;
                ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
            }
        }
        Ok(())
    }

    async fn resolve(&self, doubt: &Value) -> Result<()> {
        let text = |key: &str| doubt[key].as_str().unwrap_or_default();
        let (session, number, replica) = (text("session"), text("number"), text("replica"));
        let (here, there, admin) = match replica {
            "primary" => (&self.primary, &self.secondary, self.stack.journal_admin),
            _ => (&self.secondary, &self.primary, self.stack.log_admin),
        };
        let seq: usize = number.rsplit('.').next().unwrap_or_default().parse()?;
        let Some(label) = labels(there, session).await?.get(seq - 1).cloned() else {
            return Ok(());
        };
        let has_run = labels(here, session).await?.contains(&label);
        let action = if has_run { "skip" } else { "redo" };
        let body = serde_json::json!({"session": session, "number": number, "replica": replica, "action": action});
        // It may be resolved already, by a late word or an earlier look.
        xtask::stack::http::post(admin, "/resolve", &body.to_string()).await?;
        Ok(())
    }
}

/// What a till has of a session now, in order.
pub async fn labels(till: &TillProcess, session: &str) -> Result<Vec<String>> {
    let path = format!("/_till/session?id={session}");
    Ok(demo::fetch::get_json::<demo::till::Labels>(till.addr(), &path).await?.labels)
}

/// The status on an admin page.
pub async fn status_of(admin: SocketAddr) -> Result<Value> {
    let answer = xtask::stack::http::get(admin, "/status").await?;
    serde_json::from_slice(&answer.body).context("/status is not JSON")
}

/// An end-to-end test: starts both sites, runs the body, prints the logs if it fails.
#[macro_export]
macro_rules! sites_test {
    ($(#[$meta:meta])* async fn $name:ident($sites:ident) $body:block) => {
        $crate::sites_test!($(#[$meta])* async fn $name($sites, |_options| {}) $body);
    };
    ($(#[$meta:meta])* async fn $name:ident($sites:ident, $change:expr) $body:block) => {
        $(#[$meta])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> anyhow::Result<()> {
            let started = $crate::Sites::start_with($change).await?;
            started
                .run(|#[allow(unused_mut)] mut $sites| async move {
                    let result: anyhow::Result<()> = async { $body Ok(()) }.await;
                    ($sites, result)
                })
                .await
        }
    };
}

/// Makes two tests of each function, one for each store.
#[macro_export]
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
