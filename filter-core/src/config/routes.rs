//! `routes`: which requests are replicated, and which are closed while the primary is cut off.

use crate::http::without_query;
use protocol::fields::{Fields, Problems};
use serde_json::Value;

/// How requests of a route are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Writes are numbered and replicated.
    #[default]
    Replicated,
    /// As `Replicated`, but writes are refused while the primary is cut off.
    RefusedWhenCut,
    /// Nothing is numbered; the primary alone serves it.
    NotReplicated,
}

#[derive(Debug)]
struct Rule {
    method: Option<String>,
    prefix: String,
    class: Class,
}

/// The rules in their order; the first that matches counts.
#[derive(Debug, Default)]
pub struct Routes(Vec<Rule>);

impl Routes {
    /// The class of a request.
    pub fn class(&self, method: &str, path: &str) -> Class {
        let path = without_query(path);
        let matches =
            |r: &&Rule| r.method.as_deref().is_none_or(|m| m == method) && under(path, &r.prefix);
        self.0.iter().find(matches).map(|r| r.class).unwrap_or_default()
    }
}

/// Whether a path is the prefix or lies below it: `/a` takes `/a` and `/a/b`, not `/ab`.
fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> Routes {
    let path = fields.path("routes");
    let rules = match fields.raw("routes") {
        None => return Routes::default(),
        Some(Value::Array(rules)) => rules,
        Some(_) => {
            problems.add(&path, "expected an array");
            return Routes::default();
        }
    };
    let read =
        |(i, value)| rule(Fields::at(format!("{path}[{i}]"), Some(value), problems), problems);
    Routes(rules.iter().enumerate().map(read).collect())
}

fn rule(mut fields: Fields<'_>, problems: &mut Problems) -> Rule {
    let wanted = fields.required("match", problems);
    let (method, prefix) = match wanted.split_once(' ') {
        Some((method, prefix)) => (Some(method), prefix),
        None => (None, wanted),
    };
    let method_ok =
        method.is_none_or(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()));
    let good = method_ok && prefix.starts_with('/') && !prefix.contains(' ');
    if !good && !wanted.is_empty() {
        let what = format!("expected \"/prefix\" or \"METHOD /prefix\", found \"{wanted}\"");
        problems.add(&fields.path("match"), what);
    }
    let replicate = fields.boolean("replicate", true, problems);
    let refuse = fields.choice("when_cut", &[("refuse", true), ("serve", false)], problems);
    let class = match (replicate, refuse.unwrap_or(false)) {
        (true, false) => Class::Replicated,
        (true, true) => Class::RefusedWhenCut,
        (false, false) => Class::NotReplicated,
        (false, true) => {
            let what = "has no effect beside replicate: false, which the primary alone serves";
            problems.add(&fields.path("when_cut"), what);
            Class::NotReplicated
        }
    };
    fields.finish(problems);
    Rule { method: method.map(str::to_string), prefix: prefix.to_string(), class }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn routes(value: Value) -> (Routes, Vec<String>) {
        let value = json!({ "routes": value });
        let mut problems = Problems::default();
        let routes = read(&mut Fields::root(&value, &mut problems), &mut problems);
        (routes, problems.into_result().err().unwrap_or_default())
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let (routes, problems) = routes(json!([
            {"match": "POST /pay/test"},
            {"match": "POST /pay", "when_cut": "refuse"},
            {"match": "/telemetry", "replicate": false},
        ]));
        assert!(problems.is_empty(), "{problems:?}");
        for (method, path, class) in [
            ("POST", "/pay/test?x=1", Class::Replicated),
            ("POST", "/pay", Class::RefusedWhenCut),
            ("POST", "/pay?x=/telemetry", Class::RefusedWhenCut),
            ("PUT", "/pay", Class::Replicated),
            ("GET", "/telemetry/a", Class::NotReplicated),
            ("POST", "/telemetryx", Class::Replicated),
            ("POST", "/other", Class::Replicated),
        ] {
            assert_eq!(routes.class(method, path), class, "{method} {path}");
        }
    }

    #[test]
    fn a_prefix_of_one_slash_takes_everything() {
        let (routes, _) = routes(json!([{"match": "/", "replicate": false}]));
        assert_eq!(routes.class("GET", "/a/b"), Class::NotReplicated);
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused() {
        let (_, problems) = routes(json!([
            {"match": "post /a"}, {"match": "POST  /a"}, {"match": "a"}, {},
            {"match": "/a", "replicate": false, "when_cut": "refuse"}, 7,
        ]));
        for i in 0..6 {
            assert!(
                problems.iter().any(|p| p.starts_with(&format!("routes[{i}]"))),
                "{i}: {problems:?}"
            );
        }
    }
}
