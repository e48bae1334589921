//! Opening a journal on its store: whose it is, which lives it had, what was in flight.

use super::cache::Cache;
use super::record::{self, LIVES_KEPT, META_KEY, MetaRecord, SESSION_PREFIX, VERSION};
use super::remembered::Remembered;
use super::{Guards, Held, Journal, JournalConfig};
use crate::Now;
use crate::store::{Store, StoreError, Write};
use prost::Message;
use protocol::{Incarnation, Replica};

/// Opens the journal and makes its new life durable.
pub(super) fn open(
    mut store: Box<dyn Store>,
    config: JournalConfig,
    random: [u8; 16],
    now: Now,
) -> Result<Journal, StoreError> {
    let mut meta = load_meta(store.as_ref(), &config.service, config.replica)?;
    meta.lives.push(incarnation(random).to_wire());
    meta.lives.drain(..meta.lives.len().saturating_sub(LIVES_KEPT));
    store.commit(&[put_meta(&meta)])?;
    let lives = meta.lives.iter().map(|life| Incarnation::from_wire(life)).collect();
    let mut stored = 0;
    let mut flying = Vec::new();
    store.scan(SESSION_PREFIX, &mut |key, value| {
        stored += 1;
        let session = record::decode_session(store.path(), key, value)?;
        if session.flight.is_some() {
            let name = record::parse_session_key(key)
                .ok_or_else(|| record::damaged(store.path(), key, "the key is no session's"))?;
            flying.push((name, session));
        }
        Ok(true)
    })?;
    Ok(Journal {
        remembered: Remembered::new(config.remember_bytes),
        config,
        cache: Cache::new(stored, flying, now.mono_ms),
        store,
        lives,
        unseeded: meta.unseeded,
        incomplete: meta.incomplete,
        meta_dirty: false,
        guards: Guards::default(),
        held: Held::default(),
        counters: Default::default(),
        outputs: Vec::new(),
        fault: None,
        failed: false,
    })
}

/// The write that keeps what is known of the store itself.
pub(super) fn put_meta(meta: &MetaRecord) -> Write {
    Write::Put { key: META_KEY.to_vec(), value: meta.encode_to_vec() }
}

/// What is known of a store that is this replica's; of an empty one, whose it will be.
pub(super) fn load_meta(
    store: &dyn Store,
    service: &str,
    replica: Replica,
) -> Result<MetaRecord, StoreError> {
    let Some(value) = store.get(META_KEY)? else {
        return Ok(MetaRecord {
            version: VERSION,
            service: service.to_string(),
            replica: replica.name().to_string(),
            ..MetaRecord::default()
        });
    };
    let meta: MetaRecord = record::decode(store.path(), META_KEY, &value)?;
    let refuse = |cause| Err(StoreError::Open { path: store.path().to_path_buf(), cause });
    if meta.version != VERSION {
        return refuse(format!(
            "it is a journal of version {}, this build knows version {VERSION} only",
            meta.version
        ));
    }
    if (meta.service.as_str(), meta.replica.as_str()) != (service, replica.name()) {
        return refuse(format!(
            "it is the journal of the {} of service {:?}, not of the {replica} of {service:?}",
            meta.replica, meta.service
        ));
    }
    Ok(meta)
}

/// An incarnation out of entropy, never the one that means unknown.
fn incarnation(random: [u8; 16]) -> Incarnation {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&random[..8]);
    match Incarnation(bytes) {
        Incarnation::UNKNOWN => Incarnation([1; 8]),
        known => known,
    }
}
