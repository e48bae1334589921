//! Interleavings that once broke a promise: crashes, old copies of stores, retries and replicas
//! that never say a word.

mod support;

use protocol::{Position, Replica, Verdict, Word, limits, pb};
use replay_log::journal::{self, Journal, JournalConfig};
use replay_log::log::Input;
use replay_log::store::{MemoryStore, Store};
use replay_log::{Now, StreamId};
use support::*;

fn ready(desk: &mut Desk, replica: Replica) {
    desk.probes.clear();
    desk.input(Input::Probed { replica, word: Some(Word::new(replica, Verdict::Ready)) });
}

fn append_refusing(desk: &mut Desk, session: &str, id: &str) -> Option<pb::appended::Outcome> {
    let append = pb::Append { refuse_when_cut: true, ..desk.append_message(session, id, id) };
    let token = append.token;
    desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
    desk.reply_to(token)
}

/// One entry that gets an answer without a word (a 431 of Envoy, an unsendable request) must not
/// be sent in a tight loop, nor make the replica flap for everybody, unlisted.
#[test]
fn a_delivery_that_never_gets_a_word_is_paced_and_listed() {
    let mut desk = Desk::new();
    let n = desk.number("poison", "a");
    desk.answered("poison", &n, Replica::Primary);
    let mut sent = 0;
    for _ in 0..100 {
        while let Some(delivery) = desk.deliveries.pop() {
            sent += 1;
            desk.report(&delivery, None);
        }
        ready(&mut desk, Replica::Secondary);
    }
    assert!(sent <= 10, "sent {sent} times without any time passing");
}

#[test]
fn a_delivery_that_never_gets_a_word_is_listed() {
    let mut desk = Desk::new();
    let n = desk.number("poison", "a");
    desk.answered("poison", &n, Replica::Primary);
    for _ in 0..100 {
        while let Some(delivery) = desk.deliveries.pop() {
            desk.report(&delivery, None);
        }
        ready(&mut desk, Replica::Secondary);
        desk.pass(1000);
    }
    let status = desk.log.status();
    assert_eq!(status.held_up.len(), 1, "{status:?}");
}

/// 401, 403, 407 at delivery, or a guard with a lower body limit: "retried with pacing, listed".
#[test]
fn a_delivery_that_is_never_run_is_listed() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Primary);
    for _ in 0..1000 {
        while let Some(delivery) = desk.deliveries.pop() {
            desk.report(&delivery, Some(delivered_word(&delivery, Verdict::NotRun)));
        }
        desk.pass(2000);
    }
    let status = desk.log.status();
    assert_eq!(status.backlog, [0, 1]);
    assert_eq!(status.held_up.len(), 1, "half an hour without progress, and nothing is listed");
}

/// What a replica answered must survive the log's restart, or the other's different answer at
/// delivery passes unseen.
#[test]
fn a_divergence_is_seen_although_the_log_restarted_between_the_two_answers() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Secondary);
    desk.pass(1000);
    desk.restart();
    desk.pass(1);
    ready(&mut desk, Replica::Primary);
    let delivery = desk.delivery();
    assert_eq!(delivery.replica, Replica::Primary);
    let word = Word { status: 500, ..delivered_word(&delivery, Verdict::Ran) };
    desk.report(&delivery, Some(word));
    assert_eq!(desk.log.status().entries, 0);
    assert_eq!(desk.log.status().diverged.len(), 1, "200 was acknowledged, the primary said 500");
}

/// The same, without a restart: the secondary's word of a later number settles this one.
#[test]
fn a_retry_after_a_restart_still_knows_the_status() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.answered("s", &n, Replica::Secondary);
    desk.pass(1000);
    desk.restart();
    assert_eq!(desk.number("s", "a").status, 200);
}

