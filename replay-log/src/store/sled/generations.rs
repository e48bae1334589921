//! The generations of a store as one: the current one is written to; while the one before it is
//! there, it is read for what the current one does not have, and nothing more happens to it.

use super::generation::{Generation, Keys};
use super::layout::{self, ChunkKeys, Head};
use super::pointer::{self, Pointer};
use super::{Failed, Limits, StoreError, Visit, Write};
use std::path::PathBuf;

/// Tombstones that a commit removes once the generation that they are for is gone.
const SWEPT_AT_ONCE: usize = 512;

#[derive(Clone, Debug)]
pub(super) struct Generations {
    pub(super) dir: PathBuf,
    pub(super) number: u64,
    pub(super) current: Generation,
    pub(super) old: Option<Generation>,
    /// Bytes of all keys and values.
    pub(super) live: u64,
    /// There may be tombstones that nobody needs.
    pub(super) to_sweep: bool,
    /// Bytes of the file and of what is live when the last move ended.
    pub(super) moved: Option<(u64, u64)>,
    /// Keys before this one have been moved.
    pub(super) next: Vec<u8>,
}

impl Generations {
    pub(super) fn commit(&mut self, batch: &[Write]) -> Result<(), Failed> {
        self.apply(batch)?;
        self.sweep()?;
        self.current.insert(layout::live_key(), &self.live.to_be_bytes())?;
        self.current.sync()
    }

