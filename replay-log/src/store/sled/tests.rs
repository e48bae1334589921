use super::generation::Generation;
use super::layout::{self, CHUNK_BYTES, ChunkKeys, HEAD_DATA, Head, Side};
use super::{SledStore, Store, Write, lock};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Mutex};

mod moves;

fn put(key: &str, value: Vec<u8>) -> Write {
    put_bytes(key.as_bytes(), &value)
}

fn put_bytes(key: &[u8], value: &[u8]) -> Write {
    Write::Put { key: key.to_vec(), value: value.to_vec() }
}

/// How many changes are left until the process "dies": sled keeps what was changed before and
/// nothing after.
#[derive(Clone, Debug, Default)]
pub(super) struct Life(Arc<Mutex<Option<usize>>>);

impl Life {
    pub(super) fn ends(&self) -> bool {
        let mut left = self.0.lock().unwrap();
        let dead = *left == Some(0);
        *left = left.map(|n| n.saturating_sub(1));
        dead
    }

    fn set(&self, left: usize) {
        *self.0.lock().unwrap() = Some(left);
    }

    fn is_over(&self) -> bool {
        *self.0.lock().unwrap() == Some(0)
    }
}

fn current(store: &SledStore) -> Generation {
    lock(&store.shared).as_ref().unwrap().current.clone()
}

fn replace_file(store: &SledStore, file: File) {
    lock(&store.shared).as_mut().unwrap().current.file = Arc::new(file);
}

fn chunks_on_disk(store: &SledStore) -> usize {
    current(store).db.scan_prefix([1]).count()
}

#[test]
fn a_store_whose_sync_failed_refuses_every_further_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    let good = File::open(dir.path().join("db")).unwrap();
    replace_file(&store, File::open("/dev/null").unwrap());
    let first = store.commit(&[put("a", vec![1])]).unwrap_err().to_string();
    assert!(first.contains("1 writes") && first.contains("syncing the file"), "{first}");
    replace_file(&store, good);
    let next = store.commit(&[put("b", vec![1])]).unwrap_err().to_string();
    assert!(next.contains("an earlier commit failed"), "{next}");
    assert!(store.commit(&[]).is_err());
}

#[test]
fn a_value_without_its_head_is_ignored_and_removed_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    store.commit(&[put("kept", vec![7; 9000])]).unwrap();
    // The process dies after the tail chunks, before the head.
    let value = vec![9; 20_000];
    for record in layout::intents([b"torn".as_slice(), b"kept"].into_iter()) {
        current(&store).insert(layout::intent_key(0), &record).unwrap();
    }
    for key in ["torn", "kept"] {
        let chunks = ChunkKeys::new(key.as_bytes());
        let side = if key == "kept" { Side::B } else { Side::A };
        for (n, data) in value[HEAD_DATA..].chunks(CHUNK_BYTES).enumerate() {
            current(&store).insert(chunks.tail(side, n as u32 + 1), data).unwrap();
        }
    }
    let seen = |store: &SledStore| {
        let mut seen = Vec::new();
        let mut visit = |k: &[u8], v: &[u8]| {
            seen.push((k.to_vec(), v.len()));
            Ok(true)
        };
        store.scan(b"", &mut visit).unwrap();
        seen
    };
    assert_eq!(store.get(b"torn").unwrap(), None);
    assert_eq!(seen(&store), [(b"kept".to_vec(), 9000)]);
    current(&store).sync().unwrap();
    drop(store);
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(store.leftovers(), 2);
    assert_eq!(store.get(b"kept").unwrap(), Some(vec![7; 9000]));
    assert_eq!(seen(&store), [(b"kept".to_vec(), 9000)]);
    assert_eq!(chunks_on_disk(&store), 3);
}

fn contents(store: &SledStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        assert_eq!(store.get(key).unwrap().as_deref(), Some(value));
        found.insert(key.to_vec(), value.to_vec());
        Ok(true)
    };
    store.scan(b"", &mut visit).unwrap();
    found
}

