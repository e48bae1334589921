//! Opening a log: what the store holds becomes the state in memory.
//!
//! Session records are renewed lazily, so entries may run ahead of them: the last number is the
//! last entry's. Settled marks may be behind too: then a replica is delivered again what it has
//! run, and its guard says so. Every entry counts as ended, since no gateway will report it.

use super::cases::Cases;
use super::deliver::Delivering;
use super::entry::{Entry, LiveId, Ran};
use super::gateways::Gateways;
use super::ids::IdIndex;
use super::record::{
    self, META_KEY, Meta, StoredCase, StoredEntry, StoredId, StoredRan, StoredSession,
};
use super::session::Session;
use super::{Counters, Log, LogConfig};
use crate::Now;
use crate::store::{Store, StoreError, Write};
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::{Digest, Id, Incarnation, Number, Replica, SessionKey, limits};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU16;

fn damaged(key: &[u8], cause: impl ToString) -> StoreError {
    let key = String::from_utf8_lossy(key).into_owned();
    StoreError::Damaged { path: Default::default(), key, cause: cause.to_string() }
}

/// The record of a session, without its entries.
pub(super) fn session(store: &dyn Store, key: &SessionKey) -> Result<Option<Session>, StoreError> {
    let stored_key = record::session_key(key);
    let Some(value) = store.get(&stored_key)? else { return Ok(None) };
    let stored = StoredSession::decode(value.as_slice()).map_err(|e| damaged(&stored_key, e))?;
    let numbers = [stored.epoch, stored.base, stored.settled_primary, stored.settled_secondary];
    if numbers.iter().any(|number| *number >= limits::NUMBER_MAX) {
        return Err(damaged(&stored_key, "one of its numbers is out of range"));
    }
    Ok(Some(Session::from_record(&stored)))
}

pub(super) fn put_session(key: &SessionKey, session: &Session) -> Write {
    Write::Put { key: record::session_key(key), value: session.to_record().encode_to_vec() }
}

/// Keeps what a replica answered.
pub(super) fn put_ran(key: &SessionKey, number: Number, entry: &Entry) -> Write {
    let status = |r: usize| entry.ran[r].map_or(0, |ran| u32::from(ran.status.get()));
    let digest = |r: usize| entry.ran[r].map_or(Vec::new(), |ran| ran.digest.0.to_vec());
    let stored = StoredRan {
        primary_status: status(0),
        primary_digest: digest(0),
        secondary_status: status(1),
        secondary_digest: digest(1),
    };
    Write::Put { key: record::ran_key(key, number), value: stored.encode_to_vec() }
}

fn ran_of(stored: &StoredRan) -> [Option<Ran>; 2] {
    let ran = |status: u32, digest: &[u8]| {
        let status = NonZeroU16::new(u16::try_from(status).ok()?)?;
        Some(Ran { status, digest: Digest::from_wire(digest) })
    };
    [
        ran(stored.primary_status, &stored.primary_digest),
        ran(stored.secondary_status, &stored.secondary_digest),
    ]
}

impl Log {
    /// Opens the log that a store holds, or begins a new one in an empty store. `random` seeds
    /// the incarnation of a new store and the jitter.
    pub fn open(
        store: Box<dyn Store>,
        config: LogConfig,
        random: [u8; 16],
        now: Now,
    ) -> Result<Log, StoreError> {
        Log::open_telling(store, config, random, now, &mut |_| ())
    }

