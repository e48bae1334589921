//! A live entry in memory. A long outage leaves a million of them, so every byte counts: what is
//! seldom there is behind a pointer, and an id is kept in the 16 bytes that most ids stand for.

use super::record::StoredEntry;
use protocol::mutants::{self, Mutant};
use protocol::{Digest, Id, Incarnation, Link, Replica};
use std::num::{NonZeroU16, NonZeroU64};

/// First 16 bytes of SHA-256 over method, path and body.
pub(super) type Fingerprint = [u8; 16];

/// What a replica's guard said of a write that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub status: NonZeroU16,
    pub digest: Digest,
}

/// A numbered write that some replica has not settled. Its payload is in the store.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: LiveId,
    pub fingerprint: Fingerprint,
    pub link: Link,
    pub received_ms: u64,
    /// See [`Entry::ended_ms`]; one more, so that it is never 0.
    ended: Option<NonZeroU64>,
    releases: Releases,
    /// The journals' incarnations that the log knew when it numbered this.
    pub journals: [Incarnation; 2],
    pub ran: [Option<Ran>; 2],
    /// Bytes that it takes in the store.
    pub bytes: u32,
    /// A gateway reported what became of it, so it was released.
    pub end_reported: bool,
    /// A delivery of it has begun.
    pub attempted: bool,
    pub withdrawn: bool,
    /// `ran` has a record of its own.
    pub ran_kept: bool,
}

impl Entry {
    /// An entry that was numbered just now.
    pub(super) fn new(
        id: &Id,
        link: Link,
        stored: &StoredEntry,
        journals: [Incarnation; 2],
    ) -> Self {
        Entry {
            id: LiveId::new(id),
            fingerprint: stored.fingerprint.as_slice().try_into().unwrap_or_default(),
            link,
            received_ms: stored.received_ms,
            ended: None,
            releases: Releases::default(),
            journals,
            ran: [None; 2],
            bytes: stored.bytes,
            end_reported: false,
            attempted: false,
            withdrawn: false,
            ran_kept: false,
        }
    }

    /// An entry that the process before this one numbered: what had become of it is not known,
    /// but no gateway will report it any more.
    pub(super) fn recovered(stored: &StoredEntry, now_ms: u64) -> Result<Entry, String> {
        let id = Id::new(stored.id.as_str()).map_err(|e| format!("its id {e}"))?;
        let link = Link::from_wire(&stored.link).ok_or("its link has a wrong size")?;
        let journals = [&stored.primary_journal, &stored.secondary_journal];
        let journals = journals.map(|journal| Incarnation::from_wire(journal));
        let mut entry = Entry::new(&id, link, stored, journals);
        entry.end_reported = true;
        entry.attempted = true;
        entry.withdrawn = stored.withdrawn;
        if !mutants::on(Mutant::ForgetEndsAtRestart) {
            entry.end_at(now_ms);
        }
        Ok(entry)
    }

    /// Its end, a takeover or the loss of its gateway's stream: when, on the monotonic clock.
    pub(super) fn ended_ms(&self) -> Option<u64> {
        self.ended.map(|ended| ended.get() - 1)
    }

    /// It has ended, if it has not ended before.
    pub(super) fn end_at(&mut self, now_ms: u64) {
        self.ended = self.ended.or(NonZeroU64::new(now_ms.saturating_add(1)));
    }

    /// The reply to the Append with this token went out.
    pub(super) fn release(&mut self, token: u64) {
        self.releases.0.get_or_insert_default().tokens.push(token);
    }

    /// The Append with this token was cancelled or has ended.
    pub(super) fn unrelease(&mut self, token: u64) {
        if let Some(some) = &mut self.releases.0 {
            some.tokens.retain(|other| *other != token);
            if some.tokens.is_empty() {
                self.releases = Releases::default();
            }
        }
    }

    /// A reply went out whose Append was not cancelled and has not ended.
    pub(super) fn is_released(&self) -> bool {
        self.releases.0.is_some()
    }

    /// The status with which it ran, the primary's if both have run it; 0 if it is not known.
    pub(super) fn status(&self) -> u32 {
        self.ran.iter().flatten().map(|ran| u32::from(ran.status.get())).next().unwrap_or(0)
    }

