//! A log out of what could be read of a damaged store.
//!
//! Records may be missing, or older than others. So nothing is taken for the end of a session: each
//! opens a new epoch, that follows from nothing, with its next write, and no number is given out
//! twice. What stands in an unbroken row after what both replicas have settled is delivered first;
//! what is behind a hole is put in quarantine.

use super::cases::Kind;
use super::entry::Entry;
use super::record::{
    self, META_KEY, Meta, StoredCase, StoredEntry, StoredId, StoredPayload, StoredRan,
};
use super::recover;
use super::session::Session;
use crate::store::{Store, StoreError, Write};
use prost::Message as _;
use protocol::{Id, Incarnation, Link, Number, SessionKey, limits};
use std::collections::BTreeMap;

/// Writes of one commit; a salvage that is cut off is begun again with the damaged store.
const BATCH: usize = 512;

/// What a salvaged log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Sessions that it knows.
    pub sessions: u64,
    /// Writes that will be delivered.
    pub entries: u64,
    /// Writes in quarantine, since something before them is missing.
    pub quarantined: Vec<(SessionKey, Number)>,
    /// Records that were there and could not be read.
    pub lost: u64,
}

/// A session while its records are looked through.
struct Found {
    session: Session,
    /// The last number in an unbroken row, and its link.
    row: (u64, Link),
    broken: bool,
}

/// Makes the records of a salvaged store safe to be opened as a log, under a new incarnation.
pub fn salvage(
    store: &mut dyn Store,
    service: &str,
    random: [u8; 16],
) -> Result<Salvaged, StoreError> {
    let mut salvage = Salvage { writes: Vec::new(), salvaged: Salvaged::default(), epoch: 0 };
    let meta = salvage.meta(store, service, random)?;
    let mut found = salvage.sessions(store)?;
    salvage.entries(store, &mut found)?;
    salvage.others(store)?;
    salvage.salvaged.sessions = found.len() as u64;
    for (key, found) in &mut found {
        let session = &mut found.session;
        session.forced = true;
        let settled = session.settled.map(|settled| settled.clamp(session.base, found.row.0));
        session.settled = settled;
        salvage.writes.push(recover::put_session(key, session));
    }
    let mut meta = Meta { epoch: meta.epoch.max(salvage.epoch), ..meta };
    for (key, number) in &salvage.salvaged.quarantined {
        let case = StoredCase {
            kind: Kind::Quarantined.name().to_string(),
            session: key.to_string(),
            epoch: number.epoch,
            seq: number.seq,
            detail: "what precedes it was lost with a damaged store".to_string(),
            ..StoredCase::default()
        };
        let key = record::case_key(meta.next_case);
        salvage.writes.push(Write::Put { key, value: case.encode_to_vec() });
        meta.next_case += 1;
    }
    salvage.writes.push(Write::Put { key: META_KEY.to_vec(), value: meta.encode_to_vec() });
    for writes in salvage.writes.chunks(BATCH) {
        store.commit(writes)?;
    }
    Ok(salvage.salvaged)
}

struct Salvage {
    writes: Vec<Write>,
    salvaged: Salvaged,
    /// The highest epoch seen.
    epoch: u64,
}

impl Salvage {
    fn meta(
        &mut self,
        store: &dyn Store,
        service: &str,
        random: [u8; 16],
    ) -> Result<Meta, StoreError> {
        let stored = store.get(META_KEY)?;
        self.salvaged.lost += u64::from(stored.is_none());
        let known = stored.and_then(|value| Meta::decode(value.as_slice()).ok());
        if let Some(meta) = &known {
            recover::check(meta, service)?;
        }
        let mut meta = known.unwrap_or_default();
        meta.format = record::FORMAT;
        meta.service = service.to_string();
        meta.incarnation = Incarnation::from_wire(&random[..8]).to_wire();
        store.scan(b"c", &mut |key, _| {
            let number = key.get(1..9).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
            meta.next_case = meta.next_case.max(number.unwrap_or_default().saturating_add(1));
            Ok(true)
        })?;
        Ok(meta)
    }

