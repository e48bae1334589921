//! One sled directory: how the keys and values of the trait are kept in it.

use super::layout::{self, CHUNK_BYTES, ChunkKeys, HEAD_DATA, Head, Side};
use super::{Failed, StoreError, VALUE_BYTES, Visit, Write};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Keys of records as they are found.
pub(super) type Keys = Box<dyn Iterator<Item = Result<Vec<u8>, String>>>;

/// The key that a sled key is the head of, if it is one's.
fn logical(sled_key: ::sled::Result<::sled::IVec>) -> Option<Result<Vec<u8>, String>> {
    match sled_key {
        Ok(sled_key) => match layout::parse_key(&sled_key) {
            Some((key, 0)) => Some(Ok(key)),
            Some(_) => None,
            None => Some(Err("a key of no layout".to_string())),
        },
        Err(error) => Some(Err(error.to_string())),
    }
}

/// A sled that is open; a clone is another handle on it.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) db: ::sled::Db,
    /// The same file as sled's own, to sync it.
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// After how many changes a test lets the process "die".
    #[cfg(test)]
    pub(super) life: super::tests::Life,
}

impl Generation {
    /// Bytes of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Whether a test has let the process "die" before this change.
    pub(super) fn is_dead(&self) -> bool {
        #[cfg(test)]
        return self.life.ends();
        #[cfg(not(test))]
        false
    }

    /// Writes down which keys a batch may leave tail chunks of.
    pub(super) fn intend<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<(), Failed> {
        for (n, record) in layout::intents(keys).iter().enumerate() {
            self.insert(layout::intent_key(n as u32), record)?;
        }
        Ok(())
    }

    /// The keys of a batch that have, or get, more than a head.
    pub(super) fn keys_with_tails<'a>(&self, batch: &'a [Write]) -> Result<Vec<&'a [u8]>, Failed> {
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

    /// Sets a key, so that a crash leaves the old value or the new one.
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Failed> {
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

    /// Removes a key.
    pub(super) fn delete(&self, key: &[u8]) -> Result<(), Failed> {
        let chunks = ChunkKeys::new(key);
        let old = self.head(&chunks)?;
        self.remove(chunks.head())?;
        self.remove_tails(&chunks, old)
    }

    fn remove_tails(&self, chunks: &ChunkKeys, head: Option<Head>) -> Result<(), Failed> {
        let Some(head) = head else { return Ok(()) };
        (1..=head.tails()).try_for_each(|n| self.remove(chunks.tail(head.side, n)))
    }

    pub(super) fn insert(&self, key: Vec<u8>, value: &[u8]) -> Result<(), Failed> {
        if self.is_dead() {
            return Ok(());
        }
        Ok(self.db.insert(key, value).map(drop)?)
    }

    pub(super) fn remove(&self, key: impl AsRef<[u8]>) -> Result<(), Failed> {
        if self.is_dead() {
            return Ok(());
        }
        Ok(self.db.remove(key).map(drop)?)
    }

    pub(super) fn head(&self, chunks: &ChunkKeys) -> Result<Option<Head>, Failed> {
        let chunk = self.db.get(chunks.head())?;
        let Some(chunk) = chunk else { return Ok(None) };
        let (head, _) =
            Head::decode(&chunk).ok_or_else(|| Failed::Fatal("a head that is none".to_string()))?;
        Ok(Some(head))
    }

    /// The keys that begin with a prefix, in order.
    pub(super) fn keys(&self, prefix: &[u8]) -> Keys {
        let found = self.db.scan_prefix(layout::key_prefix(prefix)).keys();
        Box::new(found.filter_map(logical))
    }

    /// The keys from one on up to another, forwards or backwards.
    pub(super) fn keys_between(&self, from: &[u8], to: Option<&[u8]>, back: bool) -> Keys {
        let end = to.map_or(vec![layout::DATA + 1], layout::key_prefix);
        let found = self.db.range(layout::key_prefix(from)..end).keys();
        match back {
            true => Box::new(found.rev().filter_map(logical)),
            false => Box::new(found.filter_map(logical)),
        }
    }

    /// The keys from one on, with their heads, in order.
    pub(super) fn heads_from(
        &self,
        from: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Head), String>> + use<> {
        let end = vec![layout::DATA + 1];
        self.db.range(layout::key_prefix(from)..end).filter_map(|pair| {
            let (sled_key, chunk) = match pair {
                Ok(pair) => pair,
                Err(error) => return Some(Err(error.to_string())),
            };
            match layout::parse_key(&sled_key) {
                Some((key, 0)) => match Head::decode(&chunk) {
                    Some((head, _)) => Some(Ok((key, head))),
                    None => Some(Err("a head that is none".to_string())),
                },
                Some(_) => None,
                None => Some(Err("a key of no layout".to_string())),
            }
        })
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&self) -> Result<(), Failed> {
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

    pub(super) fn damaged(&self, key: &[u8], cause: &str) -> StoreError {
        let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        StoreError::Damaged { path: self.path.clone(), key, cause: cause.to_string() }
    }

    /// See [`Store::get`](super::Store::get).
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let chunks = ChunkKeys::new(key);
        let read = |key: Vec<u8>| self.db.get(key).map_err(|e| e.to_string());
        let chunk = read(chunks.head()).map_err(|cause| self.damaged(key, &cause))?;
        chunk
            .map(|chunk| self.value(key, &chunk, |head, n| read(chunks.tail(head.side, n))))
            .transpose()
    }

    /// See [`Store::scan`](super::Store::scan).
    pub(super) fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
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
