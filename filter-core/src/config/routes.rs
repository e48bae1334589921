//! `routes`: what is so for which requests. At a gateway: which are replicated, and which are
//! closed while the primary is cut off.

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

/// Which requests a rule is about.
#[derive(Debug)]
struct Match {
    method: Option<String>,
    prefix: String,
}

impl Match {
    fn takes(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|m| m == method) && under(path, &self.prefix)
    }
}

/// What is so for which requests: rules in their order; the first that matches counts.
#[derive(Debug)]
pub struct Routes<T>(Vec<(Match, T)>);

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Routes(Vec::new())
    }
}

impl<T: Copy> Routes<T> {
    /// What is so for a request; `None` if no rule matches.
    pub fn of(&self, method: &str, path: &str) -> Option<T> {
        let path = without_query(path);
        self.0.iter().find(|(wanted, _)| wanted.takes(method, path)).map(|(_, what)| *what)
    }
}

/// Whether a path is the prefix or lies below it: `/a` takes `/a` and `/a/b`, not `/ab`.
fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// Reads `routes`; `what` reads what a rule has beside its `match`.
pub(super) fn read<T>(
    fields: &mut Fields<'_>,
    problems: &mut Problems,
    what: impl Fn(&mut Fields<'_>, &mut Problems) -> T,
) -> Routes<T> {
    let path = fields.path("routes");
    let rules = match fields.raw("routes") {
        None => return Routes::default(),
        Some(Value::Array(rules)) => rules,
        Some(_) => {
            problems.add(&path, "expected an array");
            return Routes::default();
        }
    };
    let rule = |(i, value)| {
        let mut fields = Fields::at(format!("{path}[{i}]"), Some(value), problems);
        let rule = (wanted(&mut fields, problems), what(&mut fields, problems));
        fields.finish(problems);
        rule
    };
    Routes(rules.iter().enumerate().map(rule).collect())
}

fn wanted(fields: &mut Fields<'_>, problems: &mut Problems) -> Match {
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
    Match { method: method.map(str::to_string), prefix: prefix.to_string() }
}

/// Of a gateway's route: its class.
pub(super) fn class(fields: &mut Fields<'_>, problems: &mut Problems) -> Class {
    let replicate = fields.boolean("replicate", true, problems);
    let refuse = fields.choice("when_cut", &[("refuse", true), ("serve", false)], problems);
    match (replicate, refuse.unwrap_or(false)) {
        (true, false) => Class::Replicated,
        (true, true) => Class::RefusedWhenCut,
        (false, false) => Class::NotReplicated,
        (false, true) => {
            let what = "has no effect beside replicate: false, which the primary alone serves";
            problems.add(&fields.path("when_cut"), what);
            Class::NotReplicated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn routes(value: Value) -> (Routes<Class>, Vec<String>) {
        let value = json!({ "routes": value });
        let mut problems = Problems::default();
        let routes = read(&mut Fields::root(&value, &mut problems), &mut problems, class);
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
            ("POST", "/pay/test?x=1", Some(Class::Replicated)),
            ("POST", "/pay", Some(Class::RefusedWhenCut)),
            ("POST", "/pay?x=/telemetry", Some(Class::RefusedWhenCut)),
            ("PUT", "/pay", None),
            ("GET", "/telemetry/a", Some(Class::NotReplicated)),
            ("POST", "/telemetryx", None),
            ("POST", "/other", None),
        ] {
            assert_eq!(routes.of(method, path), class, "{method} {path}");
        }
    }

    #[test]
    fn a_prefix_of_one_slash_takes_everything() {
        let (routes, _) = routes(json!([{"match": "/", "replicate": false}]));
        assert_eq!(routes.of("GET", "/a/b"), Some(Class::NotReplicated));
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
