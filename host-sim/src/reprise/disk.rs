//! A disk in memory that can lose, tear and refuse, and that knows how it stood earlier. When it
//! is full it says so, and goes on committing from its reserve.
//!
//! A commit is visible at once and durable once [`Disk::synced`] has been called; until then a
//! crash leaves none of it, all of it, or its first writes, as the real store does: it writes in
//! order, and a batch is not one unit to it.

use crate::kernel::Micros;
use crate::rng::Rng;
use replay_log::store::{Durability, Store, StoreError, StoreStats, Visit, Write};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was under a key before a write.
type Undo = (Vec<u8>, Option<Vec<u8>>);

/// The most records of a scan that are copied at once: who is told of them may read the store
/// meanwhile. Most scans end with their first record, so the first copies are small.
const SCANNED_AT_ONCE: usize = 256;

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
    fault: Option<scenario::Disk>,
    /// What is not synced, in order.
    unsynced: Vec<Undo>,
    /// What was synced when, the newest last, as far back as anybody may ask.
    past: VecDeque<(Micros, Vec<Undo>)>,
    keep: Micros,
}

impl State {
    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let (added, length) = (value.as_ref().map_or(0, |v| v.len() + key.len()), key.len());
        let old = match value {
            Some(value) => self.records.insert(key, value),
            None => self.records.remove(&key),
        };
        self.bytes += added;
        self.bytes -= old.as_ref().map_or(0, |v| v.len() + length);
        old
    }

    fn take_back(&mut self, batch: Vec<Undo>) {
        for (key, old) in batch.into_iter().rev() {
            self.set(key, old);
        }
    }
}

/// A handle on a disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// An empty one that can be put back by up to `keep`.
    pub fn new(keep: Micros) -> Disk {
        let disk = Disk::default();
        disk.lock().keep = keep;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It begins to misbehave, or behaves again.
    pub fn misbehave(&self, how: Option<scenario::Disk>) {
        self.lock().fault = how;
    }

    /// How long a sync takes now, if that is not the usual.
    pub fn slow(&self) -> Option<Micros> {
        match self.lock().fault {
            Some(scenario::Disk::Slow(ms)) => Some(ms * 1_000),
            _ => None,
        }
    }

    /// Whether something waits for a sync.
    pub fn is_dirty(&self) -> bool {
        !self.lock().unsynced.is_empty()
    }

    /// Everything written is durable.
    pub fn synced(&self, now: Micros) {
        let mut state = self.lock();
        let batch = std::mem::take(&mut state.unsynced);
        if state.keep == 0 {
            return;
        }
        state.past.push_back((now, batch));
        let oldest = now.saturating_sub(state.keep);
        while state.past.front().is_some_and(|(at, _)| *at <= oldest) {
            state.past.pop_front();
        }
    }

    /// The machine loses what was not synced: none, all, or what was written last.
    pub fn crash(&self, now: Micros, rng: &mut Rng) {
        let mut state = self.lock();
        let mut lost = std::mem::take(&mut state.unsynced);
        let kept = match rng.below(3) {
            0 => 0,
            1 => lost.len(),
            _ => usize::try_from(rng.below(lost.len() as u64 + 1)).unwrap_or(0),
        };
        let kept: Vec<_> = lost.drain(..kept).collect();
        state.take_back(lost);
        if state.keep > 0 {
            state.past.push_back((now, kept));
        }
    }

    /// Puts back the copy of that age, or an empty one. All must be synced.
    pub fn put_back(&self, now: Micros, age: Option<Micros>) {
        let mut state = self.lock();
        let Some(age) = age else {
            state.records.clear();
            state.past.clear();
            state.bytes = 0;
            return;
        };
        let then = now.saturating_sub(age);
        while state.past.back().is_some_and(|(at, _)| *at > then) {
            let (_, batch) = state.past.pop_back().unwrap_or_default();
            state.take_back(batch);
        }
    }
}

fn refused(writes: usize, cause: &str) -> StoreError {
    StoreError::Commit { path: PathBuf::from("(simulated)"), writes, cause: cause.to_string() }
}

