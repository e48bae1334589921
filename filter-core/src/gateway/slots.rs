//! What this Envoy knows of sessions: last acknowledged number and route, shared by its workers.
//!
//! Every acknowledgement raises its slot. A slot answers for the log only if it is *exact* in the
//! present spell of being alone (see `alone`): it has been there, and been raised, since the log
//! told where the session stands or since its first number. An acknowledgement for a session
//! without a slot leaves one that is not exact, so that an older answer of the log that arrives
//! after it cannot hide it.

use super::alone::NEVER;
use super::release::Released;
use crate::config::GatewayConfig;
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::table::{Slot, Table};
use protocol::pb::{self, Route};
use protocol::{Number, Replica, SessionKey};

/// Where a session stands and where its requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) last: Number,
    pub(super) route: Route,
    /// The spell in which nothing above `last` has been acknowledged.
    exact_in: u32,
}

/// The lowest bit of a slot's mark; the others are the spell.
const SECONDARY: u32 = 1;

#[derive(Debug)]
pub(super) struct Slots(Table);

fn place(slot: &Slot) -> Place {
    let route = if slot.mark & SECONDARY == 0 { Route::Primary } else { Route::Secondary };
    Place { last: slot.last, route, exact_in: slot.mark >> 1 }
}

fn slot(place: Place) -> Slot {
    let route = if place.route == Route::Secondary { SECONDARY } else { 0 };
    Slot { last: place.last, mark: place.exact_in << 1 | route }
}

impl Slots {
    pub(super) fn new(config: &GatewayConfig) -> Slots {
        Slots(Table::new(format!("reprise/gateway/{}/t", config.service), config.sessions))
    }

    /// Where a session stands, if that is known for sure in this spell.
    pub(super) fn get(&self, cx: &Cx<'_>, session: &SessionKey, spell: u32) -> Option<Place> {
        self.0.get(cx.ports, session).as_ref().map(place).filter(|p| p.exact_in == spell)
    }

    fn update(
        &self,
        cx: &mut Cx<'_>,
        session: &SessionKey,
        change: impl Fn(Option<Place>) -> Option<Place>,
    ) {
        if self.0.update(cx.ports, session, |old| change(old.map(place)).map(slot)) {
            cx.count(Metric::TableEvictions);
        }
    }

    /// A write was acknowledged: the session stands there at least, and an answer of the secondary
    /// to what should have gone to the primary is evidence against the primary. No replica has
    /// answered what the log alone knew to have run.
    pub(super) fn answered(&self, cx: &mut Cx<'_>, released: &Released, by: Option<Replica>) {
        let failed_over = by == Some(Replica::Secondary) && released.route == Route::Primary;
        let new = Place { last: released.number, route: released.route, exact_in: NEVER };
        self.update(cx, &released.session, |old| {
            let old = old.unwrap_or(new);
            let route = if failed_over { Route::Secondary } else { old.route };
            Some(Place { last: old.last.max(released.number), route, ..old })
        });
    }

    /// The log routed a write of the session. `first`: it is the session's first since this
    /// number, so nothing above that has been acknowledged in this spell.
    pub(super) fn routed(
        &self,
        cx: &mut Cx<'_>,
        session: &SessionKey,
        route: Route,
        first: Option<(Number, u32)>,
    ) {
        let new = first.map(|(last, exact_in)| Place { last, route, exact_in });
        self.update(cx, session, |old| old.map(|old| Place { route, ..old }).or(new));
    }

    /// The log pinned the session or handed it back.
    pub(super) fn moved(&self, cx: &mut Cx<'_>, moved: &pb::Moved) {
        let Ok(session) = SessionKey::new(moved.session.as_str()) else {
            return;
        };
        let route = known(moved.route());
        self.update(cx, &session, |old| old.map(|old| Place { route, ..old }));
    }

    /// The log told where the session stands; kept if that stays true, in a spell of being alone.
    pub(super) fn located(
        &self,
        cx: &mut Cx<'_>,
        session: &SessionKey,
        located: &pb::Located,
        spell: Option<u32>,
    ) -> Place {
        let last = located
            .last
            .as_ref()
            .map_or(Number::default(), |p| Number { epoch: p.epoch, seq: p.seq });
        let last = self.last(cx, session).map_or(last, |known| known.max(last));
        let place = Place { last, route: known(located.route()), exact_in: spell.unwrap_or(NEVER) };
        if spell.is_some() {
            self.update(cx, session, |old| {
                Some(Place { last: old.map_or(last, |old| old.last.max(last)), ..place })
            });
        }
        place
    }

    /// The last acknowledged number that is known, be it exact or not.
    fn last(&self, cx: &Cx<'_>, session: &SessionKey) -> Option<Number> {
        self.0.get(cx.ports, session).map(|slot| slot.last)
    }
}

fn known(route: Route) -> Route {
    if route == Route::Secondary { Route::Secondary } else { Route::Primary }
}