#[test]
fn after_a_crash_at_any_change_a_prefix_of_the_batch_is_there_and_nothing_is_left_over() {
    let old = ["grows", "shrinks", "turns-small", "goes", "large"];
    let before: BTreeMap<_, _> = old.map(|key| (key.as_bytes().to_vec(), vec![1; 13_000])).into();
    let batch = [
        put("new", vec![2; 9_000]),
        put("grows", vec![2; 21_000]),
        put("shrinks", vec![2; 9_000]),
        put("turns-small", vec![2; 10]),
        Write::Delete { key: b"goes".to_vec() },
        put("large", vec![2; 13_000]),
        put("large", vec![3; 13_000]),
    ];
    let mut prefixes = vec![before.clone()];
    for write in &batch {
        let mut next = prefixes[prefixes.len() - 1].clone();
        match write {
            Write::Put { key, value } => next.insert(key.clone(), value.clone()),
            Write::Delete { key } => next.remove(key),
        };
        prefixes.push(next);
    }
    let mut seen = BTreeSet::new();
    for changes in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(dir.path()).unwrap();
        store.commit(&before.iter().map(|(k, v)| put_bytes(k, v)).collect::<Vec<_>>()).unwrap();
        let life = current(&store).life;
        life.set(changes);
        store.commit(&batch).unwrap();
        let survived = !life.is_over();
        drop(store);
        let mut store = SledStore::open(dir.path()).unwrap();
        let found = contents(&store);
        let prefix = prefixes.iter().position(|prefix| *prefix == found);
        seen.insert(prefix.unwrap_or_else(|| panic!("no prefix after {changes} changes")));
        let chunks = |value: &Vec<u8>| 1 + Head::of(Side::A, value).tails() as usize;
        let needed: usize = found.values().map(chunks).sum();
        assert_eq!(chunks_on_disk(&store), needed, "{changes}");
        store.commit(&batch).unwrap();
        assert_eq!(contents(&store), prefixes[batch.len()], "{changes}");
        if survived {
            break;
        }
    }
    assert_eq!(seen.len(), prefixes.len());
}

#[test]
fn a_head_without_its_chunks_is_reported_as_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    store.commit(&[put("k", vec![7; 9000])]).unwrap();
    current(&store).db.remove(ChunkKeys::new(b"k").tail(Side::A, 2)).unwrap();
    let error = store.get(b"k").unwrap_err().to_string();
    assert!(error.contains("record 6b") && error.contains("chunk 2 of 2 is gone"), "{error}");
    assert!(store.scan(b"", &mut |_, _| Ok(true)).is_err());
    current(&store).insert(ChunkKeys::new(b"k").tail(Side::A, 2), &[0; 817]).unwrap();
    let error = store.get(b"k").unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn overwriting_and_deleting_leave_no_chunk_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    for (length, chunks) in [(20_000, 5), (9000, 3), (10, 1), (0, 1), (4087, 1), (4088, 2), (5, 1)]
    {
        store.commit(&[put("k", vec![length as u8; length])]).unwrap();
        assert_eq!(store.get(b"k").unwrap().unwrap(), vec![length as u8; length]);
        assert_eq!(chunks_on_disk(&store), chunks, "{length}");
    }
    store.commit(&[put("k", vec![1; 70_000]), put("k", vec![2; 50_000])]).unwrap();
    assert_eq!(store.get(b"k").unwrap().unwrap(), vec![2; 50_000]);
    store.commit(&[Write::Delete { key: b"k".to_vec() }]).unwrap();
    assert_eq!(chunks_on_disk(&store), 0);
}

#[test]
fn a_version_from_the_future_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    current(&store).insert(layout::format_key(), b"reprise-store\0\0\0\x02").unwrap();
    current(&store).sync().unwrap();
    drop(store);
    let error = SledStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("format version 2") && error.contains("knows version 1"), "{error}");
}

#[test]
fn data_of_another_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = ::sled::open(dir.path()).unwrap();
    db.insert("theirs", "data").unwrap();
    db.flush().unwrap();
    drop(db);
    let error = SledStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("no store of Reprise"), "{error}");
}

#[test]
fn a_directory_in_use_is_refused_with_that_reason() {
    let dir = tempfile::tempdir().unwrap();
    let _store = SledStore::open(dir.path()).unwrap();
    let error = SledStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("in use, by another process"), "{error}");
}

#[test]
fn keys_and_values_over_their_limits_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for key in [vec![], vec![1; 1025]] {
        let mut store = SledStore::open(dir.path()).unwrap();
        assert!(store.commit(&[Write::Put { key, value: vec![] }]).is_err());
    }
}

#[test]
fn a_store_whose_process_died_in_the_middle_of_a_snapshot_opens_with_all_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    store.commit(&[put("a", vec![1; 5000]), put("b", vec![2])]).unwrap();
    drop(store);
    for (name, bytes) in [
        ("snap.00000000FFFFFFF0.generating", ""),
        ("snap.00000000FFFFFFF1.generating", "torn in the middle"),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(store.get(b"a").unwrap(), Some(vec![1; 5000]));
    assert_eq!(store.get(b"b").unwrap(), Some(vec![2]));
    assert!(!dir.path().join("snap.00000000FFFFFFF0.generating").exists());
}

#[test]
fn a_store_whose_first_opening_was_cut_off_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStore::open(dir.path()).unwrap());
    assert!(!dir.path().join("unfinished").exists());
    std::fs::write(dir.path().join("unfinished"), "").unwrap();
    std::fs::write(dir.path().join("conf"), "torn").unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    store.commit(&[put("a", vec![1])]).unwrap();
    drop(store);
    assert_eq!(SledStore::open(dir.path()).unwrap().get(b"a").unwrap(), Some(vec![1]));
}
