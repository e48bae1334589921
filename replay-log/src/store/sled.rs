//! A store on sled 0.34.7, in the one shape that was found safe.
//!
//! What sled does not promise by itself is done here: its own flushing is off; after `flush()`,
//! which on Linux only starts the writing, the file `db` is synced; no value that sled sees is
//! larger than 4 KiB, because larger pages go to `blobs/`, which is never synced and leaks.
//!
//! # Layout, version 1
//! sled's default tree; integers big endian.
//!
//! | sled key | value |
//! |---|---|
//! | `00 "format"` | `"reprise-store"`, version (4 bytes) |
//! | `00 "intent"` n (4) | keys, each after its length (2): see below |
//! | `01` key' `00 00` `00000000` | head: side (1), length (4), CRC-32 (4) of the whole value, its first 4087 bytes |
//! | `01` key' `00 00` index (4) | tail chunk: the next 4096 bytes; index 1, 2, … on side 0, with the top bit set on side 1 |
//!
//! key' is the key with every `00` written as `00 ff`: keys keep their order and their prefixes.
//!
//! A value is there if and only if its head is. The head is the commit mark: it is written last,
//! after the tail chunks, which go to the side that the value before does not use; so an
//! overwritten value stays whole until the new one is. Deleting removes the head first. sled
//! recovers a prefix of what was written, so a crash can leave tail chunks that no head names,
//! but never a head without its chunks: that is damage, and it is reported as such.
//!
//! Tail chunks without a head can only stem from the batch under way at the crash. Before such a
//! batch, the keys with tail chunks that it touches are written to the intent records; opening
//! looks at those keys alone and removes what is left over ([`SledStore::leftovers`]). Old intent
//! records stay; looking at a key once more does no harm.
//!
//! sled gives no disk space back, but it uses freed space again.

mod layout;
mod open;

use self::layout::{CHUNK_BYTES, ChunkKeys, HEAD_DATA, Head, Side};
use super::{
    Durability, Engine, Failed, Reclaim, Store, StoreError, StoreStats, VALUE_BYTES, Visit, Write,
};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// sled's page cache, bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// Records on the local disk.
#[derive(Debug)]
pub struct SledStore {
    db: ::sled::Db,
    /// The same file as sled's own, to sync it.
    file: File,
    path: PathBuf,
    /// Values that a crash had left incomplete, found and removed at opening.
    leftovers: usize,
    /// Why a commit failed; there is none after it.
    failed: Option<String>,
    /// After how many changes a test lets the process "die".
    #[cfg(test)]
    dies_after: std::cell::Cell<Option<usize>>,
}

