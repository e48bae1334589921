//! An Envoy that is next to nothing: shared data, a clock, and randomness that is none, so that
//! tokens are small numbers which inputs can name.

use filter_core::effects::Effect;
use filter_core::ports::{CasMismatch, Cx, Now, Ports};
use std::cell::RefCell;
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Host {
    shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    pub(crate) now: Now,
}

impl Ports for Host {
    fn shared_get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        match self.shared.borrow().get(key) {
            Some((value, version)) => (Some(value.clone()), Some(*version)),
            None => (None, None),
        }
    }

    fn shared_set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), CasMismatch> {
        let mut shared = self.shared.borrow_mut();
        if shared.get(key).map(|(_, version)| *version) != version {
            return Err(CasMismatch);
        }
        let next = version.map_or(1, |version| version.wrapping_add(1));
        shared.insert(key.to_string(), (value.to_vec(), next));
        Ok(())
    }

    fn random(&self) -> Option<[u8; 16]> {
        Some([0; 16])
    }
}

impl Host {
    /// One event, and what is to be done after it.
    pub(crate) fn event<R>(&self, event: impl FnOnce(&mut Cx<'_>) -> R) -> (R, Vec<Effect>) {
        let mut effects = Vec::new();
        let result = event(&mut Cx { now: self.now, ports: self, effects: &mut effects });
        (result, effects)
    }
}
