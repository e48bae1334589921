//! Steady work does not grow the disk, nothing goes where sled does not sync, and what was deleted
//! gives its space back.

use super::{Random, open};
use replay_log::store::{FjallStore, Kind, Store, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends entries and deletes the oldest, as the log does, and keeps overwriting records, as the
/// journal does.
fn sizes_in_steady_churn(kind: Kind, dir: &Path, live: u64) -> Vec<u64> {
    let mut store = open(kind, dir).unwrap();
    let mut random = Random::new(3);
    let batch = 64u64;
    let mut sizes = Vec::new();
    for round in 0..160u64 {
        let mut writes = Vec::new();
        for n in round * batch..(round + 1) * batch {
            let value = random.bytes(1000 + (n as usize % 8) * 2000);
            writes.push(Write::Put { key: format!("e/{n:012}").into_bytes(), value });
            if let Some(old) = n.checked_sub(live) {
                writes.push(Write::Delete { key: format!("e/{old:012}").into_bytes() });
            }
            let record =
                Write::Put { key: format!("s/{}", n % 100).into_bytes(), value: random.bytes(150) };
            writes.push(record);
        }
        store.commit(&writes).unwrap();
        sizes.push(store.stats().disk_bytes);
    }
    sizes
}

#[test]
fn steady_churn_stays_bounded_in_sled_and_spills_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (live, live_bytes) = (256, 256 * 8000);
    let sizes = sizes_in_steady_churn(Kind::Sled, dir.path(), live);
    let (early, last) = (sizes[40], sizes[159]);
    println!("live {live_bytes}, after 40 rounds {early}, after 160 {last}");
    assert!(last < 2 * early && last < 24 * live_bytes, "live {live_bytes}, {early}, {last}");
    let spilled = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(spilled, 0, "files in blobs/, which sled never syncs");
}

/// Journals of 64 MiB make up most of it.
#[test]
fn steady_churn_stays_bounded_in_fjall() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = sizes_in_steady_churn(Kind::Fjall, dir.path(), 256);
    let most = sizes.iter().max().unwrap();
    println!("after 40 rounds {}, after 160 {}, most {most}", sizes[40], sizes[159]);
    assert!(*most < 256 << 20, "{most}");
}

#[allow(clippy::disallowed_methods, reason = "the store has no clock, this test has a deadline")]
#[test]
fn fjall_gives_the_space_of_deleted_records_back_while_it_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(dir.path()).unwrap();
    let (batches, batch) = (300, 512);
    let key = |n: usize| format!("e/{n:012}").into_bytes();
    let mut random = Random::new(5);
    for from in (0..batches * batch).step_by(batch) {
        let put = |n| Write::Put { key: key(n), value: random.bytes(1000) };
        store.commit(&(from..from + batch).map(put).collect::<Vec<_>>()).unwrap();
    }
    let full = store.stats().disk_bytes;
    assert!(store.reclaim().is_none(), "nothing was deleted");
    for from in (0..batches * batch).step_by(batch) {
        let delete = |n| Write::Delete { key: key(n) };
        store.commit(&(from..from + batch).map(delete).collect::<Vec<_>>()).unwrap();
    }
    let work = store.reclaim().expect("there is much to be given back");
    let begun = Instant::now();
    let thread = std::thread::spawn(work);
    assert!(store.reclaim().is_none(), "one at a time");
    let mut longest = Duration::ZERO;
    let mut commit = |store: &mut FjallStore| {
        let at = Instant::now();
        store.commit(&[super::put("kept", vec![7; 100])]).unwrap();
        longest = longest.max(at.elapsed());
    };
    while !thread.is_finished() {
        commit(&mut store);
    }
    thread.join().unwrap().unwrap();
    assert!(store.reclaim().is_none());
    while store.stats().disk_bytes > 80 << 20 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} left", store.stats().disk_bytes);
        commit(&mut store);
    }
    let left = store.stats().disk_bytes;
    println!("{full} bytes, {left} after {:?}, longest commit {longest:?}", begun.elapsed());
    drop(store);
    let store = FjallStore::open(dir.path()).unwrap();
    assert_eq!(super::contents(&store, b"").len(), 1);
}
