//! What a run shows: timeline, table, JSON, HTML. Everything but the real time follows from the
//! scenario alone.

mod chart;
mod figures;
mod html;
mod json;
mod series;
mod table;
mod timeline;
mod verdict;
mod words;

#[cfg(test)]
mod sample;

pub use self::figures::{Figures, Latency, Phase};
pub use self::html::html;
pub use self::json::json;
pub use self::table::table;
pub use self::timeline::timeline;
pub use self::verdict::{Outcome, outcome, sentence, verdict};

use crate::run::Report;
use std::fmt::Write as _;

/// The whole of it for a terminal.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let scenario = &report.scenario;
    let _ = writeln!(text, "{}, seed {}", scenario.name, scenario.seed);
    if !scenario.about.is_empty() {
        let _ = writeln!(text, "{}", scenario.about.trim());
    }
    let _ = write!(text, "\n{}\n{}\n{}", timeline(report), table(report), verdict(report));
    text
}