impl SledStore {
    /// Opens the store in a directory, which is created if it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<SledStore, StoreError> {
        let path = dir.as_ref().to_path_buf();
        open::open(&path).map_err(|cause| StoreError::Open { path, cause })
    }

    /// How many incomplete values a crash had left; they were never acknowledged.
    pub fn leftovers(&self) -> usize {
        self.leftovers
    }

    fn apply(&self, batch: &[Write]) -> Result<(), Failed> {
        for (n, record) in
            layout::intents(self.keys_with_tails(batch)?.into_iter()).iter().enumerate()
        {
            self.insert(layout::intent_key(n as u32), record)?;
        }
        for write in batch {
            match write {
                Write::Put { key, value } => self.put(key, value)?,
                Write::Delete { key } => self.delete(key)?,
            }
        }
        Ok(())
    }

    /// The keys of a batch that have, or get, more than a head.
    fn keys_with_tails<'a>(&self, batch: &'a [Write]) -> Result<Vec<&'a [u8]>, Failed> {
        let mut keys = Vec::new();
        for write in batch {
            let (key, large) = match write {
                Write::Put { key, value } => (key, value.len() > HEAD_DATA),
                Write::Delete { key } => (key, false),
            };
            if large || self.head(&ChunkKeys::new(key))?.is_some_and(|head| head.tails() > 0) {
                keys.push(key.as_slice());
            }
        }
        Ok(keys)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Failed> {
        let chunks = ChunkKeys::new(key);
        let old = self.head(&chunks)?;
        let new = Head::of(old.map_or(Side::A, |head| head.side.other()), value);
        for (n, data) in value.get(HEAD_DATA..).unwrap_or_default().chunks(CHUNK_BYTES).enumerate()
        {
            self.insert(chunks.tail(new.side, n as u32 + 1), data)?;
        }
        self.insert(chunks.head(), &new.encode(value))?;
        self.remove_tails(&chunks, old)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Failed> {
        let chunks = ChunkKeys::new(key);
        let old = self.head(&chunks)?;
        self.remove(chunks.head())?;
        self.remove_tails(&chunks, old)
    }

    fn remove_tails(&self, chunks: &ChunkKeys, head: Option<Head>) -> Result<(), Failed> {
        let Some(head) = head else { return Ok(()) };
        (1..=head.tails()).try_for_each(|n| self.remove(chunks.tail(head.side, n)))
    }

    fn insert(&self, key: Vec<u8>, value: &[u8]) -> Result<(), Failed> {
        #[cfg(test)]
        if self.is_dead() {
            return Ok(());
        }
        Ok(self.db.insert(key, value).map(drop)?)
    }

    fn remove(&self, key: impl AsRef<[u8]>) -> Result<(), Failed> {
        #[cfg(test)]
        if self.is_dead() {
            return Ok(());
        }
        Ok(self.db.remove(key).map(drop)?)
    }

    fn head(&self, chunks: &ChunkKeys) -> Result<Option<Head>, Failed> {
        let chunk = self.db.get(chunks.head())?;
        let Some(chunk) = chunk else { return Ok(None) };
        let (head, _) =
            Head::decode(&chunk).ok_or_else(|| Failed::Fatal("a head that is none".to_string()))?;
        Ok(Some(head))
    }

    /// Makes everything that was written durable.
    fn sync(&self) -> Result<(), Failed> {
        self.db.flush()?;
        self.file.sync_data().map_err(|e| Failed::Fatal(format!("syncing the file: {e}")))
    }

    /// The value whose head chunk this is; `next(n)` gives its tail chunks.
    fn value(
        &self,
        key: &[u8],
        chunk: &[u8],
        mut next: impl FnMut(Head, u32) -> Result<Option<::sled::IVec>, String>,
    ) -> Result<Vec<u8>, StoreError> {
        let damaged = |cause: &str| self.damaged(key, cause);
        let (head, data) = Head::decode(chunk).ok_or_else(|| damaged("its head is none"))?;
        let mut value = Vec::with_capacity((head.length as usize).min(VALUE_BYTES));
        value.extend_from_slice(data);
        for n in 1..=head.tails() {
            match next(head, n) {
                Ok(Some(tail)) => value.extend_from_slice(&tail),
                Ok(None) => return Err(damaged(&format!("chunk {n} of {} is gone", head.tails()))),
                Err(cause) => return Err(damaged(&cause)),
            }
        }
        if value.len() != head.length as usize || crc32fast::hash(&value) != head.crc {
            return Err(damaged("its length or checksum does not fit"));
        }
        Ok(value)
    }

    /// For [`salvage`](super::salvage()): all records with keys from one on up to another, forwards
    /// or backwards.
    pub(super) fn scan_between(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        back: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let end = to.map_or(vec![layout::DATA + 1], layout::key_prefix);
        let mut keys = self.db.range(layout::key_prefix(from)..end).keys();
        while let Some(sled_key) = if back { keys.next_back() } else { keys.next() } {
            let sled_key = sled_key.map_err(|e| self.damaged(from, &e.to_string()))?;
            let Some((key, 0)) = layout::parse_key(&sled_key) else { continue };
            if let Some(value) = Store::get(self, &key)?
                && !visit(&key, &value)?
            {
                break;
            }
        }
        Ok(())
    }

    fn damaged(&self, key: &[u8], cause: &str) -> StoreError {
        let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        StoreError::Damaged { path: self.path.clone(), key, cause: cause.to_string() }
    }
}

impl From<::sled::Error> for Failed {
    fn from(error: ::sled::Error) -> Failed {
        match &error {
            ::sled::Error::Io(cause) if cause.kind() == ErrorKind::StorageFull => {
                Failed::Full(error.to_string())
            }
            _ => Failed::Fatal(error.to_string()),
        }
    }
}

impl Engine for SledStore {
    const NAME: &'static str = "sled";

    fn open(dir: &Path) -> Result<SledStore, StoreError> {
        SledStore::open(dir)
    }

    fn commit(&mut self, batch: &[Write]) -> Result<(), Failed> {
        super::check(batch).map_err(Failed::Fatal)?;
        self.apply(batch)?;
        self.sync()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let chunks = ChunkKeys::new(key);
        let read = |key: Vec<u8>| self.db.get(key).map_err(|e| e.to_string());
        let chunk = read(chunks.head()).map_err(|cause| self.damaged(key, &cause))?;
        chunk
            .map(|chunk| self.value(key, &chunk, |head, n| read(chunks.tail(head.side, n))))
            .transpose()
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut found = self.db.scan_prefix(layout::key_prefix(prefix));
        while let Some(pair) = found.next() {
            let (sled_key, chunk) = pair.map_err(|e| self.damaged(prefix, &e.to_string()))?;
            let (key, index) = layout::parse_key(&sled_key)
                .ok_or_else(|| self.damaged(&sled_key, "its key is none of this layout"))?;
            if index != 0 {
                continue;
            }
            let value = self.value(&key, &chunk, |head, n| {
                tail(&mut found, head.side.index(n)).map_err(|e| e.to_string())
            })?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn torn(&self) -> u64 {
        self.leftovers as u64
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        None
    }
}

impl Store for SledStore {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let done = match &self.failed {
            Some(cause) => Err(format!("an earlier commit failed: {cause}")),
            None => Engine::commit(self, batch).map_err(Failed::cause),
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
            torn: self.leftovers as u64,
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The chunk with this index, the ones before it being skipped. Side A comes before side B, and
/// what is not asked for was left over.
fn tail(found: &mut ::sled::Iter, index: u32) -> ::sled::Result<Option<::sled::IVec>> {
    for pair in found {
        let (key, chunk) = pair?;
        match layout::parse_key(&key) {
            Some((_, other)) if other < index && other != 0 => continue,
            Some((_, other)) if other == index => return Ok(Some(chunk)),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
