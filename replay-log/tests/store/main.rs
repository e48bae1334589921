//! The stores against each other, against kill -9, and over time.

mod against_memory;
mod churn;
mod kill;

use replay_log::store::{Store, Write};
use std::collections::BTreeMap;

fn contents(store: &dyn Store, prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    let mut visit = |key: &[u8], value: &[u8]| {
        assert!(last.as_deref().is_none_or(|last| last < key), "out of order");
        last = Some(key.to_vec());
        found.insert(key.to_vec(), value.to_vec());
        Ok(true)
    };
    store.scan(prefix, &mut visit).unwrap();
    found
}

fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: &Write) {
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
