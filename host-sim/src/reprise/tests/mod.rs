mod config;
mod envoy;

use self::envoy::Envoy;
use super::*;
use crate::kernel::{NodeId, Place, Plan, SECOND, Trace, World};
use protocol::pb::{self, guard_request, guard_response};
use protocol::{Id, Link, Replica};
use replay_log::log::Full;
use scenario::{Disk as Broken, Process, Scenario};

pub fn scenario() -> Scenario {
    let text = "name: t\nduration_ms: 1000\nload: {sessions: 1, writes_per_second: 1}\n";
    scenario::read(text).expect("a scenario")
}

struct Rig {
    world: World,
    reprise: NodeId,
    envoy: NodeId,
}

impl Rig {
    fn of(seed: u64, config: impl Fn(&Scenario, NodeId) -> Config, scenario: &Scenario) -> Rig {
        let mut world = World::new(seed, 1, &scenario.normal, Trace::none());
        let config = config(scenario, NodeId(1));
        let reprise = world.add("edge-reprise", Place::Edge(0), Reprise::new(config));
        let envoy = world.add("edge-envoy", Place::Edge(0), Envoy::new(reprise));
        world.start(reprise);
        world.start(envoy);
        Rig { world, reprise, envoy }
    }

    fn edge(seed: u64, scenario: &Scenario) -> Rig {
        Rig::of(seed, |s, envoy| Config::edge(s, "shop", 0, envoy).expect("a config"), scenario)
    }

    fn new(seed: u64) -> Rig {
        Rig::edge(seed, &scenario())
    }

    fn until_ms(&mut self, ms: u64) {
        self.world.run_until(ms * MS);
    }

    fn envoy(&mut self) -> &mut Envoy {
        self.world.actor(self.envoy).expect("the envoy")
    }

    fn reprise(&mut self) -> &mut Reprise {
        self.world.actor(self.reprise).expect("the process")
    }

    fn log(&mut self) -> log::Status {
        self.reprise().status().0.expect("a log that is up")
    }

    fn notes(&mut self, kind: &str) -> Vec<String> {
        let notes = self.world.history().notes.iter();
        notes.filter(|note| note.kind == kind).map(|note| note.text.clone()).collect()
    }

