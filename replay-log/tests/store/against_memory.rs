//! The stores on disk do what the one in memory does, across reopening.

use super::{KINDS, contents, open};
use proptest::collection::vec;
use proptest::prelude::*;
use replay_log::store::{Kind, MemoryStore, Store, Write};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>),
    Reopen,
}

/// Few keys, of bytes that matter to the escaping, so that many are prefixes of each other.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0u8), Just(1), Just(b'a'), Just(0xff)], 1..5)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..200usize, 2 => 4080..4100usize, 2 => 8170..8200usize, 1 => 0..60_000usize];
    (length, any::<u8>()).prop_map(|(length, seed)| {
        (0..length).map(|n| (n as u8).wrapping_mul(31) ^ seed ^ (n >> 8) as u8).collect()
    })
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| Write::Put { key, value }),
        1 => key().prop_map(|key| Write::Delete { key }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => vec(write(), 0..12).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
    ]
}

fn does_what_the_memory_store_does(kind: Kind, steps: &[Step], probes: &[Vec<u8>]) {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = MemoryStore::new();
    let mut store = open(kind, dir.path()).unwrap();
    for step in steps {
        match step {
            Step::Commit(batch) => {
                memory.commit(batch).unwrap();
                store.commit(batch).unwrap();
            }
            Step::Reopen => {
                drop(store);
                store = open(kind, dir.path()).unwrap();
                assert_eq!(store.stats().torn, 0);
            }
        }
        assert_eq!(contents(&*store, b""), contents(&memory, b""));
        for probe in probes {
            assert_eq!(store.get(probe).unwrap(), memory.get(probe).unwrap());
            assert_eq!(contents(&*store, probe), contents(&memory, probe));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_stores_on_disk_do_what_the_memory_store_does(
        steps in vec(step(), 1..16),
        probes in vec(key(), 8),
    ) {
        for kind in KINDS {
            does_what_the_memory_store_does(kind, &steps, &probes);
        }
    }
}

#[test]
fn a_scan_ends_when_the_visitor_says_so() {
    let dirs = KINDS.map(|kind| (kind, tempfile::tempdir().unwrap()));
    let mut stores: Vec<Box<dyn Store>> = vec![Box::new(MemoryStore::new())];
    stores.extend(dirs.iter().map(|(kind, dir)| open(*kind, dir.path()).unwrap()));
    for mut store in stores {
        let put = |n: u8| Write::Put { key: vec![b'k', n], value: vec![n; 5000] };
        store.commit(&(0..9).map(put).collect::<Vec<_>>()).unwrap();
        let mut seen = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            assert_eq!(value, vec![key[1]; 5000]);
            seen.push(key[1]);
            Ok(key[1] < 3)
        };
        store.scan(b"k", &mut visit).unwrap();
        assert_eq!(seen, [0, 1, 2, 3]);
    }
}

#[test]
fn values_of_a_mebibyte_come_back_after_reopening() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let mut random = super::Random::new(7);
        let values: Vec<_> = (0..8).map(|n| random.bytes((1 << 20) + n)).collect();
        let mut store = open(kind, dir.path()).unwrap();
        for round in 0..3 {
            let put = |(n, value): (usize, &Vec<u8>)| Write::Put {
                key: vec![n as u8],
                value: value.clone(),
            };
            let batch: Vec<_> = values.iter().enumerate().skip(round).map(put).collect();
            store.commit(&batch).unwrap();
        }
        drop(store);
        let store = open(kind, dir.path()).unwrap();
        for (n, value) in values.iter().enumerate() {
            assert!(store.get(&[n as u8]).unwrap().as_ref() == Some(value), "{kind:?}, value {n}");
        }
        assert!(store.stats().disk_bytes > 8 << 20);
    }
}

#[test]
fn clones_of_a_memory_store_share_their_records_and_copies_do_not() {
    let mut store = MemoryStore::new();
    let (handle, copy) = (store.clone(), store.copy());
    store.commit(&[Write::Put { key: b"k".to_vec(), value: b"v".to_vec() }]).unwrap();
    assert_eq!(handle.get(b"k").unwrap(), Some(b"v".to_vec()));
    assert_eq!(copy.get(b"k").unwrap(), None);
}
