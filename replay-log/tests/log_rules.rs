//! The rules of the log, each with a test that fails without it.

mod support;

use protocol::{Link, Replica, Stamp, Verdict, Word, pb};
use replay_log::StreamId;
use replay_log::log::{Delivery, Input, Log};
use replay_log::store::{MemoryStore, Store, StoreError, StoreStats, Visit, Write};
use support::*;

#[test]
fn numbers_of_a_session_have_no_gaps_and_their_links_chain() {
    let mut desk = Desk::new();
    let (a, b, c) = (desk.number("s", "a"), desk.number("s", "b"), desk.number("s", "c"));
    assert_eq!((a.seq, b.seq, c.seq), (1, 2, 3));
    assert_eq!((a.epoch, b.epoch), (b.epoch, c.epoch));
    let id = |s: &str| protocol::Id::new(s).expect("an id");
    let link = Link::START.next(&id("a")).next(&id("b")).next(&id("c"));
    assert_eq!(Link::from_wire(&c.link), Some(link));
    assert_eq!(desk.number("other", "a").seq, 1, "sessions are independent");
}

/// A store whose next commit fails.
struct Failing(MemoryStore);

impl Store for Failing {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let path = std::path::PathBuf::from("nowhere");
        Err(StoreError::Commit { path, writes: batch.len(), cause: "EIO".to_string() })
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key)
    }
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(prefix, visit)
    }
    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

#[test]
fn no_number_leaves_when_its_entry_is_not_durable() {
    let mut desk = Desk::new();
    let failing = Box::new(Failing(desk.store.clone()));
    desk.log = Log::open(failing, config(), [1; 16], desk.now).expect("opens");
    desk.hello(GATEWAY, b"envoy-1");
    let append = desk.append_message("s", "a", "a");
    let message =
        pb::GatewayRequest { kind: Some(pb::gateway_request::Kind::Append(append)), ends: vec![] };
    desk.log.handle(desk.now, Input::Gateway { stream: GATEWAY, message });
    assert!(desk.log.commit(desk.now).is_err());
}

#[test]
fn acknowledged_numbers_survive_a_restart_and_numbering_goes_on() {
    let mut desk = Desk::new();
    let a = desk.number("s", "a");
    let b = desk.number("s", "b");
    desk.restart();
    let again = desk.number("s", "b");
    assert_eq!((again.epoch, again.seq, again.known), (b.epoch, b.seq, true));
    let c = desk.number("s", "c");
    assert_eq!((c.epoch, c.seq), (a.epoch, 3));
}

#[test]
fn an_id_keeps_its_number_while_live_and_after_it_is_settled() {
    let mut desk = Desk::new();
    let first = desk.number("s", "a");
    let again = desk.number("s", "a");
    assert_eq!((again.seq, again.known, again.status), (first.seq, true, 0));
    desk.answered("s", &first, Replica::Primary);
    desk.drain();
    assert_eq!(desk.log.status().entries, 0);
    let just_settled = desk.number("s", "a");
    assert_eq!((just_settled.seq, just_settled.known), (first.seq, true), "before it is written");
    desk.pass(1000);
    let later = desk.number("s", "a");
    assert_eq!((later.epoch, later.seq), (first.epoch, first.seq));
    assert_eq!((later.known, later.status), (true, 200));
    desk.restart();
    assert_eq!(desk.number("s", "a").seq, first.seq, "also after a restart");
    assert_eq!(desk.number("t", "a").seq, 1, "an id counts in its session only");
    assert!(!desk.number("u", "a").known);
}

#[test]
fn an_id_with_another_payload_is_refused() {
    let mut desk = Desk::new();
    let refused = |desk: &mut Desk| {
        let append = desk.append_message("s", "a", "another body");
        let token = append.token;
        desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
        match desk.reply_to(token) {
            Some(pb::appended::Outcome::Refused(r)) => r.reason(),
            other => panic!("{other:?}"),
        }
    };
    desk.whole_write("s", "z");
    let n = desk.number("s", "a");
    assert_eq!(refused(&mut desk), pb::refused::Reason::PayloadMismatch);
    desk.answered("s", &n, Replica::Primary);
    desk.drain();
    desk.pass(1000);
    assert_eq!(refused(&mut desk), pb::refused::Reason::PayloadMismatch, "also once settled");
}

