//! The answer side: what a guard's word makes of an answer.
//!
//! A write counts as answered only by a word that says it ran under its own number. Everything
//! else, Envoy's local replies included, leaves the client with "maybe done": the write is in the
//! log and will be settled at both replicas.

use super::Gateway;
use super::release::Released;
use crate::config::Names;
use crate::effects::{Effect, Exchange, Flow};
use crate::http::{self, Header};
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::mutants::{self, Mutant};
use protocol::pb::end::Kind;
use protocol::problem::Problem;
use protocol::{Verdict, Word, names};

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The answer as it is.
    Pass,
    /// The answer as it is, marked as a repetition.
    Replayed,
    /// The status alone: the response is forgotten.
    Status(u16),
    /// "Maybe done", with the reason.
    Withhold(&'static str),
}

/// Judges the answer of a released write.
pub(super) fn judge(released: &Released, word: Option<&Word>) -> (Kind, Answer) {
    // A repeated write that some replica has settled has this status, whoever cannot say so now.
    let status = Some(released.status).filter(|s| released.known && http::is_final(*s));
    let unless_known = |why| status.map_or(Answer::Withhold(why), Answer::Status);
    let Some(word) = word else {
        if mutants::on(Mutant::SilenceAsSuccess) {
            return (Kind::Answered, Answer::Status(200));
        }
        return (Kind::MaybeDone, unless_known("no replica's guard has answered"));
    };
    if word.number != Some(released.number) {
        return (Kind::MaybeDone, unless_known("the answer belongs to another write"));
    }
    match word.verdict {
        Verdict::Ran | Verdict::Forced => (Kind::Answered, Answer::Pass),
        Verdict::Remembered if released.known => (Kind::Answered, Answer::Replayed),
        Verdict::Remembered => (Kind::Answered, Answer::Pass),
        Verdict::Forgotten if released.known => {
            let status = status.or(Some(word.status).filter(|s| http::is_final(*s)));
            let unknown = Answer::Withhold("it has run; its result is forgotten");
            (Kind::Answered, status.map_or(unknown, Answer::Status))
        }
        // It ran under this number, but whether it was this write cannot be shown any more.
        Verdict::Forgotten => {
            (Kind::MaybeDone, Answer::Withhold("it has run; its result is not kept"))
        }
        _ => (Kind::MaybeDone, unless_known("no replica could run it now")),
    }
}

/// Removes the word from an answer and reads it. Several words are none.
pub(super) fn take_word(
    cx: &mut Cx<'_>,
    exchange: Exchange,
    headers: &[Header],
    names: &Names,
) -> Option<(Word, String)> {
    let mut values = http::all(headers, &names.word);
    let value = values.next()?;
    cx.emit(Effect::RemoveResponseHeader(exchange, names.word.clone()));
    if values.next().is_some() {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    Word::parse(text).map(|word| (word, text.to_string()))
}

/// Whether a guard turned a read back as stale, and nobody else could answer it.
pub(super) fn is_stale_read(headers: &[Header], word: Option<&(Word, String)>) -> bool {
    http::first(headers, ":status") == Some(b"503")
        && word.is_some_and(|(w, _)| w.verdict == Verdict::StaleRead)
}

impl Gateway {
    /// The answer of a released write has come.
    pub(super) fn released_answered(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        released: Released,
        word: Option<(Word, String)>,
        headers: &[Header],
    ) -> Flow {
        let (word, text) = word.unzip();
        let (kind, answer) = judge(&released, word.as_ref());
        let by = word.filter(|_| kind == Kind::Answered).map(|word| word.replica);
        let told = !matches!(answer, Answer::Withhold(_)) && !mutants::on(Mutant::SilenceAsSuccess);
        if by.is_some() || told {
            self.slots.answered(cx, &released, by);
        }
        self.report(cx, released.end(kind, text.unwrap_or_default()));
        if http::first(headers, names::REPLAYED).is_some() {
            cx.emit(Effect::RemoveResponseHeader(exchange, names::REPLAYED.into()));
        }
        match answer {
            Answer::Pass => Flow::Continue,
            Answer::Replayed => {
                cx.count(Metric::Remembered);
                let name = names::REPLAYED.to_string();
                cx.emit(Effect::SetResponseHeader(exchange, name, b"remembered".to_vec()));
                Flow::Continue
            }
            Answer::Status(status) => {
                cx.count(Metric::Forgotten);
                let reply = Reply::empty(status).with(names::REPLAYED, "forgotten");
                cx.emit(Effect::Reply(exchange, reply));
                Flow::Pause
            }
            Answer::Withhold(why) => {
                cx.count(Metric::MaybeDone);
                let problem = match mutants::on(Mutant::MaybeDoneAsRefused) {
                    false => Problem::MaybeDone,
                    true => Problem::LogUnavailable,
                };
                let reply = Reply::problem(problem, why).retry_after_ms(0);
                cx.emit(Effect::Reply(exchange, reply));
                Flow::Pause
            }
        }
    }
}
