//! Nothing acknowledged is lost: a write that was answered 2xx has run at both replicas, once
//! its shop has come to rest.

use super::seen::{BOTH, Seen, acknowledged};
use super::{Finds, at, name, who};

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    for (session, of) in &seen.sessions {
        if !seen.rests(session.shop) {
            continue;
        }
        for (label, op) in &of.writes {
            let Some(when) = acknowledged(op) else { continue };
            let missing: Vec<&str> = BOTH
                .into_iter()
                .filter(|replica| !of.at(*replica).first.contains_key(label))
                .map(name)
                .collect();
            if !missing.is_empty() && !seen.weak.excuses(op) {
                finds.add(|| {
                    format!(
                        "{}: write {label}, sent at {}, acknowledged at {}, never ran at {}",
                        who(*session),
                        at(op.sent_us),
                        at(when),
                        missing.join(" and ")
                    )
                });
            }
        }
    }
    finds
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Lost;
    use super::super::hand::Hand;
    use scenario::{Old, Process, What};

    #[test]
    fn a_write_at_both_replicas_is_not_lost() {
        Hand::new().write(1, 0, 10).both(1, 5).holds();
    }

    #[test]
    fn an_acknowledged_write_that_one_replica_lacks_is_lost() {
        Hand::new().write(1, 0, 10).at_primary(1, 5).breaks(Lost, 1);
        Hand::new().write(1, 0, 10).at_secondary(1, 5).breaks(Lost, 1);
        Hand::new().write(1, 0, 10).says(Lost, "never ran at the primary and the secondary");
    }

    #[test]
    fn what_was_not_acknowledged_may_be_missing() {
        Hand::new().unknown(1, 0, 10).refused(2, 20, 30).holds();
    }

    #[test]
    fn while_a_shop_is_not_at_rest_a_write_may_still_come() {
        let hand = Hand::new().write(1, 0, 10).at_primary(1, 5).restless();
        assert!(!hand.verdict().breaks(Lost));
    }

    #[test]
    fn of_many_lost_writes_five_are_spelled_out() {
        let hand = (1..=9).fold(Hand::new(), |hand, label| hand.write(label, 0, 10));
        let verdict = hand.verdict();
        assert_eq!((verdict.broken[0].count, verdict.broken[0].examples.len()), (9, 5));
    }

    #[test]
    fn a_lost_log_excuses_what_it_had_not_delivered_and_nothing_later() {
        let lost = What::Store(Old { of: Process::EdgeReprise, age_ms: None });
        let hand = Hand::new()
            .fault(100, None, lost)
            .fault(110, Some(90), What::Crash(Process::EdgeReprise))
            .write(1, 50_000, 60_000)
            .at_secondary(1, 55_000);
        hand.clone().holds();
        let later = hand.write(2, 300_000, 310_000).at_secondary(2, 305_000);
        later.clone().breaks(Lost, 1);
        later.listing(|listed| listed.diverged.push("s".into())).holds();
    }

    #[test]
    fn a_lost_journal_of_the_primary_excuses_only_what_is_listed() {
        let lost = What::Store(Old { of: Process::CloudReprise, age_ms: Some(100) });
        let hand = Hand::new().fault(100, None, lost).write(1, 0, 10).at_secondary(1, 5);
        hand.clone().breaks(Lost, 1);
        hand.listing(|listed| listed.conflicts.push("s".into())).holds();
    }
}