/// A write settled at both by takeover, whose own end comes late and says "maybe done".
#[test]
fn a_pinned_session_with_nothing_left_is_handed_back_when_the_primary_answers_a_probe() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    desk.pass(TAKEOVER_MS);
    assert_eq!(desk.drain(), 2);
    desk.end("s", &n, pb::end::Kind::MaybeDone, None);
    assert_eq!(desk.log.status().pinned, 1);
    ready(&mut desk, Replica::Primary);
    assert!(!desk.log.status().away[0]);
    for i in 0..100 {
        desk.pass(60_000);
        let reply = append_refusing(&mut desk, "s", &format!("pay-{i}"));
        if matches!(reply, Some(pb::appended::Outcome::Numbered(_))) {
            return;
        }
    }
    panic!("refused for 100 minutes as cut off: {:?}", desk.log.status());
}

/// The copy is one write behind, and the number that it gives out again is the guards' last.
#[test]
fn a_log_that_is_one_write_old_is_found_out_too() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    desk.pass(1000);
    let old = desk.store.copy();
    let b = desk.whole_write("s", "b");
    let at = ran(Replica::Primary, &b, 200).at;
    let mut desk = Desk::with(config(), old);
    let c = desk.number("s", "c");
    assert_eq!((c.epoch, c.seq), (b.epoch, b.seq));
    let word = Word { verdict: Verdict::Conflict, at, status: 0, ..ran(Replica::Primary, &c, 0) };
    desk.end("s", &c, pb::end::Kind::MaybeDone, Some(word));
    for _ in 0..100 {
        while let Some(delivery) = desk.deliveries.pop() {
            let word = Word { at, ..delivered_word(&delivery, Verdict::Conflict) };
            desk.report(&delivery, Some(word));
        }
        desk.pass(10_000);
    }
    let next = desk.number("s", "d");
    assert!(next.epoch > b.epoch, "the session stands still for ever: {next:?}");
}

/// Three numbers given out again before the first word; the guard, whose ring is empty, calls the
/// first "forgotten" and stands at another link inside what the log has numbered.
#[test]
fn a_replica_with_another_history_is_not_asked_in_a_tight_loop() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    desk.pass(1000);
    let old = desk.store.copy();
    desk.whole_write("s", "b");
    let c = desk.whole_write("s", "c");
    let at = ran(Replica::Primary, &c, 200).at;
    let mut desk = Desk::with(config(), old);
    for id in ["x", "y", "z"] {
        desk.number("s", id);
    }
    desk.pass(TAKEOVER_MS);
    let mut sent = 0;
    for _ in 0..100 {
        let Some(delivery) = desk.deliveries.pop() else { break };
        sent += 1;
        let word = Word { at, status: 0, ..delivered_word(&delivery, Verdict::Forgotten) };
        desk.report(&delivery, Some(word));
    }
    assert!(sent < 20, "sent {sent} times without any time passing");
}

/// The same history, answered with a conflict: one case, not two with every attempt.
#[test]
fn one_session_in_conflict_does_not_push_all_other_cases_out() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    desk.pass(1000);
    let old = desk.store.copy();
    desk.whole_write("s", "b");
    let c = desk.whole_write("s", "c");
    let at = ran(Replica::Primary, &c, 200).at;
    let mut desk = Desk::with(config(), old);
    for id in ["x", "y", "z"] {
        desk.number("s", id);
    }
    desk.pass(TAKEOVER_MS);
    for _ in 0..100 {
        while let Some(delivery) = desk.deliveries.pop() {
            let word = Word { at, ..delivered_word(&delivery, Verdict::Conflict) };
            desk.report(&delivery, Some(word));
        }
        desk.pass(10_000);
    }
    let cases = desk.log.status().conflicts.len();
    assert!(cases <= 6, "{cases} cases of one session");
}

/// A gateway stamps with the incarnation of its welcome; a guard takes a forced epoch only from
/// another incarnation than the one it noted.
#[test]
fn gateways_hear_of_a_renewed_incarnation() {
    let mut desk = Desk::new();
    let n = desk.whole_write("s", "a");
    let before = desk.log.incarnation();
    let mut at = ran(Replica::Primary, &n, 0).at;
    if let Some(at) = &mut at {
        at.number.seq = 9;
    }
    let m = desk.number("s", "b");
    let word = Word { verdict: Verdict::Conflict, at, ..ran(Replica::Primary, &m, 0) };
    desk.replies.clear();
    desk.end("s", &m, pb::end::Kind::MaybeDone, Some(word));
    assert_ne!(desk.log.incarnation(), before);
    let told = desk.replies.iter().any(|r| match &r.kind {
        Some(pb::gateway_response::Kind::Welcome(w)) => w.log == desk.log.incarnation().to_wire(),
        _ => false,
    });
    let closed = desk.replies.is_empty() && desk.log.status().gateways == 0;
    assert!(told || closed, "it stamps the forced epoch with the old incarnation: a conflict");
}

