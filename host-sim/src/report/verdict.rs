//! The verdict, promise by promise.

use super::words::count;
use crate::check::{Broken, Promise};
use crate::run::Report;
use std::fmt::Write as _;

/// How a run is to be taken as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every promise is kept, but for those that the scenario is known to break.
    Held,
    /// A promise is broken.
    Broken,
    /// Every promise is kept so far, but it never came to rest.
    Stalled,
}

/// How a run is to be taken.
pub fn outcome(report: &Report) -> Outcome {
    let broken: Vec<Promise> = report.verdict.broken.iter().map(|b| b.promise).collect();
    match broken.as_slice() {
        [] => Outcome::Held,
        [Promise::Stalled] => Outcome::Stalled,
        _ => Outcome::Broken,
    }
}

/// A promise, as it is made.
pub fn sentence(promise: Promise) -> &'static str {
    match promise {
        Promise::Lost => "Nothing acknowledged is lost",
        Promise::Twice => "Nothing runs twice",
        Promise::Order => "Order holds",
        Promise::Stale => "You read what you wrote",
        Promise::Silent => "Nothing is silent",
        Promise::Noticed => "The client hardly notices",
        Promise::Stalled => "Everything comes to rest",
        Promise::Expected => "It is as this scenario expects",
    }
}

/// What a run broke of a promise.
pub fn broken(report: &Report, promise: Promise) -> Option<&Broken> {
    report.verdict.broken.iter().find(|broken| broken.promise == promise)
}

/// The verdict in words; its last line says it all.
pub fn verdict(report: &Report) -> String {
    let mut text = String::new();
    for promise in Promise::ALL {
        let Some(found) = broken(report, promise) else {
            let _ = writeln!(text, "✓ {}", sentence(promise));
            continue;
        };
        let times = count(found.count);
        let _ = writeln!(text, "✗ {} ({}): {times} ×", sentence(promise), promise.name());
        for example in &found.examples {
            let _ = writeln!(text, "    {example}");
        }
    }
    let names: Vec<&str> = report.verdict.broken.iter().map(|b| b.promise.name()).collect();
    let known = &report.scenario.expect.broken;
    let last = match outcome(report) {
        Outcome::Held if known.is_empty() => "Every promise is kept.".to_string(),
        Outcome::Held => format!("Broken, as is known: {}.", known.join(", ")),
        Outcome::Stalled => "STALLED: it never came to rest.".to_string(),
        Outcome::Broken => format!("BROKEN: {}.", names.join(", ")),
    };
    let _ = writeln!(text, "\n{last}");
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn promises_have_the_names_that_scenarios_use() {
        assert_eq!(Promise::ALL.map(Promise::name), scenario::PROMISES);
    }

    #[test]
    fn a_kept_promise_is_ticked_and_a_broken_one_shows_examples() {
        let text = verdict(&sample::report());
        assert!(
            text.starts_with("✓ Nothing acknowledged is lost\n✓ Nothing runs twice\n"),
            "{text}"
        );
        assert!(text.ends_with("\nEvery promise is kept.\n"), "{text}");
        let text = verdict(&sample::broken(Promise::Lost, 1200));
        let expected = "✗ Nothing acknowledged is lost (lost): 1,200 ×\n    shop 0, session 0: write 2 <is> missing\n✓";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("\nBROKEN: lost.\n"), "{text}");
    }

    #[test]
    fn to_stall_is_worse_than_to_hold_and_better_than_to_break() {
        assert_eq!(outcome(&sample::report()), Outcome::Held);
        let mut report = sample::broken(Promise::Stalled, 1);
        assert_eq!(outcome(&report), Outcome::Stalled);
        report.verdict.broken.extend(sample::broken(Promise::Twice, 1).verdict.broken);
        assert_eq!(outcome(&report), Outcome::Broken);
    }

    #[test]
    fn a_canary_is_not_said_to_keep_every_promise() {
        let mut report = sample::report();
        report.scenario.expect.broken = vec!["lost".into()];
        assert!(verdict(&report).ends_with("\nBroken, as is known: lost.\n"));
    }
}
