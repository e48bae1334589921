//! Nothing is silent: a refused write left no trace, no replica ran what nobody sent, what only
//! one of them ran is listed, and no list names what nothing explains or nobody has decided.

use super::seen::{BOTH, Of, Seen, acknowledged};
use super::{Finds, at, name, who};
use crate::history::{Listed, Outcome, Session};
use scenario::ReplicaFault as Replica;

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    for (session, of) in &seen.sessions {
        for replica in BOTH {
            traces(&mut finds, seen, *session, of, replica);
        }
    }
    for (shop, listed) in (0..).zip(&seen.ended.listed) {
        lists(&mut finds, seen, shop, listed);
    }
    finds
}

fn traces(finds: &mut Finds, seen: &Seen<'_>, session: Session, of: &Of<'_>, replica: Replica) {
    let here = of.at(replica);
    let other = BOTH.into_iter().find(|other| *other != replica).map(|other| of.at(other));
    for (label, place) in &here.first {
        let Some(run) = here.runs.get(*place) else { continue };
        let ran = || format!("ran at {} at {}", name(replica), at(run.at_us));
        let Some(op) = of.writes.get(label) else {
            finds.add(|| format!("{}: write {label} {}, and nobody sent it", who(session), ran()));
            continue;
        };
        if seen.weak.excuses(op) {
            continue;
        }
        let told = || {
            let ended = op.ended_us.map_or_else(|| "never".into(), at);
            format!("{}: write {label}, sent at {}, ended at {ended}", who(session), at(op.sent_us))
        };
        if let Outcome::Refused(problem) = &op.outcome {
            finds.add(|| {
                format!("{}, was refused without a trace ({problem}), and {}", told(), ran())
            });
        } else if acknowledged(op).is_none()
            && seen.rests(session.shop)
            && other.is_some_and(|other| !other.first.contains_key(label))
        {
            finds.add(|| format!("{}, {} only, and no list says so", told(), ran()));
        }
    }
}

fn lists(finds: &mut Finds, seen: &Seen<'_>, shop: u32, listed: &Listed) {
    // What ran again late is the business of another checker; it explains unlike answers.
    let of_shop = seen.sessions.iter().filter(|(session, _)| session.shop == shop);
    let late_redo =
        of_shop.flat_map(|(_, of)| BOTH.map(|replica| of.at(replica))).any(|at| at.late_redo);
    let unexplained = [
        ("diverged", &listed.diverged, late_redo),
        ("in conflict or forced", &listed.conflicts, false),
        ("in quarantine", &listed.quarantined, false),
    ];
    if !seen.weak.has(shop) {
        for (list, entries, _) in unexplained.iter().filter(|(.., explained)| !explained) {
            for entry in *entries {
                finds.add(|| {
                    format!("shop {shop}: listed as {list} though nothing explains it: {entry}")
                });
            }
        }
    }
    // A shop that does not come to rest may still owe a decision.
    for entry in listed.waiting.iter().filter(|_| seen.rests(shop)) {
        finds.add(|| format!("shop {shop}: still waits though all was decided: {entry}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Silent;
    use super::super::hand::Hand;
    use scenario::{Old, Process, What};

    #[test]
    fn a_refused_write_without_a_trace_is_well() {
        Hand::new().refused(1, 0, 10).holds();
    }

    #[test]
    fn a_refused_write_that_ran_is_found_wherever_it_ran() {
        Hand::new().refused(1, 0, 10).at_primary(1, 5).breaks(Silent, 1);
        Hand::new().refused(1, 0, 10).both(1, 5).breaks(Silent, 2);
        Hand::new().refused(1, 0, 10).both(1, 5).says(Silent, "refused without a trace (log-full)");
    }

    #[test]
    fn a_write_of_unknown_outcome_runs_at_both_or_at_none() {
        Hand::new().unknown(1, 0, 10).both(1, 5).holds();
        Hand::new().unknown(1, 0, 10).holds();
        Hand::new().unknown(1, 0, 10).at_secondary(1, 5).breaks(Silent, 1);
        assert!(!Hand::new().unknown(1, 0, 9).at_primary(1, 5).restless().verdict().breaks(Silent));
    }

    #[test]
    fn a_write_that_nobody_sent_is_found() {
        Hand::new().both(7, 5).breaks(Silent, 2);
        Hand::new().both(7, 5).says(Silent, "nobody sent it");
    }

    #[test]
    fn a_list_that_nothing_explains_is_found() {
        let lists = |hand: Hand| {
            hand.listing(|listed| {
                listed.diverged.push("a".into());
                listed.conflicts.push("b".into());
                listed.quarantined.push("c".into());
            })
        };
        lists(Hand::new()).breaks(Silent, 3);
        let lost = What::Store(Old { of: Process::EdgeReprise, age_ms: Some(50) });
        lists(Hand::new().fault(100, None, lost)).holds();
    }

    #[test]
    fn a_put_that_a_service_ran_late_explains_a_divergence_and_nothing_else() {
        let hand = Hand::new().put(1, 0, 10).both(1, 5).write(2, 20, 30).both(2, 25);
        let hand = hand.unanswered(1, 27).listing(|listed| listed.diverged.push("a".into()));
        hand.clone().holds();
        hand.listing(|listed| listed.conflicts.push("b".into())).breaks(Silent, 1);
    }

    #[test]
    fn what_still_waits_at_the_end_is_found() {
        let hand = Hand::new().listing(|listed| listed.waiting.push("x 3 at primary".into()));
        hand.clone().breaks(Silent, 1);
        assert!(!hand.restless().verdict().breaks(Silent));
    }
}