/// The primary's journal, as its guard uses it.
struct Site {
    journal: Journal,
    now: Now,
}

const GUARD: StreamId = StreamId(7);

impl Site {
    fn open(store: MemoryStore, random: u8, now: Now) -> Site {
        let config = JournalConfig {
            service: "shop".into(),
            replica: Replica::Primary,
            remember_bytes: 1 << 20,
            session_idle_ms: 60_000,
            takeover_ms: None,
        };
        let journal = Journal::open(Box::new(store), config, [random; 16], now).expect("opens");
        let mut site = Site { journal, now };
        site.send(pb::guard_request::Kind::Hello(pb::GuardHello {
            version: protocol::VERSION,
            service: "shop".into(),
            replica: "primary".into(),
            owner: vec![random],
            running: vec![],
            gap_wait_ms: 0,
        }));
        site
    }

    fn send(&mut self, kind: pb::guard_request::Kind) -> Vec<journal::Output> {
        let message = pb::GuardRequest { kind: Some(kind) };
        self.journal.handle(self.now, journal::Input::Guard { stream: GUARD, message });
        self.journal.commit(self.now).expect("commits")
    }

    /// What the guard asks for a write that the gateway released with this number.
    fn begin(
        &mut self,
        desk: &Desk,
        session: &str,
        id: &str,
        n: &pb::Numbered,
    ) -> pb::begun::Verdict {
        self.begun(desk, session, id, n).verdict()
    }

    /// The whole answer.
    fn begun(&mut self, desk: &Desk, session: &str, id: &str, n: &pb::Numbered) -> pb::Begun {
        let outputs = self.send(pb::guard_request::Kind::Begin(pb::Begin {
            token: 1,
            session: session.into(),
            epoch: n.epoch,
            seq: n.seq,
            link: n.link.clone(),
            id: id.into(),
            after: n.after.clone(),
            method: "POST".into(),
            path: "/sale".into(),
            again: n.known,
            noop: n.settled,
            journal: n.primary_journal.clone(),
            log: desk.log.incarnation().to_wire(),
            in_doubt: pb::InDoubtPolicy::ByMethod as i32,
            run_timeout_ms: 1000,
            ..pb::Begin::default()
        }));
        outputs
            .into_iter()
            .find_map(|o| match o {
                journal::Output::ToGuard { message, .. } => match message.kind {
                    Some(pb::guard_response::Kind::Begun(b)) => Some(b),
                    _ => None,
                },
                _ => None,
            })
            .expect("an answer")
    }

    fn ran(&mut self, session: &str, n: &pb::Numbered) {
        self.send(pb::guard_request::Kind::Outcome(pb::Outcome {
            token: 1,
            session: session.into(),
            epoch: n.epoch,
            seq: n.seq,
            kind: pb::outcome::Kind::Ran as i32,
            status: 200,
            ..pb::Outcome::default()
        }));
    }

    fn word(&self, n: &pb::Numbered) -> Word {
        Word { journal: self.journal.incarnation(), ..ran(Replica::Primary, n, 200) }
    }

    /// A write that is new here runs, and settles at both replicas.
    fn whole_write(&mut self, desk: &mut Desk, session: &str, id: &str) -> pb::Numbered {
        let n = desk.number(session, id);
        assert_eq!(self.begin(desk, session, id, &n), pb::begun::Verdict::Run);
        self.ran(session, &n);
        let word = self.word(&n);
        desk.end(session, &n, pb::end::Kind::Answered, Some(word));
        desk.drain();
        n
    }

