//! What the journal stores, version 1. Keys and tags are persisted and must be kept stable;
//! fields are only ever added.
//!
//! | key | value |
//! |---|---|
//! | `meta` | [`MetaRecord`] |
//! | `s/` session key | [`SessionRecord`] |

use super::session::{Flight, FlightState, Session};
use crate::store::StoreError;
use prost::Message;
use protocol::mutants::{self, Mutant};
use protocol::{Digest, Incarnation, Link, Number, Position, SessionKey, limits, pb};
use std::path::Path;

/// The version that this build writes and the only one that it reads.
pub(super) const VERSION: u32 = 1;
/// Lives that a store remembers of itself.
pub(super) const LIVES_KEPT: usize = 4096;
/// The key of the [`MetaRecord`].
pub(super) const META_KEY: &[u8] = b"meta";
/// What the keys of all sessions begin with.
pub(super) const SESSION_PREFIX: &[u8] = b"s/";

/// About the store itself.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetaRecord {
    /// [`VERSION`].
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    /// Whose journal it is.
    #[prost(string, tag = "2")]
    pub(super) service: String,
    /// Whose journal it is.
    #[prost(string, tag = "3")]
    pub(super) replica: String,
    /// One incarnation for every time that it was opened, the last [`LIVES_KEPT`], oldest first.
    /// A log that knows a life which is not among them has seen a store that this one is not, or
    /// of which it is an old copy.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(super) lives: Vec<Vec<u8>>,
    /// It came in place of a journal that is lost: it runs nothing until it is seeded.
    #[prost(bool, tag = "5")]
    pub(super) unseeded: bool,
    /// Records of sessions may be missing, by an operator's word.
    #[prost(bool, tag = "6")]
    pub(super) incomplete: bool,
}

/// One session.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionRecord {
    /// The last number that ran; absent if none has.
    #[prost(message, optional, tag = "1")]
    pub(super) last: Option<pb::Position>,
    /// The incarnation of the log that numbered `last`.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) log: Vec<u8>,
    /// With which status `last` ran; 0 for a no-op and for a skipped write.
    #[prost(uint32, tag = "3")]
    pub(super) status: u32,
    /// The digest of its response body.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) digest: Vec<u8>,
    /// What was granted and not reported, or is in doubt.
    #[prost(message, optional, tag = "5")]
    pub(super) flight: Option<FlightRecord>,
}

/// A write in flight.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FlightRecord {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    /// Its number.
    #[prost(uint64, tag = "2")]
    pub(super) seq: u64,
    /// Its link, 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) link: Vec<u8>,
    /// Its id.
    #[prost(string, tag = "4")]
    pub(super) id: String,
    /// Its method.
    #[prost(string, tag = "5")]
    pub(super) method: String,
    /// Its path, cut to what is listed.
    #[prost(string, tag = "6")]
    pub(super) path: String,
    /// The guard worker that may run it; empty if none was granted it in this store's memory.
    #[prost(bytes = "vec", tag = "7")]
    pub(super) owner: Vec<u8>,
    /// How long its run may take, milliseconds.
    #[prost(uint32, tag = "8")]
    pub(super) run_timeout_ms: u32,
    /// It opens an epoch that does not follow from the last one.
    #[prost(bool, tag = "9")]
    pub(super) forced: bool,
    /// 1 running, 2 in doubt, 3 to be redone.
    #[prost(uint32, tag = "10")]
    pub(super) state: u32,
    /// The incarnation of the log that numbered it.
    #[prost(bytes = "vec", tag = "11")]
    pub(super) log: Vec<u8>,
}

/// The key of a session.
pub(super) fn session_key(session: &SessionKey) -> Vec<u8> {
    [SESSION_PREFIX, session.as_str().as_bytes()].concat()
}

/// The session of a key; `None` if it is no session's.
pub(super) fn parse_session_key(key: &[u8]) -> Option<SessionKey> {
    let name = std::str::from_utf8(key.strip_prefix(SESSION_PREFIX)?).ok()?;
    SessionKey::new(name).ok()
}

impl SessionRecord {
    /// The record of a session.
    pub(super) fn of(session: &Session) -> SessionRecord {
        SessionRecord {
            last: session.last.map(Position::to_wire),
            log: session.log.to_wire(),
            status: u32::from(session.status),
            digest: session.digest.0.to_vec(),
            flight: session.flight.as_ref().map(|flight| FlightRecord {
                epoch: flight.number.epoch,
                seq: flight.number.seq,
                link: flight.link.0.to_vec(),
                id: flight.id.clone(),
                method: flight.method.clone(),
                path: flight.path.clone(),
                owner: flight.owner.clone(),
                run_timeout_ms: flight.run_timeout_ms,
                forced: flight.forced,
                log: flight.log.to_wire(),
                state: match flight.state {
                    FlightState::Running => 1,
                    FlightState::InDoubt => 2,
                    FlightState::Redo => 3,
                },
            }),
        }
    }

