//! The status as people read it: the ordinary figures in a few lines, then whatever needs a
//! person, each case with what to do about it.

use crate::clock::rfc3339;
use serde_json::Value;
use std::fmt::Write as _;

/// Cases of one kind that are shown; `--json` has them all.
const CASES_SHOWN: usize = 20;
/// Events that are shown; `--json` has them all.
const EVENTS_SHOWN: usize = 10;

/// What is said of a journal in place of a lost one.
const UNSEEDED: &str = "UNSEEDED: a journal came in place of a lost one and refuses every write; \
                        `reprise seed` it, see docs/seeding.md";

/// Lays out the JSON of `/status`.
pub fn render(status: &Value) -> String {
    let mut out = String::new();
    let (service, version) = (text(&status["service"]), text(&status["version"]));
    let _ = writeln!(out, "{service} · reprise {version}");
    if status["log"].is_object() {
        log(&mut out, &status["log"]);
    }
    if status["journal"].is_object() {
        journal(&mut out, &status["journal"]);
    }
    out
}

fn log(out: &mut String, log: &Value) {
    let _ = writeln!(out, "\nReplay log");
    row(out, "", "primary", "secondary");
    let reach = |replica: &str| match () {
        () if log["away"][replica] == true => "AWAY",
        () if log["unseeded"][replica] == true => "UNSEEDED",
        () => "reachable",
    };
    row(out, "replica", reach("primary"), reach("secondary"));
    for key in ["backlog", "delivered"] {
        row(out, key, &text(&log[key]["primary"]), &text(&log[key]["secondary"]));
    }
    let _ = writeln!(out);
    line(out, log, &["sessions", "pinned", "gateways", "numbered", "ids"], true);
    let entries = format!("{} ({})", text(&log["entries"]), bytes(&log["bytes"]));
    let store = &log["store"];
    let store = format!("{} ({})", bytes(&store["bytes"]), text(&store["durability"]));
    let _ = writeln!(out, "  entries {entries} · store {store}");
    let rare =
        ["deduplicated", "withdrawn", "maybe_done", "handed_back", "held", "longest_hold_ms"];
    line(out, log, &rare, false);
    line(out, log, &["ids_evicted_early"], false);
    if log["full"] == true {
        let until = match log["full_cause"].as_str() {
            Some("disk") => "there is room on its disk again",
            Some("entries") => "some of its entries are settled (max_entries)",
            _ => "some of its entries are settled (max_bytes)",
        };
        let _ = writeln!(out, "\n  FULL: new writes are refused until {until}");
    }
    if log["unseeded"]["primary"] == true || log["unseeded"]["secondary"] == true {
        let _ = writeln!(out, "\n  {UNSEEDED}");
    }
    let doubt = "each holds up its session at that replica; decide with `reprise resolve` there";
    cases(out, "In doubt", doubt, &log["in_doubt"]);
    let held_up = "tried again and again: the replica refuses them, or its guard never says a word";
    cases(out, "Held up", held_up, &log["held_up"]);
    cases(out, "Diverged", "the replicas answered these writes differently", &log["diverged"]);
    cases(
        out,
        "Conflicts",
        "a guard refused these numbers, an epoch follows from nothing, or a replica lacks the past",
        &log["conflicts"],
    );
    cases(
        out,
        "Quarantined",
        "not delivered: the store was recovered without them",
        &log["quarantined"],
    );
    events(out, &log["events"]);
}

fn journal(out: &mut String, journal: &Value) {
    let _ = writeln!(out, "\nJournal of the {}", text(&journal["replica"]));
    line(out, journal, &["sessions", "guards", "running", "ran"], true);
    let rare = ["waiting", "duplicates", "gaps", "redone", "skipped"];
    line(out, journal, &rare, false);
    line(out, journal, &["waited", "overdue", "distrusted", "refused_unseeded"], false);
    line(out, journal, &["conflicts", "contradictions", "malformed", "turned_away"], false);
    let _ = writeln!(out, "  remembered responses {}", bytes(&journal["remembered_bytes"]));
    if journal["unseeded"] == true {
        let _ = writeln!(out, "\n  {UNSEEDED}");
    }
    let doubt = "decide with `reprise resolve --session S --number N --redo|--skip`";
    cases(out, "In doubt here", doubt, &journal["in_doubt"]);
    cases(
        out,
        "Forced here",
        "these epochs do not follow from what ran before",
        &journal["forced"],
    );
    let conflict = "not run: number or link contradicts what ran before";
    cases(out, "Conflicts here", conflict, &journal["conflicting"]);
}

