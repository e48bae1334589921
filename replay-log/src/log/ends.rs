//! What became of a write: the ends that gateways report, the words of guards, and settling.

use super::append::remembered;
use super::cases::Kind;
use super::entry::Ran;
use super::record;
use super::session::Session;
use super::{Input, Log};
use crate::store::Write;
use crate::{Now, StreamId};
use protocol::mutants::{self, Mutant};
use protocol::{Number, Replica, SessionKey, Verdict, Word, pb};
use std::num::NonZeroU16;

/// A number that failed so often in a row at a replica is listed.
const ATTEMPTS_UNLISTED: u32 = 5;

impl Log {
    /// A gateway says what became of a write that it released.
    pub(super) fn end(&mut self, now: Now, end: &pb::End) {
        let Ok(key) = SessionKey::new(end.session.as_str()) else { return };
        let number = Number { epoch: end.epoch, seq: end.seq };
        let word = Word::parse(&end.word).filter(|w| w.number == Some(number));
        let ran_at = word.as_ref().filter(|w| w.verdict.has_run()).map(|w| w.replica);
        if end.kind() == pb::end::Kind::MaybeDone {
            self.counters.maybe_done += 1;
        }
        if let Some(session) = self.sessions.get_mut(&key)
            && session.epoch == end.epoch
            && let Some(entry) = session.entry_mut(end.seq)
        {
            if mutants::on(Mutant::AbandonedAsWithdrawn) && end.kind() == pb::end::Kind::Abandoned {
                let (session, id) = (end.session.clone(), entry.id.to_string());
                return self.cancel(now, &pb::Cancel { token: end.token, session, id });
            }
            entry.end_reported = true;
            entry.unrelease(end.token);
            if !mutants::on(Mutant::ForgetEnd) {
                entry.end_at(now.mono_ms);
            }
            if mutants::on(Mutant::MaybeDoneAsRun) && end.kind() == pb::end::Kind::MaybeDone {
                session.settled[0] = session.settled[0].max(end.seq);
            }
        }
        if end.route() == pb::Route::Primary && ran_at != Some(Replica::Primary) {
            if end.kind() != pb::end::Kind::Abandoned && !self.is_unseeded(Replica::Primary) {
                self.went_away(now, Replica::Primary);
            }
            self.pin(now, &key);
        }
        if let Some(word) = word {
            self.came_back(now, word.replica);
            self.hear_seeding(now, &word);
            let by_route = mutants::on(Mutant::SettleByRoute) && end.route() == pb::Route::Primary;
            let replica = if by_route { Replica::Primary } else { word.replica };
            self.absorb(now, replica, &key, &word);
        }
        self.settle_and_go_on(now, &key);
    }

    /// The gateway of a released write is slow to say what became of it.
    pub(super) fn take_over(&mut self, now: Now, key: &SessionKey, number: Number) {
        if self.end_unreported(now, key, number) {
            self.counters.taken_over += 1;
        }
    }

    /// Nobody says what became of a write: it is delivered. False if it had ended.
    fn end_unreported(&mut self, now: Now, key: &SessionKey, number: Number) -> bool {
        let session = self.sessions.get_mut(key).filter(|s| s.epoch == number.epoch);
        let Some(entry) = session.and_then(|s| s.entry_mut(number.seq)) else { return false };
        let ended = entry.ended_ms().is_some();
        if ended || mutants::on(Mutant::ForgetEnd) && entry.end_reported {
            return false;
        }
        entry.end_at(now.mono_ms);
        self.queue_both(now, key);
        true
    }

    /// Nobody will report the ends of what this stream released.
    pub(super) fn gateway_closed(&mut self, now: Now, stream: StreamId) {
        if !self.gateway_left(stream) {
            return;
        }
        // What has neither ended nor is held waits for its takeover; what is held, for its timer.
        let mut gone: Vec<(SessionKey, Number)> = Vec::new();
        for (_, key) in &self.timers {
            if let Some(session) = self.sessions.get_mut(key) {
                let (epoch, held) = (session.epoch, &mut session.held);
                let numbers = held.iter().filter(|h| h.stream == stream);
                let numbers = numbers.map(|h| (key.clone(), Number { epoch, seq: h.seq }));
                gone.extend(numbers);
                held.retain(|h| h.stream != stream);
            }
        }
        gone.retain(|(key, number)| !self.is_held(key, *number));
        for (at, key, number) in std::mem::take(&mut self.takeovers) {
            if self.is_held(&key, number) {
                self.takeovers.push_back((at, key, number));
            } else {
                gone.push((key, number));
            }
        }
        for (key, number) in gone {
            self.end_unreported(now, &key, number);
        }
    }

