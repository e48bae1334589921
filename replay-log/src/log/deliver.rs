//! Delivery: which number of which session goes to which replica now.
//!
//! Each replica has a queue of ready sessions and a bound of how many are under way. A replica
//! that does not answer with a guard's word is *away*: nothing is delivered to it, one probe at a
//! time asks for it, and the first that is answered restarts everything at once.

use super::record::{self, StoredPayload};
use super::session::Session;
use super::{Delivery, Log, Output, Staged};
use crate::Now;
use crate::store::StoreError;
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::stamp::WriteStamp;
use protocol::{Id, Number, Replica, SessionKey, Stamp};
use std::collections::VecDeque;

/// Between the probes of a replica that is away, milliseconds; jitter of a quarter is added.
const PROBE_EVERY_MS: u64 = 80;

/// What may begin at once after a pause, as a time of the bound per second, milliseconds.
const BURST_MS: u64 = 20;

/// Delivery to one replica.
#[derive(Debug, Default)]
pub(super) struct Delivering {
    ready: VecDeque<SessionKey>,
    pub(super) under_way: usize,
    /// When the next probe is due; `None` while the replica is not away.
    probe_at_ms: Option<u64>,
    probing: bool,
    /// It came back to a backlog that is not drained yet.
    pub(super) had_backlog: bool,
    /// Until when what has begun uses up the bound per second, microseconds.
    used_until_us: u64,
    /// When a ready session may go out again; `None` while the bound holds nothing up.
    turn_at_ms: Option<u64>,
    /// The replica's journal came in place of a lost one: when one delivery is to try it again.
    pub(super) unseeded_until_ms: Option<u64>,
}

impl Delivering {
    pub(super) fn next_probe_ms(&self) -> Option<u64> {
        if self.probing { None } else { self.probe_at_ms }
    }

    pub(super) fn probe_ended(&mut self, now: Now) {
        self.probing = mutants::on(Mutant::NeverProbeAgain);
        if self.probe_at_ms.is_some() {
            self.probe_at_ms = Some(now.mono_ms + PROBE_EVERY_MS);
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.probe_at_ms.is_some()
    }

    /// When something that is ready may go out: at once, or when the bound per second lets it.
    pub(super) fn next_turn_ms(&self, parallel: usize) -> Option<u64> {
        let parallel = if self.unseeded_until_ms.is_some() { 1 } else { parallel };
        let held_up = self.ready.is_empty() || self.is_away() || self.under_way >= parallel;
        (!held_up).then(|| self.turn_at_ms.max(self.unseeded_until_ms).unwrap_or(0))
    }

    /// Whether the bound per second lets one more begin now; if not, notes when it will.
    fn has_turn(&mut self, now: Now) -> bool {
        let free_ms = (self.used_until_us / 1000).saturating_sub(BURST_MS);
        self.turn_at_ms = (free_ms > now.mono_ms).then_some(free_ms);
        self.turn_at_ms.is_none()
    }

    /// Puts a session among the ready ones if its next number may go out, or says when to look
    /// again.
    fn queue(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        session: &mut Session,
        grace_ms: u64,
    ) -> Option<u64> {
        match session.next_for(replica, now, grace_ms) {
            Next::Nothing => None,
            Next::At(at) => Some(at),
            Next::Deliver(_) => {
                let lane = &mut session.lanes[replica.index()];
                if !lane.queued {
                    lane.queued = true;
                    self.ready.push_back(key.clone());
                }
                None
            }
        }
    }

    fn use_turn(&mut self, now: Now, per_second: u64) {
        if let Some(each_us) = 1_000_000_u64.checked_div(per_second) {
            self.used_until_us = self.used_until_us.max(now.mono_ms * 1000) + each_us;
        }
    }
}

impl Session {
    /// The next number for a replica, if it may be delivered, or when to ask again.
    fn next_for(&self, replica: Replica, now: Now, grace_ms: u64) -> Next {
        let lane = &self.lanes[replica.index()];
        let mut seq = self.settled[replica.index()] + 1;
        if mutants::on(Mutant::SkipEntry) && self.entry(seq + 1).is_some() {
            seq += 1;
        }
        let Some(entry) = self.entry(seq) else { return Next::Nothing };
        let Some(ended_ms) = entry.ended_ms() else { return Next::Nothing };
        if lane.delivering.is_some() || entry.withdrawn && mutants::on(Mutant::SkipNoop) {
            return Next::Nothing;
        }
        let mirrored = replica == Replica::Secondary && !self.pinned && !entry.withdrawn;
        let grace = if mirrored { ended_ms + grace_ms } else { 0 };
        match lane.not_before_ms.max(grace) {
            at if at > now.mono_ms => Next::At(at),
            _ => Next::Deliver(seq),
        }
    }
}

enum Next {
    Nothing,
    At(u64),
    Deliver(u64),
}

impl Log {
    pub(super) fn is_away(&self, replica: Replica) -> bool {
        self.delivering[replica.index()].is_away()
    }