#[test]
fn in_normal_running_each_replica_gets_each_write_once() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    assert!(desk.deliveries.is_empty(), "nothing is delivered before its end");
    desk.answered("s", &n, Replica::Primary);
    let delivery = desk.delivery();
    assert_eq!(delivery.replica, Replica::Secondary);
    desk.deliver_ok(&delivery);
    desk.pass(10 * TAKEOVER_MS);
    assert!(desk.deliveries.is_empty() && desk.probes.is_empty());
    assert_eq!(desk.log.status().entries, 0);
}

#[test]
fn a_write_without_an_end_is_taken_over() {
    let mut desk = Desk::new();
    desk.number("s", "a");
    desk.pass(TAKEOVER_MS - 1);
    assert!(desk.deliveries.is_empty());
    desk.pass(1);
    let replicas: Vec<_> = desk.deliveries.iter().map(|d| d.replica).collect();
    assert_eq!(replicas, [Replica::Primary, Replica::Secondary]);
    assert_eq!(desk.drain(), 2);
    assert_eq!(desk.log.status().entries, 0);
}

#[test]
fn writes_of_a_gateway_whose_stream_closes_are_delivered_at_once() {
    let mut desk = Desk::new();
    desk.number("s", "a");
    desk.input(Input::GatewayClosed { stream: GATEWAY });
    assert_eq!(desk.drain(), 2);
}

#[test]
fn delivery_is_in_order_one_number_of_a_session_at_a_time() {
    let mut desk = Desk::new();
    for id in ["a", "b", "c"] {
        desk.number("s", id);
    }
    desk.pass(TAKEOVER_MS);
    let mut seen = vec![];
    while let Some(at) = desk.deliveries.iter().position(|d| d.replica == Replica::Secondary) {
        assert_eq!(desk.deliveries.iter().filter(|d| d.replica == Replica::Secondary).count(), 1);
        let delivery = desk.deliveries.remove(at);
        seen.push(delivery.number.seq);
        desk.deliver_ok(&delivery);
    }
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn an_answer_without_a_guards_word_pins_the_session_and_is_settled_at_both() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.end("s", &n, pb::end::Kind::MaybeDone, None);
    assert_eq!(desk.log.status().pinned, 1);
    assert_eq!(desk.log.status().maybe_done, 1);
    assert_eq!(desk.delivery().replica, Replica::Secondary, "the primary is asked for first");
    assert_eq!(desk.probes, [Replica::Primary]);
}

#[test]
fn a_session_that_the_secondary_answered_is_pinned_until_the_primary_has_caught_up() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    assert_eq!(n.route(), pb::Route::Primary);
    desk.answered("s", &n, Replica::Secondary);
    assert_eq!(desk.number("s", "b").route(), pb::Route::Secondary);
    assert_eq!(desk.log.status().pinned, 1);
    let status = desk.log.status();
    assert!(status.away[0] && !status.away[1]);
}

#[test]
fn a_missing_mark_alone_pins_nothing() {
    let mut desk = Desk::new();
    desk.number("s", "a");
    desk.pass(TAKEOVER_MS);
    assert_eq!(desk.number("s", "b").route(), pb::Route::Primary);
}

/// A session pinned at the secondary, with the primary back and `behind` entries to go there.
fn pinned_with_backlog(desk: &mut Desk, behind: usize) {
    for i in 0..behind {
        let n = desk.number("s", &format!("cut-{i}"));
        desk.answered("s", &n, Replica::Secondary);
    }
    assert!(desk.deliveries.is_empty(), "the primary is away: {:?}", desk.deliveries);
    let ready = Word::new(Replica::Primary, Verdict::Ready);
    desk.input(Input::Probed { replica: Replica::Primary, word: Some(ready) });
}

#[test]
fn a_pinned_session_at_rest_is_handed_back_once_drained() {
    let mut desk = Desk::new();
    pinned_with_backlog(&mut desk, 3);
    assert_eq!(desk.drain(), 3);
    let status = desk.log.status();
    assert_eq!((status.pinned, status.handed_back, status.entries), (0, 1, 0));
    assert_eq!(desk.number("s", "next").route(), pb::Route::Primary);
}

