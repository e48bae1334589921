//! What `GET /metrics` says: the engines' figures as OpenMetrics text, from the same snapshot as
//! `/status`. Written by hand: every figure is there already, and a client library would only copy
//! it into counters of its own. `docs/metrics.md` lists every name, and a test holds it to that.

use protocol::Replica;
use replay_log::journal;
use replay_log::log::{self, HeldUp};
use replay_log::store::{Durability, StoreStats};
use std::fmt::{Display, Write as _};

/// The type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Lays the figures out; an engine that this site does not have has none.
pub fn render(
    service: &str,
    unix_ms: u64,
    log: Option<&log::Status>,
    journal: Option<&journal::Status>,
) -> String {
    let mut page = Page { text: String::new(), service: escaped(service) };
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    page.gauge("reprise_build_info", "The version that runs.", [(version, 1)]);
    if let Some(log) = log {
        log_gauges(&mut page, log, unix_ms);
        log_counters(&mut page, log);
    }
    if let Some(journal) = journal {
        journal_figures(&mut page, journal);
    }
    stores(&mut page, log.map(|log| log.store), journal.map(|journal| journal.store));
    page.text.push_str("# EOF\n");
    page.text
}

fn log_gauges(page: &mut Page, s: &log::Status, unix_ms: u64) {
    let waiting = |list: &[HeldUp], replica| {
        list.iter().filter(|write| write.replica == replica).count() as u64
    };
    let age =
        |oldest: Option<u64>| oldest.map_or(0.0, |at| unix_ms.saturating_sub(at) as f64 / 1000.0);
    let [doubts, held_up] =
        [&s.in_doubt, &s.held_up].map(|list| Replica::BOTH.map(|replica| waiting(list, replica)));
    for (name, help, value) in [
        ("sessions", "Sessions in memory.", s.sessions),
        ("pinned_sessions", "Sessions whose requests go to the secondary.", s.pinned),
        ("entries", "Writes that some replica has not settled.", s.entries),
        ("entries_bytes", "Bytes of those writes.", s.bytes),
        ("max_entries", "At so many of them new writes are refused.", s.max_entries),
        ("max_bytes", "At so many bytes of them new writes are refused.", s.max_bytes),
        ("full", "1 while new writes are refused for want of room.", s.full.is_some().into()),
        ("gateway_streams", "Streams of gateway workers.", s.gateways),
        ("ids", "Remembered ids of settled writes.", s.ids),
    ] {
        page.gauge(&format!("reprise_log_{name}"), help, [(String::new(), value)]);
    }
    for (name, help, values) in [
        ("backlog_entries", "Writes that the replica has not settled.", s.backlog),
        ("in_doubt", "Writes that the replica may or may not have run.", doubts),
        ("held_up", "Writes that the replica refuses, or never says a word of.", held_up),
        ("away", "1 while the replica does not answer.", s.away.map(u64::from)),
        ("unseeded", "1 while the replica waits to be seeded.", s.unseeded.map(u64::from)),
    ] {
        page.gauge(&format!("reprise_log_{name}"), help, both(values));
    }
    page.gauge(
        "reprise_log_oldest_unsettled_seconds",
        "Age of the oldest write that the replica has not settled.",
        both(s.oldest_ms.map(age)),
    );
    page.gauge(
        "reprise_log_longest_hold_seconds",
        "The longest that a hand-back has held a write.",
        [(String::new(), s.longest_hold_ms as f64 / 1000.0)],
    );
}

fn log_counters(page: &mut Page, s: &log::Status) {
    for (name, help, value) in [
        ("numbered", "Writes numbered.", s.numbered),
        ("deduplicated", "Appends whose id was known.", s.deduplicated),
        ("withdrawn", "Numbers that became no-ops.", s.withdrawn),
        ("maybe_done", "Ends without a word that the write ran.", s.maybe_done),
        ("taken_over", "Writes delivered since nobody reported their end.", s.taken_over),
        ("handed_back", "Sessions handed back to the primary.", s.handed_back),
        ("held", "Writes held for a hand-back.", s.held),
        ("holds_expired", "Holds given up when their time was over.", s.holds_expired),
        ("ids_evicted_early", "Ids forgotten before their time.", s.ids_evicted_early),
        ("diverged", "Writes that the replicas answered differently.", s.diverged_listed),
        ("conflicts", "Numbers that a guard refused.", s.conflicts_listed),
        ("forced", "Epochs that follow from nothing.", s.forced_listed),
        ("quarantined", "Entries put in quarantine.", s.quarantined_listed),
        ("unseeded_sessions", "Sessions whose past one replica lacks.", s.unseeded_listed),
    ] {
        page.counter(&format!("reprise_log_{name}"), help, [(String::new(), value)]);
    }
    for (name, help, values) in [
        ("delivered", "Deliveries that a guard confirmed.", s.delivered),
        ("delivered_duplicates", "Deliveries of what had run already.", s.duplicates),
        ("deliveries_repeated", "Deliveries that came back without having run.", s.repeated),
    ] {
        page.counter(&format!("reprise_log_{name}"), help, both(values));
    }
    let refused = [
        ("full", s.refused_full),
        ("payload-mismatch", s.refused_mismatch),
        ("cut", s.refused_cut),
        ("invalid", s.refused_invalid),
        ("superseded", s.refused_superseded),
    ];
    page.counter(
        "reprise_log_refused",
        "Appends refused.",
        refused.map(|(reason, count)| (format!("reason=\"{reason}\""), count)),
    );
}