    /// A request came back without a guard's word.
    pub(super) fn went_away(&mut self, now: Now, replica: Replica) {
        if !self.is_away(replica) {
            self.delivering[replica.index()].probe_at_ms = Some(now.mono_ms);
            self.event(now, "away", Some(replica), None, "no answer from its guard");
        }
    }

    /// A guard spoke: its replica can be reached.
    pub(super) fn came_back(&mut self, now: Now, replica: Replica) {
        if !self.is_away(replica) {
            return;
        }
        self.delivering[replica.index()].probe_at_ms = None;
        self.event(now, "back", Some(replica), None, "its guard answers");
        // One pass over what may be very many sessions, while all others wait.
        let grace = self.grace_ms();
        let delivering = &mut self.delivering[replica.index()];
        let mut at_rest = Vec::new();
        for (key, session) in &mut self.sessions {
            if session.lag(replica) > 0 {
                delivering.had_backlog = true;
                let lane = &mut session.lanes[replica.index()];
                // What failed again and again is not the link's fault: it keeps its own pace.
                if lane.stuck_at.is_none() && lane.attempts <= 2 {
                    lane.not_before_ms = 0;
                }
                let at = delivering.queue(now, replica, key, session, grace);
                self.timers.extend(at.map(|at| (at, key.clone())));
            }
            if session.pinned && (session.is_caught_up() || session.is_quiet()) {
                at_rest.push(key.clone());
            }
        }
        for key in at_rest {
            self.hand_back_if_caught_up(now, &key);
            self.rest_later(now, &key);
        }
    }

    pub(super) fn probe_if_due(&mut self, now: Now, replica: Replica) {
        let due =
            self.delivering[replica.index()].next_probe_ms().is_some_and(|at| at <= now.mono_ms);
        if due {
            let jitter = self.jitter(PROBE_EVERY_MS / 4);
            let delivering = &mut self.delivering[replica.index()];
            delivering.probing = true;
            delivering.probe_at_ms = Some(now.mono_ms + PROBE_EVERY_MS + jitter);
            self.staged.push(Staged::Ready(Output::Probe { replica }));
        }
    }

    /// The session's next number for this replica failed: not again before a while.
    pub(super) fn back_off(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        from: u64,
        to: u64,
    ) {
        let jitter = self.jitter(1000);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let lane = &mut session.lanes[replica.index()];
        let delay = (from << lane.attempts.min(16)).min(to);
        lane.attempts = lane.attempts.saturating_add(1);
        lane.not_before_ms = now.mono_ms + delay / 2 + delay * jitter / 2000 + 1;
    }

    pub(super) fn queue_both(&mut self, now: Now, key: &SessionKey) {
        for replica in Replica::BOTH {
            self.queue(now, replica, key);
        }
    }

