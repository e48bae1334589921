//! Where records are kept: one trait, an implementation in memory, one on fjall and one on sled.
//!
//! A store maps keys to values and knows nothing of what they mean. Its one promise: when
//! [`Store::commit`] has returned `Ok`, every write of the batch survives the death of the
//! process and the loss of power (see [`Durability`] for what an implementation really gives).

mod disk;
mod fjall;
mod memory;
mod salvage;
mod sled;

pub use self::disk::open;
pub use self::fjall::FjallStore;
pub use self::memory::MemoryStore;
pub use self::salvage::{Kind, Salvaged, salvage};
pub use self::sled::SledStore;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Longest key, bytes.
const KEY_BYTES: usize = 1024;
/// Largest value, bytes.
const VALUE_BYTES: usize = 32 << 20;

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put {
        /// The key, 1 to 1024 bytes.
        key: Vec<u8>,
        /// The value, up to 32 MiB.
        value: Vec<u8>,
    },
    /// Removes a key; removing what is not there is fine.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// What a successful commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: the data is in this process's memory.
    Memory,
    /// Power loss: written and synced to the local disk.
    Synced,
}

/// Figures of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes that it takes on disk, or in memory.
    pub disk_bytes: u64,
    /// What a commit survives.
    pub durability: Durability,
    /// There is room for new work; without it only what ends work is to be committed.
    pub room: bool,
    /// Batches that a crash had torn, found and cut off at opening; none of them was acknowledged.
    pub torn: u64,
}

/// Why a store cannot go on. Every one of these is fatal to the process: after a failed write or
/// sync nobody knows what the disk holds, so nothing is retried as if nothing were lost.
/// (A disk that is full is met inside of a store, by opening it again, and seen as
/// [`StoreStats::room`].)
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be opened as a store.
    #[error("cannot open the store at {path}: {cause}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the engine said.
        cause: String,
    },
    /// A batch could not be made durable.
    #[error("cannot make a batch of {writes} writes durable at {path}: {cause}")]
    Commit {
        /// The directory.
        path: PathBuf,
        /// How many writes the batch had.
        writes: usize,
        /// What failed.
        cause: String,
    },
    /// A record cannot be read back.
    #[error("the record {key} at {path} is damaged: {cause}")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The key, hexadecimal.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// Told of each key and value of a scan; `Ok(false)` ends it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError> + 'a;

/// Gives disk space back; takes as long as it takes.
pub type Reclaim = Box<dyn FnOnce() -> Result<(), StoreError> + Send>;

/// Keeps records.
pub trait Store: Send {
    /// Applies all writes in order and makes them durable before it returns.
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError>;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Calls `visit(key, value)` for every key that begins with `prefix`, in key order, until it
    /// answers `false`.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Its figures now.
    fn stats(&self) -> StoreStats;

    /// Whether new work is to be taken on; see [`StoreStats::room`]. Asked for every write, so it
    /// must cost nothing.
    fn has_room(&self) -> bool {
        true
    }

    /// Bytes that are free on its file system, for messages; `None` if it has none.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Work that gives disk space back, if there is some to be done; to be run on a thread that
    /// may wait for the disk, one at a time. Asked every few seconds.
    fn reclaim(&mut self) -> Option<Reclaim> {
        None
    }

    /// Where it is, for messages.
    fn path(&self) -> &Path {
        Path::new("(memory)")
    }
}

/// What a commit of an engine failed by.
#[derive(Debug)]
pub(crate) enum Failed {
    /// A write found no room; opening the engine again shows what was there before (or, whole,
    /// the batch that failed: to commit it once more does no harm).
    Full(String),
    /// Anything else: nobody knows what the disk holds.
    Fatal(String),
}

impl Failed {
    fn cause(self) -> String {
        match self {
            Failed::Full(cause) | Failed::Fatal(cause) => cause,
        }
    }
}

/// A store's engine, as `disk` wraps it.
pub(crate) trait Engine: Send + Sized {
    /// Its name in messages and in the configuration.
    const NAME: &'static str;
    /// What it needs to open again on a full disk, to commit a batch and to end what is under way.
    const RESERVE_BYTES: u64;

    /// Opens the engine in a directory, which is created if it is not there.
    fn open(dir: &Path) -> Result<Self, StoreError>;

    /// See [`Store::commit`]. After a failure the engine is only good for dropping.
    fn commit(&mut self, batch: &[Write]) -> Result<(), Failed>;

    /// See [`Store::get`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// See [`Store::scan`].
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Batches that a crash had torn, cut off at opening.
    fn torn(&self) -> u64;

    /// See [`Store::reclaim`].
    fn reclaim(&mut self) -> Option<Reclaim>;
}

fn check(batch: &[Write]) -> Result<(), String> {
    for write in batch {
        let (key, length) = match write {
            Write::Put { key, value } => (key, value.len()),
            Write::Delete { key } => (key, 0),
        };
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(format!("a key of {} bytes; 1 to {KEY_BYTES} are allowed", key.len()));
        }
        if length > VALUE_BYTES {
            return Err(format!("a value of {length} bytes; {VALUE_BYTES} are allowed"));
        }
    }
    Ok(())
}

/// Bytes that the disk has given to all files below a directory, which are fewer than their lengths
/// where they were allocated ahead; files that vanish meanwhile count nothing.
fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