    /// The guard refuses a write, and the gateway reports its word; returns where it stands.
    fn conflict(&mut self, desk: &mut Desk, session: &str, id: &str, n: &pb::Numbered) -> Position {
        let begun = self.begun(desk, session, id, n);
        assert_eq!(begun.verdict(), pb::begun::Verdict::Conflict);
        let at = begun.at.as_ref().and_then(Position::from_wire).expect("where it stands");
        let word = Word { verdict: Verdict::Conflict, at: Some(at), status: 0, ..self.word(n) };
        desk.end(session, n, pb::end::Kind::MaybeDone, Some(word));
        at
    }
}

/// Longer than a session rests before its next write opens an epoch.
const REST_MS: u64 = IDLE_MS + 20_000;

/// The session has been found old, and takes writes again; the word that told it comes twice.
fn is_forced(desk: &mut Desk, site: &mut Site, session: &str, c: &pb::Numbered, at: Position) {
    let quarantined = |desk: &Desk| {
        let cases = desk.log.status().quarantined;
        cases.iter().map(|case| (case.number.epoch, case.number.seq)).collect::<Vec<_>>()
    };
    assert_eq!(quarantined(desk), [(c.epoch, c.seq)]);
    assert!(desk.deliveries.is_empty());
    let d = desk.number(session, "d");
    assert!(d.epoch > c.epoch && d.seq == 1 && d.after.is_none(), "{d:?}");
    let late = Word { verdict: Verdict::Conflict, at: Some(at), status: 0, ..site.word(c) };
    desk.end(session, c, pb::end::Kind::MaybeDone, Some(late));
    assert_eq!(quarantined(desk), [(c.epoch, c.seq)]);
    assert_eq!(site.begin(desk, session, "d", &d), pb::begun::Verdict::Run);
}

/// The copy's session has rested, so its next write opens an epoch, above all that the guards know.
#[test]
fn an_old_log_is_found_out_though_the_session_opens_an_epoch() {
    for rest_ms in [REST_MS, 0] {
        let mut desk = Desk::new();
        let mut site = Site::open(MemoryStore::new(), 1, desk.now);
        let a = site.whole_write(&mut desk, "s", "a");
        desk.pass(1000);
        let old = desk.store.copy();
        desk.pass(rest_ms);
        let b = site.whole_write(&mut desk, "s", "b");
        assert_eq!(b.epoch > a.epoch, rest_ms > 0, "in the epoch of the copy, or in a later one");
        let mut desk = Desk::with(config(), old);
        desk.pass(2 * REST_MS);
        let c = desk.number("s", "c");
        let after = c.after.as_ref().expect("the end that the copy knows");
        assert!(c.epoch > b.epoch && (after.epoch, after.seq) == (a.epoch, a.seq));
        let at = site.conflict(&mut desk, "s", "c", &c);
        assert_eq!((at.number.epoch, at.number.seq), (b.epoch, b.seq));
        is_forced(&mut desk, &mut site, "s", &c, at);
    }
}

#[test]
fn an_old_log_is_found_out_by_a_session_that_it_never_heard_of() {
    let mut desk = Desk::new();
    let mut site = Site::open(MemoryStore::new(), 1, desk.now);
    site.whole_write(&mut desk, "warm", "w");
    desk.pass(1000);
    let old = desk.store.copy();
    let a = site.whole_write(&mut desk, "s", "a");
    let mut desk = Desk::with(config(), old);
    desk.pass(2 * REST_MS);
    let c = desk.number("s", "c");
    assert!(c.epoch > a.epoch && c.after.is_none());
    let at = site.conflict(&mut desk, "s", "c", &c);
    assert_eq!((at.number.epoch, at.number.seq), (a.epoch, a.seq));
    is_forced(&mut desk, &mut site, "s", &c, at);
}

