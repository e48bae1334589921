//! How much of a file system is left, and the reserve.

use rustix::fs::FallocateFlags;
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Opening an engine may need so much; below it a failed opening is blamed on the disk.
const SCARCE_BYTES: u64 = 16 << 20;
/// Bytes written at once where a file system cannot allocate.
const BLOCK_BYTES: usize = 1 << 20;

/// What a store knows of its file system.
#[derive(Debug)]
pub(super) struct Space {
    reserve: PathBuf,
    reserve_bytes: u64,
    min_free_bytes: u64,
    /// The reserve is whole.
    in_place: Cell<bool>,
    room: Cell<bool>,
}

impl Space {
    /// That of the engine's directory.
    pub(super) fn new(dir: &Path, reserve_bytes: u64, min_free_bytes: u64) -> Space {
        let mut name = dir.file_name().unwrap_or_default().to_os_string();
        name.push(".reserve");
        let reserve = dir.with_file_name(name);
        let whole = |meta: fs::Metadata| {
            meta.len() == reserve_bytes && meta.blocks() * 512 >= reserve_bytes
        };
        let in_place = Cell::new(fs::metadata(&reserve).is_ok_and(whole));
        Space { reserve, reserve_bytes, min_free_bytes, in_place, room: Cell::new(false) }
    }

    /// The engine is open: allocates the reserve if there is room for it.
    pub(super) fn begin(&self) {
        self.restore();
        let free = self.free_bytes();
        self.room.set(self.in_place.get() && free.is_none_or(|free| free >= self.min_free_bytes));
    }

    /// Bytes that are free for us; `None` if the file system does not say.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let dir = self.reserve.parent().filter(|dir| *dir != Path::new(""));
        let stat = rustix::fs::statvfs(dir.unwrap_or(Path::new("."))).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(super) fn is_scarce(&self) -> bool {
        self.free_bytes().is_some_and(|free| free < SCARCE_BYTES)
    }

    /// Gives the reserve's bytes to whoever writes next; false if there were none.
    pub(super) fn give_up(&self) -> bool {
        self.in_place.set(false);
        self.room.set(false);
        fs::remove_file(&self.reserve).is_ok()
    }

    /// Whether there is room. While there is none, each question looks again: one system call.
    pub(super) fn has_room(&self) -> bool {
        if !self.room.get() {
            self.look();
        }
        self.room.get()
    }

    /// Looks how much is left. What was lost is back only with some more than the least, so that
    /// it does not come and go.
    pub(super) fn look(&self) {
        let free = |space: &Space| space.free_bytes().unwrap_or(u64::MAX);
        if self.room.get() {
            return self.room.set(free(self) >= self.min_free_bytes);
        }
        self.restore();
        let enough = self.min_free_bytes.saturating_add(self.reserve_bytes / 2);
        self.room.set(self.in_place.get() && free(self) >= enough);
    }

    fn restore(&self) {
        let needed = self.min_free_bytes.saturating_add(self.reserve_bytes);
        if !self.in_place.get() && self.free_bytes().is_none_or(|free| free >= needed) {
            self.in_place.set(self.allocate().is_ok());
            if !self.in_place.get() {
                // Half a reserve is none, and takes what others need.
                let _ = fs::remove_file(&self.reserve);
            }
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let mut file = File::create(&self.reserve)?;
        if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.reserve_bytes).is_ok() {
            return Ok(());
        }
        let block = vec![0; BLOCK_BYTES];
        let mut left = self.reserve_bytes;
        while left > 0 {
            let part = left.min(BLOCK_BYTES as u64);
            file.write_all(&block[..part as usize])?;
            left -= part;
        }
        // Without it a file system may promise the bytes and not have them.
        file.sync_all()
    }
}
