//! Line charts over time, as SVG. Colours come from the page's style sheet, by class.

use std::fmt::Write as _;

use crate::{format, run::Run};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 30.0;

/// The bounds of the latency axis in microseconds; what is faster or slower stands at its edge.
const LATENCY_US: (f64, f64) = (300.0, 20_000_000.0);

/// Time from left to right, values from the bottom up.
struct Chart {
    svg: String,
    height: f64,
    end_ms: f64,
}

impl Chart {
    fn new(label: &str, height: f64, end_ms: u64) -> Self {
        let mut svg = String::new();
        let _ =
            write!(svg, r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">"#);
        Self { svg, height, end_ms: end_ms.max(1) as f64 }
    }

    fn x(&self, at_ms: u64) -> f64 {
        LEFT + (at_ms as f64 / self.end_ms).min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// `part` of the way up, from 0 to 1.
    fn y(&self, part: f64) -> f64 {
        self.height - BOTTOM - part.clamp(0.0, 1.0) * (self.height - TOP - BOTTOM)
    }

    fn put(&mut self, svg: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.svg.write_fmt(svg);
    }

    /// The shaded cut and the seconds below.
    fn frame(&mut self, run: &Run) {
        let (from, to) = (self.x(run.times.cut_ms), self.x(run.times.heal_ms));
        let (top, bottom) = (self.y(1.0), self.y(0.0));
        self.put(format_args!(
            r#"<rect class="cut" x="{from:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/>"#,
            to - from,
            bottom - top
        ));
        self.put(format_args!(
            r#"<text class="cut-name" x="{:.1}" y="{:.1}" text-anchor="middle">link cut</text>"#,
            f64::midpoint(from, to),
            top + 14.0
        ));
        let seconds = self.end_ms / 1000.0;
        let step = [1_u32, 2, 5, 10, 30, 60, 300, 900]
            .into_iter()
            .find(|step| seconds / f64::from(*step) <= 14.0);
        let step = u64::from(step.unwrap_or(3600));
        for second in (0..=seconds as u64).step_by(step as usize) {
            let x = self.x(second * 1000);
            self.put(format_args!(
                r#"<text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{second} s</text>"#,
                bottom + 18.0
            ));
        }
    }

    fn grid(&mut self, part: f64, name: &str) {
        let (y, right) = (self.y(part), WIDTH - RIGHT);
        self.put(format_args!(
            r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#,
            LEFT - 8.0,
            y + 4.0
        ));
    }

    fn line(&mut self, class: &str, points: impl Iterator<Item = (u64, f64)>) {
        let mut path = String::new();
        for (at_ms, part) in points {
            let sign = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{sign}{:.1} {:.1}", self.x(at_ms), self.y(part));
        }
        self.put(format_args!(r#"<path class="{class}" d="{path}"/>"#));
    }

    /// Names of the lines, from the right, above the chart.
    fn legend(&mut self, names: &[(&str, &str)]) {
        let mut x = WIDTH - RIGHT;
        for (class, name) in names.iter().rev() {
            self.put(format_args!(
                r#"<text class="tick" x="{x:.1}" y="14" text-anchor="end">{name}</text>"#
            ));
            x -= name.chars().count() as f64 * 5.9 + 6.0;
            self.put(format_args!(r#"<path class="{class}" d="M{:.1} 10L{x:.1} 10"/>"#, x - 16.0));
            x -= 30.0;
        }
    }

    /// The moments of the timeline, as lines with a hint.
    fn moments(&mut self, run: &Run) {
        let (top, bottom) = (self.y(1.0), self.y(0.0));
        for moment in &run.moments {
            let x = self.x(moment.at_ms);
            let (what, at) = (moment.what, format::moment(moment.at_ms));
            self.put(format_args!(
                r#"<line class="moment" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"><title>{at}: {what}</title></line>"#
            ));
        }
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// Latency over time, logarithmic, with a mark wherever clients met errors.
pub fn latency(title: &str, run: &Run, end_ms: u64) -> String {
    let mut chart = Chart::new(&format!("latency over time, {title}"), 260.0, end_ms);
    chart.frame(run);
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
    chart.moments(run);
    let buckets = &run.buckets;
    chart.line("max", buckets.iter().map(|bucket| (bucket.at_ms, part(bucket.latency.max_us))));
    chart.line("p99", buckets.iter().map(|bucket| (bucket.at_ms, part(bucket.latency.p99_us))));
    chart.line("p50", buckets.iter().map(|bucket| (bucket.at_ms, part(bucket.latency.p50_us))));
    for bucket in buckets.iter().filter(|bucket| bucket.errors > 0) {
        let (x, y) = (chart.x(bucket.at_ms), chart.y(part(bucket.latency.max_us)));
        chart.put(format_args!(
            r#"<circle class="error" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{}: {} client errors</title></circle>"#,
            format::moment(bucket.at_ms),
            bucket.errors
        ));
    }
    chart.legend(&[
        ("p50", "p50"),
        ("p99", "p99"),
        ("max", "max"),
        ("error-line", "client errors"),
    ]);
    chart.end()
}

/// The writes that wait for each replica over time.
pub fn backlog(run: &Run, end_ms: u64) -> String {
    let mut chart = Chart::new("backlog over time", 220.0, end_ms);
    chart.frame(run);
    let most = run
        .samples
        .iter()
        .map(|sample| sample.backlog_primary.max(sample.backlog_secondary))
        .max()
        .unwrap_or(0);
    let step = step(most);
    let top = (most.div_ceil(step) * step).max(1);
    for value in (0..=top).step_by(step as usize) {
        chart.grid(value as f64 / top as f64, &format::count(value));
    }
    chart.moments(run);
    let part = |value: u64| value as f64 / top as f64;
    chart.line(
        "secondary",
        run.samples.iter().map(|sample| (sample.at_ms, part(sample.backlog_secondary))),
    );
    chart.line(
        "primary",
        run.samples.iter().map(|sample| (sample.at_ms, part(sample.backlog_primary))),
    );
    chart.legend(&[
        ("primary", "waiting for the primary"),
        ("secondary", "waiting for the secondary"),
    ]);
    chart.end()
}

/// 1, 2 or 5 times a power of ten, so that about five steps reach `most`.
fn step(most: u64) -> u64 {
    let mut power = 1;
    loop {
        for step in [1, 2, 5] {
            if most <= power * step * 5 {
                return power * step;
            }
        }
        power *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_an_axis_are_round_and_few() {
        assert_eq!([0, 5, 6, 11, 26, 1999, 2501].map(step), [1, 1, 2, 5, 10, 500, 1000]);
    }

    #[test]
    fn values_beyond_the_axes_stay_within_the_chart() {
        let chart = Chart::new("x", 200.0, 1000);
        assert!((chart.x(5000) - (WIDTH - RIGHT)).abs() < 0.01);
        assert!((chart.y(7.0) - TOP).abs() < 0.01);
        assert!((chart.y(-1.0) - (200.0 - BOTTOM)).abs() < 0.01);
    }
}
