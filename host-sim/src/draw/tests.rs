use super::{draw, family};
use scenario::{Mirror, Old, Process, Scenario, What};
use std::collections::BTreeSet;

const SEEDS: u64 = 2_000;

fn all() -> impl Iterator<Item = Scenario> {
    (0..SEEDS).map(draw)
}

#[test]
fn every_plan_is_a_valid_scenario_and_survives_being_saved() {
    for plan in all().chain([draw(u64::MAX)]) {
        let yaml = scenario::to_yaml(&plan);
        match scenario::read(&yaml) {
            Ok(again) => assert_eq!(again, plan, "{yaml}"),
            Err(problems) => panic!("{problems}\n{yaml}"),
        }
    }
}

#[test]
fn a_seed_always_gives_the_same_plan_and_another_seed_another_one() {
    assert_eq!(draw(7), draw(7));
    let different: BTreeSet<String> = all()
        .map(|plan| scenario::to_yaml(&Scenario { name: "x".into(), seed: 0, ..plan }))
        .collect();
    assert_eq!(different.len() as u64, SEEDS);
}

#[test]
fn every_family_occurs_alone_and_with_others_and_some_plans_have_no_fault() {
    let (mut alone, mut crowd) = (BTreeSet::new(), BTreeSet::new());
    let mut calm = 0;
    for plan in all() {
        let families: BTreeSet<_> = plan.faults.iter().map(|fault| family(&fault.what)).collect();
        match families.len() {
            0 => calm += 1,
            1 => alone.extend(families),
            _ => crowd.extend(families),
        }
    }
    assert_eq!(crowd.len(), 13, "{crowd:?}");
    assert!(alone.len() >= 6, "{alone:?}");
    assert!((SEEDS / 50..SEEDS / 5).contains(&calm), "{calm}");
}

#[test]
fn every_shape_of_stack_and_load_occurs() {
    let seen = |what: fn(&Scenario) -> u64| all().map(|plan| what(&plan)).collect::<BTreeSet<_>>();
    assert_eq!(seen(|plan| plan.stack.shops.into()), [1, 2].into());
    assert_eq!(seen(|plan| plan.stack.gateways.into()), [1, 2].into());
    assert_eq!(seen(|plan| plan.stack.workers.into()), [1, 2, 3].into());
    assert_eq!(seen(|plan| (plan.stack.mirror == Mirror::Envoy).into()), [0, 1].into());
    assert_eq!(seen(|plan| plan.detect_ms), [400, 1_000, 2_000].into());
    assert_eq!(seen(|plan| plan.load.in_flight.into()), [1, 2, 4].into());
    assert_eq!(seen(|plan| plan.load.sessions.into()), (1..=6).collect());
    assert!(seen(|plan| plan.load.retries.into()).len() >= 4);
    assert!(seen(|plan| plan.load.body_bytes[1]).contains(&20_000));
}

#[test]
fn a_plan_is_small_enough_for_thousands_of_them() {
    for plan in all() {
        assert!((3_000..=10_000).contains(&plan.duration_ms));
        let writes = plan.load.writes_per_second * plan.duration_ms / 1_000;
        assert!(writes * u64::from(plan.stack.shops) <= 300, "{plan:?}");
        assert!(plan.load.writes_per_second >= 15, "{plan:?}");
        assert!(plan.faults.len() <= 16);
        assert!(plan.faults.iter().all(|fault| fault.at_ms < plan.duration_ms), "{plan:?}");
    }
}

#[test]
fn a_store_is_lost_rarely_never_two_and_its_process_dies_soon() {
    let mut lost = 0;
    for plan in all() {
        let stores: Vec<_> =
            plan.faults.iter().filter(|fault| family(&fault.what) == "store").collect();
        assert!(stores.len() <= 1);
        for store in stores {
            lost += 1;
            let What::Store(Old { of, .. }) = store.what else { continue };
            assert!(matches!(of, Process::EdgeReprise | Process::CloudReprise));
            let dies = plan.faults.iter().any(|fault| {
                fault.what == What::Crash(of)
                    && fault.at_ms > store.at_ms
                    && fault.shop == store.shop
            });
            assert!(dies, "{plan:?}");
        }
    }
    assert!((SEEDS / 80..SEEDS / 20).contains(&lost), "{lost}");
}

#[test]
fn what_clients_must_hardly_notice_is_drawn_often() {
    let only_the_link = |plan: &Scenario| {
        let of_link = |what: &What| matches!(family(what), "link" | "flap" | "reset" | "delay");
        plan.faults.iter().all(|fault| of_link(&fault.what)) && plan.load.aborts_per_mille == 0
    };
    let found = all().filter(only_the_link).count() as u64;
    assert!(found > SEEDS / 6, "{found}");
}
