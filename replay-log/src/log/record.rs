//! What the log keeps on disk: keys and records, format version 2. All are contracts.
//!
//! | key | value |
//! |---|---|
//! | `m` | [`Meta`]: whose store this is, its incarnation, the epoch counter |
//! | `s` session | [`StoredSession`], renewed lazily; entries may run ahead of it |
//! | `e` session 00 epoch seq | [`StoredEntry`] that some replica has not settled, without its payload |
//! | `p` session 00 epoch seq | [`StoredPayload`] of an entry; a withdrawn one has none |
//! | `r` session 00 epoch seq | [`StoredRan`] of an entry that one replica has run, written lazily |
//! | `q` session 00 epoch seq | [`StoredEntry`] in quarantine, followed by its [`StoredPayload`] |
//! | `i` bucket session 00 id | [`StoredId`] of a settled entry |
//! | `c` number | [`StoredCase`]: something listed for the operator |
//!
//! Session keys and ids are printable ASCII (see [`protocol::ids`]), so 00 ends them. Numbers in
//! keys are big endian. Values are protobuf messages: fields are added, never used again.
//!
//! An entry is kept in two records of one batch, so that opening reads what is small and delivery
//! what is large. In a store that can tear a batch, the payload is put before and deleted before
//! its entry: an entry is never without one. What a torn batch can leave is a payload without an
//! entry, whose number was never answered; the next write of its session takes its place.

use protocol::{Number, SessionKey, pb};

/// Version of the layout above.
pub(super) const FORMAT: u32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Meta {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(string, tag = "2")]
    pub service: String,
    #[prost(bytes = "vec", tag = "3")]
    pub incarnation: Vec<u8>,
    /// The highest epoch given out or heard of.
    #[prost(uint64, tag = "4")]
    pub epoch: u64,
    /// The journals' incarnations last heard of.
    #[prost(bytes = "vec", tag = "5")]
    pub primary_journal: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    pub secondary_journal: Vec<u8>,
    /// The next number of a case.
    #[prost(uint64, tag = "7")]
    pub next_case: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredSession {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// The last number whose entry both replicas have settled, and its link.
    #[prost(uint64, tag = "2")]
    pub base: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub base_link: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub settled_primary: u64,
    #[prost(uint64, tag = "5")]
    pub settled_secondary: u64,
    #[prost(bool, tag = "6")]
    pub pinned: bool,
    /// The end of the predecessor epoch.
    #[prost(message, optional, tag = "7")]
    pub after: Option<pb::Position>,
    /// When it was last written to, unix milliseconds.
    #[prost(uint64, tag = "8")]
    pub touched_ms: u64,
    /// The store turned out to be older than a guard, or was salvaged: the next write opens a
    /// forced epoch, once what is left of this one is settled.
    #[prost(bool, tag = "9")]
    pub forced: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredEntry {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(bytes = "vec", tag = "6")]
    pub fingerprint: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    pub link: Vec<u8>,
    #[prost(uint64, tag = "8")]
    pub received_ms: u64,
    #[prost(bool, tag = "9")]
    pub withdrawn: bool,
    #[prost(bytes = "vec", tag = "10")]
    pub primary_journal: Vec<u8>,
    #[prost(bytes = "vec", tag = "11")]
    pub secondary_journal: Vec<u8>,
    /// Bytes of both its records' values, as near as they are known beforehand.
    #[prost(uint32, tag = "12")]
    pub bytes: u32,
}

/// What a delivery sends. Its tags are none of [`StoredEntry`]'s: both together are one message.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredPayload {
    #[prost(string, tag = "2")]
    pub method: String,
    #[prost(string, tag = "3")]
    pub path: String,
    #[prost(message, repeated, tag = "4")]
    pub headers: Vec<pb::Header>,
    #[prost(bytes = "vec", tag = "5")]
    pub body: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredRan {
    /// 0: the replica has not run it, or its answer is not known.
    #[prost(uint32, tag = "1")]
    pub primary_status: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub primary_digest: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub secondary_status: u32,
    #[prost(bytes = "vec", tag = "4")]
    pub secondary_digest: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredId {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(uint64, tag = "2")]
    pub seq: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub link: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub fingerprint: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub status: u32,
    #[prost(uint64, tag = "6")]
    pub received_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredCase {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub session: String,
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    #[prost(uint64, tag = "4")]
    pub seq: u64,
    #[prost(string, tag = "5")]
    pub method: String,
    #[prost(string, tag = "6")]
    pub path: String,
    #[prost(string, tag = "7")]
    pub detail: String,
    #[prost(uint32, tag = "8")]
    pub primary_status: u32,
    #[prost(string, tag = "9")]
    pub primary_digest: String,
    #[prost(uint32, tag = "10")]
    pub secondary_status: u32,
    #[prost(string, tag = "11")]
    pub secondary_digest: String,
}

pub(super) const META_KEY: &[u8] = b"m";

fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(super) fn session_key(session: &SessionKey) -> Vec<u8> {
    key(b's', &[session.as_str().as_bytes()])
}

pub(super) fn entry_key(session: &SessionKey, number: Number) -> Vec<u8> {
    numbered(b'e', session, number)
}

pub(super) fn payload_key(session: &SessionKey, number: Number) -> Vec<u8> {
    numbered(b'p', session, number)
}

pub(super) fn ran_key(session: &SessionKey, number: Number) -> Vec<u8> {
    numbered(b'r', session, number)
}

pub(super) fn quarantine_key(session: &SessionKey, number: Number) -> Vec<u8> {
    numbered(b'q', session, number)
}

fn numbered(kind: u8, session: &SessionKey, number: Number) -> Vec<u8> {
    let (epoch, seq) = (number.epoch.to_be_bytes(), number.seq.to_be_bytes());
    key(kind, &[session.as_str().as_bytes(), &[0], &epoch, &seq])
}

/// All of an entry's key but the epoch and the number: the same for all entries of a session.
pub(super) fn before_number(key: &[u8]) -> Option<&[u8]> {
    key.get(..key.len().checked_sub(16)?)
}

/// The number of an entry's key.
pub(super) fn number_of(key: &[u8]) -> Option<Number> {
    let (epoch, seq) = key.get(key.len().checked_sub(16)?..)?.split_at_checked(8)?;
    Some(Number {
        epoch: u64::from_be_bytes(epoch.try_into().ok()?),
        seq: u64::from_be_bytes(seq.try_into().ok()?),
    })
}

/// The session and number of an entry's key.
pub(super) fn parse_entry_key(key: &[u8]) -> Option<(SessionKey, Number)> {
    let name = before_number(key)?.get(1..)?.strip_suffix(&[0])?;
    let session = SessionKey::new(std::str::from_utf8(name).ok()?).ok()?;
    Some((session, number_of(key)?))
}

/// The key of the payload that belongs to an entry's key.
pub(super) fn payload_of(entry: &[u8]) -> Vec<u8> {
    let rest = entry.get(1..).unwrap_or_default();
    key(b'p', &[rest])
}

pub(super) fn bucket_prefix(bucket: u64) -> Vec<u8> {
    key(b'i', &[&bucket.to_be_bytes()])
}

pub(super) fn id_key(bucket: u64, session: &SessionKey, id: &str) -> Vec<u8> {
    key(b'i', &[&bucket.to_be_bytes(), session.as_str().as_bytes(), &[0], id.as_bytes()])
}

pub(super) fn case_key(number: u64) -> Vec<u8> {
    key(b'c', &[&number.to_be_bytes()])
}
