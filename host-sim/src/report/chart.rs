//! Lines over time, as SVG. Colours come from the page's style sheet, by class.

use super::figures::Windows;
use super::words::{count, moment};
use super::{series, words};
use crate::history::Micros;
use crate::run::Report;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 30.0;

/// The bounds of the latency axis; what is faster or slower stands at its edge.
const LATENCY_US: (f64, f64) = (300.0, 60_000_000.0);
/// More bands than this would be one band.
const BANDS: usize = 400;

/// Time from left to right, values from the bottom up.
struct Chart {
    svg: String,
    end_us: f64,
}

impl Chart {
    fn new(label: &str, report: &Report) -> Self {
        let svg =
            format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">"#);
        let mut chart = Self { svg, end_us: report.ended.virtual_us.max(1) as f64 };
        chart.bands(report);
        chart.ticks(report.ended.virtual_us);
        chart
    }

    fn x(&self, at: Micros) -> f64 {
        LEFT + (at as f64 / self.end_us).min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// `part` of the way up, from 0 to 1.
    fn y(part: f64) -> f64 {
        HEIGHT - BOTTOM - part.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn put(&mut self, svg: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.svg.write_fmt(svg);
    }

    /// Shades where something is broken; the same at many shops is one band.
    fn bands(&mut self, report: &Report) {
        let windows = Windows::of(report);
        let bands: BTreeSet<(Micros, Micros)> =
            windows.all().iter().map(|(_, from, to)| (*from, *to)).collect();
        for (from, to) in bands.into_iter().take(BANDS) {
            let (left, wide) = (self.x(from), (self.x(to) - self.x(from)).max(0.5));
            let (top, tall) = (Self::y(1.0), Self::y(0.0) - Self::y(1.0));
            let (from, to) = (moment(from), moment(to));
            self.put(format_args!(
                r#"<rect class="cut" x="{left:.1}" y="{top:.1}" width="{wide:.1}" height="{tall:.1}"><title>broken from {from} to {to}</title></rect>"#
            ));
        }
    }

    fn ticks(&mut self, end: Micros) {
        let seconds = end / 1_000_000;
        let steps = [1_u64, 2, 5, 10, 30, 60, 300, 900, 3_600, 7_200, 14_400, 86_400];
        let step = steps.into_iter().find(|step| seconds / step <= 12).unwrap_or(86_400);
        for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let (x, y) = (self.x(second * 1_000_000), Self::y(0.0) + 18.0);
            let name = match second {
                0..600 => format!("{second} s"),
                _ => format!("{}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60),
            };
            self.put(format_args!(
                r#"<text class="tick" x="{x:.1}" y="{y:.1}" text-anchor="middle">{name}</text>"#
            ));
        }
    }

    fn grid(&mut self, part: f64, name: &str) {
        let (y, right) = (Self::y(part), WIDTH - RIGHT);
        let (end, below) = (LEFT - 8.0, y + 4.0);
        self.put(format_args!(
            r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/><text class="tick" x="{end}" y="{below:.1}" text-anchor="end">{name}</text>"#
        ));
    }

    fn line(&mut self, class: &str, points: impl Iterator<Item = (Micros, f64)>) {
        let mut path = String::new();
        for (at, part) in points {
            let sign = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{sign}{:.1} {:.1}", self.x(at), Self::y(part));
        }
        self.put(format_args!(r#"<path class="{class}" d="{path}"/>"#));
    }

    /// Names of the lines, from the right, above the chart.
    fn legend(mut self, names: &[(&str, &str)]) -> String {
        let mut x = WIDTH - RIGHT;
        for (class, name) in names.iter().rev() {
            self.put(format_args!(
                r#"<text class="tick" x="{x:.1}" y="14" text-anchor="end">{name}</text>"#
            ));
            x -= name.chars().count() as f64 * 5.9 + 6.0;
            let from = x - 16.0;
            self.put(format_args!(r#"<path class="{class}" d="M{from:.1} 10L{x:.1} 10"/>"#));
            x -= 30.0;
        }
        self.svg + "</svg>"
    }
}

/// Latency over time, logarithmic, with a mark wherever requests failed.
pub fn latency(report: &Report) -> String {
    let mut chart = Chart::new("latency over time", report);
    let (low, high) = (LATENCY_US.0.ln(), LATENCY_US.1.ln());
    let part = |us: u64| ((us.max(1) as f64).ln() - low) / (high - low);
    for (us, name) in [
        (1_000, "1 ms"),
        (10_000, "10 ms"),
        (100_000, "100 ms"),
        (1_000_000, "1 s"),
        (10_000_000, "10 s"),
    ] {
        chart.grid(part(us), name);
    }
    let steps = series::latency(report);
    chart.line("max", steps.iter().map(|step| (step.at_us, part(step.latency.max_us))));
    chart.line("p99", steps.iter().map(|step| (step.at_us, part(step.latency.p99_us))));
    chart.line("p50", steps.iter().map(|step| (step.at_us, part(step.latency.p50_us))));
    for step in steps.iter().filter(|step| step.errors > 0) {
        let (x, y) = (chart.x(step.at_us), Chart::y(part(step.latency.max_us)));
        let (at, errors) = (moment(step.at_us), words::some(step.errors, "failed request"));
        chart.put(format_args!(
            r#"<circle class="error" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{at}: {errors}</title></circle>"#
        ));
    }
    chart.legend(&[("p50", "p50"), ("p99", "p99"), ("max", "max"), ("error-line", "failed")])
}

/// What waits for each replica, and the pinned sessions, over time.
pub fn backlog(report: &Report) -> String {
    let mut chart = Chart::new("backlog and pinned sessions over time", report);
    let samples = series::backlog(report);
    let highest =
        |s: &crate::history::Sample| s.backlog_primary.max(s.backlog_secondary).max(s.pinned);
    let most = samples.iter().map(highest).max().unwrap_or(0);
    let step = step(most);
    let top = (most.div_ceil(step) * step).max(1);
    for value in (0..=top).step_by(usize::try_from(step).unwrap_or(1)) {
        chart.grid(value as f64 / top as f64, &count(value));
    }
    let part = |value: u64| value as f64 / top as f64;
    chart.line("pinned", samples.iter().map(|s| (s.at_us, part(s.pinned))));
    chart.line("secondary", samples.iter().map(|s| (s.at_us, part(s.backlog_secondary))));
    chart.line("primary", samples.iter().map(|s| (s.at_us, part(s.backlog_primary))));
    chart.legend(&[
        ("primary", "writes for the primary"),
        ("secondary", "writes for the secondary"),
        ("pinned", "pinned sessions"),
    ])
}

/// 1, 2 or 5 times a power of ten, so that about five steps reach `most`.
fn step(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5] {
            if most <= power.saturating_mul(step * 5) {
                return power.saturating_mul(step);
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_steps_of_an_axis_are_round_and_few() {
        assert_eq!([0, 5, 6, 11, 26, 1999, 2501].map(step), [1, 1, 2, 5, 10, 500, 1000]);
        assert!(step(u64::MAX) > 0);
    }

    #[test]
    fn faults_are_shaded_and_failures_marked() {
        let report = sample::report();
        assert!(latency(&report).contains("<title>broken from 1.00 s to 4.00 s</title>"));
        assert!(latency(&report).contains(": 1 failed request</title>"));
        assert!(backlog(&report).contains(r#"<path class="pinned" d="M"#));
    }

    #[test]
    fn the_chart_of_a_week_is_no_larger_than_that_of_a_minute() {
        let mut report = sample::report();
        report.ended.virtual_us = 7 * 86_400_000_000;
        let (op, sample) = (report.history.ops[0].clone(), report.history.samples[1]);
        let at = |n: u64| n * 6_048_000;
        report.history.ops =
            (0..100_000).map(|n| crate::history::Op { sent_us: at(n), ..op.clone() }).collect();
        report.history.samples =
            (0..100_000).map(|n| crate::history::Sample { at_us: at(n), ..sample }).collect();
        assert!(latency(&report).len() < 20_000 && backlog(&report).len() < 20_000);
    }
}