    fn sessions(&mut self, store: &dyn Store) -> Result<BTreeMap<SessionKey, Found>, StoreError> {
        let mut found = BTreeMap::new();
        let mut keys = Vec::new();
        store.scan(b"s", &mut |key, _| {
            keys.push(key.to_vec());
            Ok(true)
        })?;
        for key in keys {
            let name =
                std::str::from_utf8(&key[1..]).ok().and_then(|name| SessionKey::new(name).ok());
            let session = name.and_then(|name| Some((recover::session(store, &name).ok()??, name)));
            match session {
                Some((session, name)) => {
                    self.epoch = self.epoch.max(session.epoch);
                    let row = (session.base, session.base_link);
                    found.insert(name, Found { session, row, broken: false });
                }
                None => self.drop_record(key),
            }
        }
        Ok(found)
    }

    /// Walks along the entries of each session, which come in the order of their numbers.
    fn entries(
        &mut self,
        store: &dyn Store,
        found: &mut BTreeMap<SessionKey, Found>,
    ) -> Result<(), StoreError> {
        store.scan(b"e", &mut |key, value| {
            let Some((name, number)) = record::parse_entry_key(key) else {
                self.drop_record(key.to_vec());
                return Ok(true);
            };
            self.epoch = self.epoch.max(number.epoch).min(limits::NUMBER_MAX - 1);
            // Of a session whose record is lost nothing is known to precede the entry.
            let found = found.entry(name.clone()).or_insert_with(|| Found {
                session: Session::begin(number.epoch, None, false, 0),
                row: (0, Link::START),
                broken: true,
            });
            let session = &found.session;
            let settled = number.epoch < session.epoch
                || number.epoch == session.epoch && number.seq <= session.base;
            if settled && !found.broken {
                self.writes.push(Write::Delete { key: key.to_vec() });
                self.writes.push(Write::Delete { key: record::payload_of(key) });
                return Ok(true);
            }
            let payload = store.get(&record::payload_of(key))?;
            let link = link_of(value, found.row.1, payload.as_deref());
            let follows = number.epoch == session.epoch && number.seq == found.row.0 + 1;
            match link.filter(|_| follows && !found.broken) {
                Some(link) => {
                    found.row = (number.seq, link);
                    self.salvaged.entries += 1;
                }
                None => {
                    found.broken = true;
                    let value = [value, &payload.unwrap_or_default()].concat();
                    let quarantine = record::quarantine_key(&name, number);
                    self.writes.push(Write::Put { key: quarantine, value });
                    self.writes.push(Write::Delete { key: key.to_vec() });
                    self.writes.push(Write::Delete { key: record::payload_of(key) });
                    self.writes.push(Write::Delete { key: record::ran_key(&name, number) });
                    self.salvaged.quarantined.push((name, number));
                }
            }
            Ok(true)
        })
    }

    /// What is only looked up, and must decode when it is.
    fn others(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut check = |prefix: &[u8], decodes: fn(&[u8]) -> bool| {
            store.scan(prefix, &mut |key, value| {
                if !decodes(value) {
                    self.drop_record(key.to_vec());
                }
                Ok(true)
            })
        };
        check(b"r", |value| StoredRan::decode(value).is_ok())?;
        check(b"i", |value| StoredId::decode(value).is_ok())?;
        check(b"c", |value| StoredCase::decode(value).is_ok())
    }

    fn drop_record(&mut self, key: Vec<u8>) {
        self.salvaged.lost += 1;
        self.writes.push(Write::Delete { key });
    }
}

/// The link of an entry that is whole and follows from this link.
fn link_of(value: &[u8], before: Link, payload: Option<&[u8]>) -> Option<Link> {
    let stored = StoredEntry::decode(value).ok()?;
    Entry::recovered(&stored, 0).ok()?;
    let link = before.next(&Id::new(stored.id.clone()).ok()?);
    let fits = Link::from_wire(&stored.link) == Some(link);
    let whole = match payload {
        Some(payload) => StoredPayload::decode(payload).is_ok(),
        None => stored.withdrawn,
    };
    (fits && whole).then_some(link)
}