#[test]
fn a_session_is_handed_back_only_when_both_replicas_have_settled_everything() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.end("s", &n, pb::end::Kind::MaybeDone, None);
    let at_secondary = desk.delivery();
    let ready = Word::new(Replica::Primary, Verdict::Ready);
    desk.input(Input::Probed { replica: Replica::Primary, word: Some(ready) });
    let at_primary = desk.delivery();
    assert_eq!(desk.log.status().pinned, 1, "the primary has not run it");
    desk.deliver_ok(&at_primary);
    assert_eq!(desk.log.status().pinned, 1, "the secondary has not run it");
    desk.deliver_ok(&at_secondary);
    assert_eq!(desk.log.status().pinned, 0);
}

/// A session is pinned by an answer of the secondary, and the primary catches up at once; gives
/// how long it stays pinned all the same.
fn stay_ms(desk: &mut Desk, label: &str) -> u64 {
    let n = desk.number("s", label);
    desk.answered("s", &n, Replica::Secondary);
    let ready = Word::new(Replica::Primary, Verdict::Ready);
    desk.input(Input::Probed { replica: Replica::Primary, word: Some(ready) });
    desk.drain();
    let mut stay_ms = 0;
    while desk.log.status().pinned > 0 && stay_ms < 60_000 {
        desk.pass(200);
        stay_ms += 200;
    }
    stay_ms
}

#[test]
fn a_delivery_says_what_the_other_replica_answered() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    let word = Word { status: 403, ..ran(Replica::Primary, &n, 403) };
    desk.end("s", &n, pb::end::Kind::Answered, Some(word));
    let said = |delivery: &Delivery| match &delivery.stamp {
        Stamp::Write(stamp) => stamp.ran,
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&desk.delivery()), Some(403));
    desk.pass(100);
    desk.restart();
    desk.pass(TAKEOVER_MS);
    let delivered = desk.deliveries.iter().find(|d| d.replica == Replica::Secondary);
    assert_eq!(delivered.map(said), Some(Some(403)), "also after a restart");
}

#[test]
fn a_session_that_is_pinned_again_and_again_stays_longer_each_time() {
    let mut desk = Desk::new();
    let stays: Vec<u64> = (0..6).map(|i| stay_ms(&mut desk, &format!("flap-{i}"))).collect();
    assert_eq!(stays, [0, 1000, 2000, 4000, 8000, 8000]);
    desk.pass(30_000);
    assert_eq!(stay_ms(&mut desk, "later"), 0, "a link that held for a while is trusted again");
}

#[test]
fn a_session_that_rests_between_its_pins_is_damped_all_the_same() {
    let mut desk = Desk::new();
    let mut stay_after = |rest_ms: u64, label: &str| {
        (0..rest_ms / 100).for_each(|_| desk.pass(100));
        (stay_ms(&mut desk, label), desk.log.status().sessions)
    };
    assert_eq!(stay_after(0, "first"), (0, 1));
    assert_eq!(stay_after(12_000, "second"), (1000, 1));
    assert_eq!(stay_after(29_000, "third"), (2000, 1));
    assert_eq!(stay_after(30_000, "later"), (0, 1));
    (0..410).for_each(|_| desk.pass(100));
    assert_eq!(desk.log.status().sessions, 0, "it leaves memory in the end");
}

#[test]
fn nothing_is_held_for_a_session_that_is_damped() {
    let mut desk = Desk::new();
    stay_ms(&mut desk, "once");
    let n = desk.number("s", "twice");
    desk.answered("s", &n, Replica::Secondary);
    let ready = Word::new(Replica::Primary, Verdict::Ready);
    desk.input(Input::Probed { replica: Replica::Primary, word: Some(ready) });
    assert_eq!(desk.number("s", "next").route(), pb::Route::Secondary);
}

