//! An operator who sees what the edge's status lists, looks at the tills and decides about each
//! write in doubt: it is skipped where the till has it, and redone where it has not.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use demo::till::Labels;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::sites::Sites;
use crate::stack::http;

/// A doubt must have been listed for so long, so that what resolves itself does, and what a till
/// has received it has run.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at a status page, which cannot be awaited.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long everything may take to be settled once the clients have stopped.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// What he knows.
#[derive(Debug, Default)]
pub(super) struct Operator {
    since: BTreeMap<(String, String, String), Instant>,
    /// How often he decided.
    pub(super) decided: u64,
}

impl Operator {
    /// Decides whatever there is to decide, for as long as this is polled; ends with what went wrong.
    pub(super) async fn work(&mut self, sites: &Sites) -> anyhow::Error {
        loop {
            if let Err(error) = self.once(sites).await {
                return error;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn once(&mut self, sites: &Sites) -> Result<()> {
        let status = sites.stack.status().await?;
        self.look(sites, &status["log"]).await
    }

    /// Goes on until everything is settled at both replicas and every session is handed back.
    pub(super) async fn drain(&mut self, sites: &Sites) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let log = sites.stack.status().await?["log"].take();
            let zero = |value: &Value| value == 0;
            let settled = zero(&log["backlog"]["primary"]) && zero(&log["backlog"]["secondary"]);
            if settled && zero(&log["pinned"]) && listed(&log["in_doubt"]).is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > DRAIN_LIMIT {
                bail!("not settled at both replicas within {DRAIN_LIMIT:?}: {}", short(&log));
            }
            self.look(sites, &log).await?;
            sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self, sites: &Sites, log: &Value) -> Result<()> {
        let doubts = listed(&log["in_doubt"]);
        let key = |doubt: &Value| {
            let text = |key: &str| doubt[key].as_str().unwrap_or_default().to_owned();
            (text("replica"), text("session"), text("number"))
        };
        let there: Vec<_> = doubts.iter().map(key).collect();
        self.since.retain(|doubt, _| there.contains(doubt));
        for doubt in there {
            let since = *self.since.entry(doubt.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= PATIENCE && decide(sites, &doubt).await? {
                self.decided += 1;
                self.since.remove(&doubt);
            }
        }
        Ok(())
    }
}

/// `false` if there is nothing to decide any more.
async fn decide(
    sites: &Sites,
    (replica, session, number): &(String, String, String),
) -> Result<bool> {
    let (till, admin) = match replica.as_str() {
        "primary" => (&sites.primary, sites.stack.journal_admin),
        _ => (&sites.secondary, sites.stack.log_admin),
    };
    let journal = http::get(admin, "/status").await?;
    let journal: Value = serde_json::from_slice(&journal.body).context("/status is not JSON")?;
    let doubts = listed(&journal["journal"]["in_doubt"]);
    let Some(doubt) = doubts.iter().find(|d| d["session"] == **session && d["number"] == **number)
    else {
        return Ok(false);
    };
    // The clients put a write's label into its id.
    let id = doubt["id"].as_str().unwrap_or_default();
    let Some((_, label)) = id.split_once('-') else { bail!("{id:?} is no id of a client") };
    let path = format!("/_till/session?id={session}");
    let held: Labels = demo::fetch::get_json(till.addr(), &path).await?;
    let action = if held.labels.iter().any(|held| held == label) { "skip" } else { "redo" };
    let body = json!({"session": session, "number": number, "replica": replica, "action": action});
    // A late word may have decided it.
    Ok(http::post(admin, "/resolve", &body.to_string()).await?.status == 200)
}

/// The items of a list in a status.
pub(super) fn listed(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// What is still to be done.
fn short(log: &Value) -> String {
    let many = |list: &str| format!("{} {list}", listed(&log[list]).len());
    let lists = ["in_doubt", "held_up", "conflicts", "quarantined"].map(many).join(", ");
    format!("backlog {}, {} pinned, {lists}", log["backlog"], log["pinned"])
}
