//! The id index: which ids were settled, in a few buckets by time so that forgetting is cheap.
//!
//! Live entries are found by [`super::session::Session::ids`]; here are those that have left the
//! log. A bucket spans an eighth of `remember_ids_ms`; the oldest are dropped when they are out
//! of time, or early when the index is over its bytes (counted). Time only decides when an id
//! may be forgotten, never order; a clock that steps back goes on filling the newest bucket.

use super::record::{self, StoredId};
use crate::store::{Store, StoreError, Write};
use prost::Message as _;
use protocol::{Id, SessionKey};
use std::collections::BTreeMap;

const BUCKETS: u64 = 8;
/// Keys removed in one batch while a bucket is dropped.
const DROP_BATCH: usize = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    ids: u64,
    bytes: u64,
}

pub(super) struct IdIndex {
    span_ms: u64,
    max_bytes: u64,
    buckets: BTreeMap<u64, Bucket>,
    dropping: Option<u64>,
    /// Put, and not yet written: settled marks wait for company.
    pending: BTreeMap<(SessionKey, Id), StoredId>,
    pub(super) evicted_early: u64,
}

impl IdIndex {
    pub(super) fn load(
        store: &dyn Store,
        remember_ms: u64,
        max_bytes: u64,
    ) -> Result<IdIndex, StoreError> {
        let mut buckets: BTreeMap<u64, Bucket> = BTreeMap::new();
        store.scan(b"i", &mut |key, value| {
            if let Some(bucket) = key.get(1..9).and_then(|b| b.try_into().ok()) {
                let bucket = buckets.entry(u64::from_be_bytes(bucket)).or_default();
                bucket.ids += 1;
                bucket.bytes += (key.len() + value.len()) as u64;
            }
            Ok(true)
        })?;
        let span_ms = (remember_ms / BUCKETS).max(1);
        Ok(IdIndex {
            span_ms,
            max_bytes,
            buckets,
            dropping: None,
            pending: BTreeMap::new(),
            evicted_early: 0,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.buckets.values().map(|b| b.ids).sum()
    }

    fn newest(&self, unix_ms: u64) -> u64 {
        let bucket = unix_ms / self.span_ms;
        self.buckets.keys().next_back().map_or(bucket, |last| bucket.max(*last))
    }

    pub(super) fn get(
        &self,
        store: &dyn Store,
        session: &SessionKey,
        id: &Id,
    ) -> Result<Option<StoredId>, StoreError> {
        if !self.pending.is_empty()
            && let Some(stored) = self.pending.get(&(session.clone(), id.clone()))
        {
            return Ok(Some(stored.clone()));
        }
        for bucket in self.buckets.keys().rev() {
            if let Some(value) = store.get(&record::id_key(*bucket, session, id))? {
                return Ok(StoredId::decode(value.as_slice()).ok());
            }
        }
        Ok(None)
    }

    /// Remembers an id; the write that keeps it is to be made durable before [`Self::written`].
    pub(super) fn put(
        &mut self,
        unix_ms: u64,
        session: &SessionKey,
        id: Id,
        stored: StoredId,
    ) -> Write {
        let number = self.newest(unix_ms);
        let key = record::id_key(number, session, &id);
        let value = stored.encode_to_vec();
        let bucket = self.buckets.entry(number).or_default();
        bucket.ids += 1;
        bucket.bytes += (key.len() + value.len()) as u64;
        self.pending.insert((session.clone(), id), stored);
        Write::Put { key, value }
    }

    /// Everything that was put is in the store.
    pub(super) fn written(&mut self) {
        self.pending.clear();
    }

    /// The next few writes of forgetting; empty if nothing is due.
    pub(super) fn expire(
        &mut self,
        store: &dyn Store,
        unix_ms: u64,
    ) -> Result<Vec<Write>, StoreError> {
        if self.dropping.is_none() {
            let newest = self.newest(unix_ms);
            let bytes: u64 = self.buckets.values().map(|b| b.bytes).sum();
            let Some((&oldest, bucket)) = self.buckets.first_key_value() else {
                return Ok(Vec::new());
            };
            if oldest + BUCKETS < newest {
                self.dropping = Some(oldest);
            } else if bytes > self.max_bytes {
                self.evicted_early += bucket.ids;
                self.dropping = Some(oldest);
            }
        }
        let Some(bucket) = self.dropping else { return Ok(Vec::new()) };
        let mut writes = Vec::new();
        store.scan(&record::bucket_prefix(bucket), &mut |key, _| {
            writes.push(Write::Delete { key: key.to_vec() });
            Ok(writes.len() < DROP_BATCH)
        })?;
        if writes.len() < DROP_BATCH {
            self.buckets.remove(&bucket);
            self.dropping = None;
        }
        Ok(writes)
    }
}
