//! Order holds: both replicas run what they share of a session in one order, and a write that
//! was acknowledged before another one was sent runs before it.

use super::seen::{At, BOTH, Of, Seen, acknowledged};
use super::{Finds, at, name, who};
use crate::history::{Run, Session};
use scenario::ReplicaFault as Replica;

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    for (session, of) in &seen.sessions {
        for replica in BOTH {
            late(&mut finds, seen, *session, of, replica);
        }
        disagreed(&mut finds, seen, *session, of);
    }
    finds
}

/// The runs of each label that count, in their order.
fn first_runs<'a, 'b>(at: &'b At<'a>) -> impl Iterator<Item = &'a Run> + use<'a, 'b> {
    let first = |n: usize, run: &Run| at.first.get(&run.label) == Some(&n);
    at.runs.iter().enumerate().filter(move |(n, run)| first(*n, run)).map(|(_, run)| *run)
}

/// The acknowledged writes that ran behind one that was sent only after their acknowledgement.
fn late(finds: &mut Finds, seen: &Seen<'_>, session: Session, of: &Of<'_>, replica: Replica) {
    let mut newest: Option<(u64, &Run)> = None;
    for run in first_runs(of.at(replica)) {
        let Some(op) = of.writes.get(&run.label) else { continue };
        if let (Some(when), Some((sent, ahead))) = (acknowledged(op), newest)
            && seen.precedes(when, sent)
            && !seen.weak.excuses(op)
        {
            finds.add(|| {
                format!(
                    "{}: write {} was acknowledged at {} before write {} was sent at {}, \
                     and ran behind it at {} at {}",
                    who(session),
                    run.label,
                    at(when),
                    ahead.label,
                    at(sent),
                    name(replica),
                    at(run.at_us)
                )
            });
        }
        if newest.is_none_or(|(sent, _)| sent < op.sent_us) {
            newest = Some((op.sent_us, run));
        }
    }
}

/// The writes that must be moved to make both replicas' orders the same.
fn disagreed(finds: &mut Finds, seen: &Seen<'_>, session: Session, of: &Of<'_>) {
    let (primary, secondary) = (of.at(Replica::Primary), of.at(Replica::Secondary));
    let shared: Vec<(usize, &Run)> = first_runs(secondary)
        .filter(|run| !of.writes.get(&run.label).is_some_and(|op| seen.weak.excuses(op)))
        .filter_map(|run| primary.first.get(&run.label).map(|place| (*place, run)))
        .collect();
    let places: Vec<usize> = shared.iter().map(|(place, _)| *place).collect();
    let moved = places.len() - longest_increase(&places);
    if moved == 0 {
        return;
    }
    let turned = shared.iter().zip(shared.iter().skip(1)).find(|(one, two)| one.0 > two.0);
    finds.add(|| {
        let Some(((one, before), (two, after))) = turned else { return who(session) };
        let then = |place: &usize| primary.runs.get(*place).map_or(0, |run| run.at_us);
        format!(
            "{}: write {} ran before {} at the secondary ({}, {}) and after it at the \
             primary ({}, {})",
            who(session),
            before.label,
            after.label,
            at(before.at_us),
            at(after.at_us),
            at(then(one)),
            at(then(two))
        )
    });
    finds.count += moved as u64 - 1;
}

/// The length of the longest increasing subsequence of unlike numbers.
fn longest_increase(numbers: &[usize]) -> usize {
    // ends[n] is the smallest number in which an increase of length n + 1 can end.
    let mut ends: Vec<usize> = Vec::new();
    for &number in numbers {
        let length = ends.partition_point(|&end| end < number);
        match ends.get_mut(length) {
            Some(end) => *end = number,
            None => ends.push(number),
        }
    }
    ends.len()
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Order;
    use super::super::hand::Hand;
    use super::longest_increase;

    #[test]
    fn the_longest_increase_is_found() {
        assert_eq!(longest_increase(&[]), 0);
        assert_eq!(longest_increase(&[3, 2, 1]), 1);
        assert_eq!(longest_increase(&[1, 9, 2, 3, 8, 4]), 4);
    }

    #[test]
    fn writes_under_way_at_once_may_run_in_either_order_if_it_is_the_same_at_both() {
        let hand = Hand::new().write(1, 0, 50).write(2, 10, 40);
        hand.both(2, 20).both(1, 30).holds();
    }

    #[test]
    fn unlike_orders_at_the_replicas_are_found() {
        let hand = Hand::new().write(1, 0, 90).write(2, 0, 90).write(3, 0, 90);
        let hand = hand.at_primary(1, 10).at_primary(2, 20).at_primary(3, 30);
        let hand = hand.at_secondary(2, 40).at_secondary(3, 50).at_secondary(1, 60);
        hand.clone().breaks(Order, 1);
        hand.says(Order, "write 3 ran before 1 at the secondary");
    }

    #[test]
    fn writes_of_unknown_outcome_have_one_order_too() {
        let hand = Hand::new().unknown(1, 0, 90).unknown(2, 0, 90);
        let hand = hand.at_primary(1, 10).at_primary(2, 20);
        hand.at_secondary(2, 40).at_secondary(1, 60).breaks(Order, 1);
    }

    #[test]
    fn an_acknowledged_write_behind_one_that_was_sent_later_is_found_at_each_replica() {
        let hand = Hand::new().write(1, 0, 10).write(2, 20, 30);
        hand.clone().both(2, 21).both(1, 22).breaks(Order, 2);
        hand.both(1, 21).both(2, 22).holds();
    }

    #[test]
    fn in_the_same_microsecond_only_a_client_with_one_request_tells_what_came_first() {
        let hand = Hand::new().write(1, 0, 10).write(2, 10, 30).both(2, 21).both(1, 22);
        hand.clone().breaks(Order, 2);
        hand.load(|load| load.in_flight = 2).holds();
    }

    #[test]
    fn a_redo_does_not_change_the_order() {
        let hand = Hand::new().put(1, 0, 90).write(2, 0, 90);
        hand.unanswered(1, 5).both(1, 6).both(2, 7).holds();
    }

    #[test]
    fn sessions_have_no_order_among_them() {
        let hand = Hand::new().write(1, 0, 10).both(1, 5);
        hand.session(1).write(1, 0, 90).at_primary(1, 4).at_secondary(1, 80).holds();
    }
}
