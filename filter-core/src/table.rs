//! The slot table: what one Envoy's workers know of sessions, in its shared data.
//!
//! Shared-data keys are never freed, so the table has a fixed number of them. Each key is a bucket
//! of [`limits::WAYS`] slots, the most recently written first; a new session pushes the last one
//! out. A slot holds the whole session key, so two sessions are never taken for each other.
//! Losing a slot costs a question to the log or the journal, never a promise.
//!
//! Bucket layout, version 1: the byte `1`, then for each slot `len u16, session, epoch u64,
//! seq u64, mark u32`, integers little endian. Anything else reads as empty.

use crate::ports::Ports;
use protocol::limits;
use protocol::{Number, SessionKey};

const VERSION: u8 = 1;

/// What is known of a session. `mark` is the role's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The last number.
    pub last: Number,
    /// Gateway: where its requests go. Guard: the life of the journal that said so; 0 is none.
    pub mark: u32,
}

/// A table of slots. Holds no data itself.
#[derive(Debug)]
pub struct Table {
    prefix: String,
    buckets: u64,
}

impl Table {
    /// A table for this many sessions, under keys that begin with `prefix`.
    pub fn new(prefix: String, sessions: u64) -> Table {
        Table { prefix, buckets: sessions.div_ceil(limits::WAYS as u64).max(1) }
    }

    fn key(&self, session: &SessionKey) -> String {
        let bucket = fnv(session.as_str().as_bytes()).checked_rem(self.buckets).unwrap_or(0);
        format!("{}/{bucket}", self.prefix)
    }

    /// What is known of a session.
    pub fn get(&self, ports: &dyn Ports, session: &SessionKey) -> Option<Slot> {
        let (value, _) = ports.shared_get(&self.key(session));
        let slots = decode(&value?);
        slots.into_iter().find(|(s, _)| *s == session.as_str().as_bytes()).map(|(_, slot)| slot)
    }

    /// Changes what is known of a session. `change` gets the slot that there is and gives the one
    /// that there should be, `None` to leave all as it is. Says whether another session was
    /// pushed out.
    pub fn update(
        &self,
        ports: &dyn Ports,
        session: &SessionKey,
        change: impl Fn(Option<&Slot>) -> Option<Slot>,
    ) -> bool {
        let key = self.key(session);
        let name = session.as_str().as_bytes();
        for _ in 0..limits::CAS_ATTEMPTS {
            let (value, version) = ports.shared_get(&key);
            let mut slots = value.as_deref().map(decode).unwrap_or_default();
            let old = slots.iter().position(|(s, _)| *s == name).map(|i| slots.remove(i));
            let Some(new) = change(old.as_ref().map(|(_, slot)| slot)) else {
                return false;
            };
            if old.as_ref().is_some_and(|(_, slot)| *slot == new) {
                return false;
            }
            slots.insert(0, (name.to_vec(), new));
            let evicts = slots.len() > limits::WAYS;
            slots.truncate(limits::WAYS);
            if ports.shared_set(&key, &encode(&slots), version).is_ok() {
                return evicts;
            }
        }
        false
    }
}

/// FNV-1a, 64 bits: spreads, does not protect. Whoever makes keys collide only makes us ask.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

type Entry = (Vec<u8>, Slot);

