//! The result as text for a terminal.

use std::fmt::Write as _;

use crate::{
    compare::{Cell, Comparison},
    format::{count, duration_us, moment},
    run::Run,
};

/// The timeline of a run, one line per moment.
#[must_use]
pub fn timeline(title: &str, run: &Run) -> String {
    let mut text = format!("{title}\n");
    for at in &run.moments {
        let line = format!("{:>10}  {:<14}{}", moment(at.at_ms), at.what, at.detail);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The table, Reprise beside bare Envoy, with what it means below.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    let rows = comparison.rows();
    line(&mut text, "", "Reprise  ", comparison.bare.as_ref().map(|_| "bare Envoy  "));
    for row in &rows {
        line(&mut text, row.what, &mark(&row.reprise), row.bare.as_ref().map(mark).as_deref());
    }
    if let Some(added) = comparison.added_p50_us() {
        let sign = if added < 0 { "−" } else { "+" };
        let _ = writeln!(
            text,
            "\nmedian of a write while connected, against bare Envoy: {sign}{}",
            duration_us(added.unsigned_abs())
        );
    }
    for (title, run) in
        [("Reprise", Some(&comparison.reprise)), ("bare Envoy", comparison.bare.as_ref())]
    {
        for (kind, number) in run.iter().flat_map(|run| &run.errors.kinds) {
            let _ = writeln!(text, "{title}: clients were told {} × {kind}", count(*number));
        }
    }
    let _ = writeln!(text, "\ngoals (Reprise, on this machine)");
    for goal in comparison.goals() {
        let sign = if goal.met { "✓" } else { "✗" };
        let _ = writeln!(text, "  {sign} {}: {}", goal.what, goal.measured);
    }
    let broken = comparison.broken();
    if broken.is_empty() {
        text.push_str("\nEvery promise is kept.\n");
        return text;
    }
    let _ = writeln!(text, "\nBROKEN: {}", broken.join(", "));
    for example in &comparison.reprise.verdict.examples {
        let _ = writeln!(text, "  {example}");
    }
    text
}

fn mark(cell: &Cell) -> String {
    match cell.good {
        Some(false) => format!("{} ✗", cell.text),
        Some(true) => format!("{} ✓", cell.text),
        None => format!("{}  ", cell.text),
    }
}

fn line(text: &mut String, what: &str, reprise: &str, bare: Option<&str>) {
    let line = format!("{what:<32}{reprise:>16}{:>16}", bare.unwrap_or_default());
    let _ = writeln!(text, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare::Setting, run::Moment};

    #[test]
    fn the_columns_stand_under_each_other() {
        let comparison = Comparison { bare: Some(Run::default()), ..Comparison::default() };
        let text = table(&comparison);
        let lines: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(
            lines,
            [
                "                                       Reprise      bare Envoy",
                "acknowledged writes                          0               0",
                "lost                                         0 ✓             0 ✓",
            ]
        );
    }

    #[test]
    fn a_broken_promise_is_the_last_word_with_its_examples() {
        let mut comparison = Comparison { setting: Setting::default(), ..Comparison::default() };
        comparison.reprise.verdict.acknowledged = 5;
        comparison.reprise.drained = true;
        assert!(table(&comparison).ends_with("Every promise is kept.\n"));
        comparison.reprise.verdict.lost = 1;
        comparison.reprise.verdict.examples.push("s1: s1-3 is missing".to_owned());
        let text = table(&comparison);
        assert!(
            text.ends_with("BROKEN: 1 acknowledged writes lost\n  s1: s1-3 is missing\n"),
            "{text}"
        );
    }

    #[test]
    fn the_timeline_has_a_line_per_moment() {
        let moments =
            vec![Moment { at_ms: 6012, what: "cut", detail: "the link fails".to_owned() }];
        let run = Run { moments, ..Run::default() };
        assert_eq!(
            timeline("Reprise", &run),
            "Reprise\n    6.01 s  cut           the link fails\n"
        );
    }
}