fn journal_figures(page: &mut Page, s: &journal::Status) {
    let replica = || replica_label(s.replica);
    for (name, help, value) in [
        ("sessions", "Sessions on disk.", s.sessions),
        ("cached_sessions", "Sessions in memory.", s.cached_sessions),
        ("running", "Writes granted and not reported.", s.running),
        ("waiting", "Begins and reads that wait.", s.waiting),
        ("in_doubt", "Writes in doubt.", s.in_doubt_total),
        ("guard_streams", "Streams of guard workers.", s.guards),
        ("remembered_bytes", "Bytes of remembered responses.", s.remembered_bytes),
        ("unseeded", "1 while the journal waits to be seeded.", s.unseeded.into()),
        ("incomplete", "1 if records of sessions may be missing.", s.incomplete.into()),
    ] {
        page.gauge(&format!("reprise_journal_{name}"), help, [(replica(), value)]);
    }
    for (name, help, value) in [
        ("ran", "Writes that ran.", s.ran),
        ("duplicates", "Begins of what had run or was running.", s.duplicates),
        ("gaps", "Begins that came before what precedes them.", s.gaps),
        ("waited", "Begins that waited for what precedes them or for a duplicate.", s.waited),
        ("redone", "Grants of what may have run before.", s.redone),
        ("skipped", "Doubts that an operator counted as run.", s.skipped),
        ("overdue", "Runs whose end nobody reported in time.", s.overdue),
        ("distrusted", "Doubts since a lost life of the journal may have run it.", s.distrusted),
        ("forced", "Epochs that did not follow from the last one.", s.forced),
        ("conflicts", "Begins whose number or link contradicts what ran.", s.conflicts),
        ("stale_epochs", "Begins of an epoch that is over.", s.stale_epochs),
        ("contradictions", "Outcomes that contradict what is recorded.", s.contradictions),
        ("malformed", "Messages with a field out of its limits.", s.malformed),
        ("turned_away", "Begins and reads refused since too many wait.", s.turned_away),
        ("refused_unseeded", "Begins refused while not seeded.", s.refused_unseeded),
    ] {
        page.counter(&format!("reprise_journal_{name}"), help, [(replica(), value)]);
    }
}

fn stores(page: &mut Page, log: Option<StoreStats>, journal: Option<StoreStats>) {
    let stores: Vec<_> = [("log", log), ("journal", journal)]
        .into_iter()
        .filter_map(|(name, stats)| Some((format!("store=\"{name}\""), stats?)))
        .collect();
    let of = |figure: fn(&StoreStats) -> u64| {
        stores.iter().map(move |(label, stats)| (label.clone(), figure(stats)))
    };
    page.gauge("reprise_store_disk_bytes", "Bytes on disk.", of(|s| s.disk_bytes));
    page.gauge("reprise_store_room", "0 while new work is refused.", of(|s| s.room.into()));
    let synced = of(|s| u64::from(s.durability == Durability::Synced));
    page.gauge("reprise_store_synced", "1 if commits survive power loss.", synced);
    page.counter("reprise_store_torn_batches", "Torn tails cut off.", of(|s| s.torn));
}

fn replica_label(replica: Replica) -> String {
    format!("replica=\"{replica}\"")
}

fn both<T: Copy>(values: [T; 2]) -> [(String, T); 2] {
    Replica::BOTH.map(|replica| (replica_label(replica), values[replica.index()]))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Page {
    text: String,
    service: String,
}

impl Page {
    fn gauge<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        self.family(name, "gauge", "", help, samples);
    }

    fn counter<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        self.family(name, "counter", "_total", help, samples);
    }

    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        suffix: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        let _ = writeln!(self.text, "# TYPE {name} {kind}\n# HELP {name} {help}");
        for (label, value) in samples {
            let comma = if label.is_empty() { "" } else { "," };
            let service = &self.service;
            let labels = format!("service=\"{service}\"{comma}{label}");
            let _ = writeln!(self.text, "{name}{suffix}{{{labels}}} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_service_cannot_break_out_of_its_label() {
        let text = render("a\"b\\c\nd", 0, None, None);
        let line = text.lines().find(|line| line.starts_with("reprise_build_info{"));
        let expected = r#"reprise_build_info{service="a\"b\\c\nd",version=""#;
        assert!(line.is_some_and(|line| line.starts_with(expected)), "{text}");
    }
}