fn encode(slots: &[Entry]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for (session, slot) in slots {
        out.extend_from_slice(&u16::try_from(session.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(session);
        out.extend_from_slice(&slot.last.epoch.to_le_bytes());
        out.extend_from_slice(&slot.last.seq.to_le_bytes());
        out.extend_from_slice(&slot.mark.to_le_bytes());
    }
    out
}

fn decode(bytes: &[u8]) -> Vec<Entry> {
    let mut slots = Vec::with_capacity(limits::WAYS);
    let Some((&VERSION, mut rest)) = bytes.split_first() else {
        return slots;
    };
    while !rest.is_empty() {
        let Some((slot, after)) = decode_one(rest) else {
            return Vec::new();
        };
        slots.push(slot);
        rest = after;
    }
    slots
}

fn decode_one(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (session, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (mark, rest) = rest.split_first_chunk::<4>()?;
    let last = Number { epoch: u64::from_le_bytes(*epoch), seq: u64::from_le_bytes(*seq) };
    Some(((session.to_vec(), Slot { last, mark: u32::from_le_bytes(*mark) }), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Host, session};
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn slot(epoch: u64, seq: u64) -> Slot {
        Slot { last: Number { epoch, seq }, mark: 0 }
    }

    #[test]
    fn sessions_that_share_a_bucket_are_kept_apart() {
        let (host, table) = (Host::new(), Table::new("t".into(), 4));
        for (i, name) in ["a", "b", "c", "d"].iter().enumerate() {
            assert!(!table.update(&host, &session(name), |_| Some(slot(1, i as u64))));
        }
        for (i, name) in ["a", "b", "c", "d"].iter().enumerate() {
            assert_eq!(table.get(&host, &session(name)), Some(slot(1, i as u64)));
        }
    }

    #[test]
    fn the_session_written_longest_ago_leaves_a_full_bucket() {
        let (host, table) = (Host::new(), Table::new("t".into(), 4));
        for name in ["a", "b", "c", "d"] {
            table.update(&host, &session(name), |_| Some(slot(1, 1)));
        }
        table.update(&host, &session("a"), |_| Some(slot(1, 2)));
        assert!(table.update(&host, &session("e"), |_| Some(slot(1, 1))));
        assert_eq!(table.get(&host, &session("b")), None);
        assert_eq!(table.get(&host, &session("a")), Some(slot(1, 2)));
    }

    #[test]
    fn the_number_of_keys_does_not_grow_with_the_number_of_sessions() {
        let (host, table) = (Host::new(), Table::new("t".into(), 64));
        for i in 0..5000 {
            table.update(&host, &session(&format!("s{i}")), |_| Some(slot(1, 1)));
        }
        assert!(host.shared_keys() <= 16);
    }

    #[test]
    fn an_update_that_changes_nothing_writes_nothing() {
        let (host, table) = (Host::new(), Table::new("t".into(), 4));
        table.update(&host, &session("a"), |_| Some(slot(1, 1)));
        let writes = host.shared_writes();
        table.update(&host, &session("a"), |_| Some(slot(1, 1)));
        table.update(&host, &session("b"), |old| old.cloned());
        assert_eq!(host.shared_writes(), writes);
    }

    #[test]
    fn an_update_that_loses_the_race_is_done_again_on_what_the_other_wrote() {
        let (host, table) = (Host::new(), Table::new("t".into(), 4));
        table.update(&host, &session("a"), |_| Some(slot(1, 1)));
        host.race_next_set(|host| {
            Table::new("t".into(), 4).update(host, &session("a"), |_| Some(slot(1, 7)));
        });
        table.update(&host, &session("a"), |old| old.map(|o| slot(1, o.last.seq.max(5))));
        assert_eq!(table.get(&host, &session("a")), Some(slot(1, 7)));
    }

    #[test]
    fn a_value_of_another_version_or_a_wrong_size_reads_as_empty() {
        let good = encode(&[(b"a".to_vec(), slot(3, 4))]);
        assert_eq!(decode(&good), vec![(b"a".to_vec(), slot(3, 4))]);
        assert!(decode(&good[..good.len() - 1]).is_empty());
        assert!(decode(&[good.clone(), vec![0]].concat()).is_empty());
        let mut other = good;
        other[0] = 2;
        assert!(decode(&other).is_empty());
        assert!(decode(&[]).is_empty());
    }

    #[test]
    fn the_layout_of_a_bucket_does_not_change_unseen() {
        let bytes =
            encode(&[(b"ab".to_vec(), Slot { last: Number { epoch: 1, seq: 2 }, mark: 3 })]);
        let want =
            [1, 2, 0, b'a', b'b', 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        assert_eq!(bytes, want);
    }
}
