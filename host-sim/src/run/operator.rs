//! An operator who sees what the log lists, looks at the replicas and decides about each write in
//! doubt: it is skipped where the replica has run it, and redone where it has not.

use crate::history::{Micros, Session};
use crate::kernel::{NodeId, SECOND, World};
use crate::replica::Replica;
use crate::reprise::Reprise;
use crate::stack::Shop;
use protocol::SessionKey;
use replay_log::journal::Resolution;
use replay_log::log::HeldUp;
use scenario::ReplicaFault;

/// He waits so long after everything works again, so that what resolves itself does.
pub const PATIENCE: Micros = 3 * SECOND;

/// Decides about all that the log lists as in doubt now, where nothing is running.
pub fn decide(world: &mut World, shops: &[Shop]) {
    for (shop, nodes) in (0_u32..).zip(shops) {
        for doubt in doubts(world, nodes.edge_reprise) {
            let (which, replica, reprise) = match doubt.replica {
                protocol::Replica::Primary => {
                    (ReplicaFault::Primary, nodes.primary, nodes.cloud_reprise)
                }
                protocol::Replica::Secondary => {
                    (ReplicaFault::Secondary, nodes.secondary, nodes.edge_reprise)
                }
            };
            if world.actor::<Replica>(replica).is_some_and(|replica| replica.is_idle()) {
                decide_one(world, shop, which, reprise, &doubt);
            }
        }
    }
}

fn decide_one(
    world: &mut World,
    shop: u32,
    which: ReplicaFault,
    reprise: NodeId,
    doubt: &HeldUp,
) -> Option<()> {
    let session = SessionKey::new(doubt.session.clone()).ok()?;
    let index = doubt.session.strip_prefix('s')?.parse().ok()?;
    // The label is the last part of the path.
    let label: u32 = doubt.path.rsplit('/').next()?.parse().ok()?;
    let session_of = Session { shop, index };
    let runs = &world.history().runs;
    let ran =
        runs.iter().any(|r| r.replica == which && r.session == session_of && r.label == label);
    let action = if ran { Resolution::Skip } else { Resolution::Redo };
    world.with(reprise, |actor, cx| {
        let reprise = actor.as_any().downcast_mut::<Reprise>()?;
        reprise.resolve(cx, &session, doubt.number, action);
        Some(())
    })
}

fn doubts(world: &mut World, reprise: NodeId) -> Vec<HeldUp> {
    let status = world.actor::<Reprise>(reprise).and_then(|reprise| reprise.status().0);
    status.map(|status| status.in_doubt).unwrap_or_default()
}