/// The secondary, one write behind when the copy was put back, takes the epoch that the primary
/// refuses.
#[test]
fn an_old_log_is_found_out_though_the_other_replica_takes_the_epoch() {
    let mut desk = Desk::new();
    let mut site = Site::open(MemoryStore::new(), 1, desk.now);
    site.whole_write(&mut desk, "s", "a");
    desk.pass(1000);
    let old = desk.store.copy();
    desk.pass(REST_MS);
    site.whole_write(&mut desk, "s", "b");
    let mut desk = Desk::with(config(), old);
    desk.pass(2 * REST_MS);
    let c = desk.number("s", "c");
    desk.answered("s", &c, Replica::Secondary);
    ready(&mut desk, Replica::Primary);
    let delivery = desk.delivery();
    assert_eq!(delivery.replica, Replica::Primary);
    let begun = site.begun(&desk, "s", "c", &c);
    assert_eq!(begun.verdict(), pb::begun::Verdict::Conflict);
    let at = begun.at.as_ref().and_then(Position::from_wire).expect("where it stands");
    let word = Word { at: Some(at), ..delivered_word(&delivery, Verdict::Conflict) };
    desk.report(&delivery, Some(word));
    is_forced(&mut desk, &mut site, "s", &c, at);
}

/// Not the log is old but the replica's journal.
#[test]
fn a_guard_before_the_end_that_an_epoch_names_is_listed_and_nothing_is_given_up() {
    let mut desk = Desk::new();
    let store = MemoryStore::new();
    let mut site = Site::open(store.clone(), 1, desk.now);
    let a = site.whole_write(&mut desk, "s", "a");
    let snapshot = store.copy();
    desk.pass(REST_MS);
    let b = site.whole_write(&mut desk, "s", "b");
    desk.pass(REST_MS);
    let incarnation = desk.log.incarnation();
    let mut site = Site::open(snapshot, 3, desk.now);
    let c = desk.number("s", "c");
    assert!(a.epoch < b.epoch && b.epoch < c.epoch);
    let at = site.conflict(&mut desk, "s", "c", &c);
    assert_eq!((at.number.epoch, at.number.seq), (a.epoch, a.seq));
    for _ in 0..100 {
        while let Some(delivery) = desk.deliveries.pop() {
            match delivery.replica {
                Replica::Primary => {
                    let word = delivered_word(&delivery, Verdict::Conflict);
                    desk.report(&delivery, Some(Word { at: Some(at), ..word }));
                }
                Replica::Secondary => desk.deliver_ok(&delivery),
            }
        }
        desk.pass(10_000);
    }
    let status = desk.log.status();
    assert_eq!((status.conflicts.len(), status.quarantined.len()), (1, 0), "{status:?}");
    assert_eq!(status.backlog, [1, 0]);
    assert_eq!(desk.log.incarnation(), incarnation);
    let d = desk.number("s", "d");
    assert_eq!((d.epoch, d.seq), (c.epoch, 2));
}

/// A retry of a settled write names no predecessor: a guard at the very end that its epoch follows
/// from refuses it. And a word that is late says nothing of a replica that has run the epoch since.
#[test]
fn a_conflict_that_is_no_proof_gives_nothing_up() {
    let mut desk = Desk::new();
    let a = desk.whole_write("s", "a");
    desk.pass(REST_MS);
    let b = desk.number("s", "b");
    let conflict = |at| Word {
        verdict: Verdict::Conflict,
        at: ran(Replica::Primary, &at, 0).at,
        status: 0,
        ..ran(Replica::Primary, &b, 0)
    };
    desk.end("s", &b, pb::end::Kind::MaybeDone, Some(conflict(a.clone())));
    assert_eq!(desk.log.status().quarantined.len(), 0, "it stands at the end");
    desk.answered("s", &b, Replica::Primary);
    let beyond = pb::Numbered { seq: a.seq + 1, ..a };
    desk.end("s", &b, pb::end::Kind::MaybeDone, Some(conflict(beyond)));
    assert_eq!(desk.log.status().quarantined.len(), 0, "it has run the epoch");
    desk.pass(10_000);
    desk.drain();
    assert_eq!(desk.log.status().entries, 0);
    assert_eq!(desk.number("s", "c").epoch, b.epoch);
}

