//! Whether this gateway alone appends to its service, as the log told any worker of this Envoy.
//!
//! Each time it comes to be alone a new *spell* begins. What was exact in an earlier spell is not
//! any more: others may have appended in between. While the log is away the spell goes on, for
//! nobody else can append then.
//!
//! Kept in shared data: `spell u32` little endian, then `1` while it lasts, else `0`. Anything
//! else reads as never alone.

use crate::ports::Ports;
use protocol::limits;

/// The spell of a slot that was never exact.
pub(super) const NEVER: u32 = 0;
/// Spells are counted from 1 to this and from 1 again.
const LAST: u32 = u32::MAX >> 1;

/// What is known of being alone. Holds no data itself.
#[derive(Debug)]
pub(super) struct Alone {
    key: String,
}

fn decode(value: &[u8]) -> Option<(u32, bool)> {
    let (spell, rest) = value.split_first_chunk::<4>()?;
    match rest {
        [flag @ (0 | 1)] => Some((u32::from_le_bytes(*spell), *flag == 1)),
        _ => None,
    }
}

fn encode(spell: u32, lasts: bool) -> Vec<u8> {
    let mut value = spell.to_le_bytes().to_vec();
    value.push(u8::from(lasts));
    value
}

impl Alone {
    pub(super) fn new(service: &str) -> Alone {
        Alone { key: format!("reprise/gateway/{service}/alone") }
    }

    /// The present spell of being alone.
    pub(super) fn spell(&self, ports: &dyn Ports) -> Option<u32> {
        let (value, _) = ports.shared_get(&self.key);
        value.as_deref().and_then(decode).filter(|(_, lasts)| *lasts).map(|(spell, _)| spell)
    }

    /// The log said whether this gateway is alone; the last to be told is right.
    pub(super) fn told(&self, ports: &dyn Ports, alone: bool) {
        for _ in 0..limits::CAS_ATTEMPTS {
            let (value, version) = ports.shared_get(&self.key);
            let (spell, lasts) = value.as_deref().and_then(decode).unwrap_or((NEVER, false));
            if lasts == alone {
                return;
            }
            let next = if spell >= LAST { 1 } else { spell.saturating_add(1) };
            let spell = if alone { next } else { spell };
            if ports.shared_set(&self.key, &encode(spell, alone), version).is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_time_of_being_alone_is_another_spell() {
        let (host, alone) = (Host::new(), Alone::new("shop"));
        assert_eq!(alone.spell(&host), None);
        alone.told(&host, false);
        assert_eq!(alone.spell(&host), None);
        alone.told(&host, true);
        alone.told(&host, true);
        assert_eq!(alone.spell(&host), Some(1));
        alone.told(&host, false);
        assert_eq!(alone.spell(&host), None);
        alone.told(&host, true);
        assert_eq!(alone.spell(&host), Some(2));
    }

    #[test]
    fn a_value_of_a_wrong_size_reads_as_never_alone() {
        assert_eq!(decode(&encode(7, true)), Some((7, true)));
        for bad in [&b""[..], &[1, 0, 0, 0], &[1, 0, 0, 0, 2], &[1, 0, 0, 0, 1, 0]] {
            assert_eq!(decode(bad), None);
        }
    }
}
