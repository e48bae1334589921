//! Moving into a new generation.

use super::*;
use crate::store::MemoryStore;
use crate::store::sled::{Limits, open, pointer};
use proptest::collection::vec;
use proptest::prelude::*;

/// Moves everything at once, in the smallest steps.
const TINY: Limits = Limits { bytes: 0, times: u64::MAX, step: 1, step_bytes: 1 };

fn all(store: &dyn Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        assert_eq!(store.get(key).unwrap().as_deref(), Some(value));
        assert!(found.insert(key.to_vec(), value.to_vec()).is_none());
        Ok(true)
    };
    store.scan(b"", &mut visit).unwrap();
    found
}

/// Begins a new generation; nothing is moved yet.
fn begin(store: &SledStore) {
    let mut held = lock(&store.shared);
    let generations = held.as_mut().unwrap();
    let new = open::next(generations).unwrap();
    generations.begin(new).unwrap();
}

/// One step; true while there is more to do.
fn step(store: &SledStore) -> bool {
    lock(&store.shared).as_mut().unwrap().step(&TINY).unwrap()
}

fn is_moving(store: &SledStore) -> bool {
    lock(&store.shared).as_ref().unwrap().old.is_some()
}

fn end(store: &SledStore) {
    let mut held = lock(&store.shared);
    let generations = held.as_mut().unwrap();
    drop(generations.end().unwrap());
    let named = pointer::Pointer { current: generations.number, old: false };
    pointer::remove_unnamed(&generations.dir, named).unwrap();
}

#[derive(Clone, Debug)]
enum Act {
    Commit(Vec<Write>),
    Move,
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let key = || vec(prop_oneof![Just(0u8), Just(1), Just(b'a')], 1..3);
    let value = (prop_oneof![Just(3usize), Just(4087), Just(4088), Just(9000)], any::<u8>())
        .prop_map(|(length, byte)| vec![byte; length]);
    let write = prop_oneof![
        3 => (key(), value).prop_map(|(key, value)| Write::Put { key, value }),
        2 => key().prop_map(|key| Write::Delete { key }),
    ];
    prop_oneof![
        4 => vec(write, 1..5).prop_map(Act::Commit),
        6 => Just(Act::Move),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn while_it_moves_a_store_does_what_the_memory_store_does(acts in vec(act(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut memory, mut store) = (MemoryStore::new(), SledStore::open(dir.path()).unwrap());
        for act in acts {
            match act {
                Act::Commit(batch) => {
                    memory.commit(&batch).unwrap();
                    store.commit(&batch).unwrap();
                }
                Act::Move if !is_moving(&store) => begin(&store),
                Act::Move => {
                    if !step(&store) {
                        end(&store);
                    }
                }
                Act::Reopen => {
                    drop(store);
                    store = SledStore::open(dir.path()).unwrap();
                }
            }
            prop_assert_eq!(all(&store), all(&memory));
            let live: usize = all(&memory).iter().map(|(k, v)| k.len() + v.len()).sum();
            prop_assert_eq!(lock(&store.shared).as_ref().unwrap().live, live as u64);
        }
    }
}

#[test]
fn a_crash_at_any_change_of_a_move_loses_nothing_and_brings_nothing_back() {
    for changes in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(dir.path()).unwrap();
        let keys = ["a", "b", "c", "d"];
        store.commit(&keys.map(|key| put(key, vec![1; 9_000]))).unwrap();
        let mut before = all(&store);
        let life = current(&store).life;
        life.set(changes);
        let delete = Write::Delete { key: b"c".to_vec() };
        let mut acked = true;
        for write in [None, Some(delete), Some(put("a", vec![2; 5_000])), None] {
            match write {
                None if !is_moving(&store) => begin(&store),
                None => {
                    while step(&store) {}
                    end_unless_dead(&store, &life);
                }
                Some(write) => {
                    store.commit(std::slice::from_ref(&write)).unwrap();
                    acked &= !life.is_over();
                    if acked {
                        crate_apply(&mut before, &write);
                    }
                    step(&store);
                }
            }
        }
        let survived = !life.is_over();
        drop(store);
        let mut store = SledStore::open(dir.path()).unwrap();
        let found = all(&store);
        // Of the batch under way, one write, all or nothing is there.
        let mut after = before.clone();
        let mut possible = vec![before.clone()];
        for write in [Write::Delete { key: b"c".to_vec() }, put("a", vec![2; 5_000])] {
            crate_apply(&mut after, &write);
            possible.push(after.clone());
        }
        assert!(possible.contains(&found), "after {changes} changes: {:?}", found.keys());
        assert!(!found.contains_key(b"c".as_slice()) || before.contains_key(b"c".as_slice()));
        store.commit(&[put("e", vec![3; 10])]).unwrap();
        if is_moving(&store) {
            while step(&store) {}
            end(&store);
        }
        let mut expected = found;
        crate_apply(&mut expected, &put("e", vec![3; 10]));
        assert_eq!(all(&store), expected, "after {changes} changes");
        drop(store);
        assert_eq!(all(&SledStore::open(dir.path()).unwrap()), expected, "after {changes} changes");
        if survived {
            assert!(changes > 20, "there is something to interrupt");
            break;
        }
    }
}

fn end_unless_dead(store: &SledStore, life: &Life) {
    if life.is_over() {
        return;
    }
    let old = lock(&store.shared).as_mut().unwrap().end().unwrap();
    drop(old);
    if !life.is_over() {
        let named = pointer::Pointer { current: 1, old: false };
        pointer::remove_unnamed(&store.path, named).unwrap();
    }
}

fn crate_apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: &Write) {
    match write {
        Write::Put { key, value } => model.insert(key.clone(), value.clone()),
        Write::Delete { key } => model.remove(key),
    };
}