/// The primary ran the write and its word was lost; its journal is lost too, and the log hears of
/// the new one from another session. The client's retry names the new journal, so it is fresh.
#[test]
fn a_retry_of_a_live_write_names_the_journal_of_its_numbering() {
    let mut desk = Desk::new();
    let mut site = Site::open(MemoryStore::new(), 1, desk.now);
    let w = desk.number("warm", "w");
    assert_eq!(site.begin(&desk, "warm", "w", &w), pb::begun::Verdict::Run);
    site.ran("warm", &w);
    let word = site.word(&w);
    desk.end("warm", &w, pb::end::Kind::Answered, Some(word));
    desk.drain();

    let n = desk.number("s", "a");
    assert_eq!(site.begin(&desk, "s", "a", &n), pb::begun::Verdict::Run);
    site.ran("s", &n);
    // The answer is lost, and so is the journal.
    let mut site = Site::open(MemoryStore::new(), 2, desk.now);
    let o = desk.number("other", "o");
    let word = site.word(&o);
    desk.end("other", &o, pb::end::Kind::Answered, Some(word));
    let again = desk.number("s", "a");
    assert!(again.known && again.seq == n.seq);
    assert_ne!(site.begin(&desk, "s", "a", &again), pb::begun::Verdict::Run, "it runs twice");
}

/// The same once both have settled it: a retry of an acknowledged write runs again.
#[test]
fn a_retry_of_a_settled_write_is_never_fresh_at_a_journal_that_was_replaced() {
    let mut desk = Desk::new();
    let mut site = Site::open(MemoryStore::new(), 1, desk.now);
    let n = desk.number("s", "a");
    assert_eq!(site.begin(&desk, "s", "a", &n), pb::begun::Verdict::Run);
    site.ran("s", &n);
    let word = site.word(&n);
    desk.end("s", &n, pb::end::Kind::Answered, Some(word));
    desk.drain();
    desk.pass(1000);
    assert_eq!(desk.log.status().entries, 0, "acknowledged and settled at both");

    let mut site = Site::open(MemoryStore::new(), 2, desk.now);
    let o = desk.number("other", "o");
    let word = site.word(&o);
    desk.end("other", &o, pb::end::Kind::Answered, Some(word));
    let again = desk.number("s", "a");
    assert!(again.known && again.seq == n.seq);
    assert_ne!(site.begin(&desk, "s", "a", &again), pb::begun::Verdict::Run, "it runs twice");
}

/// A snapshot of the journal taken while it ran, put back: its lives hold the incarnation that the
/// stamps name, so nothing looks strange. The log knows that the primary has settled the write.
#[test]
fn a_retry_of_a_settled_write_is_never_fresh_at_a_journal_snapshot_of_the_same_life() {
    let mut desk = Desk::new();
    let store = MemoryStore::new();
    let mut site = Site::open(store.clone(), 1, desk.now);
    let n = desk.number("s", "a");
    assert_eq!(site.begin(&desk, "s", "a", &n), pb::begun::Verdict::Run);
    site.ran("s", &n);
    let word = site.word(&n);
    desk.end("s", &n, pb::end::Kind::Answered, Some(word));
    desk.drain();
    let snapshot = store.copy();
    let m = desk.number("s", "b");
    assert_eq!(site.begin(&desk, "s", "b", &m), pb::begun::Verdict::Run);
    site.ran("s", &m);
    let word = site.word(&m);
    desk.end("s", &m, pb::end::Kind::Answered, Some(word));
    desk.drain();
    desk.pass(1000);
    assert_eq!(desk.log.status().entries, 0);

    let mut site = Site::open(snapshot, 3, desk.now);
    let again = desk.number("s", "b");
    assert!(again.known && again.seq == m.seq);
    assert_ne!(site.begin(&desk, "s", "b", &again), pb::begun::Verdict::Run, "it runs twice");
}

/// The bound on bytes drops whole buckets, the newest included.
#[test]
fn the_id_of_the_last_write_is_not_evicted() {
    let mut config = config();
    config.remember_ids_bytes = 2_000;
    let mut desk = Desk::with(config, MemoryStore::new());
    for i in 0..200 {
        let n = desk.whole_write("s", &format!("w{i}"));
        desk.pass(60);
        let again = desk.number("s", &format!("w{i}"));
        assert_eq!((again.known, again.seq), (true, n.seq), "write {i}, acknowledged 60 ms ago");
    }
}

