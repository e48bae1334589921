//! A store on fjall 3, a log-structured merge tree with a write-ahead journal.
//!
//! A batch is one batch of fjall's, so it is there as a whole or not at all. It is written first
//! and synced then, in two steps, because the two fail differently: a write that found no room
//! left nothing behind, a sync that failed leaves nobody knowing what the disk holds.
//!
//! # Layout, version 1
//! Keyspace `meta`: `format` → `"reprise-store"`, version (4 bytes, big endian).
//! Keyspace `records`: keys and values as the trait has them.

use super::{Durability, Engine, Failed, Reclaim, Store, StoreError, StoreStats, Visit, Write};
use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// The version that this build writes and the only one that it reads.
const VERSION: u32 = 1;
const FORMAT: &[u8] = b"reprise-store";
/// Block cache, bytes.
const CACHE_BYTES: u64 = 32 << 20;
/// A memtable is written out when it has this many bytes.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The most that journals of memtables not yet written out take, bytes.
const JOURNAL_BYTES: u64 = 128 << 20;

/// Records on the local disk.
pub struct FjallStore {
    db: Database,
    records: Keyspace,
    path: PathBuf,
    /// Why a commit failed; there is none after it.
    failed: Option<String>,
}

impl FjallStore {
    /// Opens the store in a directory, which is created if it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<FjallStore, StoreError> {
        let path = dir.as_ref().to_path_buf();
        let failed = |cause: String| StoreError::Open { path: path.clone(), cause };
        let db = Database::builder(&path)
            .worker_threads(1)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(|e| failed(e.to_string()))?;
        let keyspace = |name: &str| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            db.keyspace(name, options).map_err(|e| failed(e.to_string()))
        };
        let (meta, records) = (keyspace("meta")?, keyspace("records")?);
        match meta.get("format").map_err(|e| failed(e.to_string()))? {
            None => {
                let value = [FORMAT, &VERSION.to_be_bytes()].concat();
                meta.insert("format", value).map_err(|e| failed(e.to_string()))?;
                db.persist(PersistMode::SyncAll).map_err(|e| failed(e.to_string()))?;
            }
            Some(found) => check_format(&found).map_err(failed)?,
        }
        Ok(FjallStore { db, records, path, failed: None })
    }

    fn apply(&self, batch: &[Write]) -> Result<(), Failed> {
        let mut writes = self.db.batch().durability(Some(PersistMode::Buffer));
        for write in batch {
            match write {
                Write::Put { key, value } => {
                    writes.insert(&self.records, key.as_slice(), value.as_slice());
                }
                Write::Delete { key } => writes.remove(&self.records, key.as_slice()),
            }
        }
        writes.commit().map_err(|e| failed("writing", &e))?;
        let synced = self.db.persist(PersistMode::SyncData);
        synced.map_err(|e| Failed::Fatal(format!("syncing: {e}")))
    }

    fn damaged(&self, key: &[u8], cause: &str) -> StoreError {
        let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        StoreError::Damaged { path: self.path.clone(), key, cause: cause.to_string() }
    }
}

fn check_format(found: &[u8]) -> Result<(), String> {
    let version = found.strip_prefix(FORMAT).and_then(|v| v.try_into().ok());
    match version.map(u32::from_be_bytes) {
        Some(VERSION) => Ok(()),
        Some(other) => {
            Err(format!("it has format version {other}, this build knows version {VERSION} only"))
        }
        None => Err("it holds data, but is no store of Reprise".to_string()),
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
        let full = |e: &io::Error| e.kind() == io::ErrorKind::StorageFull;
        if error.downcast_ref().is_some_and(full) {
            return true;
        }
        next = error.source();
    }
    false
}

impl Engine for FjallStore {
    const NAME: &'static str = "fjall";

    fn open(dir: &Path) -> Result<FjallStore, StoreError> {
        FjallStore::open(dir)
    }

    fn commit(&mut self, batch: &[Write]) -> Result<(), Failed> {
        super::check(batch).map_err(Failed::Fatal)?;
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
        0
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        None
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
            torn: self.torn(),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
