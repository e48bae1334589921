//! Reads a configuration object field by field and collects every problem instead of the first.
//!
//! Used for the filter's plugin configuration and for `reprise`'s own file, so that both refuse
//! unknown keys, wrong types and values out of range in the same words.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Problems found so far, each with the path of its key.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, path: &str, what: impl std::fmt::Display) {
        self.0.push(if path.is_empty() { what.to_string() } else { format!("{path}: {what}") });
    }

    /// `Ok` if there are none, else all of them.
    pub fn into_result(self) -> Result<(), Vec<String>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// One object being read. Call [`Fields::finish`] when all its keys have been asked for.
pub struct Fields<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
    seen: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// Begins at the root of a configuration.
    pub fn root(value: &'a Value, problems: &mut Problems) -> Self {
        Self::at(String::new(), Some(value), problems)
    }

    /// Begins at a value of an array or object, known by `path`.
    pub fn at(path: String, value: Option<&'a Value>, problems: &mut Problems) -> Self {
        let map = value.and_then(Value::as_object);
        if let (Some(value), None) = (value, map) {
            problems.add(&path, format!("expected an object, found {}", kind(value)));
        }
        Fields { path, map, seen: BTreeSet::new() }
    }

    /// The full path of a key of this object.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// The raw value of a key.
    pub fn raw(&mut self, key: &'static str) -> Option<&'a Value> {
        self.seen.insert(key);
        self.map.and_then(|m| m.get(key))
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|m| m.contains_key(key))
    }

    /// The object under a key; an absent one reads as empty.
    pub fn object(&mut self, key: &'static str, problems: &mut Problems) -> Fields<'a> {
        let path = self.path(key);
        let value = self.raw(key);
        Fields::at(path, value, problems)
    }

    /// A string that is there or not.
    pub fn string(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'a str> {
        let value = self.raw(key)?;
        if value.as_str().is_none() {
            problems.add(&self.path(key), format!("expected a string, found {}", kind(value)));
        }
        value.as_str()
    }

    /// A string that must be there and not be empty.
    pub fn required(&mut self, key: &'static str, problems: &mut Problems) -> &'a str {
        if !self.has(key) {
            self.seen.insert(key);
            problems.add(&self.path(key), "is required");
            return "";
        }
        let value = self.string(key, problems).unwrap_or_default();
        if value.is_empty() && self.raw(key).is_some_and(Value::is_string) {
            problems.add(&self.path(key), "must not be empty");
        }
        value
    }

    /// A whole number within a range.
    pub fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        problems: &mut Problems,
    ) -> u64 {
        let Some(value) = self.raw(key) else { return default };
        match value.as_u64() {
            Some(n) if range.contains(&n) => n,
            _ => {
                let (low, high) = (range.start(), range.end());
                let what = format!("expected a whole number from {low} to {high}, found {value}");
                problems.add(&self.path(key), what);
                default
            }
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, key: &'static str, default: bool, problems: &mut Problems) -> bool {
        let Some(value) = self.raw(key) else { return default };
        value.as_bool().unwrap_or_else(|| {
            problems.add(&self.path(key), format!("expected true or false, found {value}"));
            default
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let value = self.string(key, problems)?;
        let found = choices.iter().find(|(name, _)| *name == value).map(|(_, t)| *t);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let what = format!("expected one of {}, found \"{value}\"", names.join(", "));
            problems.add(&self.path(key), what);
        }
        found
    }

    /// Header names by key, each with its default: in lower case, and no two alike.
    pub fn header_names<const N: usize>(
        &mut self,
        names: [(&'static str, &mut String); N],
        problems: &mut Problems,
    ) {
        let mut seen: Vec<(&str, String)> = Vec::with_capacity(N);
        for (key, name) in names {
            if let Some(value) = self.string(key, problems) {
                header_name(&self.path(key), value, problems);
                *name = value.to_string();
            }
            if let Some((other, _)) = seen.iter().find(|(_, n)| n == name) {
                problems.add(&self.path, format!("{other} and {key} are both \"{name}\""));
            }
            seen.push((key, name.clone()));
        }
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for key in self.map.into_iter().flat_map(Map::keys) {
            if !self.seen.contains(key.as_str()) {
                let known: Vec<_> = self.seen.iter().copied().collect();
                let what = format!("unknown key; known here are {}", known.join(", "));
                problems.add(&self.path(key), what);
            }
        }
    }
}

/// Complains unless it is a header name in lower case (RFC 9110 5.6.2).
pub fn header_name(path: &str, name: &str, problems: &mut Problems) {
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        problems.add(path, format!("expected a header name in lower case, found \"{name}\""));
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
