use super::*;
use crate::history::History;
use crate::kernel::{NodeId, Place, Plan, Port, Trace, World};
use crate::replica::{self, Replica};
use scenario::{Break, Methods, Normal, ReplicaFault};

fn load() -> Load {
    Load {
        sessions: 4,
        writes_per_second: 100,
        read_every: 5,
        in_flight: 2,
        retries: 2,
        timeout_ms: 500,
        body_bytes: [0, 300],
        methods: Methods { post: 1, put: 1 },
        aborts_per_mille: 0,
        doubles_per_mille: 0,
        keyless_per_mille: 0,
        slow_bodies_per_mille: 50,
        from_ms: 100,
    }
}

struct Rig {
    world: World,
    replica: NodeId,
    clients: NodeId,
}

/// Clients that speak to a replica directly.
fn rig(seed: u64, load: Load) -> Rig {
    let mut world = World::new(seed, 1, &Normal::default(), Trace::none());
    let config = replica::Config {
        shop: 0,
        replica: ReplicaFault::Primary,
        service_us: [300, 900],
        capacity: None,
    };
    let replica = world.add("primary", Place::Cloud, Replica::new(config));
    let gateways = vec![Addr { node: replica, port: Port::Service }];
    let config = Config { shop: 0, gateways, load, stop_at_us: 10 * SECOND };
    let clients = world.add("clients", Place::Edge(0), Clients::new(config));
    world.start(replica);
    world.start(clients);
    Rig { world, replica, clients }
}

impl Rig {
    fn end(mut self) -> History {
        self.world.run_until(14 * SECOND);
        assert!(self.world.actor::<Clients>(self.clients).is_some_and(|c| c.idle()));
        std::mem::take(self.world.history())
    }

    fn misbehave(&mut self, how: Break) {
        self.world.actor::<Replica>(self.replica).unwrap().misbehave(how);
    }
}

fn writes(history: &History) -> impl Iterator<Item = &Op> {
    history.ops.iter().filter(|op| matches!(op.kind, Kind::Write { .. }))
}

fn runs(history: &History, op: &Op) -> usize {
    let Kind::Write { label, .. } = op.kind else { return 0 };
    history.runs.iter().filter(|r| (r.session, r.label) == (op.session, label)).count()
}

#[test]
fn clients_keep_their_rate_and_every_write_runs_once() {
    let history = rig(1, load()).end();
    let count = writes(&history).count();
    assert!((900..1100).contains(&count), "{count}");
    assert!(history.ops.iter().all(|op| op.outcome == Outcome::Ok && op.tries == 1));
    assert!(history.ops.iter().all(|op| op.sent_us >= 100 * MS && op.sent_us < 10 * SECOND));
    assert!(writes(&history).all(|op| runs(&history, op) == 1));
    let reads: Vec<_> = history.ops.iter().filter(|op| op.kind == Kind::Read).collect();
    assert!(reads.len() > 150);
    assert!(reads.iter().all(|op| op.showed.is_some_and(|(_, n)| n > 0)));
    let puts = |op: &&Op| matches!(op.kind, Kind::Write { idempotent: true, .. });
    assert!((count / 3..count * 2 / 3).contains(&writes(&history).filter(puts).count()));
    assert_eq!(history.cloud_load.iter().sum::<u32>() as usize, history.ops.len());
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let faulty = || {
        let mut load = load();
        (load.aborts_per_mille, load.doubles_per_mille) = (100, 100);
        let mut rig = rig(7, load);
        rig.misbehave(Break::BreakAfter(9));
        format!("{:?}", rig.end())
    };
    assert_eq!(faulty(), faulty());
}

#[test]
fn a_write_whose_answer_was_lost_is_sent_again_with_its_label() {
    let mut rig = rig(2, load());
    rig.misbehave(Break::BreakAfter(10));
    let history = rig.end();
    assert!(history.runs.iter().any(|run| run.unanswered));
    let again: Vec<_> = writes(&history).filter(|op| runs(&history, op) > 1).collect();
    assert!(!again.is_empty());
    assert!(again.iter().all(|op| op.tries > 1));
    assert!(writes(&history).all(|op| op.outcome == Outcome::Ok || runs(&history, op) <= 3));
}

#[test]
fn what_nobody_runs_is_unknown_after_all_tries() {
    let mut rig = rig(3, load());
    rig.misbehave(Break::Busy);
    let history = rig.end();
    assert!(!history.ops.is_empty() && history.runs.is_empty());
    assert!(history.ops.iter().all(|op| op.tries == 3 && op.status == 503));
    assert!(history.ops.iter().all(|op| op.outcome == Outcome::Unknown("503".into())));
}

#[test]
fn writes_without_a_key_are_sent_once() {
    let mut load = load();
    load.keyless_per_mille = 1_000;
    let mut rig = rig(4, load);
    rig.misbehave(Break::BreakBefore(4));
    let history = rig.end();
    assert!(writes(&history).all(|op| op.tries == 1));
    assert!(writes(&history).any(|op| op.outcome != Outcome::Ok));
}

#[test]
fn doubles_run_twice_at_a_replica_without_a_guard_and_end_once() {
    let mut load = load();
    (load.doubles_per_mille, load.read_every) = (1_000, 0);
    let history = rig(5, load).end();
    assert!(history.ops.iter().all(|op| op.outcome == Outcome::Ok && op.tries == 1));
    assert!(writes(&history).all(|op| runs(&history, op) == 2));
}

#[test]
fn a_client_that_gives_up_does_not_know() {
    let mut load = load();
    load.aborts_per_mille = 1_000;
    let history = rig(6, load).end();
    let gone = history.ops.iter().filter(|op| op.outcome != Outcome::Ok).count();
    assert!(gone > 50 && gone < history.ops.len());
}

#[test]
fn a_silent_service_costs_a_timeout_and_the_clients_come_back() {
    let mut rig = rig(8, load());
    let node = rig.replica;
    rig.world.plan(3 * SECOND, Plan::Freeze(node, true));
    rig.world.plan(5 * SECOND, Plan::Freeze(node, false));
    rig.world.plan(7 * SECOND, Plan::Kill(node));
    rig.world.plan(8 * SECOND, Plan::Start(node));
    let history = rig.end();
    assert!(history.ops.iter().any(|op| op.tries > 1));
    let late = |op: &&Op| op.sent_us > 8_500 * MS;
    assert!(history.ops.iter().filter(late).all(|op| op.outcome == Outcome::Ok));
    assert!(history.ops.iter().filter(late).count() > 100);
    assert!(history.ops.iter().all(|op| op.ended_us.is_some()));
}