/// What is put while its bucket is dropped is in the store, and in no bucket.
#[test]
fn every_id_in_the_store_is_in_the_index() {
    let mut config = config();
    config.remember_ids_bytes = 2_000;
    let mut desk = Desk::with(config, MemoryStore::new());
    for i in 0..200 {
        desk.whole_write("s", &format!("w{i}"));
        desk.pass(60);
        let mut rows = 0;
        desk.store
            .scan(b"i", &mut |_, _| {
                rows += 1;
                Ok(true)
            })
            .expect("scans");
        assert_eq!(desk.log.status().ids, rows, "after write {i}");
    }
}

#[test]
fn ids_are_remembered_as_long_as_promised_although_the_time_was_changed() {
    let mut desk = Desk::new();
    let n = desk.whole_write("s", "a");
    desk.pass(1000);
    let mut shorter = config();
    shorter.remember_ids_ms = 43_200_000;
    desk.config = shorter;
    desk.restart();
    for i in 0..3 {
        desk.whole_write("t", &format!("w{i}"));
        desk.pass(1000);
    }
    let again = desk.number("s", "a");
    assert_eq!((again.known, again.seq), (true, n.seq), "12 h are promised, 4 s have passed");
}

#[test]
fn a_retry_of_a_settled_id_does_not_keep_its_session_in_memory_for_ever() {
    let mut desk = Desk::new();
    desk.whole_write("s", "a");
    desk.pass(1000);
    desk.pass(20_000);
    assert_eq!(desk.log.status().sessions, 0);
    assert!(desk.number("s", "a").known);
    for _ in 0..10 {
        desk.pass(60_000);
    }
    assert_eq!(desk.log.status().sessions, 0);
}

/// Settled by its end while it stood in the queue for a busy replica.
#[test]
fn a_session_that_was_settled_while_queued_leaves_memory() {
    let mut narrow = config();
    narrow.delivery_parallel = 1;
    let mut desk = Desk::with(narrow, MemoryStore::new());
    let busy = desk.number("busy", "a");
    let n = desk.number("s", "a");
    desk.pass(TAKEOVER_MS);
    let out: Vec<_> = std::mem::take(&mut desk.deliveries);
    assert_eq!(out.len(), 2);
    desk.answered("s", &n, Replica::Primary);
    let number = ran(Replica::Secondary, &n, 200);
    desk.end("s", &n, pb::end::Kind::Answered, Some(number));
    for delivery in &out {
        desk.deliver_ok(delivery);
    }
    let _ = busy;
    desk.drain();
    for _ in 0..10 {
        desk.pass(60_000);
    }
    let status = desk.log.status();
    assert_eq!((status.entries, status.sessions), (0, 0));
}

/// A primary's `reprise` that restarted often while it was cut off: the log still names its first
/// life, and the store has remembered everything all along.
#[test]
fn a_journal_that_restarted_often_still_knows_its_first_life() {
    let mut desk = Desk::new();
    let store = MemoryStore::new();
    let mut site = Site::open(store.clone(), 1, desk.now);
    let w = desk.number("warm", "w");
    assert_eq!(site.begin(&desk, "warm", "w", &w), pb::begun::Verdict::Run);
    site.ran("warm", &w);
    let word = site.word(&w);
    desk.end("warm", &w, pb::end::Kind::Answered, Some(word));
    for life in (2..=255).chain(2..=255) {
        drop(Site::open(store.clone(), life, desk.now));
    }
    let mut site = Site::open(store, 9, desk.now);
    let n = desk.number("s", "a");
    let again = desk.number("s", "a");
    assert!(again.known && again.primary_journal == n.primary_journal);
    assert_eq!(
        site.begin(&desk, "s", "a", &again),
        pb::begun::Verdict::Run,
        "never attempted here"
    );
}

/// A write that somebody forged at a guard's port brings a word with the highest epoch.
#[test]
fn the_highest_epoch_does_not_overflow_the_counter() {
    let mut desk = Desk::new();
    let n = desk.number("s", "a");
    let mut word = Word { verdict: Verdict::StaleEpoch, ..ran(Replica::Primary, &n, 0) };
    if let Some(at) = &mut word.at {
        at.number.epoch = u64::MAX;
    }
    desk.end("s", &n, pb::end::Kind::MaybeDone, Some(word));
    desk.number("other", "a");
}

