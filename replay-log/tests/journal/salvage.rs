//! A journal out of a damaged store: what is lost is in doubt, never fresh.

use crate::rig::*;
use protocol::pb::begun::Verdict;
use protocol::{Replica, pb};
use replay_log::journal::salvage::salvage;
use replay_log::store::{MemoryStore, Store, Write};

/// Sessions that ran, one of them with a write in flight, and the store that the log knows.
fn before() -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    for session in ["a", "b", "c"] {
        (1..=2).for_each(|seq| rig.run(of(session, write(7, seq))));
    }
    assert_eq!(rig.ask(of("c", write(7, 3))), Some(Verdict::Run));
    let life = rig.incarnation().to_wire();
    (rig, life)
}

fn salvaged(rig: &mut Rig, damage: &[Write]) -> Vec<String> {
    let mut store: MemoryStore = rig.store.copy();
    store.commit(damage).unwrap();
    let found = salvage(&mut store, "shop", Replica::Primary).unwrap();
    rig.restart_on(store);
    rig.hello(1, 1, &[]);
    found.lost
}

/// Numbered before the damage and perhaps attempted.
fn old(life: &[u8], begin: pb::Begin) -> pb::Begin {
    pb::Begin { journal: life.to_vec(), again: true, ..begin }
}

#[test]
fn whatever_record_is_lost_what_was_attempted_before_never_runs_again_unasked() {
    for lost in ["s/a", "s/b", "s/c", "meta"] {
        for unreadable in [false, true] {
            let (mut rig, life) = before();
            let key = lost.as_bytes().to_vec();
            let damage = match unreadable {
                true => Write::Put { key, value: vec![0xff; 3] },
                false => Write::Delete { key },
            };
            let listed = salvaged(&mut rig, &[damage]);
            let session = lost.strip_prefix("s/").filter(|_| unreadable);
            assert_eq!(listed, session.into_iter().collect::<Vec<_>>());
            for session in ["a", "b", "c"] {
                for seq in 1..=3 {
                    for begin in [write(7, seq), delivery(write(7, seq))] {
                        let begin = pb::Begin { wait_ms: 0, ..old(&life, of(session, begin)) };
                        let verdict = rig.ask(begin.clone());
                        assert_ne!(verdict, Some(Verdict::Run), "{lost}: {begin:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_session_whose_record_is_lost_goes_on_once_its_next_delivery_is_decided() {
    let (mut rig, _) = before();
    salvaged(&mut rig, &[Write::Delete { key: b"s/a".to_vec() }]);
    let life = rig.incarnation().to_wire();
    // Numbered after the salvage, so its stamp names the new life.
    let next = old(&life, of("a", delivery(write(7, 3))));
    assert_eq!(rig.ask(next.clone()), Some(Verdict::InDoubt));
    let doubt = rig.journal.status().in_doubt[0].clone();
    assert_eq!((doubt.session.as_str(), doubt.number), ("a", number(7, 3)));
    rig.handle(replay_log::journal::Input::Resolve {
        session: doubt.session,
        number: doubt.number,
        action: replay_log::journal::Resolution::Redo,
    });
    rig.commit();
    rig.run(next);
    rig.run(of("a", write(7, 4)));
    // A new session begins as ever.
    rig.run(old(&life, of("new", delivery(write(9, 1)))));
}