    /// Puts a session among the ready ones if its next number may go to the replica.
    fn queue(&mut self, now: Now, replica: Replica, key: &SessionKey) {
        let grace = self.grace_ms();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let at = self.delivering[replica.index()].queue(now, replica, key, session, grace);
        self.timers.extend(at.map(|at| (at, key.clone())));
    }

    fn grace_ms(&self) -> u64 {
        if self.config.mirror_cluster.is_some() { self.config.mirror_grace_ms } else { 0 }
    }

    /// Starts deliveries up to the bound.
    pub(super) fn pump(&mut self, now: Now, replica: Replica) {
        let r = replica.index();
        let grace = self.grace_ms();
        let (parallel, per_second) =
            (self.config.delivery_parallel, self.config.delivery_per_second);
        while !self.is_away(replica)
            && self.delivering[r].may_try(now)
            && !self.delivering[r].ready.is_empty()
            && self.delivering[r].under_way < parallel
            && self.delivering[r].has_turn(now)
        {
            let Some(key) = self.delivering[r].ready.pop_front() else { break };
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            session.lanes[r].queued = false;
            match session.next_for(replica, now, grace) {
                Next::Nothing => self.rest_later(now, &key),
                Next::At(at) => {
                    self.timers.insert((at, key));
                }
                Next::Deliver(seq) => {
                    session.lanes[r].delivering = Some(seq);
                    let number = session.number(seq);
                    self.delivering[r].under_way += 1;
                    self.delivering[r].use_turn(now, per_second);
                    self.staged.push(Staged::Deliver { replica, session: key, number });
                }
            }
        }
    }

    /// Everything that a delivery carries; `None` if its entry was settled, or put in quarantine,
    /// in the same batch.
    pub(super) fn delivery(
        &mut self,
        replica: Replica,
        key: &SessionKey,
        number: Number,
    ) -> Result<Option<Delivery>, StoreError> {
        let Some(session) = self.sessions.get_mut(key).filter(|s| s.epoch == number.epoch) else {
            return Ok(None);
        };
        let after = session.after.filter(|_| number.seq == 1);
        let Some(entry) = session.entry_mut(number.seq) else { return Ok(None) };
        let again = entry.attempted || entry.end_reported || entry.is_released();
        entry.attempted = true;
        let damaged = |cause: &str| StoreError::Damaged {
            path: self.store.path().to_path_buf(),
            key: format!("{key} {number}"),
            cause: cause.to_string(),
        };
        let stored = match entry.withdrawn {
            true => StoredPayload { method: "POST".into(), path: "/".into(), ..Default::default() },
            false => {
                let bytes = self.store.get(&record::payload_key(key, number))?;
                let bytes = bytes.ok_or_else(|| damaged("its payload is missing"))?;
                StoredPayload::decode(bytes.as_slice())
                    .map_err(|e| damaged(&format!("its payload does not decode: {e}")))?
            }
        };
        let stamp = WriteStamp {
            session: key.clone(),
            number,
            link: entry.link,
            id: Id::new(entry.id.to_string()).map_err(|e| damaged(&format!("its id {e}")))?,
            time_ms: entry.received_ms,
            after,
            delivery: true,
            noop: entry.withdrawn,
            again,
            ran: entry.ran[1 - replica.index()].map(|ran| ran.status.get()),
            log: self.incarnation,
            journals: entry.journals,
        };
        Ok(Some(Delivery {
            replica,
            session: key.clone(),
            number,
            stamp: Stamp::Write(Box::new(stamp)),
            method: stored.method,
            path: stored.path,
            headers: stored.headers,
            body: stored.body,
        }))
    }

    /// A delivery was not needed any more when it was about to go out.
    pub(super) fn not_delivered(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        number: Number,
    ) {
        let under_way = &mut self.delivering[replica.index()].under_way;
        *under_way = under_way.saturating_sub(1);
        if let Some(session) = self.sessions.get_mut(key).filter(|s| s.epoch == number.epoch) {
            session.lanes[replica.index()].delivering = None;
        }
        self.queue_both(now, key);
        self.rest_later(now, key);
    }
}
