//! You read what you wrote: a read shows every write of its session that had been acknowledged
//! when it was sent.

use super::seen::{BOTH, Of, Seen, acknowledged};
use super::{Finds, at, name, who};
use crate::history::{Micros, Op, Session};
use scenario::ReplicaFault as Replica;

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    for (session, of) in &seen.sessions {
        for replica in BOTH {
            session_at(&mut finds, seen, *session, of, replica);
        }
    }
    finds
}

/// A write that was acknowledged, and how many runs a replica must have for it to show.
struct Due<'a> {
    since: Micros,
    runs: usize,
    op: &'a Op,
    label: u32,
}

fn session_at(finds: &mut Finds, seen: &Seen<'_>, session: Session, of: &Of<'_>, replica: Replica) {
    let mut reads: Vec<(usize, &Op)> = of
        .reads
        .iter()
        .filter_map(|read| read.showed.map(|(of, count)| (of, count, *read)))
        .filter(|(of, ..)| *of == replica)
        .map(|(_, count, read)| (count, read))
        .collect();
    if reads.is_empty() {
        return;
    }
    reads.sort_by_key(|(_, read)| read.sent_us);
    let mut dues = dues(seen, of, replica).into_iter().peekable();
    // Of all writes that had been acknowledged, the one that shows last.
    let mut last: Option<Due<'_>> = None;
    for (count, read) in reads {
        while let Some(due) = dues.next_if(|due| seen.precedes(due.since, read.sent_us)) {
            if last.as_ref().is_none_or(|last| last.runs < due.runs) {
                last = Some(due);
            }
        }
        if let Some(due) = last.as_ref().filter(|due| due.runs > count) {
            finds.add(|| {
                format!(
                    "{}: a read sent at {} was answered by {} with {count} writes, without \
                     write {}, sent at {} and acknowledged at {}",
                    who(session),
                    at(read.sent_us),
                    name(replica),
                    due.label,
                    at(due.op.sent_us),
                    at(due.since)
                )
            });
        }
    }
}

/// What must show at a replica, by when it was acknowledged.
fn dues<'a>(seen: &Seen<'_>, of: &Of<'a>, replica: Replica) -> Vec<Due<'a>> {
    let first = &of.at(replica).first;
    let mut dues: Vec<Due<'a>> = of
        .writes
        .iter()
        .filter(|(_, op)| !seen.weak.excuses(op))
        .filter_map(|(label, op)| {
            let since = acknowledged(op)?;
            let runs = first.get(label).map_or(usize::MAX, |place| place + 1);
            Some(Due { since, runs, op, label: *label })
        })
        .collect();
    dues.sort_by_key(|due| (due.since, due.label));
    dues
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Stale;
    use super::super::hand::Hand;
    use scenario::ReplicaFault::{Primary, Secondary};

    fn two_writes() -> Hand {
        Hand::new().write(1, 0, 10).both(1, 5).write(2, 20, 30).both(2, 25)
    }

    #[test]
    fn a_read_that_shows_everything_is_fresh() {
        two_writes().read(40, Primary, 2).read(50, Secondary, 2).holds();
    }

    #[test]
    fn a_read_without_an_acknowledged_write_is_stale_at_either_replica() {
        two_writes().read(40, Primary, 1).read(50, Secondary, 0).breaks(Stale, 2);
        two_writes().read(40, Primary, 1).says(Stale, "with 1 writes, without write 2");
    }

    #[test]
    fn what_is_acknowledged_only_after_a_read_was_sent_need_not_show() {
        two_writes().read(15, Primary, 1).holds();
        two_writes().read(29, Secondary, 1).holds();
    }

    #[test]
    fn in_the_same_microsecond_only_a_client_with_one_request_tells_what_came_first() {
        two_writes().read(30, Primary, 1).breaks(Stale, 1);
        two_writes().read(30, Primary, 1).load(|load| load.in_flight = 2).holds();
    }

    #[test]
    fn a_replica_that_never_ran_an_acknowledged_write_answers_every_read_stale() {
        let hand = Hand::new().write(1, 0, 10).at_primary(1, 5).restless();
        assert!(hand.clone().read(20, Secondary, 0).verdict().breaks(Stale));
        assert!(!hand.read(20, Primary, 1).verdict().breaks(Stale));
    }

    #[test]
    fn a_write_of_unknown_outcome_need_not_show() {
        Hand::new().unknown(1, 0, 10).both(1, 35).read(20, Primary, 0).holds();
    }

    #[test]
    fn an_older_write_behind_a_newer_one_must_show_too() {
        // Both are acknowledged; write 1 ran second.
        let hand = Hand::new().write(1, 0, 30).write(2, 0, 20).both(2, 5).both(1, 10);
        hand.clone().read(40, Primary, 1).breaks(Stale, 1);
        hand.read(25, Primary, 1).holds();
    }
}
