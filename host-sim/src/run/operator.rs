//! An operator who looks at the replicas and decides about each write in doubt: it is skipped
//! where the replica has run it, and redone where it has not.

use crate::history::{Micros, Session};
use crate::kernel::{NodeId, SECOND, World};
use crate::replica::Replica;
use crate::reprise::Reprise;
use crate::stack::Shop;
use protocol::{Number, SessionKey};
use replay_log::journal::Resolution;
use scenario::ReplicaFault;

/// He waits so long after everything works again, so that what resolves itself does.
pub const PATIENCE: Micros = 3 * SECOND;

/// Decides about all that is in doubt now, where nothing is running.
pub fn decide(world: &mut World, shops: &[Shop]) {
    for (shop, nodes) in (0_u32..).zip(shops) {
        let sites = [
            (ReplicaFault::Primary, nodes.primary, nodes.cloud_reprise),
            (ReplicaFault::Secondary, nodes.secondary, nodes.edge_reprise),
        ];
        for (which, replica, reprise) in sites {
            if world.actor::<Replica>(replica).is_some_and(|replica| replica.is_idle()) {
                decide_at(world, shop, which, reprise);
            }
        }
    }
}

fn decide_at(world: &mut World, shop: u32, which: ReplicaFault, reprise: NodeId) {
    for (session, number, label) in doubts(world, reprise) {
        let Some(index) = session.as_str().strip_prefix('s').and_then(|n| n.parse().ok()) else {
            continue;
        };
        let session_of = Session { shop, index };
        let runs = &world.history().runs;
        let ran =
            runs.iter().any(|r| r.replica == which && r.session == session_of && r.label == label);
        let action = if ran { Resolution::Skip } else { Resolution::Redo };
        world.with(reprise, |actor, cx| {
            if let Some(reprise) = actor.as_any().downcast_mut::<Reprise>() {
                reprise.resolve(cx, &session, number, action);
            }
        });
    }
}

/// Session, number and label of each write in doubt; the label is the last part of its path.
fn doubts(world: &mut World, reprise: NodeId) -> Vec<(SessionKey, Number, u32)> {
    let status = world.actor::<Reprise>(reprise).and_then(|reprise| reprise.status().1);
    let cases = status.into_iter().flat_map(|status| status.in_doubt);
    cases
        .filter_map(|case| {
            let label = case.path.rsplit('/').next()?.parse().ok()?;
            Some((case.session, case.number, label))
        })
        .collect()
}
