//! The client hardly notices: while nothing but the link fails, a request costs at most one
//! detection time more, and none fails.
//!
//! How much a cut may cost is a matter of the design only for one clean cut at a time, with
//! networks, disks and services much quicker than the detection time D. A link that comes and
//! goes may cost every try its route timeout, 4 D; anything beyond that is nobody's cut any more.

use super::seen::Seen;
use super::weak::concerns;
use super::{Finds, at, who};
use crate::history::{Kind, Op, Outcome};
use scenario::{Normal, Scenario, What};

/// What a hand-back, a busy moment and the way of a request may add to one detection time.
const MARGIN_MS: u64 = 500;
/// What a client may wait between two tries, and the margin of a link that comes and goes.
const BETWEEN_TRIES_MS: u64 = 3_000;
/// A client that tries this often again gets through, however the link flaps.
const PERSISTENT: u32 = 5;

/// What the requests of a shop may cost.
struct Bound {
    /// All tries together.
    once_ms: u64,
    /// Each try.
    try_ms: u64,
    /// Whether some may fail.
    fails: bool,
}

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    let bounds: Vec<Option<Bound>> =
        (0..seen.scenario.stack.shops).map(|shop| bound(seen.scenario, shop)).collect();
    for op in &seen.history.ops {
        let shop = usize::try_from(op.session.shop).ok();
        let Some(Some(bound)) = shop.and_then(|shop| bounds.get(shop)) else { continue };
        judge_op(&mut finds, op, bound);
    }
    finds
}

fn judge_op(finds: &mut Finds, op: &Op, bound: &Bound) {
    let what = || {
        let kind = match op.kind {
            Kind::Write { label, .. } => format!("write {label}"),
            Kind::Read => "a read".into(),
        };
        format!("{}: {kind}, sent at {}", who(op.session), at(op.sent_us))
    };
    if let (Outcome::Refused(why) | Outcome::Unknown(why), false) = (&op.outcome, bound.fails) {
        finds.add(|| format!("{}, failed after {} tries: {} {why}", what(), op.tries, op.status));
        return;
    }
    let most_ms = bound.once_ms + bound.try_ms * u64::from(op.tries);
    let took_us = op.ended_us.map_or(0, |ended| ended.saturating_sub(op.sent_us));
    if took_us > most_ms * 1_000 {
        finds.add(|| format!("{}, took {}, above {most_ms} ms", what(), at(took_us)));
    }
}

/// Whether a fault is one of the link.
pub fn of_link(what: &What) -> bool {
    matches!(what, What::Link(_) | What::Flap(_) | What::Reset | What::Delay(_))
}

fn bound(scenario: &Scenario, shop: u32) -> Option<Bound> {
    let d = scenario.detect_ms;
    let load = &scenario.load;
    let mild = |what: &What| match what {
        What::Delay(ms) => *ms <= d / 4,
        what => of_link(what),
    };
    let stack = &scenario.stack;
    let as_shipped = [&stack.gateway, &stack.guard, &stack.log, &stack.journal]
        .into_iter()
        .all(serde_json::Map::is_empty);
    if !scenario.faults.iter().all(|fault| mild(&fault.what))
        || load.aborts_per_mille > 0
        || !as_shipped
        || !quick(&scenario.normal, d)
    {
        return None;
    }
    let mut here = scenario.faults.iter().filter(|fault| concerns(fault, shop));
    let clean = match (here.next(), here.next()) {
        (None, _) => true,
        (Some(fault), None) => matches!(fault.what, What::Link(_)),
        _ => false,
    };
    let patient = |ms: u64| load.timeout_ms >= ms;
    if clean && patient(2 * d + MARGIN_MS) {
        let n = &scenario.normal;
        let parts = 4 * n.link_us[1] + 10 * n.local_us[1] + 4 * n.sync_us[1];
        let turns = 2 * n.service_us[1] * u64::from(load.in_flight);
        return Some(Bound {
            once_ms: d + MARGIN_MS + (parts + turns) / 1_000,
            try_ms: 0,
            fails: false,
        });
    }
    patient(4 * d + 2_000).then_some(Bound {
        once_ms: 0,
        try_ms: 4 * d + BETWEEN_TRIES_MS,
        fails: load.retries < PERSISTENT,
    })
}

/// Whether everything is much quicker than the detection time while nothing is broken.
fn quick(normal: &Normal, d: u64) -> bool {
    let d_us = d * 1_000;
    normal.link_us[1] <= d_us / 10
        && normal.local_us[1] <= d_us / 200
        && normal.service_us[1] <= d_us / 20
        && normal.sync_us[1] <= d_us / 50
        && normal.cloud_parallel == 0
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Noticed;
    use super::super::hand::Hand;
    use scenario::{Cut, Flap, Process, What};

    const S: u64 = 1_000_000;

    fn faithful() -> Hand {
        Hand::new().load(|load| load.aborts_per_mille = 0)
    }

    fn cut() -> Hand {
        faithful().fault(100, Some(3_000), What::Link(Cut::Hole))
    }

    fn flap() -> Hand {
        let flap = Flap { cut: Cut::Hole, down_ms: [100, 200], up_ms: [100, 200] };
        faithful().fault(100, Some(3_000), What::Flap(flap))
    }

    #[test]
    fn a_cut_may_cost_one_detection_time() {
        cut().write(1, 0, S + 400_000).both(1, 5).holds();
    }

    #[test]
    fn a_cut_that_costs_more_is_found() {
        cut().write(1, 0, S + 700_000).both(1, 5).breaks(Noticed, 1);
        cut().write(1, 0, S + 700_000).both(1, 5).says(Noticed, "took 1.700000 s, above 1534 ms");
    }

    #[test]
    fn a_cut_costs_no_client_an_error() {
        cut().unknown(1, 0, 10).both(1, 5).breaks(Noticed, 1);
        cut().refused(1, 0, 10).breaks(Noticed, 1);
    }

    #[test]
    fn a_flapping_link_may_cost_each_try_its_route_timeout() {
        flap().write(1, 0, 6 * S).both(1, 5).holds();
        flap().write(1, 0, 8 * S).both(1, 5).breaks(Noticed, 1);
    }

    #[test]
    fn over_a_flapping_link_only_a_persistent_client_never_fails() {
        flap().unknown(1, 0, 10).both(1, 5).holds();
        let persistent = flap().load(|load| load.retries = 5);
        persistent.unknown(1, 0, 10).both(1, 5).breaks(Noticed, 1);
    }

    #[test]
    fn nothing_is_promised_while_anything_else_fails_too() {
        let slow = |hand: Hand| hand.write(1, 0, 50 * S).both(1, 5);
        slow(cut().fault(0, Some(10), What::Crash(Process::EdgeEnvoy))).holds();
        slow(cut().fault(0, Some(10), What::Delay(300))).holds();
        slow(cut().load(|load| load.aborts_per_mille = 1)).holds();
        slow(cut().load(|load| load.timeout_ms = 900)).holds();
        slow(cut().scenario(|scenario| scenario.normal.service_us = [0, 400_000])).holds();
        slow(cut().scenario(|scenario| {
            scenario.stack.log.insert("max_bytes".into(), 1.into());
        }))
        .holds();
    }

    #[test]
    fn a_cut_at_one_shop_is_not_noticed_at_the_other() {
        let hand = flap().scenario(|scenario| {
            scenario.stack.shops = 2;
            scenario.faults[0].shop = Some(1);
        });
        hand.write(1, 0, 2 * S).both(1, 5).breaks(Noticed, 1);
    }
}
