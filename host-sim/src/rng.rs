//! Random numbers: one seed, and a stream of its own for every component, by name. What one
//! component draws never shifts what another one sees.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use sha2::{Digest, Sha256};

/// The stream of one component.
#[derive(Clone, Debug)]
pub struct Rng(Pcg64Mcg);

impl Rng {
    /// The stream of this name under this seed.
    pub fn named(seed: u64, name: &str) -> Rng {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Rng(Pcg64Mcg::from_seed(first))
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, [low, high]: [u64; 2]) -> u64 {
        if low >= high { low } else { self.0.random_range(low..=high) }
    }

    /// From 0 to `below`, without it; 0 if that is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.0.random_range(0..below) }
    }

    /// True `n` times out of `of`.
    pub fn one_in(&mut self, n: u64, of: u64) -> bool {
        self.below(of) < n
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.random()
    }

    /// Fills with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).ok()?)
    }
}