    /// The same, and tells how many entries have been read, for those who wait.
    pub fn open_telling(
        mut store: Box<dyn Store>,
        config: LogConfig,
        random: [u8; 16],
        now: Now,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Log, StoreError> {
        let (first, second) = random.split_at(8);
        let meta = load_meta(store.as_mut(), &config.service, first)?;
        let ids = IdIndex::load(store.as_ref(), config.remember_ids_ms, config.remember_ids_bytes)?;
        let mut log = Log {
            incarnation: Incarnation::from_wire(&meta.incarnation),
            epoch: meta.epoch,
            journals: [
                Incarnation::from_wire(&meta.primary_journal),
                Incarnation::from_wire(&meta.secondary_journal),
            ],
            meta_dirty: false,
            sessions: BTreeMap::new(),
            ids,
            cases: Cases { next: meta.next_case, ..Cases::default() },
            gateways: Gateways::default(),
            delivering: [Delivering::default(), Delivering::default()],
            takeovers: VecDeque::new(),
            timers: BTreeSet::new(),
            resting: BTreeSet::new(),
            dirty: BTreeSet::new(),
            ran_dirty: Vec::new(),
            dirty_since_ms: None,
            urgent: Vec::new(),
            lazy: Vec::new(),
            staged: Vec::new(),
            live_bytes: 0,
            live_entries: 0,
            full: Default::default(),
            random: u64::from_le_bytes(second.try_into().unwrap_or_default()),
            counters: Counters::default(),
            fault: None,
            store,
            config,
        };
        log.load_cases()?;
        log.load_entries(now, tell)?;
        if mutants::on(Mutant::ReuseNumber) {
            log.sessions.values_mut().for_each(Session::unnumber);
        }
        log.load_ran()?;
        let keys: Vec<SessionKey> = log.sessions.keys().cloned().collect();
        for key in keys {
            log.settle_and_go_on(now, &key);
        }
        Ok(log)
    }

    fn load_cases(&mut self) -> Result<(), StoreError> {
        let kept = &mut self.cases.kept;
        self.store.scan(b"c", &mut |key, value| {
            let number = key.get(1..9).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
            if let (Some(number), Ok(case)) = (number, StoredCase::decode(value)) {
                kept.push_back((number, case));
            }
            Ok(true)
        })
    }

    fn load_entries(&mut self, now: Now, tell: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let (store, sessions) = (&self.store, &mut self.sessions);
        let (mut bytes, mut count) = (0, 0);
        let mut leftovers = Vec::new();
        // The entries of a session come one after the other: its key's bytes, and itself.
        let mut open: Option<(Vec<u8>, SessionKey, Session)> = None;
        self.store.scan(b"e", &mut |key, value| {
            let stored = StoredEntry::decode(value).map_err(|e| damaged(key, e))?;
            let head = record::before_number(key).ok_or_else(|| damaged(key, "is too short"))?;
            if open.as_ref().is_none_or(|(known, ..)| known != head) {
                let (name, _) = record::parse_entry_key(key)
                    .ok_or_else(|| damaged(key, "not an entry's key"))?;
                let found = session(store.as_ref(), &name)?
                    .ok_or_else(|| damaged(key, "an entry of a session without a record"))?;
                let before = open.replace((head.to_vec(), name, found));
                sessions.extend(before.map(|(_, name, session)| (name, session)));
            }
            let Some((_, name, session)) = &mut open else { return Ok(true) };
            let number = record::number_of(key).ok_or_else(|| damaged(key, "is too short"))?;
            let next = session.last() + 1;
            let quarantined =
                session.forced && store.get(&record::quarantine_key(name, number))?.is_some();
            if number.epoch != session.epoch || number.seq < next || quarantined {
                leftovers.push((name.clone(), number, stored, quarantined));
                return Ok(true);
            }
            if number.seq > next {
                return Err(damaged(key, format!("number {next} of its session is missing")));
            }
            let entry = Entry::recovered(&stored, now.mono_ms).map_err(|e| damaged(key, e))?;
            bytes += u64::from(entry.bytes);
            count += 1;
            session.push(entry);
            tell(count);
            Ok(true)
        })?;
        sessions.extend(open.map(|(_, name, session)| (name, session)));
        self.live_bytes = bytes;
        self.live_entries = count;
        leftovers.into_iter().try_for_each(|(key, number, stored, quarantined)| {
            self.finish_removal(now, &key, number, stored, quarantined)
        })
    }

    /// A crash came between the record of a session and the removal of its entry: the id may not
    /// be remembered yet.
    fn finish_removal(
        &mut self,
        now: Now,
        key: &SessionKey,
        number: Number,
        stored: StoredEntry,
        quarantined: bool,
    ) -> Result<(), StoreError> {
        let entry_key = record::entry_key(key, number);
        let id = Id::new(stored.id).map_err(|e| damaged(&entry_key, e))?;
        let unknown = self.ids.get(self.store.as_ref(), key, &id)?.is_none();
        if unknown && !quarantined && !stored.withdrawn && !mutants::on(Mutant::ForgetId) {
            let ran = self.store.get(&record::ran_key(key, number))?;
            let ran = ran.and_then(|value| StoredRan::decode(value.as_slice()).ok());
            let status = ran.map_or(0, |ran| match ran.primary_status {
                0 => ran.secondary_status,
                status => status,
            });
            let stored = StoredId {
                epoch: number.epoch,
                seq: number.seq,
                link: stored.link,
                fingerprint: stored.fingerprint,
                status,
                received_ms: stored.received_ms,
            };
            self.lazy.push(self.ids.put(now.unix_ms, key, LiveId::new(&id), stored));
        }
        self.lazy.push(Write::Delete { key: record::payload_key(key, number) });
        self.lazy.push(Write::Delete { key: entry_key });
        Ok(())
    }

    fn load_ran(&mut self) -> Result<(), StoreError> {
        let (sessions, lazy) = (&mut self.sessions, &mut self.lazy);
        self.store.scan(b"r", &mut |key, value| {
            let stored = StoredRan::decode(value).map_err(|e| damaged(key, e))?;
            let entry = record::parse_entry_key(key).and_then(|(name, number)| {
                let session = sessions.get_mut(&name).filter(|s| s.epoch == number.epoch)?;
                session.entry_mut(number.seq)
            });
            match entry {
                Some(entry) => {
                    entry.ran_kept = true;
                    entry.ran = ran_of(&stored);
                }
                None => lazy.push(Write::Delete { key: key.to_vec() }),
            }
            Ok(true)
        })
    }

    pub(super) fn stage_meta(&mut self) {
        self.meta_dirty = false;
        let meta = Meta {
            format: record::FORMAT,
            service: self.config.service.clone(),
            incarnation: self.incarnation.to_wire(),
            epoch: self.epoch,
            primary_journal: self.journals[Replica::Primary.index()].to_wire(),
            secondary_journal: self.journals[Replica::Secondary.index()].to_wire(),
            next_case: self.cases.next,
        };
        self.urgent.push(Write::Put { key: META_KEY.to_vec(), value: meta.encode_to_vec() });
    }

    /// The lives of a replica's journal that this log has heard of, as far as it may name them.
    pub fn journal_lives(&self, replica: Replica) -> Result<BTreeSet<Incarnation>, StoreError> {
        journal_lives(self.store.as_ref(), replica)
    }

    /// The incarnation of this log's store.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

/// The lives of a replica's journal that a log's store names, in what it may still deliver too.
pub fn journal_lives(
    store: &dyn Store,
    replica: Replica,
) -> Result<BTreeSet<Incarnation>, StoreError> {
    let mut lives = BTreeSet::new();
    let mut add = |both: [&[u8]; 2]| {
        let life = Incarnation::from_wire(both[replica.index()]);
        lives.extend(Some(life).filter(|life| life.is_known()));
    };
    if let Some(value) = store.get(META_KEY)? {
        let meta = Meta::decode(value.as_slice()).map_err(|e| damaged(META_KEY, e))?;
        add([&meta.primary_journal, &meta.secondary_journal]);
    }
    store.scan(b"e", &mut |key, value| {
        let entry = StoredEntry::decode(value).map_err(|e| damaged(key, e))?;
        add([&entry.primary_journal, &entry.secondary_journal]);
        Ok(true)
    })?;
    Ok(lives)
}

/// Whether a store is this log's, and of a format that this build reads.
pub(super) fn check(meta: &Meta, service: &str) -> Result<(), StoreError> {
    if meta.format != record::FORMAT {
        let cause = format!(
            "its format is {}, this build reads {}; let the build that wrote it deliver what it \
             holds, then begin with an empty directory",
            meta.format,
            record::FORMAT
        );
        return Err(damaged(META_KEY, cause));
    }
    if meta.epoch.max(meta.next_case) >= limits::NUMBER_MAX {
        return Err(damaged(META_KEY, "its epoch or its next case is out of range"));
    }
    if meta.service != service {
        let cause = format!("it is the log of the service {}, not of {service}", meta.service);
        return Err(damaged(META_KEY, cause));
    }
    Ok(())
}

fn load_meta(store: &mut dyn Store, service: &str, random: &[u8]) -> Result<Meta, StoreError> {
    if let Some(value) = store.get(META_KEY)? {
        let meta = Meta::decode(value.as_slice()).map_err(|e| damaged(META_KEY, e))?;
        check(&meta, service)?;
        return Ok(meta);
    }
    let meta = Meta {
        format: record::FORMAT,
        service: service.to_string(),
        incarnation: random.to_vec(),
        ..Meta::default()
    };
    store.commit(&[Write::Put { key: META_KEY.to_vec(), value: meta.encode_to_vec() }])?;
    Ok(meta)
}
