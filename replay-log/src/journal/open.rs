//! Opening a journal on its store: whose it is, which lives it had, what was in flight.

use super::cache::Cache;
use super::record::{self, LIVES_KEPT, META_KEY, MetaRecord, SESSION_PREFIX, VERSION};
use super::remembered::Remembered;
use super::{Guards, Held, Journal, JournalConfig};
use crate::Now;
use crate::store::{Store, StoreError, Write};
use prost::Message;
use protocol::Incarnation;

/// Opens the journal and makes its new life durable.
pub(super) fn open(
    mut store: Box<dyn Store>,
    config: JournalConfig,
    random: [u8; 16],
    now: Now,
) -> Result<Journal, StoreError> {
    let mut lives = match store.get(META_KEY)? {
        Some(value) => check(store.as_ref(), &config, &value)?,
        None => Vec::new(),
    };
    lives.push(incarnation(random));
    lives.drain(..lives.len().saturating_sub(LIVES_KEPT));
    let meta = MetaRecord {
        version: VERSION,
        service: config.service.clone(),
        replica: config.replica.name().to_string(),
        lives: lives.iter().map(|life| life.to_wire()).collect(),
    };
    store.commit(&[Write::Put { key: META_KEY.to_vec(), value: meta.encode_to_vec() }])?;
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
        guards: Guards::default(),
        held: Held::default(),
        counters: Default::default(),
        outputs: Vec::new(),
        fault: None,
        failed: false,
    })
}

/// The lives of a store that is this journal's.
fn check(
    store: &dyn Store,
    config: &JournalConfig,
    value: &[u8],
) -> Result<Vec<Incarnation>, StoreError> {
    let meta: MetaRecord = record::decode(store.path(), META_KEY, value)?;
    let refuse = |cause| Err(StoreError::Open { path: store.path().to_path_buf(), cause });
    if meta.version != VERSION {
        return refuse(format!(
            "it is a journal of version {}, this build knows version {VERSION} only",
            meta.version
        ));
    }
    if (meta.service.as_str(), meta.replica.as_str()) != (&config.service, config.replica.name()) {
        return refuse(format!(
            "it is the journal of the {} of service {:?}, not of the {} of {:?}",
            meta.replica, meta.service, config.replica, config.service
        ));
    }
    Ok(meta.lives.iter().map(|life| Incarnation::from_wire(life)).collect())
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
