//! The result for programs. Fields are added, never renamed; `version` counts what breaks that.

use super::figures::{Figures, Latency, Phase};
use super::verdict::{Outcome, broken, outcome};
use super::{series, timeline};
use crate::check::Promise;
use crate::run::Report;
use serde_json::{Map, Value, json};

/// The result of a run. Times are microseconds of virtual time, except `real_us`.
pub fn json(report: &Report) -> Value {
    let figures = Figures::of(report);
    let ended = &report.ended;
    json!({
        "version": 1,
        "scenario": report.scenario,
        "filter_sha256": report.filter,
        "outcome": match outcome(report) {
            Outcome::Held => "held",
            Outcome::Broken => "broken",
            Outcome::Stalled => "stalled",
        },
        "promises": Promise::ALL.map(|promise| match broken(report, promise) {
            None => json!({"name": promise.name(), "kept": true}),
            Some(found) => json!({
                "name": promise.name(),
                "kept": false,
                "count": found.count,
                "examples": found.examples,
            }),
        }),
        "figures": {
            "requests": figures.requests,
            "acknowledged": figures.acknowledged,
            "sessions": figures.sessions,
            "diverged_sessions": figures.diverged_sessions,
            "client_errors": figures.client_errors,
            "told": figures.told,
            "latency_us": latencies(&figures),
            "worst_us": figures.worst_us,
            "replayed": figures.replayed,
            "drained": figures.drained,
            "drain_us": figures.drain_us,
            "rest_us": figures.rest_us,
        },
        "shops": ended.at_rest_us.iter().zip(&ended.listed).map(|(at_rest, listed)| json!({
            "at_rest_us": at_rest,
            "waiting": listed.waiting,
            "diverged": listed.diverged,
            "conflicts": listed.conflicts,
            "quarantined": listed.quarantined,
        })).collect::<Vec<Value>>(),
        "timeline": timeline::moments(report).iter().map(|moment| json!({
            "at_us": moment.at_us,
            "until_us": moment.until_us,
            "kind": moment.kind,
            "text": moment.text,
            "notes": moment.notes,
            "shops": moment.shops,
        })).collect::<Vec<Value>>(),
        "backlog": series::backlog(report).iter().map(|sample| json!({
            "at_us": sample.at_us,
            "primary": sample.backlog_primary,
            "secondary": sample.backlog_secondary,
            "pinned": sample.pinned,
            "in_doubt": sample.in_doubt,
        })).collect::<Vec<Value>>(),
        "healed_us": ended.healed_us,
        "virtual_us": ended.virtual_us,
        "events": ended.events,
        "real_us": report.real_us,
    })
}

fn latencies(figures: &Figures) -> Map<String, Value> {
    let one = |phase: Phase| {
        let Latency { count, p50_us, p99_us, max_us } = figures.latency.get(&phase)?;
        let value = json!({"count": count, "p50": p50_us, "p99": p99_us, "max": max_us});
        Some((phase.name().to_string(), value))
    };
    Phase::ALL.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_shape_is_the_documented_one() {
        let value = json(&sample::report());
        let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
        let expected = [
            "backlog",
            "events",
            "figures",
            "filter_sha256",
            "healed_us",
            "outcome",
            "promises",
            "real_us",
            "scenario",
            "shops",
            "timeline",
            "version",
            "virtual_us",
        ];
        assert_eq!(keys, expected);
        assert_eq!((&value["version"], &value["outcome"]), (&json!(1), &json!("held")));
        let cut = json!({"count": 1, "p50": 715_000, "p99": 715_000, "max": 715_000});
        assert_eq!(value["figures"]["latency_us"]["cut"], cut);
        assert_eq!(value["timeline"][1]["kind"], "pinned");
        assert_eq!(value["promises"][0], json!({"name": "lost", "kept": true}));
    }

    #[test]
    fn a_broken_promise_has_its_count_and_examples() {
        let value = json(&sample::broken(Promise::Lost, 2));
        assert_eq!(value["outcome"], "broken");
        let example = "shop 0, session 0: write 2 <is> missing";
        let lost = json!({"name": "lost", "kept": false, "count": 2, "examples": [example]});
        assert_eq!(value["promises"][0], lost);
    }

    #[test]
    fn the_scenario_can_be_run_again_from_it() {
        let report = sample::report();
        let again = serde_json::from_value(json(&report)["scenario"].clone());
        assert_eq!(again.ok(), Some(report.scenario));
    }
}
