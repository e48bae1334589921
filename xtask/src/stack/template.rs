//! Fills in the configurations under `envoy-configs/`, which run as they stand and are templates
//! too. Understands two kinds of marked line and no YAML:
//!
//! - `key: scalar  # @name`: the scalar is replaced by the value called `name`;
//! - `key: |  # @json name`: the deeper-indented lines below are one JSON object, and the object
//!   called `name` is merged into it.
//!
//! A marker that nobody fills, and a value that has no marker, are errors: a template and its
//! renderer cannot drift apart in silence.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value};

/// What goes into a template.
#[derive(Debug, Default, Clone)]
pub struct Values {
    scalars: BTreeMap<&'static str, String>,
    objects: BTreeMap<&'static str, Map<String, Value>>,
}

impl Values {
    /// A string, written quoted.
    pub fn text(&mut self, name: &'static str, value: impl ToString) -> &mut Self {
        let quoted = Value::String(value.to_string()).to_string();
        self.scalars.insert(name, quoted);
        self
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str, value: u64) -> &mut Self {
        self.scalars.insert(name, value.to_string());
        self
    }

    /// A duration in milliseconds, written in seconds as Envoy wants it.
    pub fn millis(&mut self, name: &'static str, ms: u64) -> &mut Self {
        self.scalars.insert(name, seconds(ms));
        self
    }

    /// An object that is merged into the template's own.
    pub fn object(&mut self, name: &'static str, object: Map<String, Value>) -> &mut Self {
        self.objects.insert(name, object);
        self
    }
}

/// Milliseconds as Envoy writes a duration: `0.125s`.
pub fn seconds(ms: u64) -> String {
    format!("{}.{:03}s", ms / 1000, ms % 1000)
}

enum Marker<'a> {
    Scalar { before: &'a str, name: &'a str },
    Object { kept: &'a str, name: &'a str },
}

/// Fills `template` in. The error names the line.
pub fn render(template: &str, values: &Values) -> Result<String> {
    let mut out = String::with_capacity(template.len());
    let mut used = BTreeSet::new();
    let mut lines = template.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let at = || format!("line {}: {}", index + 1, line.trim());
        match marker(line).with_context(at)? {
            None => push(&mut out, line),
            Some(Marker::Scalar { before, name }) => {
                let value = values.scalars.get(name);
                let value = value.ok_or_else(|| anyhow!("no value for @{name}"));
                push(&mut out, &format!("{before}{}", value.with_context(at)?));
                used.insert(name.to_owned());
            }
            Some(Marker::Object { kept, name }) => {
                push(&mut out, kept);
                let depth = indent(line);
                let mut body = Vec::new();
                while let Some((_, next)) =
                    lines.next_if(|(_, l)| l.trim().is_empty() || indent(l) > depth)
                {
                    body.push(next);
                }
                let more = values.objects.get(name);
                let more = more.ok_or_else(|| anyhow!("no object for @json {name}"));
                let merged = merged(&body.join("\n"), more.with_context(at)?).with_context(at)?;
                let margin = " ".repeat(depth + 2);
                for line in serde_json::to_string_pretty(&merged)?.lines() {
                    push(&mut out, &format!("{margin}{line}"));
                }
                used.insert(name.to_owned());
            }
        }
    }
    let given = values.scalars.keys().chain(values.objects.keys());
    let unused: Vec<_> = given.filter(|name| !used.contains(**name)).collect();
    if !unused.is_empty() {
        bail!("the template has no marker for {unused:?}");
    }
    Ok(out)
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn marker(line: &str) -> Result<Option<Marker<'_>>> {
    // Prose about markers, in a comment of its own line, is not a marker.
    if line.trim_start().starts_with('#') {
        return Ok(None);
    }
    let Some((kept, name)) = line.split_once("# @") else {
        return Ok(None);
    };
    let kept = kept.trim_end();
    if let Some(name) = name.strip_prefix("json ") {
        if !kept.ends_with(": |") {
            bail!("a @json marker stands on a line that ends in `: |`");
        }
        return Ok(Some(Marker::Object { kept, name: name.trim() }));
    }
    let value_at = kept.rfind(": ").map(|at| at + 2);
    let (before, value) = value_at
        .and_then(|at| kept.split_at_checked(at))
        .ok_or_else(|| anyhow!("a marker stands on a line `key: scalar`"))?;
    if value.is_empty() || value.contains(['{', '}', '[', ']', ' ', '&', '*']) {
        bail!("{value:?} is not a plain scalar");
    }
    Ok(Some(Marker::Scalar { before, name: name.trim() }))
}

fn merged(own: &str, more: &Map<String, Value>) -> Result<Map<String, Value>> {
    let mut own: Map<String, Value> =
        serde_json::from_str(own).context("the block is not a JSON object")?;
    merge(&mut own, more);
    Ok(own)
}

/// Merges objects in depth; everything else is replaced. `session` is a choice of one, so it is
/// replaced as a whole.
pub fn merge(into: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if key != "session" => merge(old, new),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