    fn apply(&mut self, batch: &[Write]) -> Result<(), Failed> {
        self.current.intend(self.current.keys_with_tails(batch)?.into_iter())?;
        for write in batch {
            let (key, after) = match write {
                Write::Put { key, value } => (key, key.len() + value.len()),
                Write::Delete { key } => (key, 0),
            };
            let before = self.length(key)?;
            match write {
                Write::Put { key, value } => self.current.put(key, value)?,
                Write::Delete { key } => self.delete(key)?,
            }
            self.live = self.live.saturating_sub(before) + after as u64;
        }
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Result<(), Failed> {
        if let Some(old) = &self.old
            && old.head(&ChunkKeys::new(key))?.is_some()
        {
            // First, or a crash between the two would bring the old generation's value back.
            self.current.insert(layout::tombstone_key(key), &[])?;
        }
        self.current.delete(key)
    }

    /// Bytes of a key and its value; 0 if it is not there.
    fn length(&self, key: &[u8]) -> Result<u64, Failed> {
        let chunks = ChunkKeys::new(key);
        let mut head = self.current.head(&chunks)?;
        if head.is_none()
            && let Some(old) = &self.old
            && !self.is_deleted(key)?
        {
            head = old.head(&chunks)?;
        }
        Ok(head.map_or(0, |head| key.len() as u64 + u64::from(head.length)))
    }

    fn is_deleted(&self, key: &[u8]) -> Result<bool, Failed> {
        Ok(self.current.db.contains_key(layout::tombstone_key(key))?)
    }

    fn sweep(&mut self) -> Result<(), Failed> {
        if !self.to_sweep || self.old.is_some() {
            return Ok(());
        }
        let stones = self.current.db.scan_prefix([layout::TOMBSTONE]).keys();
        let stones = stones.take(SWEPT_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
        self.to_sweep = stones.len() == SWEPT_AT_ONCE;
        stones.into_iter().try_for_each(|stone| self.current.remove(stone))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.current.get(key)?;
        let Some(old) = self.old.as_ref().filter(|_| found.is_none()) else { return Ok(found) };
        let deleted = self.is_deleted(key).map_err(|e| old.damaged(key, &e.cause()))?;
        if deleted { Ok(None) } else { old.get(key) }
    }

    pub(super) fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let Some(old) = &self.old else { return self.current.scan(prefix, visit) };
        let keys = [self.current.keys(prefix), old.keys(prefix)];
        self.scan_keys(keys, false, visit)
    }

    /// The records with keys from one on up to another, forwards or backwards.
    pub(super) fn scan_between(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        back: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let keys = |generation: &Generation| generation.keys_between(from, to, back);
        let old: Keys = match &self.old {
            Some(old) => keys(old),
            None => Box::new(std::iter::empty()),
        };
        self.scan_keys([keys(&self.current), old], back, visit)
    }

    /// The records of the keys of both generations, in order.
    fn scan_keys(
        &self,
        keys: [Keys; 2],
        back: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut keys = keys.map(Iterator::peekable);
        loop {
            let mut first: Option<&Vec<u8>> = None;
            for found in keys.iter_mut().filter_map(|keys| keys.peek()) {
                match found {
                    Err(cause) => return Err(self.current.damaged(&[], cause)),
                    Ok(key) if first.is_none_or(|first| (key < first) != back) => first = Some(key),
                    Ok(_) => {}
                }
            }
            let Some(key) = first.cloned() else { return Ok(()) };
            for keys in &mut keys {
                keys.next_if(|found| found.as_ref() == Ok(&key));
            }
            if let Some(value) = self.get(&key)?
                && !visit(&key, &value)?
            {
                return Ok(());
            }
        }
    }

    /// Whether space is to be given back: a move was interrupted, or what is live has become a
    /// small part of the file, also against how it was after the last move: what is live in tiny
    /// records takes many times its bytes.
    pub(super) fn is_due(&self, limits: &Limits) -> bool {
        let bytes = self.current.bytes();
        let wasteful = bytes > limits.bytes && bytes / limits.times > self.live;
        let since = self.moved.is_none_or(|(then, live)| bytes / 2 > then || self.live < live / 2);
        self.old.is_some() || wasteful && since
    }

    /// Everything written goes to `new` from here on.
    pub(super) fn begin(&mut self, new: Generation) -> Result<(), Failed> {
        new.insert(layout::live_key(), &self.live.to_be_bytes())?;
        new.sync()?;
        self.point(Pointer { current: self.number + 1, old: true })?;
        self.old = Some(std::mem::replace(&mut self.current, new));
        self.number += 1;
        self.next.clear();
        Ok(())
    }

    /// Moves the next few records; false if there are none.
    pub(super) fn step(&mut self, limits: &Limits) -> Result<bool, Failed> {
        let Some(old) = &self.old else { return Ok(false) };
        let (mut seen, mut bytes) = (None, 0);
        let (mut keys, mut large) = (Vec::new(), Vec::new());
        for found in old.heads_from(&self.next).take(limits.step) {
            let (key, head) = found.map_err(Failed::Fatal)?;
            if self.current.head(&ChunkKeys::new(&key))?.is_none() && !self.is_deleted(&key)? {
                bytes += head.length as usize;
                keys.push(key.clone());
                if head.tails() > 0 {
                    large.push(key.clone());
                }
            }
            seen = Some(key);
            if bytes >= limits.step_bytes {
                break;
            }
        }
        let Some(seen) = seen else { return Ok(false) };
        self.current.intend(large.iter().map(Vec::as_slice))?;
        for key in keys {
            let value = old.get(&key).map_err(|e| Failed::Fatal(e.to_string()))?;
            self.current.put(&key, &value.unwrap_or_default())?;
        }
        self.next = seen;
        self.next.push(0);
        Ok(true)
    }

    /// Everything has been moved: gives up the generation before, whose files are still there.
    pub(super) fn end(&mut self) -> Result<Option<Generation>, Failed> {
        self.current.sync()?;
        self.point(Pointer { current: self.number, old: false })?;
        self.moved = Some((self.current.bytes(), self.live));
        self.to_sweep = true;
        Ok(self.old.take())
    }

    fn point(&self, pointer: Pointer) -> Result<(), Failed> {
        if self.current.is_dead() {
            return Ok(());
        }
        pointer::write(&self.dir, pointer).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull => Failed::Full(e.to_string()),
            _ => Failed::Fatal(format!("replacing the file generations: {e}")),
        })
    }

    /// What is live in a store that does not say, because an earlier build wrote it.
    pub(super) fn count(current: &Generation) -> Result<u64, String> {
        current.heads_from(&[]).try_fold(0, |sum, found| {
            let (key, head): (Vec<u8>, Head) = found?;
            Ok(sum + key.len() as u64 + u64::from(head.length))
        })
    }
}
