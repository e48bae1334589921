//! A journal in place of one that is lost: how it is recognised, and how an operator makes it one
//! that may run writes again.
//!
//! A journal without any session that is told of a past is *unseeded*: a stamp names a life of this
//! replica's journal that the store never had, or a delivery follows what ran before. It answers
//! every begin with "not run" until it is seeded: with the positions of the other replica, whose
//! data the service was given ([`seed`]), or as it is ([`adopt`]) if the service still has its own.

use super::Journal;
use super::open::{load_meta, put_meta};
use super::record::{self, MetaRecord, SESSION_PREFIX, SessionRecord};
use super::session::{Candidate, Session};
use crate::store::{Store, StoreError, Write};
use prost::Message as _;
use protocol::{Digest, Incarnation, Position, Replica, SessionKey};
use thiserror::Error;

/// Records of one commit.
const BATCH: usize = 512;

/// Where a session stands at a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPosition {
    /// The session.
    pub session: SessionKey,
    /// The last write that ran.
    pub at: Position,
    /// The log that numbered it.
    pub log: Incarnation,
    /// With which status it ran; 0 if that is not known.
    pub status: u16,
    /// The digest of its response body.
    pub digest: Digest,
}

/// Why a journal is not seeded.
#[derive(Debug, Error)]
pub enum SeedError {
    /// The store fails, or is not this replica's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no journal in place of a lost one.
    #[error(
        "the journal knows {0} sessions of its own: it needs no seed, and would forget what ran"
    )]
    InUse(u64),
}

impl Journal {
    /// A journal of this replica had a life that this store knows nothing of.
    pub(super) fn is_stranger(&self, write: &Candidate) -> bool {
        match write.journal.is_known() {
            true => !self.lives.contains(&write.journal),
            // The log had not heard of any life yet, and this store may have lost what ran then.
            false => self.incomplete,
        }
    }

    /// Whether this journal may run nothing; this write may be what tells it so.
    pub(super) fn is_unseeded(&mut self, write: &Candidate) -> bool {
        if !self.unseeded && !self.incomplete && self.cache.stored() == 0 {
            // A delivery is in order: the log holds that everything before it ran here.
            let follows = write.number.seq > 1 || write.after.is_some();
            self.unseeded = self.is_stranger(write) || write.delivery && follows;
            self.meta_dirty = self.unseeded;
        }
        self.unseeded
    }

    pub(super) fn stage_meta(&self) -> Write {
        put_meta(&MetaRecord {
            version: record::VERSION,
            service: self.config.service.clone(),
            replica: self.config.replica.name().to_string(),
            lives: self.lives.iter().map(|life| life.to_wire()).collect(),
            unseeded: self.unseeded,
            incomplete: self.incomplete,
        })
    }

    /// Tells of each session where it stands here; `Err` holds those of which that is not known,
    /// since a write of theirs is running or in doubt.
    pub fn positions(&self) -> Result<Result<Vec<SessionPosition>, Vec<SessionKey>>, StoreError> {
        let (mut positions, mut open) = (Vec::new(), Vec::new());
        scan(self.store.as_ref(), &mut |name, session| {
            if session.flight.is_some() {
                open.push(name);
            } else if let Some(at) = session.last {
                let Session { log, status, digest, .. } = session;
                positions.push(SessionPosition { session: name, at, log, status, digest });
            }
        })?;
        Ok(if open.is_empty() { Ok(positions) } else { Err(open) })
    }
}

fn scan(store: &dyn Store, visit: &mut dyn FnMut(SessionKey, Session)) -> Result<(), StoreError> {
    store.scan(SESSION_PREFIX, &mut |key, value| {
        let session = record::decode_session(store.path(), key, value)?;
        let name = record::parse_session_key(key)
            .ok_or_else(|| record::damaged(store.path(), key, "the key is no session's"))?;
        visit(name, session);
        Ok(true)
    })
}

/// Takes the positions of the other replica over into a journal without sessions. `lives` are those
/// of this replica's journal that its log has heard of: what they had run is in these positions.
pub fn seed(
    store: &mut dyn Store,
    service: &str,
    replica: Replica,
    lives: &[Incarnation],
    positions: &[SessionPosition],
) -> Result<(), SeedError> {
    let mut meta = load_meta(store, service, replica)?;
    let mut old = Vec::new();
    scan(store, &mut |name, _| old.push(name))?;
    if !old.is_empty() && !meta.unseeded {
        return Err(SeedError::InUse(old.len() as u64));
    }
    // Until all of it is there the journal stays unseeded; what an earlier try left goes first.
    meta.unseeded = true;
    store.commit(&[put_meta(&meta)])?;
    for names in old.chunks(BATCH) {
        let delete = |name| Write::Delete { key: record::session_key(name) };
        store.commit(&names.iter().map(delete).collect::<Vec<_>>())?;
    }
    for positions in positions.chunks(BATCH) {
        store.commit(&positions.iter().map(put).collect::<Vec<_>>())?;
    }
    for life in lives.iter().filter(|life| life.is_known()).map(|life| life.to_wire()) {
        if !meta.lives.contains(&life) {
            meta.lives.push(life);
        }
    }
    meta.unseeded = false;
    Ok(store.commit(&[put_meta(&meta)])?)
}

fn put(position: &SessionPosition) -> Write {
    let session = Session {
        last: Some(position.at),
        log: position.log,
        status: position.status,
        digest: position.digest,
        ..Session::default()
    };
    let value = SessionRecord::of(&session).encode_to_vec();
    Write::Put { key: record::session_key(&position.session), value }
}

/// Takes a journal without sessions as it is: the service still has its data, only the journal is
/// lost. What its lives may have run is in doubt, never fresh.
pub fn adopt(store: &mut dyn Store, service: &str, replica: Replica) -> Result<(), SeedError> {
    let meta = load_meta(store, service, replica)?;
    let mut sessions = 0;
    scan(store, &mut |_, _| sessions += 1)?;
    if sessions > 0 {
        return Err(SeedError::InUse(sessions));
    }
    Ok(store.commit(&[put_meta(&MetaRecord { unseeded: false, incomplete: true, ..meta })])?)
}
