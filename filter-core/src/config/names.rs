//! `headers`: what our headers are called.

use protocol::fields::{Fields, Problems};
use protocol::names;

/// Names of our headers, lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Request: the stamp.
    pub stamp: String,
    /// Response: the guard's word.
    pub word: String,
    /// Request: steers routes.
    pub route: String,
    /// Request: the write's id, for the service.
    pub id: String,
    /// Request: the write's original time, for the service.
    pub time: String,
}

impl Default for Names {
    fn default() -> Self {
        Names {
            stamp: names::STAMP.into(),
            word: names::WORD.into(),
            route: names::ROUTE.into(),
            id: names::ID.into(),
            time: names::TIME.into(),
        }
    }
}

impl Names {
    /// Whether a header is ours, so that nobody else may send it.
    pub fn is_ours(&self, name: &str) -> bool {
        name.starts_with(names::PREFIX)
            || [&self.stamp, &self.word, &self.route, &self.id, &self.time]
                .iter()
                .any(|n| *n == name)
    }

    pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> Names {
        let mut fields = fields.object("headers", problems);
        let mut names = Names::default();
        let Names { stamp, word, route, id, time } = &mut names;
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (key, name) in
            [("stamp", stamp), ("word", word), ("route", route), ("id", id), ("time", time)]
        {
            if let Some(value) = fields.string(key, problems) {
                check(&fields.path(key), value, problems);
                *name = value.to_string();
            }
            let name: &str = name;
            if let Some((other, _)) = seen.iter().find(|(_, n)| *n == name) {
                problems.add("headers", format!("{other} and {key} are both \"{name}\""));
            }
            seen.push((key, name));
        }
        fields.finish(problems);
        names
    }
}

/// Complains unless it is a header name in lower case (RFC 9110 5.6.2).
pub(super) fn check(path: &str, name: &str, problems: &mut Problems) {
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        problems.add(path, format!("expected a header name in lower case, found \"{name}\""));
    }
}
