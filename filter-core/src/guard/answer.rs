//! What the guard says: words, and the answers that carry them.

use super::Guard;
use crate::http;
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::problem::Problem;
use protocol::stamp::WriteStamp;
use protocol::{Digest, Position, Verdict, Word, pb};

impl Guard {
    /// A word that says nothing but the verdict.
    pub(super) fn word(&self, verdict: Verdict) -> Word {
        Word { journal: self.journal, ..Word::new(self.config.replica, verdict) }
    }

    fn with_word(&self, reply: Reply, word: &Word) -> Reply {
        reply.with(&self.config.names.word, word.to_string())
    }

    /// The answer to a probe.
    pub(super) fn probe(&self) -> Reply {
        if self.stream.ready().is_some() {
            return self.with_word(Reply::empty(204), &self.word(Verdict::Ready));
        }
        let reply = Reply::problem(Problem::NotRun, "no journal");
        self.with_word(reply, &self.word(Verdict::NotRun))
    }

    /// The answer to a read that must not be answered here.
    pub(super) fn stale_read(&self, cx: &mut Cx<'_>, detail: &str) -> Reply {
        cx.count(Metric::GuardStaleReads);
        let reply = Reply::problem(Problem::ReadUnavailable, detail).retry_after_ms(0);
        self.with_word(reply, &self.word(Verdict::StaleRead))
    }

    /// The answer to a write that was not run, or whose result is not known.
    pub(super) fn turned_back(
        &self,
        verdict: Verdict,
        stamp: &WriteStamp,
        at: Option<Position>,
        detail: &str,
    ) -> Reply {
        let problem = match verdict {
            Verdict::Conflict => Problem::NumberConflict,
            Verdict::InDoubt | Verdict::Running => Problem::MaybeDone,
            _ => Problem::NotRun,
        };
        let word = Word { number: Some(stamp.number), at, ..self.word(verdict) };
        let reply = Reply::problem(problem, detail);
        let retry = problem.status() == 503;
        let reply = if retry { reply.retry_after_ms(0) } else { reply };
        self.with_word(reply, &word)
    }

    /// The answer to a write at a replica whose journal came in place of a lost one.
    pub(super) fn unseeded(&self, stamp: &WriteStamp) -> Reply {
        let word =
            Word { number: Some(stamp.number), unseeded: true, ..self.word(Verdict::NotRun) };
        let detail = "the journal of this replica is not seeded: it cannot know what ran here";
        self.with_word(Reply::problem(Problem::NotRun, detail).retry_after_ms(0), &word)
    }

    pub(super) fn too_large(&self, stamp: &WriteStamp) -> Reply {
        let detail = format!("the guard's limit is {} bytes", self.config.body_bytes);
        let word = Word { number: Some(stamp.number), ..self.word(Verdict::NotRun) };
        self.with_word(Reply::problem(Problem::BodyTooLarge, &detail), &word)
    }

    /// The answer to a write that has run, now (`Ran`, `Forced`) or before (`Remembered`).
    pub(super) fn ran(
        &self,
        verdict: Verdict,
        stamp: &WriteStamp,
        at: Option<Position>,
        digest: Digest,
        response: pb::Response,
    ) -> Reply {
        let status = u16::try_from(response.status).unwrap_or(0);
        let word = Word { number: Some(stamp.number), status, digest, at, ..self.word(verdict) };
        let mut headers: Vec<http::Header> =
            response.headers.into_iter().map(|h| (h.name, h.value)).collect();
        let names = &self.config.names;
        http::strip(&mut headers, &[], |n| names.is_ours(n));
        self.with_word(Reply { status, headers, body: response.body }, &word)
    }

    /// The answer to a write that ran before, with a response that nobody remembers. It must not
    /// be a retriable status; the gateway replaces it.
    pub(super) fn forgotten(
        &self,
        stamp: &WriteStamp,
        at: Option<Position>,
        status: u32,
        digest: Digest,
    ) -> Reply {
        let status = u16::try_from(status).unwrap_or(0);
        let number = Some(stamp.number);
        let word = Word { number, status, digest, at, ..self.word(Verdict::Forgotten) };
        self.with_word(Reply::empty(200), &word)
    }
}
