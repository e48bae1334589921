//! A journal out of what could be read of a damaged store.

use super::open::{load_meta, put_meta};
use super::record::{self, META_KEY, SESSION_PREFIX};
use crate::store::{Store, StoreError, Write};
use protocol::Replica;

/// What a salvaged journal knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Sessions whose record could be read.
    pub sessions: u64,
    /// Records that were there and could not be read, by their keys.
    pub lost: Vec<String>,
}

/// Makes the records of a salvaged store safe to be opened as a journal. Records may be missing,
/// or older than others, so it forgets its lives: whatever was numbered before and may have been
/// attempted is in doubt, never fresh, and so is what is delivered behind a gap.
pub fn salvage(
    store: &mut dyn Store,
    service: &str,
    replica: Replica,
) -> Result<Salvaged, StoreError> {
    let mut meta = match load_meta(store, service, replica) {
        Err(StoreError::Damaged { .. }) => {
            store.commit(&[Write::Delete { key: META_KEY.to_vec() }])?;
            load_meta(store, service, replica)
        }
        known => known,
    }?;
    let mut salvaged = Salvaged::default();
    let mut writes = Vec::new();
    store.scan(SESSION_PREFIX, &mut |key, value| {
        let readable = record::decode_session(store.path(), key, value).is_ok();
        if readable && record::parse_session_key(key).is_some() {
            salvaged.sessions += 1;
        } else {
            salvaged.lost.push(String::from_utf8_lossy(&key[SESSION_PREFIX.len()..]).into_owned());
            writes.push(Write::Delete { key: key.to_vec() });
        }
        Ok(true)
    })?;
    meta.lives.clear();
    meta.incomplete = true;
    writes.push(put_meta(&meta));
    store.commit(&writes)?;
    Ok(salvaged)
}
