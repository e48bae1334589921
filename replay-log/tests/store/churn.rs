//! Steady work does not grow the disk, and nothing goes where sled does not sync.

use super::Random;
use replay_log::store::{SledStore, Store, Write};

/// Appends entries and deletes the oldest, as the log does, and keeps overwriting records, as the
/// journal does.
#[test]
fn steady_churn_stays_bounded_and_spills_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    let mut random = Random::new(3);
    let (live, batch) = (256u64, 64u64);
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
    let live_bytes = live * 8000;
    let (early, last) = (sizes[40], sizes[159]);
    println!("live {live_bytes}, after 40 rounds {early}, after 160 {last}");
    assert!(last < 2 * early && last < 24 * live_bytes, "live {live_bytes}, {early}, {last}");
    let spilled = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(spilled, 0, "files in blobs/, which sled never syncs");
}
