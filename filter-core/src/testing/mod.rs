//! A stateful fake host: shared data with versions, a clock, predictable randomness.

use crate::effects::Effect;
use crate::http::Header;
use crate::ports::{CasMismatch, Cx, Now, Ports};
use protocol::SessionKey;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

type Race = Box<dyn FnOnce(&Host)>;

/// One Envoy. Clones are its workers: they share data and clock.
#[derive(Clone)]
pub(crate) struct Host(Rc<Inner>);

struct Inner {
    shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    writes: Cell<usize>,
    now_ms: Cell<u64>,
    random: Cell<u64>,
    race: RefCell<Option<Race>>,
}

/// When the fake clock starts, unix milliseconds.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

impl Host {
    pub(crate) fn new() -> Host {
        Host(Rc::new(Inner {
            shared: RefCell::default(),
            writes: Cell::new(0),
            now_ms: Cell::new(10_000),
            random: Cell::new(1),
            race: RefCell::new(None),
        }))
    }

    pub(crate) fn now(&self) -> Now {
        let mono_ms = self.0.now_ms.get();
        Now { wall_ms: EPOCH_MS + mono_ms, mono_ms }
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.0.now_ms.set(self.0.now_ms.get() + ms);
    }

    /// Runs one event and gives its effects.
    pub(crate) fn drive(&self, event: impl FnOnce(&mut Cx<'_>)) -> Vec<Effect> {
        let mut effects = Vec::new();
        event(&mut Cx { now: self.now(), ports: self, effects: &mut effects });
        effects
    }

    pub(crate) fn shared_keys(&self) -> usize {
        self.0.shared.borrow().len()
    }

    pub(crate) fn shared_writes(&self) -> usize {
        self.0.writes.get()
    }

    /// Lets another worker get in between, just before the next set.
    pub(crate) fn race_next_set(&self, race: impl FnOnce(&Host) + 'static) {
        *self.0.race.borrow_mut() = Some(Box::new(race));
    }

    /// Forgets all shared data, as a restart does.
    pub(crate) fn restart(&self) {
        self.0.shared.borrow_mut().clear();
    }
}

impl Ports for Host {
    fn shared_get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        match self.0.shared.borrow().get(key) {
            Some((value, version)) => (Some(value.clone()), Some(*version)),
            None => (None, None),
        }
    }

    fn shared_set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), CasMismatch> {
        let race = self.0.race.borrow_mut().take();
        if let Some(race) = race {
            race(self);
        }
        let mut shared = self.0.shared.borrow_mut();
        let present = shared.get(key).map(|(_, v)| *v);
        if present != version {
            return Err(CasMismatch);
        }
        self.0.writes.set(self.0.writes.get() + 1);
        let next = present.unwrap_or(0) + 1;
        shared.insert(key.to_string(), (value.to_vec(), next));
        Ok(())
    }

    fn random(&self) -> Option<[u8; 16]> {
        let n = self.0.random.get();
        self.0.random.set(n + 1);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        bytes[8..].copy_from_slice(&n.to_le_bytes());
        Some(bytes)
    }
}

/// A header list.
pub(crate) fn headers(list: &[(&str, &str)]) -> Vec<Header> {
    list.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect()
}

/// A session key.
pub(crate) fn session(name: &str) -> SessionKey {
    SessionKey::new(name).unwrap()
}

mod role;
mod worker;
pub(crate) use worker::Worker;

/// A small generator (xorshift64*), seeded: the same seed, the same run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    /// One of a list, taken out; `None` if it is empty.
    pub(crate) fn take<T>(&mut self, list: &mut Vec<T>) -> Option<T> {
        if list.is_empty() {
            return None;
        }
        let i = self.below(list.len() as u64) as usize;
        Some(list.swap_remove(i))
    }
}
