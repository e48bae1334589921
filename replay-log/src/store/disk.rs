//! A store on a disk that may be full.
//!
//! Beside an engine's directory `D` stands the file `D.reserve`, whose bytes are really allocated.
//! There is room for new work while it is in place and the file system has `min_free_bytes` free.
//! A batch that finds no room is nobody's yet: the reserve is given up for it, the engine is
//! opened again (it shows what was there before the batch, or the whole of it, or its first
//! writes) and the batch is committed once more, which does no harm. So whoever asks
//! [`Store::has_room`] before new work always has bytes for ending what is under way.
//! A batch that fails otherwise, or twice, is fatal.

mod space;
#[cfg(test)]
mod tests;

use self::space::Space;
use super::salvage::Kind;
use super::{
    Durability, Engine, Failed, FjallStore, Reclaim, SledStore, Store, StoreError, StoreStats,
    Visit, Write,
};
use std::path::{Path, PathBuf};

/// Opens a store that goes on when its disk is full: without [`Store::has_room`], which also needs
/// `min_free_bytes` free on its file system.
pub fn open(kind: Kind, dir: &Path, min_free_bytes: u64) -> Result<Box<dyn Store>, StoreError> {
    fn begin<E: Engine + 'static>(dir: &Path, min: u64) -> Result<Box<dyn Store>, StoreError> {
        let space = Space::new(dir, E::RESERVE_BYTES, min);
        Ok(Box::new(DiskStore::<E>::open(dir, space)?))
    }
    match kind {
        Kind::Fjall => begin::<FjallStore>(dir, min_free_bytes),
        Kind::Sled => begin::<SledStore>(dir, min_free_bytes),
    }
}

struct DiskStore<E> {
    /// `None` only while it is opened again, and for ever if that fails.
    engine: Option<E>,
    dir: PathBuf,
    space: Space,
    torn: u64,
    /// Why a commit failed; there is none after it.
    failed: Option<String>,
}

impl<E: Engine> DiskStore<E> {
    fn open(dir: &Path, space: Space) -> Result<DiskStore<E>, StoreError> {
        let engine = match E::open(dir) {
            Err(_) if space.is_scarce() && space.give_up() => E::open(dir)?,
            opened => opened?,
        };
        space.begin();
        let torn = engine.torn();
        Ok(DiskStore { engine: Some(engine), dir: dir.to_path_buf(), space, torn, failed: None })
    }

    fn engine(&self) -> Result<&E, StoreError> {
        self.engine.as_ref().ok_or_else(|| StoreError::Open {
            path: self.dir.clone(),
            cause: self.failed.clone().unwrap_or_default(),
        })
    }

    fn try_commit(&mut self, batch: &[Write]) -> Result<(), String> {
        if let Some(cause) = &self.failed {
            return Err(format!("an earlier commit failed: {cause}"));
        }
        let Some(engine) = &mut self.engine else { return Err("it is not open".to_string()) };
        let full = match engine.commit(batch) {
            Ok(()) => return Ok(()),
            Err(Failed::Fatal(cause)) => return Err(cause),
            Err(Failed::Full(cause)) => cause,
        };
        let reserve = if self.space.give_up() { "given up" } else { "gone already" };
        let told =
            |cause| format!("{full}; the reserve was {reserve}, and then {}: {cause}", E::NAME);
        // Two of them cannot have it open.
        self.engine = None;
        let engine = self.engine.insert(E::open(&self.dir).map_err(|e| told(e.to_string()))?);
        match engine.commit(batch) {
            Ok(()) => Ok(()),
            Err(Failed::Full(cause) | Failed::Fatal(cause)) => Err(told(cause)),
        }
    }
}

impl<E: Engine> Store for DiskStore<E> {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        self.try_commit(batch).map_err(|cause| {
            self.failed.get_or_insert_with(|| cause.clone());
            StoreError::Commit { path: self.dir.clone(), writes: batch.len(), cause }
        })?;
        self.space.look();
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine()?.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.engine()?.scan(prefix, visit)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            disk_bytes: super::disk_bytes(&self.dir),
            durability: Durability::Synced,
            room: self.has_room(),
            torn: self.torn,
        }
    }

    fn has_room(&self) -> bool {
        self.space.has_room()
    }

    fn free_bytes(&self) -> Option<u64> {
        self.space.free_bytes()
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        self.engine.as_mut()?.reclaim()
    }

    fn path(&self) -> &Path {
        &self.dir
    }
}
