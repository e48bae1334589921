//! The log and both journals together, against a plain model, under every order of events that
//! proptest finds: messages lost, late, doubled; guards, journals and the log killed and opened
//! again on what they had committed; a link that is cut; clients that retry or leave.
//!
//! The model is a list of ids per session in the order of their numbers. Whatever happens, each
//! replica has run a prefix of it, each write once; and when all heals, all of it.

#[path = "world/guard.rs"]
mod guard;
#[path = "world/site.rs"]
mod site;

use proptest::prelude::*;
use site::World;

/// One step: what to do, and which of the things at hand to do it to.
type Step = (u8, u16);

fn run(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.step(*step);
        world.check_prefixes();
    }
    world.heal();
    world.check_whole();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn every_replica_runs_the_numbered_order_once_whatever_happens(
        steps in prop::collection::vec(any::<Step>(), 0..250)
    ) {
        run(&steps);
    }
}

#[test]
fn a_quiet_world_converges() {
    run(&[(0, 0), (0, 1), (0, 0), (2, 0), (5, 0), (2, 0)]);
}
