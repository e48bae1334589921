//! Health checks of the host that is checked, and pings of connections.
//!
//! A check is judged by the simulator (the link both ways, the other Envoy, the service) and does
//! not go through the guard's VM: it would be most of what a quiet site does. A ping is judged by
//! the link and the other process.

use super::config::Ping;
use super::{Envoy, timer};
use crate::kernel::{Addr, Cx, Micros, Reach, Timer};

/// What is known of the host that is checked.
#[derive(Default)]
pub(super) struct Health {
    healthy: bool,
    /// Checks in a row that said the contrary.
    contrary: u32,
    /// It has been checked at least once.
    checked: bool,
}

/// A host whose connections are pinged.
pub(super) struct Pinged {
    host: Addr,
    ping: Ping,
    /// Since when it says nothing.
    silent_since: Option<Micros>,
}

/// What a turn is about: a check begins, it was good, it was bad.
const BEGIN: u64 = 0;
const GOOD: u64 = 1;
const BAD: u64 = 2;

impl Envoy {
    pub(super) fn start_health(&mut self, cx: &mut Cx<'_>) {
        if self.table.config().health.is_some() {
            cx.after(1_000, Timer { kind: timer::HEALTH, a: BEGIN, b: 0 });
        }
        for cluster in &self.table.config().clusters {
            let Some(ping) = cluster.ping else { continue };
            for host in &cluster.hosts {
                // A process hears itself.
                let known = self.pinged.iter().any(|p| (p.host, p.ping) == (host.addr, ping));
                if !known && host.addr.node != cx.me() {
                    self.pinged.push(Pinged { host: host.addr, ping, silent_since: None });
                }
            }
        }
        for (a, pinged) in (0..).zip(&self.pinged) {
            cx.after(pinged.ping.interval, Timer { kind: timer::PING, a, b: 0 });
        }
    }

    /// Whether requests may go to the host that is checked.
    pub(super) fn is_healthy(&self) -> bool {
        self.health.healthy
    }

    pub(super) fn health_turn(&mut self, cx: &mut Cx<'_>, what: u64) {
        let Some(check) = &self.table.config().health else { return };
        let (interval, timeout) = (check.interval, check.timeout);
        let again = |kind| Timer { kind: timer::HEALTH, a: kind, b: 0 };
        if what == BEGIN {
            return match cx.reach(&[check.of.node, check.service]) {
                Reach::After(delay) if delay < timeout => cx.after(delay, again(GOOD)),
                Reach::Refused => cx.after(1_000, again(BAD)),
                Reach::After(_) | Reach::Silent => cx.after(timeout, again(BAD)),
            };
        }
        self.checked(cx, what == GOOD);
        cx.after(interval, again(BEGIN));
    }

    fn checked(&mut self, cx: &mut Cx<'_>, good: bool) {
        let Some(check) = &self.table.config().health else { return };
        let (of, wanted) = (check.of, if good { check.healthy } else { check.unhealthy });
        let first = !std::mem::replace(&mut self.health.checked, true);
        if good == self.health.healthy {
            self.health.contrary = 0;
            return;
        }
        self.health.contrary += 1;
        if !first && self.health.contrary < wanted {
            return;
        }
        self.health.healthy = good;
        self.health.contrary = 0;
        if cx.tracing() {
            cx.trace(if good { "its host is healthy" } else { "its host is not healthy" });
        }
        if !good {
            let table = &self.table;
            let conns = self.upstream.to(of, |cluster| table.cluster(cluster).is_checked());
            self.give_up(cx, conns);
        }
    }

    pub(super) fn ping(&mut self, cx: &mut Cx<'_>, which: u64) {
        let at = usize::try_from(which).unwrap_or(usize::MAX);
        let Some(pinged) = self.pinged.get_mut(at) else { return };
        let (host, ping) = (pinged.host, pinged.ping);
        cx.after(ping.interval, Timer { kind: timer::PING, a: which, b: 0 });
        let silent = match cx.reach(&[host.node]) {
            Reach::After(delay) => delay > ping.timeout,
            Reach::Silent => true,
            // A connection to what is not there is closed by its other end.
            Reach::Refused => false,
        };
        if !silent {
            pinged.silent_since = None;
            return;
        }
        let since = *pinged.silent_since.get_or_insert(cx.now());
        if cx.now() >= since + ping.timeout {
            let table = &self.table;
            let conns = self.upstream.to(host, |cluster| table.cluster(cluster).ping == Some(ping));
            self.give_up(cx, conns);
        }
    }
}