impl Store for Disk {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let mut state = self.lock();
        let writes = batch.len();
        for write in batch {
            let (key, value) = match write {
                Write::Put { key, value } => (key, Some(value.clone())),
                Write::Delete { key } => (key, None),
            };
            let old = state.set(key.clone(), value);
            state.unsynced.push((key.clone(), old));
        }
        if state.fault == Some(scenario::Disk::Fails) {
            return Err(refused(writes, "input/output error"));
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().records.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut from = Bound::Included(prefix.to_vec());
        for n in 0.. {
            let found: Vec<_> = self
                .lock()
                .records
                .range((from, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(SCANNED_AT_ONCE.min(1 << n.min(8)))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            for (key, value) in &found {
                if !visit(key, value)? {
                    return Ok(());
                }
            }
            match found.into_iter().next_back() {
                Some((last, _)) => from = Bound::Excluded(last),
                None => break,
            }
        }
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        let room = self.has_room();
        let disk_bytes = self.lock().bytes as u64;
        StoreStats { disk_bytes, durability: Durability::Synced, room, torn: 0 }
    }

    fn has_room(&self) -> bool {
        self.lock().fault != Some(scenario::Disk::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(disk: &mut Disk, key: &str, value: &str) {
        let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        disk.commit(&[Write::Put { key, value }]).unwrap();
    }

    fn all(disk: &Disk) -> String {
        let mut text = String::new();
        disk.scan(b"", &mut |key, value| {
            text += &format!("{}{} ", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
            Ok(true)
        })
        .unwrap();
        text.trim_end().to_string()
    }

    #[test]
    fn a_crash_leaves_a_prefix_of_what_was_not_synced() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let mut disk = Disk::new(0);
            put(&mut disk, "a", "1");
            disk.synced(1);
            put(&mut disk, "a", "2");
            put(&mut disk, "b", "2");
            disk.commit(&[Write::Delete { key: b"a".to_vec() }]).unwrap();
            disk.crash(0, &mut Rng::named(seed, "test"));
            seen.insert(all(&disk));
            assert!(!disk.is_dirty());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a1", "a2", "a2 b2", "b2"]);
    }

    #[test]
    fn an_older_copy_can_be_put_back() {
        let mut disk = Disk::new(100);
        for (at, value) in [(50, "1"), (200, "2"), (250, "3")] {
            put(&mut disk, "a", value);
            disk.synced(at);
        }
        disk.put_back(260, Some(60));
        assert_eq!(all(&disk), "a2");
        put(&mut disk, "a", "4");
        disk.synced(300);
        disk.put_back(310, Some(100));
        assert_eq!(all(&disk), "a2");
        assert_eq!(disk.stats().disk_bytes, 2);
        disk.put_back(320, None);
        assert_eq!(all(&disk), "");
        assert_eq!(disk.stats().disk_bytes, 0);
    }

    #[test]
    fn a_broken_disk_refuses_commits_and_a_full_one_says_that_it_has_no_room() {
        let mut disk = Disk::new(0);
        let delete = || vec![Write::Delete { key: b"a".to_vec() }];
        disk.misbehave(Some(scenario::Disk::Fails));
        assert!(disk.commit(&delete()).is_err());
        disk.misbehave(Some(scenario::Disk::Full));
        assert!(disk.commit(&delete()).is_ok() && !disk.has_room());
        disk.misbehave(Some(scenario::Disk::Slow(7)));
        assert!(disk.commit(&delete()).is_ok() && disk.has_room());
        assert_eq!(disk.slow(), Some(7_000));
    }

    #[test]
    fn a_scan_sees_every_record_of_its_prefix_and_lets_the_store_be_read() {
        let mut disk = Disk::new(0);
        for n in 0..200 {
            put(&mut disk, &format!("k{n:03}"), "v");
        }
        put(&mut disk, "l", "v");
        let mut seen = 0;
        disk.scan(b"k", &mut |key, _| {
            assert!(disk.get(key)?.is_some());
            seen += 1;
            Ok(true)
        })
        .unwrap();
        assert_eq!(seen, 200);
    }

    #[test]
    fn an_old_copy_has_nothing_of_a_batch_that_a_crash_left_in_part() {
        for seed in 0..20 {
            let mut disk = Disk::new(1_000);
            put(&mut disk, "a", "1");
            disk.synced(100);
            put(&mut disk, "b", "2");
            put(&mut disk, "c", "2");
            disk.crash(500, &mut Rng::named(seed, "test"));
            disk.put_back(600, Some(300));
            assert_eq!(all(&disk), "a1");
        }
    }
}
