//! Reprise beside bare Envoy: the table, the promises and the goals.

use serde::Serialize;

use crate::{
    format::{count, duration_ms, duration_us},
    run::Run,
    stats::Summary,
};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// How the link was cut: `hole`, `refuse` or `mute`.
    pub cut: String,
    /// How many sessions there were.
    pub sessions: u32,
    /// How long the clients were at work.
    pub seconds: u64,
    /// The writes per second that they aimed at.
    pub writes_per_second: u32,
    /// The time within which a cut is to be detected.
    pub detect_ms: u64,
}

/// The result of the demo.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// What was asked for.
    pub setting: Setting,
    /// The run with Reprise.
    pub reprise: Run,
    /// The same with bare Envoy.
    pub bare: Option<Run>,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What it is about.
    pub what: &'static str,
    /// Of Reprise.
    pub reprise: Cell,
    /// Of bare Envoy.
    pub bare: Option<Cell>,
}

/// A value in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// As it is shown.
    pub text: String,
    /// Whether it is as it should be, where that can be said.
    pub good: Option<bool>,
}

/// Something measured against what it should be. Goals depend on the machine; promises do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Goal {
    /// What should be.
    pub what: String,
    /// What is.
    pub measured: String,
    /// Whether it is met.
    pub met: bool,
}

impl Comparison {
    /// The promises that Reprise broke, in words.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.reprise.broken()
    }

    /// What Reprise adds to the median latency of a write while connected, in microseconds.
    #[must_use]
    pub fn added_p50_us(&self) -> Option<i64> {
        let bare = self.bare.as_ref()?;
        let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        Some(signed(self.reprise.connected.p50_us) - signed(bare.connected.p50_us))
    }

    /// The table, line by line.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |what, cell: &dyn Fn(&Run) -> Cell| Row {
            what,
            reprise: cell(&self.reprise),
            bare: self.bare.as_ref().map(cell),
        };
        let sessions = u64::from(self.setting.sessions);
        vec![
            row("acknowledged writes", &|run| plain(count(run.verdict.acknowledged))),
            row("lost", &|run| zero(run.verdict.lost)),
            row("duplicated", &|run| zero(run.verdict.duplicated.sum())),
            row("reordered", &|run| zero(run.verdict.out_of_order())),
            row("diverged sessions", &|run| {
                let diverged = run.verdict.diverged.len() as u64;
                Cell { text: format!("{diverged} of {sessions}"), good: Some(diverged == 0) }
            }),
            row("run at once in a session", &|run| zero(run.verdict.overlaps.sum())),
            row("stale reads", &|run| zero(run.stale_reads)),
            row("client errors", &|run| zero(run.errors.sum())),
            row("… outside the detection time", &|run| zero(run.errors.outside_detection)),
            row("connected: p50", &|run| latency(&run.connected, run.connected.p50_us)),
            row("connected: p99", &|run| latency(&run.connected, run.connected.p99_us)),
            row("connected: max", &|run| latency(&run.connected, run.connected.max_us)),
            row("cut: p50", &|run| latency(&run.cut, run.cut.p50_us)),
            row("cut: p99", &|run| latency(&run.cut, run.cut.p99_us)),
            row("cut: max", &|run| latency(&run.cut, run.cut.max_us)),
            row("healed: p50", &|run| latency(&run.healed, run.healed.p50_us)),
            row("healed: p99", &|run| latency(&run.healed, run.healed.p99_us)),
            row("healed: max", &|run| latency(&run.healed, run.healed.max_us)),
            row("worst of all requests", &|run| plain(duration_us(run.worst_us))),
            row("replayed", &|run| maybe(run.replay.map(|replay| count(replay.writes)))),
            row("replayed per second", &|run| {
                maybe(run.replay.map(|replay| count(replay.per_second)))
            }),
            row("drain time", &|run| maybe(run.replay.map(|replay| duration_ms(replay.drain_ms)))),
            row("longest hold of a session", &|run| maybe(run.longest_hold_ms.map(duration_ms))),
        ]
    }

    /// What Reprise is measured against.
    #[must_use]
    pub fn goals(&self) -> Vec<Goal> {
        let run = &self.reprise;
        let detect_ms = self.setting.detect_ms;
        let refused = self.setting.cut == "refuse";
        let errors = if refused { run.errors.sum() } else { run.errors.outside_detection };
        let place = if refused { "" } else { " after the detection time" };
        let worst_ms = detect_ms + 100;
        let drain = run.replay.map_or(0, |replay| replay.per_second);
        let hold = run.longest_hold_ms.unwrap_or(0);
        let ratio = run.cut.p50_us as f64 / run.connected.p50_us.max(1) as f64;
        let goal = |what, measured, met| Goal { what, measured, met };
        vec![
            goal(format!("no client error{place}"), count(errors), errors == 0),
            goal(
                format!("worst latency ≤ {} (detection + 100 ms)", duration_ms(worst_ms)),
                duration_us(run.worst_us),
                run.worst_us <= worst_ms * 1000,
            ),
            goal(
                "median during the cut ≤ 1.5 × connected".to_owned(),
                format!("{ratio:.2} ×"),
                run.cut.p50_us * 2 <= run.connected.p50_us * 3,
            ),
            goal("drain ≥ 500 writes/s".to_owned(), format!("{}/s", count(drain)), drain >= 500),
            goal("no session held longer than 500 ms".to_owned(), duration_ms(hold), hold <= 500),
        ]
    }
}

