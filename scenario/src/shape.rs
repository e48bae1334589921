//! Whether the keys and the kinds of their values are those of a scenario.
//!
//! Every key is tried by itself, in a scenario that is otherwise right, so that each one that does
//! not fit is found, and none hides another.

use crate::{Expect, Fault, Load, Methods, Normal, Problem, Scenario, Stack};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The scenario, with something harmless in place of what does not fit, and what does not fit.
pub fn fit(value: &Value) -> (Option<Scenario>, Vec<Problem>) {
    let mut found = Vec::new();
    let Some(given) = value.as_object() else {
        let what = format!("expected the keys of a scenario, found {}", kind(value));
        return (None, vec![Problem::new("", what)]);
    };
    let mut fitting = given.clone();
    let load = json!({"sessions": 1, "writes_per_second": 1});
    if let Some(load) = fitting.get_mut("load").and_then(Value::as_object_mut) {
        section::<Methods>(load, "methods", "load.methods", &Value::Null, &mut found);
    }
    section::<Stack>(&mut fitting, "stack", "stack", &Value::Null, &mut found);
    section::<Load>(&mut fitting, "load", "load", &load, &mut found);
    section::<Normal>(&mut fitting, "normal", "normal", &Value::Null, &mut found);
    section::<Expect>(&mut fitting, "expect", "expect", &Value::Null, &mut found);
    faults(&mut fitting, &mut found);
    let least = json!({"name": "x", "duration_ms": crate::valid::DURATION_MS, "load": load});
    let whole = keys::<Scenario>("", &fitting, &least, &mut found);
    (serde_json::from_value(whole).ok(), found)
}

/// The part of a path whose values are judged together: a fault, or a key.
pub fn unit(path: &str) -> &str {
    match path.find(']') {
        Some(end) if path.starts_with("faults[") => &path[..=end],
        _ => path,
    }
}

/// Fits what stands under a key; where it has no keys, that is found with the key itself.
fn section<T: DeserializeOwned>(
    around: &mut Map<String, Value>,
    name: &str,
    path: &str,
    least: &Value,
    found: &mut Vec<Problem>,
) {
    if let Some(Value::Object(given)) = around.get(name) {
        let fitting = keys::<T>(path, given, least, found);
        around.insert(name.to_string(), fitting);
    }
}

fn faults(scenario: &mut Map<String, Value>, found: &mut Vec<Problem>) {
    let Some(Value::Array(list)) = scenario.get_mut("faults") else { return };
    let least = json!({"at_ms": 0, "what": "reset"});
    for (n, fault) in list.iter_mut().enumerate() {
        let at = format!("faults[{n}]");
        match fault.as_object() {
            Some(given) => *fault = keys::<Fault>(&at, given, &least, found),
            None => {
                found.push(Problem::new(
                    at,
                    format!("expected the keys of a fault, found {}", kind(fault)),
                ));
                *fault = least.clone();
            }
        }
    }
}

/// Tries each key; the answer has those that fit, and of `least` what is then missing.
fn keys<T: DeserializeOwned>(
    path: &str,
    given: &Map<String, Value>,
    least: &Value,
    found: &mut Vec<Problem>,
) -> Value {
    let least = least.as_object().cloned().unwrap_or_default();
    let dot = if path.is_empty() { "" } else { "." };
    let mut fitting = least.clone();
    for (key, value) in given {
        let mut one = least.clone();
        one.insert(key.clone(), value.clone());
        match serde_json::from_value::<T>(Value::Object(one)) {
            Ok(_) => {
                fitting.insert(key.clone(), value.clone());
            }
            Err(error) => found.push(Problem::new(format!("{path}{dot}{key}"), words(&error))),
        }
    }
    let missing = least.keys().filter(|key| !given.contains_key(*key));
    found.extend(missing.map(|key| Problem::new(format!("{path}{dot}{key}"), "is required")));
    Value::Object(fitting)
}

/// What serde says, in the words of a file.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if let Some((found, _)) = text.split_once(", expected struct") {
        return format!("{found}, expected keys");
    }
    text.replace("unknown field", "unknown key")
        .replace("unknown variant", "unknown value")
        .replace("expected u64", "expected a whole number, 0 or more")
        .replace("expected u32", "expected a whole number, 0 or more")
        .replace("expected i64", "expected a whole number")
        .replace("expected f64", "expected a number")
        .replace("expected a sequence", "expected a list")
        .replace("an array of length 2", "the least and the most, as [1, 5]")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "keys",
    }
}
