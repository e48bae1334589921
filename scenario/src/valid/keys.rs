//! Keys of `reprise`'s own configuration in place of the defaults.
//!
//! The filter judges its plugin configurations itself, and says so as it does in Envoy.

use super::Found;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

type Numbers = [(&'static str, RangeInclusive<u64>)];

const DAY_MS: u64 = 86_400_000;

/// As `reprise` itself takes them.
const LOG: &Numbers = &[
    ("takeover_ms", 10..=60_000),
    ("delivery_timeout_ms", 100..=600_000),
    ("delivery_parallel", 1..=4_096),
    ("delivery_per_second", 0..=1_000_000),
    ("handback_hold_ms", 0..=10_000),
    ("mirror_grace_ms", 0..=60_000),
    ("remember_ids_ms", 1_000..=365 * DAY_MS),
    ("remember_ids_bytes", 1 << 16..=1 << 40),
    ("session_idle_ms", 1_000..=365 * DAY_MS),
    ("max_entries", 1_000..=1_000_000_000),
    ("max_bytes", 1 << 16..=1 << 50),
];

const JOURNAL: &Numbers = &[("remember_bytes", 0..=1 << 40)];

pub fn log(map: &Map<String, Value>, found: &mut Found) {
    for key in map.keys() {
        let at = format!("stack.log.{key}");
        match key.as_str() {
            "gateways" => found.add(&at, "follows from stack.gateways: say it there"),
            "mirror" => found.add(&at, "follows from stack.mirror: say it there"),
            "delivery" | "mirror_cluster" | "headers" => {
                found.add(&at, "follows from the stack and cannot be set here");
            }
            _ => {}
        }
    }
    let elsewhere = ["gateways", "mirror", "delivery", "mirror_cluster", "headers"];
    numbers("stack.log", map, LOG, &elsewhere, found);
}

pub fn journal(map: &Map<String, Value>, found: &mut Found) {
    if map.contains_key("replica") {
        found.add("stack.journal.replica", "follows from the site and cannot be set here");
    }
    numbers("stack.journal", map, JOURNAL, &["replica"], found);
}

fn numbers(
    path: &str,
    map: &Map<String, Value>,
    known: &Numbers,
    elsewhere: &[&str],
    found: &mut Found,
) {
    for (key, value) in map {
        let at = format!("{path}.{key}");
        let Some((_, right)) = known.iter().find(|(name, _)| name == key) else {
            if !elsewhere.contains(&key.as_str()) {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                found.add(&at, format!("unknown key; known here: {}", names.join(", ")));
            }
            continue;
        };
        match value.as_u64() {
            Some(number) => found.number(&at, number, right.clone()),
            None => found.add(&at, format!("expected a whole number, 0 or more, is {value}")),
        }
    }
}