#[test]
fn space_is_given_back_once_most_of_it_is_not_live() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    let key = |n: u32| n.to_be_bytes().to_vec();
    let mut x = 1u32;
    let mut value = || {
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        };
        (0..4_000).map(|_| next()).collect::<Vec<u8>>()
    };
    // 100 MB.
    for round in 0..50 {
        let batch: Vec<_> = (round * 500..round * 500 + 500)
            .map(|n| Write::Put { key: key(n), value: value() })
            .collect();
        store.commit(&batch).unwrap();
    }
    assert!(Store::reclaim(&mut store).is_none(), "all of it is live");
    let full = store.stats().disk_bytes;
    for round in 0..50 {
        let batch: Vec<_> = (round * 500..round * 500 + 500)
            .filter(|n| n % 1000 != 0)
            .map(|n| Write::Delete { key: key(n) })
            .collect();
        store.commit(&batch).unwrap();
    }
    let before = all(&store);
    assert_eq!(before.len(), 25);
    let work = Store::reclaim(&mut store).expect("there is something to give back");
    let mover = std::thread::spawn(move || work().map_err(|e| e.to_string()));
    // Writes go on meanwhile.
    let mut written = 0;
    while !mover.is_finished() {
        let stamp = Write::Put { key: b"stamp".to_vec(), value: vec![written; 10] };
        store.commit(&[stamp]).unwrap();
        written = written.wrapping_add(1);
    }
    mover.join().unwrap().unwrap();
    assert!(Store::reclaim(&mut store).is_none());
    let left = store.stats().disk_bytes;
    println!("{full} bytes became {left}");
    assert!(full > 100 << 20 && left < 64 << 20, "{full} bytes became {left}");
    drop(store);
    let mut found = all(&SledStore::open(dir.path()).unwrap());
    found.remove(b"stamp".as_slice());
    assert!(found == before);
    assert!(dir.path().join("gen-1").is_dir() && !dir.path().join("conf").exists());
    assert!(::sled::open(dir.path()).is_err(), "a build of layout 1 begins no empty store here");
}