#[test]
fn a_new_write_is_held_for_the_last_entries_and_then_goes_to_the_primary() {
    let mut desk = Desk::new();
    pinned_with_backlog(&mut desk, 2);
    assert_eq!(desk.append("s", "new"), None, "held");
    let token = desk.token;
    assert_eq!(desk.drain(), 2);
    match desk.reply_to(token) {
        Some(pb::appended::Outcome::Numbered(n)) => {
            assert_eq!((n.seq, n.route()), (3, pb::Route::Primary));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hold_ends_at_its_bound_with_the_pin_in_place() {
    let mut desk = Desk::new();
    pinned_with_backlog(&mut desk, 2);
    assert_eq!(desk.append("s", "new"), None, "held");
    let token = desk.token;
    desk.pass(HOLD_MS - 1);
    assert_eq!(desk.reply_to(token), None);
    desk.pass(1);
    match desk.reply_to(token) {
        Some(pb::appended::Outcome::Numbered(n)) => assert_eq!(n.route(), pb::Route::Secondary),
        other => panic!("{other:?}"),
    }
    assert_eq!(desk.log.status().pinned, 1);
    assert_eq!(desk.number("s", "next").route(), pb::Route::Secondary, "not held again at once");
}

#[test]
fn nothing_is_held_while_the_primary_is_far_behind() {
    let mut desk = Desk::new();
    pinned_with_backlog(&mut desk, 40);
    assert_eq!(desk.number("s", "new").route(), pb::Route::Secondary);
}

#[test]
fn an_unreleased_write_that_is_cancelled_becomes_a_no_op_at_both_and_its_id_is_free() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    let cancel = pb::Cancel { token: desk.token, session: "s".into(), id: "a".into() };
    desk.message(GATEWAY, pb::gateway_request::Kind::Cancel(cancel));
    assert_eq!(desk.deliveries.len(), 2);
    for delivery in &desk.deliveries {
        let Stamp::Write(stamp) = &delivery.stamp else { panic!("a write") };
        assert!(stamp.noop && delivery.body.is_empty());
        assert_eq!(delivery.number.seq, n.seq);
    }
    desk.restart();
    desk.pass(1);
    assert!(desk.deliveries.iter().all(|d| matches!(&d.stamp, Stamp::Write(s) if s.noop)));
    let again = desk.number("s", "a");
    assert_eq!((again.seq, again.known), (2, false));
}

#[test]
fn a_cancel_does_not_withdraw_what_another_attempt_released_or_delivery_began() {
    let mut desk = Desk::new();
    desk.number("s", "a");
    let first = desk.token;
    desk.number("s", "a");
    let cancel = |desk: &mut Desk, token| {
        let cancel = pb::Cancel { token, session: "s".into(), id: "a".into() };
        desk.message(GATEWAY, pb::gateway_request::Kind::Cancel(cancel));
    };
    cancel(&mut desk, first);
    assert_eq!(desk.log.status().withdrawn, 0, "the second attempt may have released it");
    desk.pass(TAKEOVER_MS);
    assert_eq!(desk.deliveries.len(), 2);
    let second = desk.token;
    cancel(&mut desk, second);
    assert_eq!(desk.log.status().withdrawn, 0, "delivery has begun");
}

#[test]
fn a_released_write_whose_client_left_is_delivered_as_it_is() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.end("s", &n, pb::end::Kind::Abandoned, None);
    assert_eq!(desk.deliveries.len(), 2);
    let runs = |d: &Delivery| matches!(&d.stamp, Stamp::Write(s) if !s.noop) && d.body == b"a";
    assert!(desk.deliveries.iter().all(runs));
    assert_eq!(desk.log.status().withdrawn, 0);
}

#[test]
fn a_read_is_told_of_a_write_that_only_one_replica_has_settled() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    let n = desk.number("s", "b");
    desk.answered("s", &n, Replica::Secondary);
    let locate = pb::Locate { token: 77, session: "s".into() };
    desk.message(GATEWAY, pb::gateway_request::Kind::Locate(locate));
    let located = desk.replies.iter().find_map(|reply| match &reply.kind {
        Some(pb::gateway_response::Kind::Located(located)) => located.last.clone(),
        _ => None,
    });
    assert_eq!(located.map(|last| last.seq), Some(2));
}

#[test]
fn a_cancel_after_the_end_changes_nothing() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    let cancel = pb::Cancel { token: desk.token, session: "s".into(), id: "a".into() };
    desk.message(GATEWAY, pb::gateway_request::Kind::Cancel(cancel));
    assert_eq!(desk.log.status().withdrawn, 0);
}

#[test]
fn different_answers_of_the_replicas_are_listed_with_both() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    let delivery = desk.delivery();
    let word = Word { status: 500, ..delivered_word(&delivery, Verdict::Ran) };
    desk.report(&delivery, Some(word));
    let status = desk.log.status();
    assert_eq!(status.diverged.len(), 1);
    let case = &status.diverged[0];
    assert_eq!(
        (case.kind.as_str(), case.method.as_str(), case.path.as_str()),
        ("diverged_status", "POST", "/sale")
    );
    assert_eq!((case.answers[0].0, case.answers[1].0), (200, 500));
    assert_eq!(status.entries, 0, "the session goes on");
    desk.restart();
    assert_eq!(desk.log.status().diverged.len(), 1, "and it is still listed after a restart");
}

