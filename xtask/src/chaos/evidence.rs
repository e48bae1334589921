//! What is kept of a round that was lost, beside the logs, configurations, stores and ledgers that
//! are in the directory anyway.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use super::judge::Findings;
use super::plan::Round;
use super::round::Life;

/// Writes it into the directory of the sites. What a process does not say any more is left out.
pub(super) async fn gather(life: &Life, round: &Round, findings: &Findings) -> Result<()> {
    let stack = &life.sites.stack;
    let mut found = format!("{}\n{}\n\n", life.setting, findings.broken.join("\n"));
    let _ = writeln!(found, "{}\n\n{round}\n", findings.examples.join("\n"));
    let _ = writeln!(found, "what was done when\n{}", life.times.text());
    let status = |status: Result<Value>| match status {
        Ok(status) => serde_json::to_string_pretty(&status).unwrap_or_default(),
        Err(error) => format!("{error:#}"),
    };
    for (name, text) in [
        ("found.txt", found),
        ("clients.tsv", clients(life)),
        ("status-edge.json", status(stack.status().await)),
        ("status-cloud.json", status(stack.cloud_status().await)),
    ] {
        let file = life.sites.data.join(name);
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// What the clients have noted, a request a line.
fn clients(life: &Life) -> String {
    let mut out = "session\tkind\tnumber\tstart_us\tend_us\ttries\toutcome\tstatus\tstale\terror\n"
        .to_owned();
    for op in &life.record.ops {
        let error = op.error.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "{}\t{:?}\t{}\t{}\t{}\t{}\t{:?}\t{}\t{}\t{error}",
            op.session,
            op.kind,
            op.number,
            op.start_us,
            op.end_us(),
            op.tries,
            op.outcome,
            op.status,
            op.stale,
        );
    }
    out
}
