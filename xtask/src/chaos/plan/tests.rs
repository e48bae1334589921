use demo::relay::Mode;

use super::*;

#[test]
fn a_seed_gives_the_same_plan_each_time_and_another_one_another() {
    let plan = |seed| (1..20).map(|number| Round::draw(seed, number)).collect::<Vec<_>>();
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn over_some_rounds_everything_happens_to_everybody() {
    let rounds: Vec<_> = (1..=60).map(|number| Round::draw(1, number)).collect();
    let faults: Vec<_> = rounds.iter().flat_map(|round| &round.faults).collect();
    let happens = |victim, is: fn(&Harm) -> bool| {
        faults.iter().any(|fault| fault.victim == victim && is(&fault.harm))
    };
    for victim in Victim::ALL.into_iter().filter(|v| *v != Victim::Link) {
        assert!(happens(victim, |harm| matches!(harm, Harm::Kill { .. })), "{victim:?}");
        assert!(happens(victim, |harm| matches!(harm, Harm::Freeze { .. })), "{victim:?}");
    }
    let edge = Victim::Stack(Process::EdgeReprise);
    assert!(happens(edge, |harm| harm.kills() == 3));
    assert!(happens(edge, |harm| matches!(harm, Harm::Terminate { .. })));
    assert!(happens(edge, |harm| matches!(harm, Harm::SlowDisk { .. })));
    assert!(happens(edge, |harm| matches!(harm, Harm::AtSync { end: SyncEnd::Fails, .. })));
    assert!(happens(edge, |harm| matches!(harm, Harm::Clock { ahead_ms: ..0 })));
    assert!(happens(Victim::Link, |harm| matches!(harm, Harm::Reset)));
    for mode in [Mode::Refuse, Mode::Hole, Mode::Stall, Mode::Mute, Mode::Deaf] {
        let cuts = |f: &&&Fault| matches!(f.harm, Harm::Cut { mode: m, .. } if m == mode);
        assert!(faults.iter().any(|fault| cuts(&fault)), "{mode:?}");
    }
    let together = faults
        .windows(2)
        .any(|two| two[0].at_ms == two[1].at_ms && two.iter().all(|fault| fault.harm.kills() > 0));
    assert!(together, "two are killed at once");
}

#[test]
fn a_victim_has_one_fault_at_a_time_and_the_first_round_is_fresh() {
    for number in 1..=60 {
        let round = Round::draw(3, number);
        assert!(number > 1 || round.fresh.is_some());
        for victim in Victim::ALL {
            for two in round.of(victim).windows(2) {
                assert!(two[0].at_ms + two[0].harm.length_ms() <= two[1].at_ms, "{round}");
            }
        }
    }
}

#[test]
fn sixty_rounds_are_more_than_five_hundred_deaths() {
    let kills = |number| Round::draw(1, number).faults.iter().map(|f| f.harm.kills()).sum::<u64>();
    let sum: u64 = (1..=60).map(kills).sum();
    assert!(sum > 500, "{sum}");
}