/// An edge node that comes up again with a backlog, while no client asks for anything: no gateway
/// connects, so nobody but the clock wakes the log. (Found by the simulator, seed 138.)
#[test]
fn a_backlog_is_delivered_after_a_restart_though_nobody_asks_for_anything() {
    let mut desk = Desk::new();
    desk.number("s", "a");
    desk.restart_alone();
    let due = desk.log.next_wake_ms().expect("the log wants to be woken");
    assert!(due <= desk.now.mono_ms);
    desk.input(Input::Tick);
    assert_eq!(desk.deliveries.len(), 2, "to both replicas");
}

/// A guard that was silent while its Envoy came up, and then said that it does not know: the
/// operator must be asked, and silence afterwards takes nothing back. (Found on real Envoy, and by
/// the simulator once its operator looked at nothing but this list.)
#[test]
fn a_doubt_is_listed_though_its_guard_was_silent_before_and_is_again() {
    let mut desk = Desk::new();
    desk.number("s", "a");
    desk.pass(TAKEOVER_MS);
    let mut try_with = |word: Option<Verdict>| {
        for _ in 0..40 {
            ready(&mut desk, Replica::Primary);
            desk.pass(500);
            let tries = std::mem::take(&mut desk.deliveries);
            for delivery in tries {
                if delivery.replica == Replica::Secondary {
                    desk.deliver_ok(&delivery);
                } else {
                    let word = word.map(|verdict| delivered_word(&delivery, verdict));
                    desk.report(&delivery, word);
                }
            }
        }
        let status = desk.log.status();
        let kinds =
            |list: &[replay_log::log::HeldUp]| list.iter().map(|w| w.kind).collect::<Vec<_>>();
        (kinds(&status.in_doubt), kinds(&status.held_up))
    };
    assert_eq!(try_with(None), (vec![], vec!["unanswered"]));
    assert_eq!(try_with(Some(Verdict::InDoubt)), (vec!["in_doubt"], vec![]));
    assert_eq!(try_with(None), (vec!["in_doubt"], vec![]));
    assert_eq!(try_with(Some(Verdict::NotRun)), (vec![], vec!["not_run"]));
}

#[test]
fn many_cases_of_one_kind_push_out_none_of_another() {
    let mut desk = Desk::new();
    let mut differs = |id: &str, status: u16| {
        let n = desk.number("s", id);
        desk.answered("s", &n, Replica::Primary);
        let delivery = desk.delivery();
        let digest = protocol::Digest([status as u8; 8]);
        let word = Word { status, digest, ..delivered_word(&delivery, Verdict::Ran) };
        desk.report(&delivery, Some(word));
        desk.log.status().diverged
    };
    differs("another status", 500);
    for i in 0..limits::CASES_KEPT {
        differs(&format!("another body {i}"), 200);
    }
    let listed = differs("one more body", 200);
    let (status, body): (Vec<_>, Vec<_>) = listed.iter().partition(|c| c.kind == "diverged_status");
    assert_eq!((status.len(), body.len()), (1, limits::CASES_KEPT));
    desk.restart();
    assert_eq!(desk.log.status().diverged, listed, "and on disk it is the same");
}

#[test]
fn a_write_with_more_header_fields_than_a_guard_takes_is_refused_before_it_has_a_number() {
    let mut desk = Desk::new();
    let mut with = |fields: usize| {
        let header = pb::Header { name: "x".into(), value: b"y".to_vec() };
        let headers = vec![header; fields];
        let append = pb::Append { headers, ..desk.append_message("s", &fields.to_string(), "a") };
        let token = append.token;
        desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
        desk.reply_to(token)
    };
    match with(limits::HEADERS_COUNT + 1) {
        Some(pb::appended::Outcome::Refused(r)) => {
            assert_eq!(r.reason(), pb::refused::Reason::Invalid);
            assert!(r.detail.contains("80 header fields"), "{}", r.detail);
        }
        other => panic!("{other:?}"),
    }
    match with(limits::HEADERS_COUNT) {
        Some(pb::appended::Outcome::Numbered(n)) => assert_eq!(n.seq, 1),
        other => panic!("{other:?}"),
    }
}
