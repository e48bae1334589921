//! When memtables are written out, and what becomes of a commit when that does not work.
//!
//! fjall would do both by itself, but then a commit can wait for ever: it waits for memtables to
//! be written out without looking whether the one thread that writes them is still alive; and the
//! queue of that thread, which every commit adds to while a memtable is too large, can fill up and
//! stop it. So nothing is left to fjall: a memtable is sealed here, before a commit, and never so
//! many that fjall itself would wait.

use super::super::Failed;
use super::{FjallStore, is_full};
use ::fjall::{AbstractTree as _, PersistMode};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

/// A memtable is written out when it has this many bytes.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// While earlier ones are still being written, it may grow up to this.
const MEMTABLE_MOST: u64 = 48 << 20;
/// Memtables waiting to be written out; at 4, fjall waits for ever.
const SEALED_MOST: usize = 2;
/// Tables not yet merged; at 20, fjall slows down, and at 30 it waits for ever.
const UNMERGED_MOST: usize = 12;
/// How long to wait before looking again; fjall has nothing to wait on.
const PAUSE: Duration = Duration::from_millis(5);
/// Merging tables needs room for as much as they have, up to this, bytes.
const MERGE_MOST: u64 = 512 << 20;

impl FjallStore {
    /// To be called before a commit: has memtables written out, and waits if that lags behind.
    pub(super) fn make_way(&self) -> Result<(), Failed> {
        loop {
            self.check_worker()?;
            let size = self.records.tree.active_memtable().size();
            let sealed = self.records.sealed_memtable_count();
            let behind = sealed >= SEALED_MOST || self.records.l0_table_count() >= UNMERGED_MOST;
            match behind {
                false if size < MEMTABLE_BYTES => return Ok(()),
                false => return self.seal(),
                true if size < MEMTABLE_MOST && sealed <= SEALED_MOST => return Ok(()),
                true => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Has the memtable written out by fjall's thread.
    pub(super) fn seal(&self) -> Result<(), Failed> {
        let sealed = self.records.rotate_memtable();
        sealed.map(drop).map_err(|e| super::failed("starting a new memtable", &e))
    }

    /// A thread of fjall's that fails has its say in nothing but that no commit works any more.
    pub(super) fn check_worker(&self) -> Result<(), Failed> {
        match self.db.persist(PersistMode::Buffer) {
            Ok(()) => Ok(()),
            Err(::fjall::Error::Poisoned) => Err(self.worker_failed()),
            Err(e) => Err(super::failed("writing", &e)),
        }
    }

    /// What a thread of fjall's failed by: a full disk, if there is no room now for what it had to
    /// write, or else a damaged record, if there is one.
    pub(super) fn worker_failed(&self) -> Failed {
        let failed = "fjall's thread that writes memtables out and merges tables has failed";
        match self.probe() {
            Err(e) if is_full(&e) => return Failed::Full(format!("{failed}: {e}")),
            Err(e) => return Failed::Fatal(format!("{failed}; trying to write: {e}")),
            Ok(()) => {}
        }
        let read = super::super::Engine::scan(self, b"", &mut |_, _| Ok(true));
        Failed::Fatal(match read {
            Err(damage) => format!("{failed}: {damage}"),
            Ok(()) => format!("{failed}, and not for want of room: the disk may be broken"),
        })
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.path.join("probe");
        let needed = MEMTABLE_MOST + self.records.tree.disk_space().min(MERGE_MOST);
        let written = write_zeros(&path, needed);
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}

/// They need not reach the disk to find out that there is no room for them.
fn write_zeros(path: &Path, length: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..length >> 20 {
        file.write_all(&zeros)?;
    }
    Ok(())
}
