//! The id index: which ids were settled, in a few buckets by time so that forgetting is cheap.
//!
//! Live entries are found by [`super::session::Session::find`]; here are those that have left the
//! log. A bucket is named by the time at which it was opened, and closed by the next one: after
//! an eighth of `remember_ids_ms`, or of `remember_ids_bytes`. The oldest is dropped when its
//! youngest id is out of time, or early when the index is over its bytes (counted); the one that
//! is being filled never is. Time only decides when an id may be forgotten, never order; a clock
//! that steps back goes on filling the newest bucket.

use super::entry::LiveId;
use super::record::{self, StoredId};
use crate::store::{Store, StoreError, Write};
use prost::Message as _;
use protocol::{Id, SessionKey};
use std::collections::BTreeMap;

/// Buckets that the time and the bytes are divided into.
const PARTS: u64 = 8;
/// Keys removed in one batch while a bucket is dropped.
const DROP_BATCH: usize = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    ids: u64,
    bytes: u64,
}

pub(super) struct IdIndex {
    remember_ms: u64,
    max_bytes: u64,
    /// By the unix milliseconds at which they were opened.
    buckets: BTreeMap<u64, Bucket>,
    /// The bucket that is being dropped; it is read no more.
    dropping: Option<u64>,
    /// Put, and not yet written: settled marks wait for company.
    pending: BTreeMap<(SessionKey, LiveId), StoredId>,
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
        Ok(IdIndex {
            remember_ms,
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

    /// The bucket to fill, a new one if the newest is old or large enough.
    fn newest(&self, unix_ms: u64) -> u64 {
        match self.buckets.last_key_value() {
            Some((&opened, bucket))
                if unix_ms < opened.saturating_add(self.remember_ms / PARTS)
                    && bucket.bytes < self.max_bytes / PARTS =>
            {
                opened
            }
            Some((&opened, _)) => unix_ms.max(opened.saturating_add(1)),
            None => unix_ms,
        }
    }

    pub(super) fn get(
        &self,
        store: &dyn Store,
        session: &SessionKey,
        id: &Id,
    ) -> Result<Option<StoredId>, StoreError> {
        if !self.pending.is_empty()
            && let Some(stored) = self.pending.get(&(session.clone(), LiveId::new(id)))
        {
            return Ok(Some(stored.clone()));
        }
        for bucket in self.buckets.keys().rev() {
            if let Some(value) = store.get(&record::id_key(*bucket, session, id.as_str()))? {
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
        id: LiveId,
        stored: StoredId,
    ) -> Write {
        let number = self.newest(unix_ms);
        let key = record::id_key(number, session, &id.to_string());
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
            self.dropping = self.pick(unix_ms);
        }
        let Some(bucket) = self.dropping else { return Ok(Vec::new()) };
        let mut writes = Vec::new();
        store.scan(&record::bucket_prefix(bucket), &mut |key, _| {
            writes.push(Write::Delete { key: key.to_vec() });
            Ok(writes.len() < DROP_BATCH)
        })?;
        if writes.len() < DROP_BATCH {
            self.dropping = None;
        }
        Ok(writes)
    }

    /// Takes the oldest bucket out of the index if it is due: closed, and out of time or of room.
    fn pick(&mut self, unix_ms: u64) -> Option<u64> {
        let mut opened = self.buckets.keys().copied();
        let (oldest, closed) = (opened.next()?, opened.next()?);
        let out_of_time = closed.saturating_add(self.remember_ms) < unix_ms;
        let bytes: u64 = self.buckets.values().map(|b| b.bytes).sum();
        if !out_of_time && bytes <= self.max_bytes {
            return None;
        }
        let bucket = self.buckets.remove(&oldest).unwrap_or_default();
        if !out_of_time {
            self.evicted_early += bucket.ids;
        }
        Some(oldest)
    }
}
