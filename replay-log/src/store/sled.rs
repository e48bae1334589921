//! A store on sled 0.34.7, in the one shape that was found safe.
//!
//! What sled does not promise by itself is done here: its own flushing is off; after `flush()`,
//! which on Linux only starts the writing, the file `db` is synced; no value that sled sees is
//! larger than 4 KiB, because larger pages go to `blobs/`, which is never synced and leaks.
//!
//! # Layout of a sled, version 1
//! sled's default tree; integers big endian.
//!
//! | sled key | value |
//! |---|---|
//! | `00 "format"` | `"reprise-store"`, version (4 bytes) |
//! | `00 "intent"` n (4) | keys, each after its length (2): see below |
//! | `00 "live"` | bytes of all keys and values (8), about: a crash may leave it a batch behind |
//! | `01` key' `00 00` `00000000` | head: side (1), length (4), CRC-32 (4) of the whole value, its first 4087 bytes |
//! | `01` key' `00 00` index (4) | tail chunk: the next 4096 bytes; index 1, 2, … on side 0, with the top bit set on side 1 |
//! | `02` key | tombstone: the key is not to be looked for in the generation before |
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
//! # Generations: layout of the directory, version 2
//! sled gives no disk space back, but it uses freed space again. When the file has more than four
//! times the bytes of what is live, [`Store::reclaim`] begins a new sled. From then on all writes
//! go there, so that a crash still leaves a prefix of them; what it does not have, and has no
//! tombstone for, is read from the one before, which is not touched again. The work moves what is
//! live a few records at a time, between commits, and at last removes the old directory whole.
//!
//! The first sled stands in the store's directory itself, as in version 1 of this layout, and the
//! file `generations` is not there. Later ones stand in `gen-N`, and that file says in lines of
//! text `reprise-sled-store 2`, `current N`, and, while it is read, `with the one before`. It is
//! replaced as a whole before anything is written that depends on it. Directories that it does not
//! name were being made or removed at a crash, and opening removes them. Moving begins again from
//! the first key after a crash; what is there already is not moved twice. In the place of the
//! first sled's file `db` a directory is left, on which builds of version 1 fail.

mod generation;
mod generations;
mod layout;
mod open;
mod pointer;

use self::generations::Generations;
use super::{
    Durability, Engine, Failed, Reclaim, Store, StoreError, StoreStats, VALUE_BYTES, Visit, Write,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// sled's page cache, bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// When space is given back, and in which steps.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A file that is no larger stays.
    bytes: u64,
    /// So many times what is live is too much.
    times: u64,
    /// Records looked at in a step, during which commits wait.
    step: usize,
    /// Bytes of values moved in a step, about.
    step_bytes: usize,
}

const LIMITS: Limits = Limits { bytes: 64 << 20, times: 4, step: 128, step_bytes: 256 << 10 };

/// The generations, shared with the thread that moves records; gone when the store is.
type Shared = Mutex<Option<Generations>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Option<Generations>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records on the local disk.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    path: PathBuf,
    /// Values that a crash had left incomplete, found and removed at opening.
    leftovers: usize,
    limits: Limits,
    /// Why a commit failed; there is none after it.
    failed: Option<String>,
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

    /// For [`salvage`](super::salvage()): all records with keys from one on up to another, forwards
    /// or backwards.
    pub(super) fn scan_between(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        back: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let generations = lock(&self.shared).clone().ok_or_else(|| self.closed())?;
        generations.scan_between(from, to, back, visit)
    }

    fn closed(&self) -> StoreError {
        StoreError::Open { path: self.path.clone(), cause: "it is closed".to_string() }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // Whoever moves records finds nothing more to do, and the directory can be opened again.
        lock(&self.shared).take();
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
    const RESERVE_BYTES: u64 = 32 << 20;

    fn open(dir: &Path) -> Result<SledStore, StoreError> {
        SledStore::open(dir)
    }

    fn commit(&mut self, batch: &[Write]) -> Result<(), Failed> {
        super::check(batch).map_err(Failed::Fatal)?;
        match lock(&self.shared).as_mut() {
            Some(generations) => generations.commit(batch),
            None => Err(Failed::Fatal("it is closed".to_string())),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        lock(&self.shared).as_ref().ok_or_else(|| self.closed())?.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // Who is told of a record may read the store meanwhile.
        let generations = lock(&self.shared).clone().ok_or_else(|| self.closed())?;
        generations.scan(prefix, visit)
    }

    fn torn(&self) -> u64 {
        self.leftovers as u64
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        let due = lock(&self.shared).as_ref().is_some_and(|g| g.is_due(&self.limits));
        let (shared, path, limits) = (self.shared.clone(), self.path.clone(), self.limits);
        due.then(|| {
            let work = move || match move_all(&shared, &limits) {
                // The next commit meets it, and knows what to do.
                Ok(()) | Err(Failed::Full(_)) => Ok(()),
                Err(Failed::Fatal(cause)) => Err(StoreError::Commit { path, writes: 0, cause }),
            };
            Box::new(work) as Reclaim
        })
    }
}

/// Moves what is live into a new generation and removes the one before.
fn move_all(shared: &Shared, limits: &Limits) -> Result<(), Failed> {
    let Some(before) = lock(shared).clone() else { return Ok(()) };
    if before.old.is_none() {
        // Takes a while, and nobody waits for it.
        let new = open::next(&before)?;
        match lock(shared).as_mut() {
            Some(generations) => generations.begin(new)?,
            None => return Ok(()),
        }
    }
    let (dir, number) = (before.dir.clone(), before.number + u64::from(before.old.is_none()));
    drop(before);
    loop {
        let mut held = lock(shared);
        let Some(generations) = held.as_mut() else { return Ok(()) };
        if generations.step(limits)? {
            drop(held);
            // Commits that wait come first.
            std::thread::yield_now();
            continue;
        }
        let old = generations.end()?;
        let dead = generations.current.is_dead();
        drop(held);
        drop(old);
        let named = pointer::Pointer { current: number, old: false };
        let removed = if dead { Ok(()) } else { pointer::remove_unnamed(&dir, named) };
        return removed.map_err(|e| Failed::Fatal(format!("removing an old generation: {e}")));
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
            torn: self.torn(),
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
