//! Health checks of the primary's guard, and pings of the connections to it.
//!
//! A check is judged by the simulator (the link both ways, the other Envoy, the service) and does
//! not go through the guard's VM: it would be most of what a quiet site does.

use super::{Envoy, timer};
use crate::kernel::{Cx, Micros, Reach, Timer};

/// What is known of the primary's guard.
#[derive(Default)]
pub(super) struct Health {
    healthy: bool,
    /// Checks in a row that said the contrary.
    contrary: u32,
    /// It has been checked at least once.
    checked: bool,
    /// Since when the other Envoy says nothing.
    silent_since: Option<Micros>,
}

/// Checks in a row that change a verdict.
const THRESHOLD: u32 = 2;
/// What a turn is about: a check begins, it was good, it was bad.
const BEGIN: u64 = 0;
const GOOD: u64 = 1;
const BAD: u64 = 2;

impl Envoy {
    pub(super) fn start_health(&mut self, cx: &mut Cx<'_>) {
        if self.config.gateway.is_some() && self.config.hosts.primary_guard.is_some() {
            cx.after(1_000, Timer { kind: timer::HEALTH, a: BEGIN, b: 0 });
            cx.after(self.config.times.ping_interval, Timer { kind: timer::PING, a: 0, b: 0 });
        }
    }

    /// Whether requests may go there.
    pub(super) fn primary_is_healthy(&self) -> bool {
        self.health.healthy
    }

    pub(super) fn health_turn(&mut self, cx: &mut Cx<'_>, what: u64) {
        let times = self.config.times;
        let again = |kind| Timer { kind: timer::HEALTH, a: kind, b: 0 };
        if what == BEGIN {
            let Some(guard) = self.config.hosts.primary_guard else { return };
            let mut asked = vec![guard.node];
            asked.extend(self.config.hosts.checked_service);
            return match cx.reach(&asked) {
                Reach::After(delay) if delay < times.health_timeout => {
                    cx.after(delay, again(GOOD));
                }
                Reach::Refused => cx.after(1_000, again(BAD)),
                Reach::After(_) | Reach::Silent => cx.after(times.health_timeout, again(BAD)),
            };
        }
        self.checked(cx, what == GOOD);
        cx.after(times.health_interval, again(BEGIN));
    }

    fn checked(&mut self, cx: &mut Cx<'_>, good: bool) {
        let first = !std::mem::replace(&mut self.health.checked, true);
        if good == self.health.healthy {
            self.health.contrary = 0;
            return;
        }
        self.health.contrary += 1;
        if !first && self.health.contrary < THRESHOLD {
            return;
        }
        self.health.healthy = good;
        self.health.contrary = 0;
        if cx.tracing() {
            cx.trace(if good {
                "the primary's guard is healthy"
            } else {
                "the primary's guard is not healthy"
            });
        }
        if !good && let Some(guard) = self.config.hosts.primary_guard {
            let conns = self.upstream.to(guard, true);
            self.give_up(cx, conns);
        }
    }

    pub(super) fn ping(&mut self, cx: &mut Cx<'_>) {
        let times = self.config.times;
        cx.after(times.ping_interval, Timer { kind: timer::PING, a: 0, b: 0 });
        let Some(guard) = self.config.hosts.primary_guard else { return };
        let silent = match cx.reach(&[guard.node]) {
            Reach::After(delay) => delay > times.ping_timeout,
            Reach::Silent => true,
            // A connection to what is not there is closed by its other end.
            Reach::Refused => false,
        };
        if !silent {
            self.health.silent_since = None;
            return;
        }
        let since = *self.health.silent_since.get_or_insert(cx.now());
        if cx.now() >= since + times.ping_timeout {
            let conns = self.upstream.to(guard, false);
            self.give_up(cx, conns);
        }
    }
}
