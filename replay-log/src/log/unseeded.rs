//! A replica whose journal came in place of a lost one: it refuses every write until an operator
//! has seeded it. One delivery at a time, now and then, finds out whether that has happened.

use super::Log;
use super::cases::Kind;
use super::deliver::Delivering;
use super::session::Session;
use crate::Now;
use protocol::{Replica, SessionKey, Verdict, Word};

/// Between two deliveries to a replica that is not seeded, milliseconds; jitter of a quarter is
/// added.
const TRY_EVERY_MS: u64 = 1000;

impl Delivering {
    /// False while a replica that is not seeded is to be left alone.
    pub(super) fn may_try(&self, now: Now) -> bool {
        self.unseeded_until_ms.is_none_or(|until| until <= now.mono_ms && self.under_way == 0)
    }
}

impl Log {
    pub(super) fn is_unseeded(&self, replica: Replica) -> bool {
        self.delivering[replica.index()].unseeded_until_ms.is_some()
    }

    /// Nothing can be brought to this replica now.
    pub(super) fn cannot_take(&self, replica: Replica) -> bool {
        self.is_away(replica) || self.is_unseeded(replica)
    }

    /// A word shows whether its replica's journal is seeded.
    pub(super) fn hear_seeding(&mut self, now: Now, word: &Word) {
        let replica = word.replica;
        let known = self.is_unseeded(replica);
        match word.verdict {
            Verdict::NotRun if word.unseeded || known => {
                let jitter = self.jitter(TRY_EVERY_MS / 4);
                let until = now.mono_ms + TRY_EVERY_MS + jitter;
                self.delivering[replica.index()].unseeded_until_ms = Some(until);
                if !known {
                    let detail = "its journal came in place of a lost one: seed it";
                    self.event(now, "unseeded", Some(replica), None, detail);
                }
            }
            // The guard alone has spoken.
            Verdict::NotRun | Verdict::Read | Verdict::StaleRead | Verdict::Ready => {}
            _ if known => {
                self.delivering[replica.index()].unseeded_until_ms = None;
                self.event(now, "seeded", Some(replica), None, "its journal is seeded");
            }
            _ => {}
        }
    }

    /// Number 1 of an epoch that names no predecessor: if it follows from nothing at one replica
    /// and from an empty past at the other, the other lacks what the one has run before.
    pub(super) fn compare_openings(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        word: &Word,
    ) {
        let Some(number) = word.number.filter(|number| number.seq == 1) else { return };
        let forced = match word.verdict {
            Verdict::Forced => true,
            Verdict::Ran => false,
            _ => return,
        };
        let opens = |s: &&mut Session| s.epoch == number.epoch && s.after.is_none();
        let Some(session) = self.sessions.get_mut(key).filter(opens) else { return };
        if session.lanes[replica.index()].opened_forced.replace(forced).is_some() {
            return;
        }
        let other = session.lanes[replica.other().index()].opened_forced;
        if other == Some(!forced) {
            let lacks = if forced { replica.other() } else { replica };
            let detail = format!("the {lacks} does not have what the other ran before: seed it");
            self.case(now, Kind::Unseeded, key, number, &detail);
        }
    }
}
