//! Where records are kept: one trait, an implementation in memory and one on sled.
//!
//! A store maps keys to values and knows nothing of what they mean. Its one promise: when
//! [`Store::commit`] has returned `Ok`, every write of the batch survives the death of the
//! process and the loss of power (see [`Durability`] for what an implementation really gives).

mod memory;
mod sled;

pub use self::memory::MemoryStore;
pub use self::sled::SledStore;
use std::path::{Path, PathBuf};
use thiserror::Error;

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
}

/// Why a store cannot go on. Every one of these is fatal to the process: after a failed write or
/// sync nobody knows what the disk holds, so nothing is retried as if nothing were lost.
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

/// Keeps records.
pub trait Store: Send {
    /// Applies all writes in order and makes them durable before it returns.
    fn commit(&mut self, batch: Vec<Write>) -> Result<(), StoreError>;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Calls `visit(key, value)` for every key that begins with `prefix`, in key order, until it
    /// answers `false`.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Its figures now.
    fn stats(&self) -> StoreStats;

    /// Where it is, for messages.
    fn path(&self) -> &Path {
        Path::new("(memory)")
    }
}
