//! What the log does with a replica whose journal came in place of a lost one.

mod support;

use protocol::{Incarnation, Replica, Stamp, Verdict, Word, pb};
use replay_log::log::{Delivery, journal_lives};
use support::*;

fn unseeded(delivery: &Delivery) -> Word {
    Word { unseeded: true, ..delivered_word(delivery, Verdict::NotRun) }
}

fn kinds(desk: &Desk) -> Vec<&'static str> {
    desk.log.status().events.iter().map(|event| event.kind).collect()
}

/// Writes of several sessions that the primary has run, and the first delivery is refused.
fn lost_secondary() -> (Desk, Vec<pb::Numbered>) {
    let mut desk = Desk::new();
    let mut numbered = vec![];
    for session in ["a", "b", "c"] {
        let n = desk.number(session, "1");
        desk.answered(session, &n, Replica::Primary);
        numbered.push(n);
    }
    for delivery in std::mem::take(&mut desk.deliveries) {
        assert_eq!(delivery.replica, Replica::Secondary);
        desk.report(&delivery, Some(unseeded(&delivery)));
    }
    (desk, numbered)
}

#[test]
fn a_replica_that_is_not_seeded_is_listed_and_tried_once_a_second_without_noise() {
    let (mut desk, _) = lost_secondary();
    assert_eq!(desk.log.status().unseeded, [false, true]);
    let mut tries = 0;
    for _ in 0..600 {
        desk.pass(100);
        assert!(desk.deliveries.len() <= 1, "one at a time");
        while let Some(delivery) = desk.deliveries.pop() {
            tries += 1;
            desk.report(&delivery, Some(unseeded(&delivery)));
        }
    }
    assert!((30..=60).contains(&tries), "{tries} deliveries in a minute");
    let status = desk.log.status();
    assert_eq!(kinds(&desk), ["unseeded"]);
    assert_eq!((status.held_up, status.conflicts, status.backlog), (vec![], vec![], [0, 3]));
}

#[test]
fn a_replica_that_is_away_while_it_is_seeded_gets_everything_afterwards() {
    let (mut desk, numbered) = lost_secondary();
    desk.pass(2000);
    let delivery = desk.delivery();
    desk.report(&delivery, None);
    desk.pass(5000);
    ready(&mut desk);
    desk.pass(2000);
    // Its guard has no journal yet.
    let delivery = desk.delivery();
    desk.report(&delivery, Some(delivered_word(&delivery, Verdict::NotRun)));
    assert_eq!(desk.log.status().unseeded, [false, true]);
    desk.pass(2000);
    assert_eq!(desk.drain(), numbered.len());
    let status = desk.log.status();
    assert_eq!((status.unseeded, status.backlog, status.entries), ([false; 2], [0, 0], 0));
    assert_eq!(kinds(&desk).into_iter().filter(|kind| kind.contains("seeded")).count(), 2);
}

fn ready(desk: &mut Desk) {
    let replica = Replica::Secondary;
    let word = Some(Word::new(replica, Verdict::Ready));
    desk.input(replay_log::log::Input::Probed { replica, word });
}

#[test]
fn new_sessions_go_to_the_secondary_while_the_primary_is_not_seeded() {
    let mut desk = Desk::new();
    let n = desk.number("a", "1");
    desk.answered("a", &n, Replica::Secondary);
    desk.pass(10);
    ready_primary(&mut desk);
    let delivery = desk.delivery();
    desk.report(&delivery, Some(unseeded(&delivery)));
    let n = desk.number("b", "1");
    assert_eq!(n.route(), pb::Route::Secondary);
    desk.answered("b", &n, Replica::Secondary);
    assert_eq!(desk.log.status().away, [false; 2]);
    let mut append = desk.append_message("c", "1", "1");
    append.refuse_when_cut = true;
    let token = append.token;
    desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
    assert!(matches!(desk.reply_to(token), Some(pb::appended::Outcome::Refused(_))));
    assert_eq!(desk.log.status().refused_cut, 1);
}

fn ready_primary(desk: &mut Desk) {
    let replica = Replica::Primary;
    let word = Some(Word::new(replica, Verdict::Ready));
    desk.input(replay_log::log::Input::Probed { replica, word });
}

/// The whole edge is new, log and journal, and the primary goes on with what it had.
#[test]
fn a_session_whose_past_only_one_replica_has_is_listed_as_unseeded() {
    for first in Replica::BOTH {
        let mut desk = Desk::new();
        let n = desk.number("s", "a");
        let verdict = |r| if r == Replica::Primary { Verdict::Forced } else { Verdict::Ran };
        let word = |r| Word { verdict: verdict(r), ..ran(r, &n, 200) };
        desk.end("s", &n, pb::end::Kind::Answered, Some(word(first)));
        desk.pass(100);
        ready_primary(&mut desk);
        let delivery = desk.delivery();
        desk.report(&delivery, Some(word(first.other())));
        let status = desk.log.status();
        let listed: Vec<_> = status.conflicts.iter().map(|case| case.kind.as_str()).collect();
        assert_eq!(listed.iter().filter(|kind| **kind == "unseeded").count(), 1, "{listed:?}");
        let case = status.conflicts.iter().find(|case| case.kind == "unseeded").unwrap();
        assert!(case.detail.contains("the secondary does not have"), "{}", case.detail);
        assert_eq!(status.unseeded_listed, 1);
    }
}

#[test]
fn an_epoch_that_is_forced_at_both_replicas_leaves_neither_without_its_past() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    let word = |r| Word { verdict: Verdict::Forced, ..ran(r, &n, 200) };
    desk.end("s", &n, pb::end::Kind::Answered, Some(word(Replica::Primary)));
    let delivery = desk.delivery();
    desk.report(&delivery, Some(word(Replica::Secondary)));
    assert_eq!(desk.log.status().unseeded_listed, 0);
}

#[test]
fn the_lives_that_stamps_may_name_are_told_although_a_later_one_is_known() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    desk.number("s", "b");
    let n = desk.number("t", "a");
    let word = Word { journal: Incarnation([9; 8]), ..ran(Replica::Secondary, &n, 200) };
    desk.end("t", &n, pb::end::Kind::Answered, Some(word));
    let lives = journal_lives(&desk.store, Replica::Secondary).unwrap();
    assert_eq!(lives.into_iter().collect::<Vec<_>>(), [Incarnation([2; 8]), Incarnation([9; 8])]);
    desk.pass(TAKEOVER_MS);
    let named = desk.deliveries.iter().find_map(|delivery| match &delivery.stamp {
        Stamp::Write(stamp) if delivery.session == session("s") => Some(stamp.journals[1]),
        _ => None,
    });
    assert_eq!(named, Some(Incarnation([2; 8])), "it was numbered before");
}