    /// What is kept of it, beside its payload.
    pub(super) fn to_record(&self) -> StoredEntry {
        StoredEntry {
            id: self.id.to_string(),
            fingerprint: self.fingerprint.to_vec(),
            link: self.link.0.to_vec(),
            received_ms: self.received_ms,
            withdrawn: self.withdrawn,
            primary_journal: self.journals[Replica::Primary.index()].to_wire(),
            secondary_journal: self.journals[Replica::Secondary.index()].to_wire(),
            bytes: self.bytes,
        }
    }
}

/// Tokens of the Appends whose reply is out; `None` if there are none.
#[derive(Clone, Debug, Default)]
struct Releases(Option<Box<Tokens>>);

#[derive(Clone, Debug, Default)]
struct Tokens {
    tokens: Vec<u64>,
}

/// The id of a live entry. Each id has one form only, so equal forms are equal ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LiveId {
    /// 32 hexadecimal digits, as minted ids are.
    Hex([u8; 16]),
    /// Digits like these with dashes between.
    Uuid([u8; 16]),
    Text(Box<str>),
}

const DASHES: [usize; 4] = [8, 13, 18, 23];

impl LiveId {
    pub(super) fn new(id: &Id) -> LiveId {
        let text = id.as_str();
        match text.len() {
            32 => digits(text.bytes()).map(LiveId::Hex),
            36 if DASHES.iter().all(|at| text.as_bytes()[*at] == b'-') => {
                let digit = |(at, byte)| (!DASHES.contains(&at)).then_some(byte);
                digits(text.bytes().enumerate().filter_map(digit)).map(LiveId::Uuid)
            }
            _ => None,
        }
        .unwrap_or_else(|| LiveId::Text(text.into()))
    }

    /// What [`super::session::Session::find`] finds it by.
    pub(super) fn hash(&self) -> u32 {
        match self {
            LiveId::Hex(bytes) | LiveId::Uuid(bytes) => crc32fast::hash(bytes),
            LiveId::Text(text) => crc32fast::hash(text.as_bytes()),
        }
    }
}

/// 16 bytes of 32 hexadecimal digits, if they are lowercase ones.
fn digits(mut text: impl Iterator<Item = u8>) -> Option<[u8; 16]> {
    let mut digit = || match text.next()? {
        d @ b'0'..=b'9' => Some(d - b'0'),
        d @ b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = digit()? << 4 | digit()?;
    }
    Some(bytes)
}

impl std::fmt::Display for LiveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, dashes): (_, &[usize]) = match self {
            LiveId::Hex(bytes) => (bytes, &[]),
            LiveId::Uuid(bytes) => (bytes, &[4, 6, 8, 10]),
            LiveId::Text(text) => return f.write_str(text),
        };
        let mut text = String::with_capacity(36);
        for (n, byte) in bytes.iter().enumerate() {
            if dashes.contains(&n) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_memory_as_it_was_and_equals_no_other() {
        let texts = [
            "0123456789abcdef0123456789abcdef",
            "01234567-89ab-cdef-0123-456789abcdef",
            "0123456789ABCDEF0123456789abcdef",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdeg",
            "0123456-789ab-cdef-0123-456789abcdef",
            "01234567-89ab-cdef-0123-45678-9abcde",
            "01234567 89ab cdef 0123 456789abcdef",
            "a",
        ];
        let forms = texts.map(|text| LiveId::new(&Id::new(text).expect("an id")));
        for (n, form) in forms.iter().enumerate() {
            assert_eq!(form.to_string(), texts[n]);
            assert!(forms[..n].iter().all(|other| other != form), "{form}");
        }
        assert!(matches!(forms[..2], [LiveId::Hex(_), LiveId::Uuid(_)]));
        assert!(forms[2..].iter().all(|form| matches!(form, LiveId::Text(_))));
    }

    #[test]
    fn a_million_entries_take_less_than_128_mib() {
        assert!(size_of::<Entry>() <= 128, "{}", size_of::<Entry>());
    }
}
