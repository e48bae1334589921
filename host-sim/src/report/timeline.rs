//! The timeline: what happened when, in few lines.

use super::words::{count, moment, some};
use crate::history::{Micros, Note};
use crate::run::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What follows within this of its like is the same line.
const SAME_US: Micros = 1_000_000;
/// With more shops than this, what happens at several of them is one line.
const SHOPS: u32 = 4;
/// More lines than this are left out in the middle.
const LINES: usize = 60;

/// One line: notes of one kind, close together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The first.
    pub at_us: Micros,
    /// The last.
    pub until_us: Micros,
    /// Their kind.
    pub kind: &'static str,
    /// What the first says.
    pub text: String,
    /// How many.
    pub notes: u64,
    /// At which shops.
    pub shops: BTreeSet<u32>,
}

/// The moments of a run.
pub fn moments(report: &Report) -> Vec<Moment> {
    let merge = report.scenario.stack.shops > SHOPS;
    let mut notes: Vec<&Note> = report.history.notes.iter().collect();
    notes.sort_by_key(|note| note.at_us);
    let mut moments: Vec<Moment> = Vec::new();
    let mut open: BTreeMap<(&'static str, Option<u32>, String), usize> = BTreeMap::new();
    for note in notes {
        if note.kind == "started" && note.at_us == 0 {
            // Everything starts before the load.
            continue;
        }
        let key = (note.kind, note.shop.filter(|_| !merge), alike(note));
        let last = open.get(&key).and_then(|at| moments.get_mut(*at));
        if let Some(last) = last
            && note.at_us <= last.until_us + SAME_US
        {
            last.until_us = note.at_us;
            last.notes += 1;
            last.shops.extend(note.shop);
            continue;
        }
        open.insert(key, moments.len());
        moments.push(Moment {
            at_us: note.at_us,
            until_us: note.at_us,
            kind: note.kind,
            text: note.text.clone(),
            notes: 1,
            shops: note.shop.into_iter().collect(),
        });
    }
    moments
}

/// What notes of one line have in common besides their kind: of faults and processes the words,
/// but for the numbers of shops.
fn alike(note: &Note) -> String {
    match note.kind {
        "fault" | "mended" | "died" | "started" | "stopped" => {
            note.text.replace(|c: char| c.is_ascii_digit(), "")
        }
        _ => String::new(),
    }
}

impl Moment {
    /// What happened, in words.
    pub fn words(&self, shops: u32) -> String {
        let mut text = String::new();
        match (shops > 1, self.shops.len(), self.shops.first()) {
            (true, 1, Some(shop)) => text = format!("shop {shop}: "),
            (true, 2.., _) => text = format!("{} shops: ", count(self.shops.len() as u64)),
            _ => {}
        }
        text.push_str(&self.text);
        let more = self.notes.saturating_sub(self.shops.len().max(1) as u64);
        if more > 0 {
            let _ = write!(text, ", and {} more", count(more));
        }
        if self.until_us > self.at_us {
            let _ = write!(text, " until {}", moment(self.until_us));
        }
        text
    }
}

/// The lines of a run: when, what, in words. What never came has no time.
pub fn lines(report: &Report) -> Vec<(Option<Micros>, String, String)> {
    let (ended, shops) = (&report.ended, report.scenario.stack.shops);
    let line = |at: &Moment| (Some(at.at_us), at.kind.replace('_', " "), at.words(shops));
    let mut lines: Vec<_> = moments(report).iter().map(line).collect();
    let load = "the load is over, everything is mended".to_string();
    lines.push((Some(ended.healed_us), "clients stop".to_string(), load));
    lines.sort_by_key(|(at, ..)| *at);
    let resting: Vec<Micros> = ended.at_rest_us.iter().filter_map(|at| *at).collect();
    let missing = (ended.at_rest_us.len() - resting.len()) as u64;
    lines.push(match missing {
        0 => {
            let words = "both replicas have everything".to_string();
            (resting.into_iter().max(), "at rest".to_string(), words)
        }
        _ => {
            let of = ended.at_rest_us.len();
            let words = format!("{} of {of} never came to rest", some(missing, "shop"));
            (None, "stalled".to_string(), words)
        }
    });
    lines
}

/// The timeline.
pub fn timeline(report: &Report) -> String {
    let lines = lines(report);
    let (first, last) = (LINES * 2 / 3, LINES / 3);
    let mut text = String::new();
    for (n, (at, what, words)) in lines.iter().enumerate() {
        let hidden = lines.len().saturating_sub(LINES);
        if hidden > 0 && (first..lines.len() - last).contains(&n) {
            if n == first {
                let left = some(hidden as u64, "line");
                let _ = writeln!(text, "{:>10}  {left} left out; --json has all", "…");
            }
            continue;
        }
        let at = at.map_or("–".into(), moment);
        let _ = writeln!(text, "{at:>10}  {what:<14}{words}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, note};
    use super::*;

    #[test]
    fn every_moment_has_a_line() {
        let expected = "    1.00 s  fault         shop 0: the link lets nothing through
    2.21 s  pinned        shop 0: session 0 goes to the secondary
    4.00 s  mended        shop 0: the link is there again
    4.26 s  handed back   shop 0: session 0 goes back to the primary
    6.00 s  clients stop  the load is over, everything is mended
    6.50 s  at rest       both replicas have everything
";
        assert_eq!(timeline(&sample::report()), expected);
    }

    #[test]
    fn sessions_that_move_together_are_one_line() {
        let mut report = sample::report();
        let pin = |n: u64| note(2210 + n, Some(0), "pinned", &format!("session {n} is pinned"));
        report.history.notes = (0..20).map(pin).collect();
        let text = timeline(&report);
        let line =
            "    2.21 s  pinned        shop 0: session 0 is pinned, and 19 more until 2.23 s\n";
        assert!(text.starts_with(line), "{text}");
        report.history.notes.push(note(9_000, Some(0), "pinned", "session 1 is pinned"));
        assert_eq!(moments(&report).len(), 2, "what is far apart is not one moment");
    }

    #[test]
    fn many_shops_share_their_lines() {
        let mut report = sample::report();
        report.scenario.stack.shops = 1000;
        let heal = |shop| note(4000, Some(shop), "mended", "the link is there again");
        report.history.notes = (0..1000).map(heal).collect();
        let text = timeline(&report);
        let line = "    4.00 s  mended        1,000 shops: the link is there again\n";
        assert!(text.starts_with(line), "{text}");
    }

    #[test]
    fn different_faults_stay_apart() {
        let mut report = sample::report();
        report.history.notes = vec![
            note(1000, None, "fault", "the link lets nothing through"),
            note(1000, None, "fault", "edge-envoy is killed"),
        ];
        assert_eq!(moments(&report).len(), 2);
    }

    #[test]
    fn a_long_timeline_is_cut_in_the_middle() {
        let mut report = sample::report();
        let flap = |n: u64| note(n * 5_000, None, "fault", "down");
        report.history.notes = (0..1000).map(flap).collect();
        let text = timeline(&report);
        assert_eq!(text.lines().count(), LINES + 1);
        assert!(text.contains("…  942 lines left out; --json has all\n"), "{text}");
        assert!(text.contains(&moment(999 * 5_000_000)));
    }

    #[test]
    fn a_shop_that_never_rests_is_said_last() {
        let mut report = sample::report();
        report.ended.at_rest_us[1] = None;
        let text = timeline(&report);
        assert!(text.ends_with("–  stalled       1 shop of 2 never came to rest\n"), "{text}");
    }
}
