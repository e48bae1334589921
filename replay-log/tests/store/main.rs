//! The stores against each other, against kill -9, and over time.

mod against_memory;
mod churn;
mod flips;
mod kill;
mod refused;
mod salvaged;
mod torn;

use replay_log::store::{FjallStore, Kind, SledStore, Store, StoreError, Write};
use std::collections::BTreeMap;
use std::path::Path;

/// All that keep their records on disk.
const KINDS: [Kind; 2] = [Kind::Fjall, Kind::Sled];

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(kind: Kind, dir: &Path) -> Result<Box<dyn Store>, StoreError> {
    Ok(match kind {
        Kind::Fjall => Box::new(FjallStore::open(dir)?),
        Kind::Sled => Box::new(SledStore::open(dir)?),
    })
}

fn contents(store: &dyn Store, prefix: &[u8]) -> Records {
    read(store, prefix).unwrap()
}

fn read(store: &dyn Store, prefix: &[u8]) -> Result<Records, StoreError> {
    let mut found = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    let mut visit = |key: &[u8], value: &[u8]| {
        assert!(last.as_deref().is_none_or(|last| last < key), "out of order");
        last = Some(key.to_vec());
        found.insert(key.to_vec(), value.to_vec());
        Ok(true)
    };
    store.scan(prefix, &mut visit)?;
    Ok(found)
}

fn put(key: &str, value: Vec<u8>) -> Write {
    Write::Put { key: key.as_bytes().to_vec(), value }
}

/// Copies a directory as a power cut leaves it: the lock of the one who has it open stays behind.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// All files below a directory with their bytes.
fn files(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.append(&mut files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

fn apply(model: &mut Records, write: &Write) {
    match write {
        Write::Put { key, value } => model.insert(key.clone(), value.clone()),
        Write::Delete { key } => model.remove(key),
    };
}

/// Numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(length).collect()
    }
}
