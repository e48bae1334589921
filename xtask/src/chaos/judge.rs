//! Judges the sites once everything is settled: by the tills and by what clients were told, and by
//! what the status pages list.

use std::collections::BTreeSet;

use anyhow::Result;
use demo::check::{Replica, check};
use demo::load::{Kind, Op, Outcome, Record};
use serde_json::Value;

use super::operator::listed;
use super::sites::Sites;

/// How many findings of a kind are spelled out.
const EXAMPLES: usize = 5;

/// What is broken, in words, with examples; nothing if every promise was kept.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) broken: Vec<String>,
    pub(super) examples: Vec<String>,
}

impl Findings {
    fn add(&mut self, count: usize, what: &str, examples: impl IntoIterator<Item = String>) {
        if count > 0 {
            self.broken.push(format!("{count} {what}"));
            self.examples.extend(examples.into_iter().take(EXAMPLES));
        }
    }
}

/// Judges all that clients have done since the sites are there.
pub(super) async fn judge(sites: &Sites, record: &Record) -> Result<Findings> {
    let primary = Replica::fetch(sites.primary.addr()).await?;
    let secondary = Replica::fetch(sites.secondary.addr()).await?;
    let verdict = check(&record.histories(), &primary, &secondary);
    let mut findings = Findings { broken: verdict.broken(), examples: verdict.examples };
    by_clients(&mut findings, record, &[&primary, &secondary]);
    let edge = sites.stack.status().await?;
    let cloud = sites.stack.cloud_status().await?;
    by_status(&mut findings, &edge, &cloud);
    let panicked = panics(sites)?;
    findings.add(panicked.len(), "panics in the logs", panicked);
    Ok(findings)
}

/// What the clients were told and what is there.
fn by_clients(findings: &mut Findings, record: &Record, replicas: &[&Replica]) {
    let stale: Vec<&Op> = record.ops.iter().filter(|op| op.stale).collect();
    findings.add(
        stale.len(),
        "reads that did not show an acknowledged write",
        stale.iter().map(|op| format!("a stale read: {op:?}")),
    );
    let labels: BTreeSet<&str> = replicas
        .iter()
        .flat_map(|replica| replica.sessions.values())
        .flat_map(|held| held.labels.iter().map(String::as_str))
        .collect();
    let refused =
        record.ops.iter().filter(|op| op.kind == Kind::Write && op.outcome == Outcome::Failed);
    let ran: Vec<String> = refused
        .filter(|op| labels.contains(format!("s{}-{}", op.session, op.number).as_str()))
        .map(|op| format!("refused without a trace and ran: {op:?}"))
        .collect();
    findings.add(ran.len(), "writes that were refused without a trace and ran", ran);
}

/// Nothing may be left that waits for an operator: he has decided everything that can be.
fn by_status(findings: &mut Findings, edge: &Value, cloud: &Value) {
    for list in ["in_doubt", "held_up", "diverged", "conflicts", "quarantined"] {
        let cases = listed(&edge["log"][list]);
        let shown = cases.iter().map(|case| format!("log.{list}: {case}"));
        findings.add(cases.len(), &format!("cases left in log.{list}"), shown);
    }
    for (site, journal) in [("edge", &edge["journal"]), ("cloud", &cloud["journal"])] {
        for list in ["in_doubt", "forced", "conflicting"] {
            let cases = listed(&journal[list]);
            let shown = cases.iter().map(|case| format!("{site} journal.{list}: {case}"));
            findings.add(cases.len(), &format!("cases left in the {site}'s journal.{list}"), shown);
        }
        let contradictions = journal["contradictions"].as_u64().unwrap_or(0);
        let contradictions = usize::try_from(contradictions).unwrap_or(usize::MAX);
        findings.add(contradictions, &format!("contradictions in the {site}'s journal"), None);
    }
}

/// Lines of the processes' logs that tell of a panic.
fn panics(sites: &Sites) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for process in crate::stack::Process::ALL {
        let name = format!("{}.log", process.name());
        let text = std::fs::read(sites.stack.data.join(&name))?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains("panicked"));
        found.extend(lines.map(|line| format!("{name}: {line}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_on_a_status_page_is_broken_and_shown() {
        let clean = json!({"log": {"in_doubt": [], "held_up": []}, "journal": {"in_doubt": []}});
        let mut findings = Findings::default();
        by_status(&mut findings, &clean, &clean);
        assert!(findings.broken.is_empty(), "{findings:?}");
        let edge = json!({"log": {"diverged": [{"session": "s1"}]}, "journal": {}});
        let cloud = json!({"journal": {"forced": [{"session": "s2"}], "contradictions": 2}});
        by_status(&mut findings, &edge, &cloud);
        let broken = [
            "1 cases left in log.diverged",
            "1 cases left in the cloud's journal.forced",
            "2 contradictions in the cloud's journal",
        ];
        assert_eq!(findings.broken, broken);
        assert_eq!(findings.examples.len(), 2);
    }

    #[test]
    fn a_stale_read_and_a_refused_write_that_ran_are_broken() {
        let op = |kind, number, outcome, stale| Op {
            kind,
            session: 0,
            number,
            start_us: 0,
            latency_us: 1,
            status: 503,
            outcome,
            tries: 1,
            stale,
            error: None,
        };
        let mut replica = Replica::default();
        let labels = vec!["s0-1".to_owned(), "s0-2".to_owned()];
        replica
            .sessions
            .insert("s0".to_owned(), demo::check::Held { labels, ..Default::default() });
        let ops = vec![
            op(Kind::Write, 1, Outcome::Unknown, false),
            op(Kind::Write, 2, Outcome::Failed, false),
            op(Kind::Write, 3, Outcome::Failed, false),
            op(Kind::Read, 3, Outcome::Ok, true),
        ];
        let record = Record { ops, ..Record::default() };
        let mut findings = Findings::default();
        by_clients(&mut findings, &record, &[&replica]);
        assert_eq!(findings.broken.len(), 2, "{findings:?}");
        assert!(findings.broken[0].starts_with("1 reads"), "{findings:?}");
        assert!(findings.broken[1].starts_with("1 writes"), "{findings:?}");
    }
}
