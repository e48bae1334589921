//! The data that all workers of one Envoy share under one `vm_id`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Shared data. Outlives VMs, dies with the Envoy.
///
/// A key is never freed: removing one is setting it to nothing, with a version of its own.
#[derive(Clone, Debug, Default)]
pub struct Shared(Rc<RefCell<Data>>);

#[derive(Debug, Default)]
struct Data {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// The version given out last, over all keys.
    version: u32,
}

/// The value has another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CasMismatch;

impl Shared {
    /// Appends the value of a key to `into` and gives its version; `None` if there never was one.
    pub fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Option<u32> {
        let data = self.0.borrow();
        let (value, version) = data.values.get(key)?;
        into.extend_from_slice(value);
        Some(*version)
    }

    /// Sets a value. `version` 0 always, otherwise if the value has that version. A key that is
    /// not there is created whatever `version` says.
    pub fn set(&self, key: &[u8], value: &[u8], version: u32) -> Result<(), CasMismatch> {
        let data = &mut *self.0.borrow_mut();
        let next = match data.version.wrapping_add(1) {
            0 => 1,
            next => next,
        };
        match data.values.get_mut(key) {
            Some((_, current)) if version != 0 && version != *current => return Err(CasMismatch),
            Some((old, current)) => {
                old.clear();
                old.extend_from_slice(value);
                *current = next;
            }
            None => {
                data.values.insert(key.to_vec(), (value.to_vec(), next));
            }
        }
        data.version = next;
        Ok(())
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.0.borrow().values.len()
    }
}