    fn is_held(&self, key: &SessionKey, number: Number) -> bool {
        self.sessions.get(key).is_some_and(|s| s.held.iter().any(|h| h.seq == number.seq))
    }

    /// A delivery came back.
    pub(super) fn delivered(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        number: Number,
        word: Option<Word>,
    ) {
        let under_way = &mut self.delivering[replica.index()].under_way;
        *under_way = under_way.saturating_sub(1);
        let Some(session) = self.sessions.get_mut(key).filter(|s| s.epoch == number.epoch) else {
            // Of an epoch that is over: it says something of the replica, nothing of the session.
            return match word {
                None => self.went_away(now, replica),
                Some(_) => self.came_back(now, replica),
            };
        };
        let settled = session.settled[replica.index()];
        let lane = &mut session.lanes[replica.index()];
        lane.delivering = None;
        let alone = lane.attempts >= ATTEMPTS_UNLISTED;
        let word = word.filter(|w| w.replica == replica && w.number == Some(number));
        let has_run = word.as_ref().is_some_and(|word| word.verdict.has_run());
        self.counters.repeated[replica.index()] += u64::from(!has_run);
        match &word {
            None => {
                if mutants::on(Mutant::SilenceAsRun) {
                    session.settled[replica.index()] = settled.max(number.seq);
                }
                if alone {
                    let detail = "its guard answers others, but never said a word of this one";
                    self.stuck(now, replica, key, number, Kind::Unanswered, detail);
                } else {
                    self.went_away(now, replica);
                }
                self.back_off(now, replica, key, 20, 5000);
            }
            Some(word) => {
                self.came_back(now, replica);
                self.hear_seeding(now, word);
                self.absorb(now, replica, key, word);
                self.after_delivery(now, replica, key, number, word);
                let session = self.sessions.get(key);
                let advanced = session.is_some_and(|s| s.settled[replica.index()] > settled);
                if word.verdict.has_run() && !advanced {
                    self.back_off(now, replica, key, 20, 1000);
                }
            }
        }
        self.settle_and_go_on(now, key);
    }

    fn after_delivery(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        number: Number,
        word: &Word,
    ) {
        match word.verdict {
            Verdict::Ran | Verdict::Forced | Verdict::Remembered | Verdict::Forgotten => {
                self.counters.delivered[replica.index()] += 1;
                let known = matches!(word.verdict, Verdict::Remembered | Verdict::Forgotten);
                self.counters.duplicates[replica.index()] += u64::from(known);
            }
            // The replica as a whole is tried again later; its sessions are not to blame.
            Verdict::NotRun if self.is_unseeded(replica) => {}
            Verdict::Running => self.back_off(now, replica, key, 4, 40),
            Verdict::NotRun => {
                let attempts =
                    self.sessions.get(key).map_or(0, |s| s.lanes[replica.index()].attempts);
                if attempts >= ATTEMPTS_UNLISTED {
                    let detail = "the replica refuses to run it (401, 403, 407, 429, 503) or cannot be reached by its guard";
                    self.stuck(now, replica, key, number, Kind::NotRun, detail);
                }
                self.back_off(now, replica, key, 20, 1000);
            }
            Verdict::InDoubt => {
                self.stuck(
                    now,
                    replica,
                    key,
                    number,
                    Kind::InDoubt,
                    "the guard does not know whether it ran",
                );
                if replica == Replica::Primary {
                    self.pin(now, key);
                }
                self.back_off(now, replica, key, 100, 1000);
            }
            Verdict::Gap => {
                let detail =
                    "the replica stands before what it had settled: its journal is old or empty";
                self.stuck(now, replica, key, number, Kind::Conflict, detail);
                self.back_off(now, replica, key, 200, 5000);
            }
            Verdict::Conflict => {
                let detail = "the guard knows this number with another id or link";
                self.stuck(now, replica, key, number, Kind::Conflict, detail);
                self.back_off(now, replica, key, 200, 5000);
            }
            Verdict::StaleEpoch => {}
            Verdict::Read | Verdict::StaleRead | Verdict::Ready => {
                self.back_off(now, replica, key, 20, 1000);
            }
        }
    }

