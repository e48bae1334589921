//! A store in memory, for tests and the simulator.

use super::{Durability, Store, StoreError, StoreStats, Visit, Write};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records in a map. A clone is another handle on the same records, so that a test can drop an
/// engine and open it again on what it had committed.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    records: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own with the records of this one as they are now, like a copied directory.
    pub fn copy(&self) -> Self {
        MemoryStore { records: Arc::new(Mutex::new(self.lock().clone())) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let mut records = self.lock();
        for write in batch {
            match write {
                Write::Put { key, value } => records.insert(key.clone(), value.clone()),
                Write::Delete { key } => records.remove(key),
            };
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let found: Vec<_> = self
            .lock()
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in &found {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        let bytes: usize = self.lock().iter().map(|(key, value)| key.len() + value.len()).sum();
        StoreStats { disk_bytes: bytes as u64, durability: Durability::Memory, room: true, torn: 0 }
    }
}