    /// The session of this record; `None` if a field has a wrong size or value.
    pub(super) fn into_session(self) -> Option<Session> {
        let flight = match self.flight {
            None => None,
            Some(record) => Some(Flight {
                number: Number { epoch: record.epoch, seq: record.seq },
                link: Link::from_wire(&record.link)?,
                id: record.id,
                method: record.method,
                path: record.path,
                owner: record.owner,
                run_timeout_ms: record.run_timeout_ms,
                forced: record.forced,
                log: Incarnation::from_wire(&record.log),
                state: match record.state {
                    1 => FlightState::Running,
                    2 => FlightState::InDoubt,
                    3 => FlightState::Redo,
                    _ => return None,
                },
            }),
        };
        let last = match &self.last {
            None => None,
            Some(position) => Some(Position::from_wire(position)?),
        };
        let numbers = last.iter().map(|last| last.number).chain(flight.iter().map(|f| f.number));
        if numbers.map(|n| n.seq.max(n.epoch)).any(|number| number >= limits::NUMBER_MAX) {
            return None;
        }
        Some(Session {
            last,
            log: Incarnation::from_wire(&self.log),
            status: u16::try_from(self.status).ok()?,
            digest: Digest::from_wire(&self.digest),
            flight,
            ..Session::default()
        })
    }
}

/// Reads a record back.
pub(super) fn decode<M: Message + Default>(
    path: &Path,
    key: &[u8],
    value: &[u8],
) -> Result<M, StoreError> {
    M::decode(value).map_err(|e| damaged(path, key, &e.to_string()))
}

/// Reads a session back.
pub(super) fn decode_session(path: &Path, key: &[u8], value: &[u8]) -> Result<Session, StoreError> {
    let session = decode::<SessionRecord>(path, key, value)?
        .into_session()
        .ok_or_else(|| damaged(path, key, "a field of the session has a wrong size or value"))?;
    if mutants::on(Mutant::FreshAfterRestart) {
        return Ok(Session { flight: None, ..session });
    }
    Ok(session)
}

/// The error of a record that cannot be read.
pub(super) fn damaged(path: &Path, key: &[u8], cause: &str) -> StoreError {
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    StoreError::Damaged { path: path.to_path_buf(), key, cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let number = Number { epoch: 5, seq: 2 };
        Session {
            last: Some(Position { number: Number { epoch: 5, seq: 1 }, link: Link([5; 16]) }),
            log: Incarnation([3; 8]),
            status: 201,
            digest: Digest([4; 8]),
            flight: Some(Flight {
                number,
                link: Link([6; 16]),
                id: "i".into(),
                method: "PUT".into(),
                path: "/p".into(),
                owner: vec![7],
                run_timeout_ms: 9,
                forced: true,
                log: Incarnation([8; 8]),
                state: FlightState::InDoubt,
            }),
            ..Session::default()
        }
    }

    #[test]
    fn a_session_comes_back_as_it_was_stored() {
        let bytes = SessionRecord::of(&session()).encode_to_vec();
        let back = decode_session(Path::new("x"), b"s/a", &bytes).unwrap();
        assert_eq!(SessionRecord::of(&back), SessionRecord::of(&session()));
    }

    #[test]
    fn version_1_bytes_stay_as_they_are() {
        let hex: String = SessionRecord::of(&session())
            .encode_to_vec()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            hex,
            "0a16080510011a100505050505050505050505050505050512080303030303030303\
             18c901220804040404040404042a35080510021a10060606060606060606060606060606062201692a\
             0350555432022f703a01074009480150025a080808080808080808"
        );
    }

    #[test]
    fn wrong_sizes_and_values_are_damage() {
        let good = SessionRecord::of(&session());
        let spoil: [fn(&mut SessionRecord); 6] = [
            |r| r.status = 70_000,
            |r| r.last.as_mut().unwrap().link.clear(),
            |r| r.flight.as_mut().unwrap().link.push(0),
            |r| r.flight.as_mut().unwrap().state = 4,
            |r| r.flight.as_mut().unwrap().seq = u64::MAX,
            |r| r.last.as_mut().unwrap().seq = u64::MAX,
        ];
        for spoil in spoil {
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = decode_session(Path::new("x"), b"s/a", &bad.encode_to_vec());
            assert!(error.unwrap_err().to_string().contains("732f61"));
        }
        assert!(decode_session(Path::new("x"), b"s/a", &[0xff]).is_err());
    }
}