    /// No more writes; five seconds later both replicas have all of them.
    fn comes_to_rest(&mut self) {
        self.envoy().quiet = true;
        let now = self.world.now();
        self.world.run_until(now + 5 * SECOND);
        assert_eq!(self.log().backlog, [0, 0]);
        let [primary, secondary] = &self.envoy().guards;
        assert_eq!(primary.ran, secondary.ran);
        let seqs: Vec<u64> = primary.ran.iter().map(|(number, _)| number.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
        let acknowledged = self.envoy().acknowledged.clone();
        let ran = &self.envoy().guards[0].ran;
        let known = |number| ran.iter().any(|(n, _)| *n == number);
        assert!(acknowledged.into_iter().all(known));
    }
}

#[test]
fn a_number_leaves_when_its_sync_is_done_and_the_next_turn_takes_what_came_meanwhile() {
    let mut scenario = scenario();
    scenario.normal.sync_us = [5_000, 6_000];
    let mut rig = Rig::edge(1, &scenario);
    rig.until_ms(2_000);
    let took = rig.envoy().took.clone();
    assert!(took.len() > 50);
    assert!(took.iter().all(|us| *us > 5_000 && *us < 20_000), "{took:?}");
    rig.reprise().disk(Some(Broken::Slow(100)));
    rig.until_ms(4_000);
    assert!(rig.envoy().took.iter().any(|us| *us > 100_000));
    rig.reprise().disk(None);
    rig.comes_to_rest();
}

#[test]
fn what_the_primary_ran_is_delivered_to_the_secondary() {
    let mut rig = Rig::new(2);
    rig.until_ms(1_000);
    let before = rig.reprise().progress();
    rig.until_ms(2_000);
    assert_ne!(rig.reprise().progress(), before);
    rig.comes_to_rest();
    let rest = rig.reprise().progress();
    rig.until_ms(20_000);
    assert_eq!(rig.reprise().progress(), rest);
    assert!(rig.log().delivered[1] > 80);
    assert_eq!(rig.log().delivered[0], 0);
}

#[test]
fn what_happens_to_the_log_is_noted() {
    let mut rig = Rig::new(3);
    rig.until_ms(1_000);
    rig.envoy().guards[0].away = true;
    rig.until_ms(2_000);
    assert_eq!(rig.notes("away"), ["the primary: no answer from its guard"]);
    assert_eq!(rig.notes("pinned").len(), 1);
    assert!(rig.log().backlog[0] > 20);
    rig.envoy().guards[0].away = false;
    rig.comes_to_rest();
    assert_eq!(rig.notes("back").len(), 1);
    assert_eq!(rig.notes("handed_back").len(), 1);
    assert_eq!(rig.notes("started"), ["edge-reprise"]);
}

#[test]
fn nothing_acknowledged_is_lost_in_crashes() {
    for seed in 0..30 {
        let mut rig = Rig::new(seed);
        let node = rig.reprise;
        for n in 1..8 {
            let at = n * 400 * MS + seed * 211;
            rig.world.plan(at, Plan::Kill(node));
            rig.world.plan(at + 100 * MS, Plan::Start(node));
        }
        rig.until_ms(4_000);
        assert_eq!(rig.notes("died").len(), 7);
        rig.comes_to_rest();
    }
}

#[test]
fn a_process_whose_disk_fails_dies_until_it_is_mended() {
    let mut rig = Rig::new(4);
    rig.until_ms(1_000);
    rig.reprise().disk(Some(Broken::Fails));
    rig.until_ms(4_000);
    let died = rig.notes("died");
    assert!(died.len() >= 4 && died[0].contains("cannot make a batch"), "{died:?}");
    assert!(rig.reprise().status().0.is_none());
    rig.reprise().disk(None);
    rig.until_ms(5_000);
    rig.comes_to_rest();
}

#[test]
fn a_process_whose_disk_is_full_numbers_nothing_new_and_settles_what_it_has() {
    let mut rig = Rig::new(5);
    rig.until_ms(1_000);
    rig.reprise().disk(Some(Broken::Full));
    let numbered = rig.log().numbered;
    rig.until_ms(4_000);
    let log = rig.log();
    assert_eq!((log.numbered, log.entries, log.full), (numbered, 0, Some(Full::Disk)));
    rig.reprise().disk(None);
    rig.until_ms(5_000);
    assert!(rig.log().numbered > numbered);
    assert_eq!((rig.notes("full").len(), rig.notes("room_again").len()), (1, 1));
    assert!(rig.notes("died").is_empty());
    rig.comes_to_rest();
}

#[test]
fn an_orderly_end_keeps_even_what_was_waiting_for_company() {
    let mut rig = Rig::new(6);
    let node = rig.reprise;
    rig.until_ms(1_000);
    rig.world.plan(1_011 * MS, Plan::Stop(node));
    rig.world.plan(1_500 * MS, Plan::Start(node));
    rig.until_ms(1_400);
    let statuses = &mut rig.envoy().statuses;
    statuses.sort();
    assert_eq!(*statuses, [(7, streams::UNAVAILABLE), (8, streams::UNAVAILABLE)]);
    assert_eq!(rig.notes("stopped").len(), 1);
    rig.until_ms(1_600);
    assert!(rig.log().entries <= 4);
    rig.comes_to_rest();
}

#[test]
fn a_log_found_in_an_older_state_says_so() {
    let mut scenario = scenario();
    let old = Old { of: Process::EdgeReprise, age_ms: Some(500) };
    scenario.faults.push(scenario::Fault {
        at_ms: 2_000,
        for_ms: None,
        shop: None,
        what: scenario::What::Store(old),
    });
    let mut rig = Rig::edge(7, &scenario);
    let node = rig.reprise;
    rig.until_ms(2_000);
    rig.reprise().store(old);
    rig.world.plan(2_001 * MS, Plan::Kill(node));
    rig.world.plan(2_100 * MS, Plan::Start(node));
    rig.until_ms(4_000);
    assert!(!rig.log().conflicts.is_empty(), "{:?}", rig.log());
}

#[test]
fn a_process_without_a_log_says_so_and_keeps_its_journal() {
    let cloud = |s: &Scenario, _| Config::cloud(s, "shop", 0).expect("a config");
    let mut rig = Rig::of(8, cloud, &scenario());
    let node = rig.envoy;
    rig.until_ms(100);
    assert_eq!(rig.envoy().statuses, [(7, streams::UNIMPLEMENTED)]);
    let ask = |rig: &mut Rig, kind| {
        rig.world.with(node, |actor, cx| {
            actor.as_any().downcast_mut::<Envoy>().expect("the envoy").guard(cx, kind);
        });
        let now = rig.world.now();
        rig.world.run_until(now + 10 * MS);
        rig.envoy().guarded.pop().and_then(|response| response.kind)
    };
    let hello = envoy::hello_of(Replica::Primary);
    let welcome = ask(&mut rig, guard_request::Kind::Hello(hello));
    assert!(
        matches!(&welcome, Some(guard_response::Kind::Welcome(w)) if w.error.is_empty()),
        "{welcome:?}"
    );
    let id = Id::new("i1").expect("an id");
    let begin = pb::Begin {
        session: "s1".into(),
        epoch: 1,
        seq: 1,
        link: Link::START.next(&id).0.to_vec(),
        id: "i1".into(),
        method: "POST".into(),
        path: "/items".into(),
        run_timeout_ms: 100,
        wait_ms: 50,
        ..Default::default()
    };
    let begun = ask(&mut rig, guard_request::Kind::Begin(begin.clone()));
    assert!(
        matches!(&begun, Some(guard_response::Kind::Begun(b)) if b.verdict() == pb::begun::Verdict::Run),
        "{begun:?}"
    );
    rig.until_ms(1_000);
    let doubts = |rig: &mut Rig| rig.reprise().status().1.expect("a journal").in_doubt;
    assert_eq!(doubts(&mut rig).len(), 1);
    let (session, number) = (doubts(&mut rig)[0].session.clone(), doubts(&mut rig)[0].number);
    let reprise = rig.reprise;
    rig.world.with(reprise, |actor, cx| {
        let reprise = actor.as_any().downcast_mut::<Reprise>().expect("the process");
        reprise.resolve(cx, &session, number, Resolution::Skip);
    });
    rig.until_ms(1_100);
    assert!(doubts(&mut rig).is_empty());
}

#[test]
fn what_the_mirror_ran_is_told_to_the_log_by_the_journal() {
    let mut scenario = scenario();
    scenario.stack.mirror = scenario::Mirror::Envoy;
    let mut rig = Rig::edge(10, &scenario);
    rig.envoy().mirrors = true;
    rig.until_ms(2_000);
    rig.envoy().quiet = true;
    rig.until_ms(3_000);
    assert!(rig.log().numbered > 80);
    assert_eq!(rig.log().backlog, [0, 0]);
    assert_eq!(rig.log().delivered, [0, 0]);
    assert_eq!(rig.reprise().status().1.map(|journal| journal.ran), Some(rig.log().numbered));
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let life = || {
        let mut rig = Rig::new(11);
        let node = rig.reprise;
        rig.world.plan(1_003 * MS, Plan::Kill(node));
        rig.world.plan(1_200 * MS, Plan::Start(node));
        rig.until_ms(3_000);
        let took = rig.envoy().took.clone();
        (took, rig.world.events(), format!("{:?}", rig.log()))
    };
    assert_eq!(life(), life());
}