    /// Takes in what a guard said of a session.
    pub(super) fn absorb(&mut self, now: Now, replica: Replica, key: &SessionKey, word: &Word) {
        let r = replica.index();
        if word.journal.is_known() && word.journal != self.journals[r] {
            self.journals[r] = word.journal;
            self.meta_dirty = true;
        }
        self.hear_epoch(word.at.map_or(0, |at| at.number.epoch));
        let Some(session) = self.load(key) else { return };
        if let Some(number) = word.number
            && number.epoch == session.epoch
            && word.verdict.has_run()
            && let Some(status) = NonZeroU16::new(word.status)
            && let Some(entry) = session.entry_mut(number.seq)
        {
            let ran = Ran { status, digest: word.digest };
            entry.ran[r] = Some(ran);
            let other = entry.ran[1 - r];
            self.ran_dirty.push((key.clone(), number));
            self.dirty_since_ms.get_or_insert(now.mono_ms);
            if let Some(other) = other
                && other != ran
            {
                self.diverged(now, key, number);
            }
        }
        self.compare_openings(now, replica, key, word);
        if word.verdict == Verdict::Forced {
            let number = word.number.unwrap_or_default();
            self.case(
                now,
                Kind::Forced,
                key,
                number,
                "its replica accepted an epoch that follows from nothing",
            );
        }
        self.hear_position(now, replica, key, word);
    }

    fn hear_position(&mut self, now: Now, replica: Replica, key: &SessionKey, word: &Word) {
        let Some(at) = word.at else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if at.number.epoch > session.epoch || session.opens_too_early(replica, word) {
            return self.store_is_old(now, key, at);
        }
        if at.number.epoch < session.epoch {
            return;
        }
        let lost = session.is_sealed() && at.number.seq > session.last();
        // What follows was lost with a damaged store; the replica has run all that is left here.
        let at = if lost { session.position() } else { at };
        if at.number.seq > session.last() {
            return self.store_is_old(now, key, at);
        }
        let settled = &mut session.settled[replica.index()];
        if at.number.seq <= *settled {
            return;
        }
        if session.link_of(at.number.seq).is_some_and(|link| link != at.link) {
            // An old journal is a prefix of the log's history: this one is none of it.
            return self.store_is_old(now, key, at);
        }
        session.settled[replica.index()] = at.number.seq;
        let lane = &mut session.lanes[replica.index()];
        lane.attempts = 0;
        lane.not_before_ms = 0;
        if lane.stuck_at.is_some_and(|n| n <= at.number.seq) {
            lane.stuck_at = None;
            self.cases.resolve(replica, key);
        }
        self.mark_dirty(now, key);
    }

    /// Drops what both have settled, hands back if that is due, and delivers what is next.
    pub(super) fn settle_and_go_on(&mut self, now: Now, key: &SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let done = match mutants::on(Mutant::DropWhenOneSettled) {
            false => session.settled[0].min(session.settled[1]),
            true => session.settled[0].max(session.settled[1]),
        };
        let epoch = session.epoch;
        while session.base < done
            && let Some(entry) = session.pop()
        {
            let number = Number { epoch, seq: session.base };
            self.live_bytes = self.live_bytes.saturating_sub(entry.bytes.into());
            self.live_entries = self.live_entries.saturating_sub(1);
            if !entry.withdrawn && !mutants::on(Mutant::ForgetId) {
                // Before the entry goes: a crash may leave a batch's first writes alone.
                let stored = remembered(number, &entry);
                self.lazy.push(self.ids.put(now.unix_ms, key, entry.id, stored));
            }
            self.lazy.push(Write::Delete { key: record::payload_key(key, number) });
            self.lazy.push(Write::Delete { key: record::entry_key(key, number) });
            if entry.ran_kept {
                self.lazy.push(Write::Delete { key: record::ran_key(key, number) });
            }
        }
        self.hand_back_if_caught_up(now, key);
        self.queue_both(now, key);
        self.rest_later(now, key);
        self.note_drained(now);
    }

    pub(super) fn probed(&mut self, now: Now, replica: Replica, word: Option<Word>) {
        let there = word.is_some_and(|w| w.replica == replica && w.verdict == Verdict::Ready);
        self.delivering[replica.index()].probe_ended(now);
        if there {
            self.came_back(now, replica);
        }
    }
}

impl Session {
    /// Whether a replica refuses the first number of this epoch because it has run more than the
    /// epoch follows from. A replica that has run less has an old journal, and the word of one that
    /// has run the epoch is no proof against the log.
    fn opens_too_early(&self, replica: Replica, word: &Word) -> bool {
        word.verdict == Verdict::Conflict
            && word.number == Some(self.number(1))
            && self.settled[replica.index()] == 0
            && word.at.is_some_and(|at| {
                at.number.epoch < self.epoch
                    && self.after.is_none_or(|after| at.number > after.number)
            })
    }
}

impl Input {
    /// Roughly how many bytes it holds; bounds a batch.
    pub fn size(&self) -> usize {
        match self {
            Input::Gateway { message, .. } => match &message.kind {
                Some(pb::gateway_request::Kind::Append(a)) => a.body.len() + 512,
                _ => 64,
            },
            _ => 64,
        }
    }
}
