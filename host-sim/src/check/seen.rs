//! What was seen, by session: every checker reads it once.

use super::weak::Weak;
use crate::history::{Ended, History, Kind, Op, Outcome, Run, Session};
use scenario::{ReplicaFault as Replica, Scenario};
use std::collections::BTreeMap;

/// Both replicas.
pub const BOTH: [Replica; 2] = [Replica::Primary, Replica::Secondary];

/// A run with all that is known of it.
pub struct Seen<'a> {
    pub scenario: &'a Scenario,
    pub history: &'a History,
    pub ended: &'a Ended,
    pub sessions: BTreeMap<Session, Of<'a>>,
    pub weak: Weak,
}

/// A session.
#[derive(Default)]
pub struct Of<'a> {
    /// Its writes, by label.
    pub writes: BTreeMap<u32, &'a Op>,
    /// Its answered reads, as they were sent.
    pub reads: Vec<&'a Op>,
    primary: At<'a>,
    secondary: At<'a>,
}

/// A session at a replica.
#[derive(Default)]
pub struct At<'a> {
    /// Its runs, in their order.
    pub runs: Vec<&'a Run>,
    /// Where each label stands in them, the first time.
    pub first: BTreeMap<u32, usize>,
    /// Something ran again when other writes had run, so its state may differ from here on.
    pub late_redo: bool,
}

impl<'a> Seen<'a> {
    pub fn new(scenario: &'a Scenario, history: &'a History, ended: &'a Ended) -> Self {
        let mut sessions: BTreeMap<Session, Of<'a>> = BTreeMap::new();
        for op in &history.ops {
            let of = sessions.entry(op.session).or_default();
            match op.kind {
                Kind::Write { label, .. } => {
                    of.writes.insert(label, op);
                }
                Kind::Read if op.outcome == Outcome::Ok => of.reads.push(op),
                Kind::Read => {}
            }
        }
        for run in &history.runs {
            let of = sessions.entry(run.session).or_default();
            let at = match run.replica {
                Replica::Primary => &mut of.primary,
                Replica::Secondary => &mut of.secondary,
            };
            let again = *at.first.entry(run.label).or_insert(at.runs.len()) < at.runs.len();
            at.late_redo |= again && at.runs.last().is_some_and(|last| last.label != run.label);
            at.runs.push(run);
        }
        Seen { scenario, history, ended, sessions, weak: Weak::new(scenario, ended) }
    }

    /// Whether a shop came to rest, so that what is missing will never come.
    pub fn rests(&self, shop: u32) -> bool {
        let at = usize::try_from(shop).ok().and_then(|shop| self.ended.at_rest_us.get(shop));
        matches!(at, Some(Some(_)))
    }

    /// Whether an acknowledgement at `earlier` precedes what was sent at `later`. In the same
    /// microsecond only a client that has one request under way tells which came first.
    pub fn precedes(&self, earlier: u64, later: u64) -> bool {
        earlier < later || (earlier == later && self.scenario.load.in_flight <= 1)
    }
}

impl<'a> Of<'a> {
    /// What a replica ran of it.
    pub fn at(&self, replica: Replica) -> &At<'a> {
        match replica {
            Replica::Primary => &self.primary,
            Replica::Secondary => &self.secondary,
        }
    }
}

/// Whether and when a request was acknowledged.
pub fn acknowledged(op: &Op) -> Option<u64> {
    op.ended_us.filter(|_| op.outcome == Outcome::Ok)
}

/// Whether a write may be redone.
pub fn idempotent(op: &Op) -> bool {
    matches!(op.kind, Kind::Write { idempotent: true, .. })
}
