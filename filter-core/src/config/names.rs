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
        fields.header_names(
            [("stamp", stamp), ("word", word), ("route", route), ("id", id), ("time", time)],
            problems,
        );
        fields.finish(problems);
        names
    }
}
