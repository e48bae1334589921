//! A scenario's faults as steps in time.

use crate::history::Micros;
use crate::kernel::Plan;
use crate::kernel::{MS, NodeId, Place, World};
use crate::replica::Replica;
use crate::reprise::Reprise;
use crate::rng::Rng;
use crate::stack::Shop;
use scenario::{Break, Disk, Old, Plugin, Process, ReplicaFault, Scenario, Site, What};

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub enum Step {
    /// By the world itself.
    World(Plan),
    /// The sync of a site's disks.
    Disk(NodeId, Option<Disk>),
    /// A store that is found otherwise.
    Store(NodeId, Old),
    /// A replica begins to misbehave (true) or ends it.
    Service(NodeId, Break, bool),
    /// A line of the timeline.
    Note(Option<u32>, &'static str, String),
}

impl Step {
    /// Does it.
    pub fn take(self, world: &mut World) {
        match self {
            Step::World(plan) => world.carry_out(plan),
            Step::Disk(node, how) => {
                if let Some(reprise) = world.actor::<Reprise>(node) {
                    reprise.disk(how);
                }
            }
            Step::Store(node, old) => {
                if let Some(reprise) = world.actor::<Reprise>(node) {
                    reprise.store(old);
                }
            }
            Step::Service(node, how, begins) => {
                if let Some(replica) = world.actor::<Replica>(node) {
                    if begins { replica.misbehave(how) } else { replica.behave(how) }
                }
            }
            Step::Note(shop, kind, text) => world.note(shop, kind, text),
        }
    }
}

/// All steps in the order of their times, which count from the begin of the load.
pub fn steps(scenario: &Scenario, shops: &[Shop]) -> Vec<(Micros, Step)> {
    let end = scenario.duration_ms * MS;
    let mut steps = Vec::new();
    for (n, fault) in scenario.faults.iter().enumerate() {
        let mut rng = Rng::named(scenario.seed, &format!("fault {n}"));
        // Anywhere inside its millisecond.
        let begin = (fault.at_ms * MS + rng.below(MS)).min(end);
        let over = fault.for_ms.map_or(end, |ms| (begin + ms * MS).min(end));
        let of = |shop: u32| fault.shop.is_none_or(|only| only == shop);
        let name = fault.what.to_string();
        steps.push((begin, Step::Note(fault.shop, "fault", name.clone())));
        if lasts(&fault.what) {
            steps.push((over, Step::Note(fault.shop, "mended", format!("no longer: {name}"))));
        }
        for (shop, nodes) in (0_u32..).zip(shops).filter(|(shop, _)| of(*shop)) {
            one(&fault.what, shop, nodes, begin, over, &mut rng, &mut steps);
        }
    }
    // A stable sort: what was pushed first happens first.
    steps.sort_by_key(|(at, _)| *at);
    steps
}

fn lasts(what: &What) -> bool {
    !matches!(what, What::Reset | What::Panic(_) | What::Reload | What::Clock(_) | What::Store(_))
}

fn one(
    what: &What,
    shop: u32,
    nodes: &Shop,
    begin: Micros,
    over: Micros,
    rng: &mut Rng,
    steps: &mut Vec<(Micros, Step)>,
) {
    let mut world = |at: Micros, plan: Plan| steps.push((at, Step::World(plan)));
    match what {
        What::Link(cut) => {
            world(begin, Plan::Link(shop, Some(*cut)));
            world(over, Plan::Link(shop, None));
        }
        What::Flap(flap) => {
            let mut at = begin;
            while at < over {
                let up = (at + rng.between(flap.down_ms).max(1) * MS).min(over);
                world(at, Plan::Link(shop, Some(flap.cut)));
                world(up, Plan::Link(shop, None));
                at = up + rng.between(flap.up_ms).max(1) * MS;
            }
        }
        What::Reset => world(begin, Plan::Reset(shop)),
        What::Delay(ms) => {
            world(begin, Plan::Extra(shop, ms * MS));
            world(over, Plan::Extra(shop, 0));
        }
        What::Crash(process) | What::Restart(process) | What::Pause(process) => {
            let Some(node) = nodes.process(*process) else { return };
            let (first, then) = match what {
                What::Crash(_) => (Plan::Kill(node), Plan::Start(node)),
                What::Restart(_) => (Plan::Stop(node), Plan::Start(node)),
                _ => (Plan::Freeze(node, true), Plan::Freeze(node, false)),
            };
            world(begin, first);
            world(over, then);
        }
        What::Panic(plugin) => {
            let node = match plugin {
                Plugin::Gateway | Plugin::SecondaryGuard => nodes.edge_envoy,
                Plugin::PrimaryGuard => nodes.cloud_envoy,
            };
            world(begin, Plan::Break(node, what.clone()));
        }
        What::Reload => world(begin, Plan::Break(nodes.edge_envoy, What::Reload)),
        What::Service(fault) => {
            let node = match fault.replica {
                ReplicaFault::Primary => nodes.primary,
                ReplicaFault::Secondary => nodes.secondary,
            };
            steps.push((begin, Step::Service(node, fault.how, true)));
            steps.push((over, Step::Service(node, fault.how, false)));
        }
        What::Disk(fault) => {
            let node = reprise_of(nodes, fault.site);
            steps.push((begin, Step::Disk(node, Some(fault.how))));
            steps.push((over, Step::Disk(node, None)));
        }
        What::Clock(clock) => {
            let place = match clock.site {
                Site::Edge => Place::Edge(shop),
                Site::Cloud => Place::Cloud,
            };
            world(begin, Plan::Step(place, clock.step_ms));
        }
        What::Store(old) => {
            let node = match old.of {
                Process::CloudReprise => nodes.cloud_reprise,
                _ => nodes.edge_reprise,
            };
            steps.push((begin, Step::Store(node, *old)));
        }
    }
}

fn reprise_of(nodes: &Shop, site: Site) -> NodeId {
    match site {
        Site::Edge => nodes.edge_reprise,
        Site::Cloud => nodes.cloud_reprise,
    }
}