#[test]
fn a_replica_that_does_not_answer_gets_one_probe_at_a_time_and_all_its_backlog_on_return() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    let delivery = desk.delivery();
    desk.report(&delivery, None);
    assert!(desk.log.status().away[1]);
    for i in 0..5 {
        let n = desk.number(&format!("s{i}"), "a");
        desk.answered(&format!("s{i}"), &n, Replica::Primary);
    }
    assert!(desk.deliveries.is_empty());
    assert_eq!(desk.probes, [Replica::Secondary]);
    desk.pass(60_000);
    assert_eq!(desk.probes.len(), 1, "one probe at a time");
    let ready = Word::new(Replica::Secondary, Verdict::Ready);
    desk.input(Input::Probed { replica: Replica::Secondary, word: Some(ready) });
    assert_eq!(desk.deliveries.len(), 6, "all sessions at once");
}

#[test]
fn a_delivery_counts_only_with_the_word_of_the_replica_it_was_for() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    let delivery = desk.delivery();
    let word = Word { replica: Replica::Primary, ..delivered_word(&delivery, Verdict::Ran) };
    desk.report(&delivery, Some(word));
    assert_eq!(desk.log.status().backlog, [0, 1]);
}

#[test]
fn a_gap_at_a_replica_that_had_settled_more_is_listed_and_nothing_else_is_sent() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    let n = desk.number("s", "b");
    desk.answered("s", &n, Replica::Primary);
    let delivery = desk.delivery();
    desk.report(&delivery, Some(delivered_word(&delivery, Verdict::Gap)));
    assert_eq!(desk.log.status().conflicts.len(), 1);
    assert!(desk.deliveries.is_empty());
}

#[test]
fn a_doubt_is_listed_and_a_later_settle_mark_resolves_it() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    let delivery = desk.delivery();
    desk.report(&delivery, Some(delivered_word(&delivery, Verdict::InDoubt)));
    assert_eq!(desk.log.status().in_doubt.len(), 1);
    desk.pass(1000);
    let delivery = desk.delivery();
    let Stamp::Write(stamp) = &delivery.stamp else { panic!("a write") };
    assert!(stamp.again, "it may have been attempted");
    desk.deliver_ok(&delivery);
    assert!(desk.log.status().in_doubt.is_empty());
}

#[test]
fn a_session_that_rested_opens_an_epoch_that_names_the_end_of_the_last() {
    let mut desk = Desk::new();
    let n = desk.whole_write("s", "a");
    desk.pass(IDLE_MS + 20_000);
    let next = desk.number("s", "b");
    assert!(next.epoch > n.epoch);
    assert_eq!(next.seq, 1);
    let after = next.after.expect("the end of the predecessor");
    assert_eq!((after.epoch, after.seq, after.link), (n.epoch, n.seq, n.link));
}

#[test]
fn a_session_with_something_unsettled_never_changes_its_epoch() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    desk.pass(IDLE_MS + 20_000);
    assert_eq!(desk.number("s", "b").epoch, n.epoch);
}

#[test]
fn a_log_older_than_a_guard_quarantines_the_session_and_opens_a_forced_epoch() {
    let mut desk = Desk::new();
    let a = desk.whole_write("s", "a");
    desk.pass(1000);
    let old = desk.store.copy();
    let b = desk.whole_write("s", "b");
    let mut desk = Desk::with(config(), old);
    let before = desk.log.incarnation();
    let c = desk.number("s", "c");
    assert_eq!((c.epoch, c.seq), (a.epoch, b.seq), "the copy gives out a number again");
    let word = Word {
        verdict: Verdict::Conflict,
        at: ran(Replica::Primary, &desk.number("s", "d"), 0).at,
        ..ran(Replica::Primary, &c, 0)
    };
    let mut word = word;
    if let Some(at) = &mut word.at {
        at.number.seq = 9;
    }
    desk.end("s", &c, pb::end::Kind::MaybeDone, Some(word));
    let status = desk.log.status();
    assert_eq!(status.quarantined.len(), 2, "{:?}", status.quarantined);
    assert_ne!(desk.log.incarnation(), before, "guards can tell");
    assert!(desk.deliveries.is_empty());
    let next = desk.number("s", "e");
    assert!(next.epoch > a.epoch && next.seq == 1 && next.after.is_none());
    desk.restart();
    assert_eq!(desk.log.status().quarantined.len(), 2);
}