fn plain(text: String) -> Cell {
    Cell { text, good: None }
}

fn zero(number: u64) -> Cell {
    Cell { text: count(number), good: Some(number == 0) }
}

fn maybe(text: Option<String>) -> Cell {
    plain(text.unwrap_or_else(|| "–".to_owned()))
}

fn latency(summary: &Summary, us: u64) -> Cell {
    maybe((summary.count > 0).then(|| duration_us(us)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Errors, Replay};

    fn summary(p50_us: u64, max_us: u64) -> Summary {
        Summary { count: 9, p50_us, p99_us: p50_us, max_us }
    }

    fn comparison() -> Comparison {
        let reprise = Run {
            connected: summary(2000, 9000),
            cut: summary(2500, 900_000),
            worst_us: 900_000,
            replay: Some(Replay { writes: 2000, notice_ms: 50, drain_ms: 1050, per_second: 2000 }),
            longest_hold_ms: Some(30),
            drained: true,
            ..Run::default()
        };
        let mut bare = Run { connected: summary(1500, 9000), ..Run::default() };
        bare.verdict.lost = 2345;
        let setting =
            Setting { cut: "hole".to_owned(), sessions: 20, detect_ms: 1000, ..Setting::default() };
        Comparison { setting, reprise, bare: Some(bare) }
    }

    #[test]
    fn the_table_says_what_is_good_and_what_is_not() {
        let rows = comparison().rows();
        let lost = rows.iter().find(|row| row.what == "lost").unwrap();
        assert_eq!(lost.reprise, Cell { text: "0".to_owned(), good: Some(true) });
        assert_eq!(lost.bare, Some(Cell { text: "2,345".to_owned(), good: Some(false) }));
    }

    #[test]
    fn without_a_bare_run_its_column_is_empty() {
        let alone = Comparison { bare: None, ..comparison() };
        assert!(alone.rows().iter().all(|row| row.bare.is_none()));
        assert_eq!(alone.added_p50_us(), None);
        assert_eq!(comparison().added_p50_us(), Some(500));
    }

    #[test]
    fn goals_are_met_or_missed_by_the_numbers() {
        let mut comparison = comparison();
        assert!(comparison.goals().iter().all(|goal| goal.met), "{:?}", comparison.goals());
        let run = &mut comparison.reprise;
        run.worst_us = 1_100_001;
        run.cut = summary(3001, 9000);
        run.replay = None;
        run.longest_hold_ms = Some(501);
        run.errors.outside_detection = 1;
        assert!(comparison.goals().iter().all(|goal| !goal.met), "{:?}", comparison.goals());
    }

    #[test]
    fn a_refused_link_excuses_no_error_at_all() {
        let mut comparison = comparison();
        comparison.reprise.errors = Errors { writes: 1, ..Errors::default() };
        assert!(comparison.goals()[0].met);
        comparison.setting.cut = "refuse".to_owned();
        assert!(!comparison.goals()[0].met);
    }
}
