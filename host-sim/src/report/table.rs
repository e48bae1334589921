//! The table, as the demo shows it.

use super::figures::{Figures, Phase};
use super::words::{count, duration, moment};
use crate::check::Promise;
use crate::run::Report;
use std::fmt::Write as _;

/// A row: what, how much, and whether that is good where it can be told.
pub type Row = (String, String, Option<bool>);

/// The rows of a run.
pub fn rows(report: &Report) -> Vec<Row> {
    let figures = Figures::of(report);
    let mut rows = counted(&figures);
    for phase in Phase::ALL {
        let Some(latency) = figures.latency.get(&phase) else { continue };
        let name = phase.name();
        for (what, us) in
            [("p50", latency.p50_us), ("p99", latency.p99_us), ("max", latency.max_us)]
        {
            rows.push((format!("{name}: {what}"), duration(us), None));
        }
    }
    rows.push(("worst of all requests".into(), duration(figures.worst_us), None));
    rows.push(("replayed".into(), count(figures.replayed), None));
    if let Some(us) = figures.drain_us {
        let rate = figures.drained.saturating_mul(1_000_000) / us.max(1);
        rows.push(("replayed per second".into(), count(rate), None));
        rows.push(("drain time".into(), duration(us), None));
    }
    let rest = figures.rest_us.map_or("never".into(), duration);
    rows.push(("at rest after the load".into(), rest, Some(figures.rest_us.is_some())));
    let listed = |of: fn(&crate::history::Listed) -> usize| {
        count(report.ended.listed.iter().map(|shop| of(shop) as u64).sum())
    };
    rows.push(("listed: in doubt or held up".into(), listed(|l| l.waiting.len()), None));
    rows.push(("listed: diverged".into(), listed(|l| l.diverged.len()), None));
    rows.push(("listed: conflicts".into(), listed(|l| l.conflicts.len()), None));
    rows.push(("listed: quarantined".into(), listed(|l| l.quarantined.len()), None));
    rows
}

fn counted(figures: &Figures) -> Vec<Row> {
    let promise = |what: &str, promise| {
        let number = figures.broken(promise);
        (what.to_string(), count(number), Some(number == 0))
    };
    let sessions = format!("{} of {}", count(figures.diverged_sessions), count(figures.sessions));
    vec![
        ("acknowledged writes".into(), count(figures.acknowledged), None),
        promise("lost", Promise::Lost),
        promise("duplicated", Promise::Twice),
        promise("reordered", Promise::Order),
        ("diverged sessions".into(), sessions, Some(figures.diverged_sessions == 0)),
        promise("stale reads", Promise::Stale),
        ("client errors".into(), count(figures.client_errors), None),
    ]
}

/// How fast it was: what no two runs have in common.
pub fn speed(report: &Report) -> String {
    let (virtually, really) = (report.ended.virtual_us, report.real_us.max(1));
    let times = match virtually / really {
        0..10 => format!("{:.1}", virtually as f64 / really as f64),
        whole => count(whole),
    };
    format!(
        "{} of virtual time and {} events in {}: {} times as fast",
        moment(virtually),
        count(report.ended.events),
        duration(really),
        times
    )
}

/// The table.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    for (what, much, good) in rows(report) {
        let mark = match good {
            Some(true) => " ✓",
            Some(false) => " ✗",
            None => "",
        };
        let _ = writeln!(text, "{what:<32}{much:>14}{mark}");
    }
    for (told, times) in Figures::of(report).told {
        let _ = writeln!(text, "clients were told {} × {told}", count(times));
    }
    let _ = writeln!(text, "\n{}", speed(report));
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_table_has_the_rows_of_the_demo() {
        let expected = "\
acknowledged writes                          2
lost                                         0 ✓
duplicated                                   0 ✓
reordered                                    0 ✓
diverged sessions                       0 of 1 ✓
stale reads                                  0 ✓
client errors                                1
connected: p50                         4.50 ms
connected: p99                         4.50 ms
connected: max                         4.50 ms
cut: p50                                715 ms
cut: p99                                715 ms
cut: max                                715 ms
healed: p50                            2.00 ms
healed: p99                            2.00 ms
healed: max                            2.00 ms
worst of all requests                   715 ms
replayed                                     1
replayed per second                          4
drain time                              250 ms
at rest after the load                  500 ms ✓
listed: in doubt or held up                  0
listed: diverged                             0
listed: conflicts                            0
listed: quarantined                          0
clients were told 1 × log-full

6.50 s of virtual time and 1,234 events in 6.50 ms: 1,000 times as fast
";
        assert_eq!(table(&sample::report()), expected);
    }

    #[test]
    fn what_is_broken_is_marked() {
        let text = table(&sample::broken(Promise::Twice, 3));
        assert!(text.contains("\nduplicated                                   3 ✗\n"), "{text}");
        let mut report = sample::report();
        report.ended.at_rest_us[0] = None;
        assert!(table(&report).contains("at rest after the load                   never ✗"));
    }
}
