//! What a long backlog goes through in memory: ids, and deliveries that are no longer needed when
//! they are about to go out.

mod support;

use protocol::{Link, Number, Position, Replica, Verdict, Word, pb};
use replay_log::StreamId;
use replay_log::log::{Input, Output};
use support::*;

const MINTED: &str = "0123456789abcdef0123456789abcdef";
const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";
const UPPER: &str = "0123456789ABCDEF0123456789ABCDEF";

#[test]
fn ids_that_look_alike_keep_their_numbers_through_a_restart_and_after_they_are_settled() {
    let mut desk = Desk::new();
    let numbers = [MINTED, UUID, UPPER, "a"].map(|id| (id, desk.number("s", id)));
    let find = |desk: &mut Desk| {
        for (id, number) in &numbers {
            let again = desk.number("s", id);
            assert_eq!((again.seq, &again.link, again.known), (number.seq, &number.link, true));
        }
    };
    find(&mut desk);
    desk.restart();
    find(&mut desk);
    desk.pass(0);
    desk.drain();
    assert_eq!(desk.log.status().entries, 0);
    find(&mut desk);
    desk.pass(1000);
    desk.restart();
    find(&mut desk);
}

#[test]
fn a_delivery_carries_the_id_as_the_client_wrote_it() {
    let mut desk = Desk::new();
    for id in [MINTED, UUID, UPPER] {
        let n = desk.number(id, id);
        desk.answered(id, &n, Replica::Primary);
        let delivery = desk.delivery();
        let protocol::Stamp::Write(stamp) = &delivery.stamp else { panic!("not a write") };
        assert_eq!((stamp.id.as_str(), &delivery.body), (id, &id.as_bytes().to_vec()));
        desk.deliver_ok(&delivery);
    }
}

#[test]
fn a_withdrawn_id_is_free_again_through_a_restart() {
    let mut desk = Desk::new();
    let append = desk.append_message("s", MINTED, "a");
    let token = append.token;
    desk.message(GATEWAY, pb::gateway_request::Kind::Append(append));
    let cancel = pb::Cancel { token, session: "s".into(), id: MINTED.into() };
    desk.message(GATEWAY, pb::gateway_request::Kind::Cancel(cancel));
    desk.restart();
    let again = desk.number("s", MINTED);
    assert_eq!((again.seq, again.known), (2, false));
    let again = desk.number("s", MINTED);
    assert_eq!((again.seq, again.known), (2, true));
}

/// Lets one batch begin a delivery to the secondary and then hear `word`; what goes out.
fn heard_in_the_same_batch(desk: &mut Desk, word: Word) -> Vec<Output> {
    let n = desk.number("s", "a");
    let end = pb::End {
        session: "s".into(),
        epoch: n.epoch,
        seq: n.seq,
        kind: pb::end::Kind::Answered as i32,
        word: ran(Replica::Primary, &n, 200).to_string(),
        token: desk.token,
        route: n.route,
    };
    let message = pb::GatewayRequest { kind: None, ends: vec![end] };
    desk.log.handle(desk.now, Input::Gateway { stream: GATEWAY, message });
    let number = Number { epoch: n.epoch, seq: n.seq };
    let at = word.at.map(|at| Position { number: Number { epoch: n.epoch, ..at.number }, ..at });
    let link = Link::from_wire(&n.link).expect("a link");
    let at = at.map(|at| if at.number == number { Position { number, link } } else { at });
    let word = Word { at, ..word };
    let session = session("s");
    desk.log.handle(desk.now, Input::JournalRan { replica: Replica::Secondary, session, word });
    desk.log.commit(desk.now).expect("commits")
}

fn stands_at(seq: u64) -> Word {
    let at = Position { number: Number { epoch: 0, seq }, link: Link::START };
    Word { at: Some(at), ..Word::new(Replica::Secondary, Verdict::Remembered) }
}

fn deliveries(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Deliver(_))).count()
}

#[test]
fn what_was_settled_before_it_went_out_is_not_delivered_and_the_session_goes_on() {
    let mut desk = Desk::new();
    let outputs = heard_in_the_same_batch(&mut desk, stands_at(1));
    assert_eq!(deliveries(&outputs), 0);
    assert_eq!(desk.log.status().entries, 0);
    let n = desk.number("s", "b");
    desk.answered("s", &n, Replica::Primary);
    assert_eq!(desk.delivery().number.seq, 2);
}

#[test]
fn what_was_put_in_quarantine_before_it_went_out_is_not_delivered_and_ends_nothing() {
    let mut desk = Desk::new();
    let outputs = heard_in_the_same_batch(&mut desk, stands_at(9));
    assert_eq!(deliveries(&outputs), 0);
    assert_eq!(desk.log.status().quarantined.len(), 1);
    let n = desk.number("s", "b");
    desk.answered("s", &n, Replica::Primary);
    assert_eq!(desk.delivery().number.seq, 1, "of the forced epoch");
}

#[test]
fn a_gateway_that_leaves_ends_what_it_was_released_and_not_what_another_is_held_for() {
    let mut desk = Desk::new();
    let other = StreamId(2);
    desk.hello(other, b"envoy-1");
    let n = desk.number("s", "a");
    desk.end("s", &n, pb::end::Kind::MaybeDone, None);
    assert_eq!(desk.log.status().pinned, 1);
    desk.input(Input::Probed {
        replica: Replica::Primary,
        word: Some(Word::new(Replica::Primary, Verdict::Ready)),
    });
    assert_eq!(desk.deliveries.len(), 2, "to both, unanswered");
    let append = desk.append_message("s", "b", "b");
    desk.message(other, pb::gateway_request::Kind::Append(append));
    assert_eq!(desk.log.status().held, 1);
    desk.number("t", "a");
    desk.deliveries.clear();
    desk.input(Input::GatewayClosed { stream: GATEWAY });
    let sessions: Vec<_> = desk.deliveries.iter().map(|d| d.session.to_string()).collect();
    assert_eq!(sessions, ["t", "t"], "at once, to both");
    desk.input(Input::GatewayClosed { stream: other });
    assert_eq!(desk.log.status().entries, 3, "nothing is forgotten");
}
