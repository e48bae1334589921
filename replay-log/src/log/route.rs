//! Where a session's requests go: pinning by evidence, and handing back.
//!
//! A pinned session goes to the secondary. It is handed back when both replicas have settled
//! everything that was released. If its writes never leave such a moment, the next ones are held
//! once the primary is nearly there, at most for `handback_hold_ms`; at that bound they go to
//! the secondary and the pin stays for a while.
//!
//! A link that flaps must not take its sessions with it, for each way there costs their clients a
//! failover. A session that is pinned again soon after it was handed back is *damped*: it stays
//! for a while, longer each time. The first time costs nothing.

use super::Log;
use super::session::{Held, Session};
use crate::Now;
use protocol::mutants::{self, Mutant};
use protocol::{Replica, SessionKey, pb};

/// A hand-back is tried by holding when the primary lags by no more entries than this.
const HOLD_LAG: u64 = 8;
/// How long to wait after a hold that expired: at first and at most.
const HOLD_BACKOFF_MS: (u64, u64) = (300, 5_000);
/// How long a damped session stays: at first and at most.
const DAMPING_MS: (u64, u64) = (1_000, 8_000);
/// A session that stood at the primary for so long is not damped any more.
const DAMPING_FORGOTTEN_MS: u64 = 30_000;

impl Session {
    pub(super) fn route(&self) -> pb::Route {
        if self.pinned { pb::Route::Secondary } else { pb::Route::Primary }
    }

    /// Both replicas have settled everything that was released.
    pub(super) fn is_caught_up(&self) -> bool {
        let released = self.released_last();
        mutants::on(Mutant::HandBackEarly)
            || self.settled.iter().all(|settled| *settled >= released)
    }

    /// It was pinned: how long it stays, whatever the primary says.
    fn damp(&mut self, now: Now) {
        let (first, most) = DAMPING_MS;
        let again = self.damping_until_ms().is_some_and(|until| now.mono_ms < until);
        self.damping_ms = if again { (self.damping_ms * 2).clamp(first, most) } else { 0 };
        self.no_hand_back_before_ms = now.mono_ms + self.damping_ms;
    }

    /// Until when another pin would be damped, which nothing but this session in memory knows; on
    /// the monotonic clock.
    pub(super) fn damping_until_ms(&self) -> Option<u64> {
        self.handed_back_ms.map(|at| at + DAMPING_FORGOTTEN_MS)
    }

    fn is_damped(&self, now: Now) -> bool {
        now.mono_ms < self.no_hand_back_before_ms
    }
}

impl Log {
    /// There is evidence that the primary is behind in this session.
    pub(super) fn pin(&mut self, now: Now, key: &SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.pinned {
            return;
        }
        session.pinned = true;
        session.damp(now);
        self.mark_dirty(now, key);
        self.moved(now, key, pb::Route::Secondary);
    }

    fn moved(&mut self, now: Now, key: &SessionKey, route: pb::Route) {
        let kind = if route == pb::Route::Secondary { "pinned" } else { "handed_back" };
        self.event(now, kind, None, Some(key), "");
        let streams: Vec<_> = self.gateways.welcomed.keys().copied().collect();
        for stream in streams {
            let moved = pb::Moved { session: key.as_str().to_string(), route: route as i32 };
            self.send(stream, pb::gateway_response::Kind::Moved(moved));
        }
    }

    /// Whether the reply of this number is withheld so that the primary can catch up.
    pub(super) fn hand_back_by_holding(&mut self, now: Now, key: &SessionKey, seq: u64) -> bool {
        let away = self.cannot_take(Replica::Primary);
        let hold_ms = self.config.handback_hold_ms;
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let released =
            session.entry(seq).is_some_and(|e| e.ended_ms().is_some() || e.is_released());
        if !session.pinned || released {
            return false;
        }
        if session.held.is_empty() {
            let stuck = session.lanes.iter().any(|l| l.stuck_at.is_some());
            let lag = session.lag(Replica::Primary).max(session.lag(Replica::Secondary));
            if away
                || stuck
                || lag > HOLD_LAG
                || session.is_damped(now)
                || now.mono_ms < session.no_hold_before_ms
                || hold_ms == 0
            {
                return false;
            }
            // Not yet held itself, this number must not count as released.
            session.hold_until_ms = Some(now.mono_ms + hold_ms);
            self.timers.insert((now.mono_ms + hold_ms, key.clone()));
        }
        let caught_up = {
            let before = session.held.iter().map(|h| h.seq).min().unwrap_or(seq) - 1;
            session.settled.iter().all(|settled| *settled >= before)
        };
        if caught_up {
            self.hand_back(now, key);
            return false;
        }
        true
    }

    pub(super) fn hand_back_if_caught_up(&mut self, now: Now, key: &SessionKey) {
        let away = self.is_away(Replica::Primary);
        let Some(session) = self.sessions.get(key).filter(|s| s.pinned && s.is_caught_up()) else {
            return;
        };
        if session.is_damped(now) {
            self.timers.insert((session.no_hand_back_before_ms, key.clone()));
        } else if !away {
            self.hand_back(now, key);
        }
    }

    fn hand_back(&mut self, now: Now, key: &SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.pinned = false;
        session.hold_backoff_ms = 0;
        session.handed_back_ms = Some(now.mono_ms);
        if mutants::on(Mutant::HandBackEarly) {
            session.settled[0] = session.last();
        }
        self.counters.handed_back += 1;
        self.mark_dirty(now, key);
        self.moved(now, key, pb::Route::Primary);
        self.release_held(now, key);
    }

    fn release_held(&mut self, now: Now, key: &SessionKey) {
        let hold_ms = self.config.handback_hold_ms;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let held = std::mem::take(&mut session.held);
        if let Some(until) = session.hold_until_ms.take()
            && !held.is_empty()
        {
            let begun = until.saturating_sub(hold_ms);
            let lasted = now.mono_ms.saturating_sub(begun);
            self.counters.longest_hold_ms = self.counters.longest_hold_ms.max(lasted);
        }
        let forgotten = usize::from(mutants::on(Mutant::ForgetHeld));
        for Held { stream, token, seq, known } in held.into_iter().skip(forgotten) {
            self.release(now, stream, token, key, seq, known);
        }
    }

    /// The bound of a hold has come: its writes go to the secondary.
    pub(super) fn expire_hold(&mut self, now: Now, key: &SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.hold_until_ms.is_none_or(|until| until > now.mono_ms) {
            return;
        }
        if session.held.is_empty() {
            session.hold_until_ms = None;
            return;
        }
        let (first, most) = HOLD_BACKOFF_MS;
        session.hold_backoff_ms = (session.hold_backoff_ms * 2).clamp(first, most);
        session.no_hold_before_ms = now.mono_ms + session.hold_backoff_ms;
        self.counters.holds_expired += 1;
        self.event(
            now,
            "hold_expired",
            Some(Replica::Primary),
            Some(key),
            "it did not catch up in time",
        );
        self.release_held(now, key);
    }
}
