//! A store on fjall 3, a log-structured merge tree with a write-ahead journal.
//!
//! A batch is one batch of fjall's, so it is there as a whole or not at all. It is written first
//! and synced then, in two steps, because the two fail differently: a write that found no room
//! left nothing behind, a sync that failed leaves nobody knowing what the disk holds.
//!
//! What fjall does not promise by itself is done here: before it opens its files they are checked
//! ([`check`]), because it cuts journals off at the first damage; and when memtables are written
//! out is decided here ([`pace`]), because a commit could wait for ever for a thread that died.
//!
//! What nobody can tell: whether the last batch of the last journal was torn before it was
//! acknowledged, or damaged after. It is cut off, and [`StoreStats::torn`] says so.
//!
//! # Layout, version 1
//! - `lock`, held for as long as the store is open.
//! - `fjall/format`: `reprise-store fjall 1` and a line feed.
//! - `fjall/`: fjall's own files; keyspace `records`: keys and values as the trait has them.
//! - `fjall.new/`: a `fjall/` that is just being created; it goes if a crash leaves it.
//! - `probe`: only while it is found out whether the disk is full.

mod check;
mod journal;
mod list;
mod open;
mod pace;
mod reclaim;
mod salvage;

pub(super) use self::salvage::salvage;
use super::{Durability, Engine, Failed, Reclaim, Store, StoreError, StoreStats, Visit, Write};
use ::fjall::{Database, Keyspace, PersistMode};
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

/// Records on the local disk.
pub struct FjallStore {
    records: Keyspace,
    db: Database,
    path: PathBuf,
    /// Batches that a crash had torn, cut off at opening.
    torn: u64,
    /// Ends when the thread that gives space back does.
    reclaiming: Option<Receiver<()>>,
    /// Records deleted since space was last given back.
    deleted: u64,
    /// Why a commit failed; there is none after it.
    failed: Option<String>,
    _lock: File,
}

impl Drop for FjallStore {
    fn drop(&mut self) {
        self.await_reclaim();
    }
}

impl FjallStore {
    /// Opens the store in a directory, which is created if it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<FjallStore, StoreError> {
        let path = dir.as_ref();
        open::open(path).map_err(|cause| StoreError::Open { path: path.to_path_buf(), cause })
    }

    fn apply(&mut self, batch: &[Write]) -> Result<(), Failed> {
        let mut writes = self.db.batch().durability(Some(PersistMode::Buffer));
        for write in batch {
            match write {
                Write::Put { key, value } => {
                    writes.insert(&self.records, key.as_slice(), value.as_slice());
                }
                Write::Delete { key } => {
                    writes.remove(&self.records, key.as_slice());
                    self.deleted += 1;
                }
            }
        }
        match writes.commit() {
            Ok(()) => {}
            Err(::fjall::Error::Poisoned) => return Err(self.worker_failed()),
            Err(e) => return Err(failed("writing", &e)),
        }
        match self.db.persist(PersistMode::SyncData) {
            Ok(()) => Ok(()),
            // A worker failed between the two steps: nothing was synced, nor tried to be.
            Err(::fjall::Error::Poisoned) => Err(self.worker_failed()),
            Err(e) => Err(Failed::Fatal(format!("syncing: {e}"))),
        }
    }

    fn damaged(&self, key: &[u8], cause: &str) -> StoreError {
        let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let cause = format!("{cause}{}", check::tables(&open::database(&self.path)));
        StoreError::Damaged { path: self.path.clone(), key, cause }
    }
}

/// Whether a step before the sync found no room, or failed otherwise.
fn failed(step: &str, error: &::fjall::Error) -> Failed {
    let cause = format!("{step}: {error}");
    if is_full(error) { Failed::Full(cause) } else { Failed::Fatal(cause) }
}

fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let full = |e: &io::Error| {
            matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        if error.downcast_ref().is_some_and(full) {
            return true;
        }
        next = error.source();
    }
    false
}

impl Engine for FjallStore {
    const NAME: &'static str = "fjall";
    // Opening it writes out what its journal held, and may merge tables.
    const RESERVE_BYTES: u64 = 96 << 20;

    fn open(dir: &Path) -> Result<FjallStore, StoreError> {
        FjallStore::open(dir)
    }

    fn commit(&mut self, batch: &[Write]) -> Result<(), Failed> {
        super::check(batch).map_err(Failed::Fatal)?;
        self.make_way()?;
        self.apply(batch)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.records.get(key).map_err(|e| self.damaged(key, &e.to_string()))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for pair in self.records.prefix(prefix) {
            let (key, value) =
                pair.into_inner().map_err(|e| self.damaged(prefix, &e.to_string()))?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn torn(&self) -> u64 {
        self.torn
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        self.offer()
    }
}

impl Store for FjallStore {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let done = match &self.failed {
            Some(cause) => Err(format!("an earlier commit failed: {cause}")),
            None => match Engine::commit(self, batch) {
                Ok(()) => Ok(()),
                Err(Failed::Full(cause) | Failed::Fatal(cause)) => Err(cause),
            },
        };
        done.map_err(|cause| {
            self.failed.get_or_insert_with(|| cause.clone());
            StoreError::Commit { path: self.path.clone(), writes: batch.len(), cause }
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Engine::get(self, key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Engine::scan(self, prefix, visit)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            disk_bytes: super::disk_bytes(&self.path),
            durability: Durability::Synced,
            room: true,
            torn: self.torn,
        }
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        Engine::reclaim(self)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
