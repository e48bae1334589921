//! Nothing runs twice at a replica. The one exception is a declared redo: an idempotent write
//! whose answer never came out may run again before anything else of its session does. A service
//! that goes on with a request that nobody waits for any more may then run it after its redo;
//! nobody hears of that run, and nobody can prevent it.

use super::seen::{BOTH, Of, Seen, idempotent};
use super::{Finds, at, name, who};
use crate::history::{Run, Session};
use scenario::ReplicaFault as Replica;

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    // A guard's Envoy that dies loses the answer, and its service does not know.
    let guards_die = seen.scenario.faults.iter().any(|fault| !super::noticed::of_link(&fault.what));
    for (session, of) in &seen.sessions {
        for replica in BOTH {
            let here = of.at(replica);
            let mut before: Option<&Run> = None;
            for (n, again) in here.runs.iter().enumerate() {
                let earlier = here.first.get(&again.label).filter(|first| **first < n);
                if let Some(first) = earlier.and_then(|first| here.runs.get(*first)) {
                    let unknown = replica == Replica::Primary
                        && seen.weak.ran_unknown(session.shop, first.at_us);
                    if !unknown && !legal(seen, *session, of, before, again, guards_die) {
                        finds.add(|| words(*session, replica, first, again));
                    }
                    if again.unanswered {
                        continue;
                    }
                }
                before = Some(again);
            }
        }
    }
    finds
}

fn legal(
    seen: &Seen<'_>,
    session: Session,
    of: &Of<'_>,
    before: Option<&Run>,
    again: &Run,
    guards_die: bool,
) -> bool {
    // What nobody sent is another checker's finding.
    let Some(op) = of.writes.get(&again.label) else { return true };
    if seen.weak.forgets(op) {
        return true;
    }
    let adjacent = before
        .is_some_and(|before| before.label == again.label && (before.unanswered || guards_die));
    idempotent(op) && (adjacent || again.unanswered || seen.weak.has(session.shop))
}

fn words(session: Session, replica: Replica, first: &Run, again: &Run) -> String {
    format!(
        "{}: write {} ran at {} at {} and again at {}",
        who(session),
        again.label,
        name(replica),
        at(first.at_us),
        at(again.at_us)
    )
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Twice;
    use super::super::hand::Hand;
    use scenario::{Cut, Old, Process, What};

    #[test]
    fn each_write_once_at_each_replica_is_well() {
        Hand::new().write(1, 0, 10).both(1, 5).write(2, 20, 30).both(2, 25).holds();
    }

    #[test]
    fn a_post_that_runs_again_is_found_at_either_replica() {
        let hand = || Hand::new().write(1, 0, 10).both(1, 5);
        hand().at_primary(1, 7).breaks(Twice, 1);
        hand().at_secondary(1, 7).at_secondary(1, 8).breaks(Twice, 2);
        hand().at_primary(1, 7).says(Twice, "ran at the primary at 0.000005 s and again");
    }

    #[test]
    fn a_post_is_never_redone_even_after_a_crash() {
        let hand = Hand::new().fault(0, Some(10), What::Crash(Process::Primary)).write(1, 0, 10);
        hand.unanswered(1, 4).both(1, 5).breaks(Twice, 1);
    }

    #[test]
    fn a_put_may_be_redone_after_its_answer_was_lost() {
        Hand::new().put(1, 0, 10).unanswered(1, 4).both(1, 5).holds();
        Hand::new().put(1, 0, 10).unanswered(1, 3).unanswered(1, 4).both(1, 5).holds();
    }

    #[test]
    fn a_put_that_was_answered_is_not_redone_while_only_the_link_fails() {
        let hand = Hand::new().fault(0, Some(10), What::Link(Cut::Mute)).put(1, 0, 10);
        hand.both(1, 4).at_primary(1, 5).breaks(Twice, 1);
    }

    #[test]
    fn a_put_whose_guard_may_have_died_may_be_redone() {
        let hand = Hand::new().fault(0, Some(10), What::Crash(Process::CloudEnvoy)).put(1, 0, 10);
        hand.both(1, 4).at_primary(1, 5).holds();
    }

    #[test]
    fn a_put_is_not_redone_once_something_else_of_its_session_has_run() {
        let hand = Hand::new().fault(0, Some(10), What::Crash(Process::Primary)).put(1, 0, 10);
        let hand = hand.unanswered(1, 4).at_secondary(1, 4).write(2, 20, 30).both(2, 25);
        hand.at_primary(1, 27).breaks(Twice, 1);
    }

    #[test]
    fn a_service_may_go_on_with_a_put_that_nobody_waits_for_after_its_redo() {
        let hand = || Hand::new().put(1, 0, 10).both(1, 5).write(2, 20, 30).both(2, 25);
        hand().unanswered(1, 27).holds();
        let post = Hand::new().write(1, 0, 10).both(1, 5).write(2, 20, 30).both(2, 25);
        post.unanswered(1, 27).breaks(Twice, 1);
    }

    #[test]
    fn with_a_journal_lost_a_put_may_be_redone_late_and_a_post_never() {
        let lost = What::Store(Old { of: Process::CloudReprise, age_ms: None });
        let hand = || Hand::new().fault(0, None, lost.clone());
        let two = |hand: Hand| hand.both(1, 4).write(2, 20, 30).both(2, 25).at_primary(1, 27);
        two(hand().put(1, 0, 10)).holds();
        two(hand().write(1, 0, 10)).breaks(Twice, 1);
    }

    #[test]
    fn what_a_lost_journal_alone_knew_may_run_again() {
        let hand = || {
            Hand::new()
                .fault(100, None, What::Store(Old { of: Process::CloudReprise, age_ms: None }))
                .fault(110, Some(90), What::Crash(Process::CloudReprise))
        };
        let two = |hand: Hand, first: u64| {
            hand.write(1, 40_000, 300_000).both(1, first).at_primary(1, 250_000)
        };
        two(hand(), 50_000).holds();
        two(hand(), 240_000).breaks(Twice, 1);
        hand().write(1, 0, 300_000).both(1, 50_000).at_secondary(1, 250_000).breaks(Twice, 1);
    }

    #[test]
    fn a_lost_log_takes_a_second_try_for_a_new_write_but_only_of_what_was_under_way() {
        let hand = Hand::new()
            .fault(100, None, What::Store(Old { of: Process::EdgeReprise, age_ms: None }))
            .fault(110, Some(90), What::Crash(Process::EdgeReprise));
        let two = |hand: Hand| hand.both(1, 50_000).at_primary(1, 250_000);
        two(hand.clone().write(1, 40_000, 300_000)).holds();
        two(hand.write(1, 40_000, 60_000)).breaks(Twice, 1);
    }
}
