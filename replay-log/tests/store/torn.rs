//! A power cut in the middle of a commit: the batch is torn at any byte, or holds anything from any
//! byte on, and it was not acknowledged.

use super::{Random, Records, apply, contents, copy, put};
use replay_log::store::{FjallStore, Store, Write};
use std::fs;
use std::path::{Path, PathBuf};

/// A store with records of many batches in `dir/whole`, and the offsets where the last batch of
/// its journal begins and ends. `last` is in the journal and not in the records returned.
fn store_with_a_last_batch(dir: &Path, last: &[Write]) -> (PathBuf, Records, usize, usize) {
    let whole = dir.join("whole");
    let mut records = Records::new();
    let mut random = Random::new(11);
    let mut store = FjallStore::open(&whole).unwrap();
    for n in 0..40 {
        let batch =
            [put(&format!("k{}", n % 25), random.bytes(n * 13)), put("last", vec![n as u8])];
        batch.iter().for_each(|write| apply(&mut records, write));
        store.commit(&batch).unwrap();
    }
    // Opening cuts off what the journal was allocated ahead.
    drop(store);
    let mut store = FjallStore::open(&whole).unwrap();
    let begin = fs::metadata(journal(&whole)).unwrap().len() as usize;
    store.commit(last).unwrap();
    let end = fs::metadata(journal(&whole)).unwrap().len() as usize;
    (whole, records, begin, end)
}

fn journal(dir: &Path) -> PathBuf {
    let files = super::files(&dir.join("fjall"));
    files.into_keys().find(|path| path.extension().is_some_and(|e| e == "jnl")).unwrap()
}

fn last_batch() -> Vec<Write> {
    vec![put("k1", vec![b'x'; 60]), Write::Delete { key: b"k2".to_vec() }, put("new", vec![1, 0])]
}

/// Opens a copy whose journal was changed: everything acknowledged is there, it takes commits, and
/// what was torn is counted once.
fn opens_without_the_torn_batch(whole: &Path, journal_bytes: &[u8], records: &Records, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    copy(whole, dir.path());
    fs::write(journal(dir.path()), journal_bytes).unwrap();
    for (round, torn) in [1, 0].into_iter().enumerate() {
        let mut store = FjallStore::open(dir.path()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(store.stats().torn, torn, "{what}");
        let mut records = records.clone();
        for n in 0..round {
            records.insert(format!("after{n}").into_bytes(), vec![2; 9]);
        }
        assert!(contents(&store, b"") == records, "{what}");
        store.commit(&[put(&format!("after{round}"), vec![2; 9])]).unwrap();
    }
}

#[test]
fn a_batch_torn_at_any_byte_is_cut_off_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, records, begin, end) = store_with_a_last_batch(dir.path(), &last_batch());
    let bytes = fs::read(journal(&whole)).unwrap();
    assert!(end - begin > 150, "{begin} {end}");
    let mut random = Random::new(end as u64);
    for at in begin + 1..end {
        let torn = bytes[..at].to_vec();
        let zeros = [&torn, vec![0; 5000].as_slice()].concat();
        let garbage = [&torn, random.bytes(400).as_slice()].concat();
        for (bytes, how) in [(torn, "cut"), (zeros, "zeros"), (garbage, "garbage")] {
            let what = format!("{how} at {at} of {begin}..{end}");
            opens_without_the_torn_batch(&whole, &bytes, &records, &what);
        }
    }
}

#[test]
fn a_large_batch_with_a_page_missing_in_the_middle_is_cut_off_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let last: Vec<_> = (0..40).map(|n| put(&format!("big{n}"), vec![n; 1000])).collect();
    let (whole, records, begin, end) = store_with_a_last_batch(dir.path(), &last);
    let bytes = fs::read(journal(&whole)).unwrap();
    for page in (begin.next_multiple_of(4096)..end).step_by(4096) {
        let mut bytes = bytes.clone();
        bytes[page..(page + 4096).min(end)].fill(0);
        opens_without_the_torn_batch(&whole, &bytes, &records, &format!("page at {page}"));
    }
}