#[test]
fn a_new_epoch_is_above_every_epoch_heard_of() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    let far = 9_000_000_000_000;
    let mut word = Word { verdict: Verdict::StaleEpoch, ..ran(Replica::Primary, &n, 0) };
    if let Some(at) = &mut word.at {
        at.number.epoch = far;
    }
    desk.end("s", &n, pb::end::Kind::MaybeDone, Some(word));
    assert!(desk.number("other", "a").epoch > far);
    assert!(desk.number("s", "b").epoch > far);
}

#[test]
fn a_full_log_refuses_new_writes_and_takes_them_again_once_settled() {
    let mut config = config();
    config.max_bytes = 400;
    let mut desk = Desk::with(config, MemoryStore::new());
    let mut numbered = vec![];
    let reason = loop {
        let id = format!("w{}", numbered.len());
        match desk.append("s", &id) {
            Some(pb::appended::Outcome::Numbered(n)) => numbered.push(n),
            Some(pb::appended::Outcome::Refused(r)) => break r.reason(),
            None => panic!("no reply"),
        }
    };
    assert_eq!(reason, pb::refused::Reason::Full);
    for n in &numbered {
        desk.answered("s", n, Replica::Primary);
    }
    desk.drain();
    desk.number("s", "later");
}

#[test]
fn a_route_closed_while_cut_is_refused_before_numbering() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Secondary);
    let append = pb::Append { refuse_when_cut: true, ..desk.append_message("t", "b", "b") };
    let token = append.token;
    desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
    match desk.reply_to(token) {
        Some(pb::appended::Outcome::Refused(r)) => assert_eq!(r.reason(), pb::refused::Reason::Cut),
        other => panic!("{other:?}"),
    }
    assert_eq!(desk.number("t", "c").seq, 1, "it took no number");
}

/// What the streams were told of being alone since the last look.
fn welcomes(desk: &mut Desk) -> Vec<bool> {
    let replies = std::mem::take(&mut desk.replies);
    let kinds = replies.into_iter().filter_map(|reply| reply.kind);
    kinds
        .filter_map(|kind| match kind {
            pb::gateway_response::Kind::Welcome(welcome) => Some(welcome.sole),
            _ => None,
        })
        .collect()
}

fn say_hello(desk: &mut Desk, stream: u64, gateway: &[u8]) -> Vec<bool> {
    let hello = pb::GatewayHello {
        version: protocol::VERSION,
        service: "shop".to_string(),
        gateway: gateway.to_vec(),
    };
    desk.message(StreamId(stream), pb::gateway_request::Kind::Hello(hello));
    welcomes(desk)
}

fn close(desk: &mut Desk, stream: u64) -> Vec<bool> {
    desk.input(Input::GatewayClosed { stream: StreamId(stream) });
    welcomes(desk)
}

/// A desk with two workers of one Envoy, its streams 10 and 11.
fn two_workers() -> Desk {
    let mut desk = Desk::new();
    close(&mut desk, GATEWAY.0);
    assert_eq!(say_hello(&mut desk, 10, b"envoy-1"), [true]);
    assert_eq!(say_hello(&mut desk, 11, b"envoy-1"), [true], "another worker is the same Envoy");
    desk
}

#[test]
fn a_second_gateway_is_let_in_when_every_worker_of_the_first_knows_of_it() {
    let mut desk = two_workers();
    assert_eq!(say_hello(&mut desk, 20, b"envoy-2"), [false, false], "the first one's workers");
    assert_eq!(say_hello(&mut desk, 21, b"envoy-2"), [] as [bool; 0], "the second's wait");
    assert_eq!(desk.log.status().gateways, 2);
    assert_eq!(say_hello(&mut desk, 10, b"envoy-1"), [] as [bool; 0]);
    assert_eq!(say_hello(&mut desk, 11, b"envoy-1"), [false, false], "now they are welcome");
    assert_eq!(desk.log.status().gateways, 4);
}

#[test]
fn a_worker_that_leaves_need_not_confirm() {
    let mut desk = two_workers();
    say_hello(&mut desk, 20, b"envoy-2");
    say_hello(&mut desk, 10, b"envoy-1");
    assert_eq!(close(&mut desk, 11), [false], "the second is let in");
    assert_eq!(close(&mut desk, 10), [true], "and is alone when the first has gone");
}

