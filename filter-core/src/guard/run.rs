//! The table of runs: every write between its `begin` and the journal's note of its outcome.
//!
//! A run outlives its exchange once it is dispatched, and outlives the stream until the journal
//! has noted it.

use crate::effects::Exchange;
use crate::http::Header;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::pb;
use protocol::stamp::WriteStamp;
use std::collections::BTreeMap;

/// How far a run has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// The journal is asked, or will be as soon as there is a stream.
    Asking { begin: Box<pb::Begin>, headers: Vec<Header>, body: Vec<u8>, sent_ms: Option<u64> },
    /// The journal was asked and its exchange has left; a grant may still come.
    Left,
    /// Granted and on its way to the service.
    Dispatched { forced: bool },
    /// Its outcome is known here, not yet noted by the journal.
    Finished { outcome: Box<pb::Outcome>, answer: Answer, sent_ms: Option<u64> },
}

/// What the exchange gets once the outcome is noted.
#[derive(Debug)]
pub(super) enum Answer {
    /// The service's response.
    Ran { forced: bool, response: pb::Response },
    /// A refusal, complete.
    TurnedBack(Reply),
}

/// One write.
#[derive(Debug)]
pub(super) struct Run {
    /// `None` when nobody waits any more.
    pub(super) exchange: Option<Exchange>,
    pub(super) stamp: WriteStamp,
    /// When its exchange is answered without it, or when a left one is forgotten.
    pub(super) deadline_ms: u64,
    pub(super) stage: Stage,
}

/// All runs by token.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: BTreeMap<u64, Run>,
    bytes: usize,
}

fn size(stage: &Stage) -> usize {
    match stage {
        Stage::Asking { body, .. } => body.len(),
        Stage::Finished { outcome, answer, .. } => {
            let kept = outcome.response.as_ref().map_or(0, |r| r.body.len());
            let answer = match answer {
                Answer::Ran { response, .. } => response.body.len(),
                Answer::TurnedBack(_) => 0,
            };
            kept.saturating_add(answer)
        }
        Stage::Left | Stage::Dispatched { .. } => 0,
    }
}

impl Runs {
    /// Whether one more with a body of this size may come.
    pub(super) fn has_room(&self, body: usize) -> bool {
        self.runs.len() < protocol::limits::HELD_REQUESTS
            && self.bytes.saturating_add(body) <= protocol::limits::HELD_BYTES
    }

    pub(super) fn insert(&mut self, token: u64, run: Run) {
        self.bytes = self.bytes.saturating_add(size(&run.stage));
        if let Some(old) = self.runs.insert(token, run) {
            self.bytes = self.bytes.saturating_sub(size(&old.stage));
        }
    }

    pub(super) fn take(&mut self, token: u64) -> Option<Run> {
        let run = self.runs.remove(&token)?;
        self.bytes = self.bytes.saturating_sub(size(&run.stage));
        Some(run)
    }

    /// For changes that leave the stage's bodies alone.
    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut Run> {
        self.runs.get_mut(&token)
    }

    pub(super) fn tokens(&self, which: impl Fn(&Run) -> bool) -> Vec<u64> {
        self.runs.iter().filter(|(_, run)| which(run)).map(|(token, _)| *token).collect()
    }

    pub(super) fn expired(&self, cx: &Cx<'_>) -> Vec<u64> {
        let waits = |run: &Run| run.exchange.is_some() || matches!(run.stage, Stage::Left);
        self.tokens(|run| waits(run) && cx.passed(run.deadline_ms))
    }

    /// What a new stream must hear of: dispatched and not yet noted.
    pub(super) fn running(&self) -> Vec<pb::Running> {
        self.runs
            .values()
            .filter(|r| matches!(r.stage, Stage::Dispatched { .. } | Stage::Finished { .. }))
            .map(|r| pb::Running {
                session: r.stamp.session.as_str().to_string(),
                epoch: r.stamp.number.epoch,
                seq: r.stamp.number.seq,
            })
            .collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