fn row(out: &mut String, label: &str, primary: &str, secondary: &str) {
    let _ = writeln!(out, "  {label:<12}{primary:>12}{secondary:>12}");
}

/// Figures in one line, those that are zero only if `zeros`.
fn line(out: &mut String, from: &Value, keys: &[&str], zeros: bool) {
    let shown = keys.iter().filter(|key| zeros || from[**key].as_u64().is_some_and(|n| n > 0));
    let figures: Vec<_> =
        shown.map(|key| format!("{} {}", key.replace('_', " "), text(&from[*key]))).collect();
    if !figures.is_empty() {
        let _ = writeln!(out, "  {}", figures.join(" · "));
    }
}

fn cases(out: &mut String, title: &str, meaning: &str, list: &Value) {
    let Some(list) = list.as_array().filter(|list| !list.is_empty()) else { return };
    let _ = writeln!(out, "\n{title}: {} ({meaning})", list.len());
    for case in list.iter().take(CASES_SHOWN) {
        let keys = ["session", "number", "replica", "method", "path", "detail"];
        let mut parts: Vec<_> =
            keys.iter().map(|key| text(&case[*key])).filter(|part| !part.is_empty()).collect();
        for replica in ["primary", "secondary"] {
            let answer = &case[replica];
            if answer["status"].as_u64().is_some_and(|status| status != 0) {
                let (status, digest) = (text(&answer["status"]), text(&answer["digest"]));
                parts.push(format!("{replica}={status}/{digest}"));
            }
        }
        let _ = writeln!(out, "  {}", parts.join("  "));
    }
    more(out, list.len(), CASES_SHOWN);
}

fn events(out: &mut String, list: &Value) {
    let Some(list) = list.as_array().filter(|list| !list.is_empty()) else { return };
    let _ = writeln!(out, "\nLatest events");
    for event in list.iter().skip(list.len().saturating_sub(EVENTS_SHOWN)) {
        let at = rfc3339(event["at_ms"].as_u64().unwrap_or_default());
        let keys = ["replica", "session", "detail"];
        let parts: Vec<_> =
            keys.iter().map(|key| text(&event[*key])).filter(|part| !part.is_empty()).collect();
        let entry = format!("  {at}  {:<12}  {}", text(&event["kind"]), parts.join("  "));
        let _ = writeln!(out, "{}", entry.trim_end());
    }
    more(out, list.len(), EVENTS_SHOWN);
}

fn more(out: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(out, "  … and {} more, see --json", all - shown);
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn bytes(value: &Value) -> String {
    let bytes = value.as_u64().unwrap_or_default();
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_site_that_is_well_takes_a_few_lines() {
        let status = json!({
            "service": "shop", "version": "1.2.3", "log": null,
            "journal": {
                "replica": "primary", "sessions": 2, "guards": 1, "running": 0, "ran": 7,
                "duplicates": 0, "gaps": 0, "redone": 0, "remembered_bytes": 2048, "in_doubt": [],
            },
        });
        let expected = "shop · reprise 1.2.3\n\nJournal of the primary\n  \
                        sessions 2 · guards 1 · running 0 · ran 7\n  remembered responses 2.0 KiB\n";
        assert_eq!(render(&status), expected);
    }

    #[test]
    fn what_needs_a_person_is_listed() {
        let doubt = json!({"session": "s1", "number": "1.2", "replica": "primary", "method": "POST", "path": "/a"});
        let diverged = json!({
            "session": "s2", "number": "1.9", "method": "PUT", "path": "/b", "kind": "diverged_status",
            "detail": "", "primary": {"status": 200, "digest": "aa"}, "secondary": {"status": 500, "digest": "bb"},
        });
        let event = json!({"seq": 0, "at_ms": 0, "kind": "away", "replica": "primary"});
        let status = json!({"service": "s", "version": "1", "journal": null, "log": {
            "away": {"primary": true, "secondary": false}, "full": true, "maybe_done": 3, "held": 0,
            "in_doubt": [doubt], "diverged": vec![diverged; 21], "events": [event],
        }});
        let text = render(&status);
        for expected in [
            "replica             AWAY   reachable\n",
            "maybe done 3",
            "FULL",
            "In doubt: 1",
            "  s1  1.2  primary  POST  /a\n",
            "Diverged: 21",
            "  s2  1.9  PUT  /b  primary=200/aa  secondary=500/bb\n",
            "  … and 1 more, see --json\n",
            "  1970-01-01T00:00:00.000Z  away          primary\n",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        assert!(!text.contains("held 0"), "{text}");
    }
}