#[test]
fn a_newcomer_that_leaves_again_leaves_the_first_alone() {
    let mut desk = two_workers();
    say_hello(&mut desk, 20, b"envoy-2");
    assert_eq!(close(&mut desk, 20), [true, true]);
    // What is owed for the first change does not count for the next.
    assert_eq!(say_hello(&mut desk, 30, b"envoy-3"), [false, false]);
    for _ in 0..2 {
        for stream in [10, 11] {
            assert_eq!(say_hello(&mut desk, stream, b"envoy-1"), [] as [bool; 0]);
        }
    }
    assert_eq!(say_hello(&mut desk, 10, b"envoy-1"), [] as [bool; 0]);
    assert_eq!(say_hello(&mut desk, 11, b"envoy-1"), [false]);
}

#[test]
fn shared_gateways_never_count_as_alone() {
    let mut shared = config();
    shared.sole_gateway = false;
    let mut desk = Desk::with(shared, MemoryStore::new());
    assert_eq!(say_hello(&mut desk, 20, b"envoy-2"), [false]);
    assert_eq!(close(&mut desk, 20), [] as [bool; 0]);
}

#[test]
fn a_copy_of_the_mirror_is_waited_for_before_delivery() {
    let mut config = config();
    config.mirror_cluster = Some("secondary".to_string());
    let mut desk = Desk::with(config, MemoryStore::new());
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    assert!(desk.deliveries.is_empty());
    let news = Input::JournalRan {
        replica: Replica::Secondary,
        session: session("s"),
        word: ran(Replica::Secondary, &n, 200),
    };
    desk.input(news);
    assert_eq!(desk.log.status().entries, 0, "the journal's word settles it");
    let n = desk.number("s", "b");
    desk.answered("s", &n, Replica::Primary);
    desk.pass(200);
    assert_eq!(desk.delivery().replica, Replica::Secondary, "the mirror lost it");
}

#[test]
fn the_oldest_ids_are_forgotten_in_time_and_early_ones_are_counted() {
    let mut config = config();
    config.remember_ids_ms = 8_000;
    let mut desk = Desk::with(config, MemoryStore::new());
    let n = desk.whole_write("s", "a");
    for _ in 0..20 {
        desk.pass(1000);
        let id = format!("w{}", desk.token);
        desk.whole_write("t", &id);
    }
    let again = desk.number("s", "a");
    assert!(!again.known && again.seq > n.seq, "out of time: a new write");
    assert_eq!(desk.log.status().ids_evicted_early, 0);

    let mut config = support::config();
    config.remember_ids_ms = 8_000;
    config.remember_ids_bytes = 300;
    let mut desk = Desk::with(config, MemoryStore::new());
    for _ in 0..20 {
        desk.pass(1000);
        let id = format!("w{}", desk.token);
        desk.whole_write("t", &id);
    }
    assert!(desk.log.status().ids_evicted_early > 0);
}

#[test]
fn a_session_at_rest_leaves_memory_and_comes_back_as_it_was() {
    let mut desk = Desk::new();
    let n = desk.whole_write("s", "a");
    desk.pass(1000);
    desk.pass(20_000);
    assert_eq!(desk.log.status().sessions, 0);
    let next = desk.number("s", "b");
    assert_eq!((next.epoch, next.seq), (n.epoch, 2));
}

/// What a thousand sites have kept for one cloud comes at the pace that each was given.
#[test]
fn a_bound_per_second_paces_what_is_delivered() {
    let mut paced = config();
    paced.delivery_per_second = 10;
    let mut desk = Desk::with(paced, MemoryStore::new());
    for n in 0..30 {
        desk.number(&format!("s{n}"), "a");
    }
    desk.pass(TAKEOVER_MS);
    let mut to_primary = 0;
    for _ in 0..10 {
        for delivery in std::mem::take(&mut desk.deliveries) {
            to_primary += u64::from(delivery.replica == Replica::Primary);
            desk.deliver_ok(&delivery);
        }
        desk.pass(100);
    }
    assert!((9..=11).contains(&to_primary), "{to_primary} in the first second");
    for _ in 0..30 {
        for delivery in std::mem::take(&mut desk.deliveries) {
            desk.deliver_ok(&delivery);
        }
        desk.pass(100);
    }
    assert_eq!(desk.log.status().entries, 0, "all of it comes in the end");
}
