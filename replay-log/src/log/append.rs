//! Numbering: an Append becomes an entry, or finds the one that its id already has.

use super::entry::{Entry, Fingerprint};
use super::record::{StoredEntry, StoredId, StoredPayload};
use super::session::{Held, Session};
use super::{Log, Staged, record};
use crate::store::Write;
use crate::{Now, StreamId};
use pb::refused::Reason;
use prost::Message as _;
use protocol::mutants::{self, Mutant};
use protocol::{Id, Incarnation, Number, Position, Replica, SessionKey, limits, pb};
use sha2::{Digest as _, Sha256};

/// What a refused writer is told to wait when the log is full or the primary away.
const RETRY_AFTER_MS: u32 = 1000;

fn fingerprint(a: &pb::Append) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in [a.method.as_bytes(), a.path.as_bytes(), &a.body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hash.finalize()[..16]);
    fingerprint
}

fn validate(a: &pb::Append) -> Result<(SessionKey, Id), String> {
    let session =
        SessionKey::new(a.session.as_str()).map_err(|e| format!("the session key {e}"))?;
    let id = Id::new(a.id.as_str()).map_err(|e| format!("the id {e}"))?;
    let headers: usize = a.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
    if !protocol::names::is_write(&a.method) {
        Err(format!("{} is not a replicated method", a.method))
    } else if a.path.len() > limits::PATH_BYTES {
        Err(format!("the path is longer than {} bytes", limits::PATH_BYTES))
    } else if a.headers.len() > limits::HEADERS_COUNT {
        Err(format!("there are more than {} header fields", limits::HEADERS_COUNT))
    } else if headers > limits::HEADERS_BYTES {
        Err(format!("the headers are longer than {} bytes", limits::HEADERS_BYTES))
    } else if a.body.len() as u64 > limits::BODY_BYTES_MAX {
        Err(format!("the body is longer than {} bytes", limits::BODY_BYTES_MAX))
    } else {
        Ok((session, id))
    }
}

impl Log {
    pub(super) fn append(&mut self, now: Now, stream: StreamId, a: pb::Append) {
        let token = a.token;
        let (key, id) = match validate(&a) {
            Ok(valid) => valid,
            Err(detail) => return self.refuse(stream, token, Reason::Invalid, detail, 0),
        };
        let fingerprint = fingerprint(&a);
        if let Some(known) = self.load(&key).and_then(|s| s.find(&id))
            && !mutants::on(Mutant::ForgetLiveId)
        {
            return self.append_again(now, stream, token, &key, known, fingerprint);
        }
        self.rest_later(now, &key);
        match self.ids.get(self.store.as_ref(), &key, &id) {
            Ok(None) => self.append_new(now, stream, a, key, id, fingerprint),
            Ok(Some(stored)) => self.answer_remembered(stream, token, &key, &stored, fingerprint),
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// The id has a live entry.
    fn append_again(
        &mut self,
        now: Now,
        stream: StreamId,
        token: u64,
        key: &SessionKey,
        seq: u64,
        fingerprint: Fingerprint,
    ) {
        let entry = self.sessions.get(key).and_then(|s| s.entry(seq));
        if entry.is_none_or(|e| e.fingerprint != fingerprint) {
            return self.refuse_mismatch(stream, token);
        }
        self.counters.deduplicated += 1;
        self.release_or_hold(now, stream, token, key, seq, true);
    }

    /// The id has left the log: both replicas have settled it.
    fn answer_remembered(
        &mut self,
        stream: StreamId,
        token: u64,
        key: &SessionKey,
        stored: &StoredId,
        fingerprint: Fingerprint,
    ) {
        if stored.fingerprint != fingerprint {
            return self.refuse_mismatch(stream, token);
        }
        self.counters.deduplicated += 1;
        let numbered = pb::Numbered {
            epoch: stored.epoch,
            seq: stored.seq,
            link: stored.link.clone(),
            after: None,
            route: self.sessions.get(key).map_or(pb::Route::Primary, Session::route) as i32,
            known: true,
            settled: true,
            status: stored.status,
            received_ms: stored.received_ms,
            primary_journal: self.journals[0].to_wire(),
            secondary_journal: self.journals[1].to_wire(),
        };
        self.reply(stream, token, pb::appended::Outcome::Numbered(numbered));
    }

    fn append_new(
        &mut self,
        now: Now,
        stream: StreamId,
        a: pb::Append,
        key: SessionKey,
        id: Id,
        fingerprint: Fingerprint,
    ) {
        let token = a.token;
        self.hand_back_if_caught_up(now, &key);
        if self.sessions.get(&key).is_some_and(Session::is_sealed) {
            let detail = "the store was salvaged: what is left of the session is delivered first";
            let detail = detail.to_string();
            return self.refuse(stream, token, Reason::Superseded, detail, RETRY_AFTER_MS);
        }
        let pinned = self.sessions.get(&key).is_some_and(|s| s.pinned);
        if a.refuse_when_cut && (pinned || self.cannot_take(Replica::Primary)) {
            let detail = "the primary is cut off".to_string();
            return self.refuse(stream, token, Reason::Cut, detail, RETRY_AFTER_MS);
        }
        let payload =
            StoredPayload { method: a.method, path: a.path, headers: a.headers, body: a.body };
        let payload = payload.encode_to_vec();
        let mut stored = StoredEntry {
            id: a.id,
            fingerprint: fingerprint.to_vec(),
            link: Vec::new(),
            received_ms: a.received_ms,
            withdrawn: false,
            primary_journal: self.journals[0].to_wire(),
            secondary_journal: self.journals[1].to_wire(),
            bytes: 0,
        };
        stored.bytes = (stored.encoded_len() + payload.len()) as u32;
        if let Some(detail) = self.refuses_as_full(now, stored.bytes.into()) {
            return self.refuse(stream, token, Reason::Full, detail, RETRY_AFTER_MS);
        }
        let seq = self.number(now, &key, &id, stored, payload);
        self.release_or_hold(now, stream, token, &key, seq, false);
    }

    /// Gives the next number to a write and stages its entry.
    fn number(
        &mut self,
        now: Now,
        key: &SessionKey,
        id: &Id,
        mut stored: StoredEntry,
        payload: Vec<u8>,
    ) -> u64 {
        self.open_epoch_if_due(now, key);
        let Some(session) = self.sessions.get_mut(key) else { return 0 };
        let link = session.last_link().next(id);
        let seq = session.last() + 1;
        stored.link = link.0.to_vec();
        session.touched_ms = now.unix_ms;
        session.push(Entry::new(id, link, &stored, self.journals));
        let number = session.number(seq);
        let payload_key = record::payload_key(key, number);
        self.urgent.push(Write::Put { key: payload_key, value: payload });
        let entry_key = record::entry_key(key, number);
        self.urgent.push(Write::Put { key: entry_key, value: stored.encode_to_vec() });
        self.live_bytes += u64::from(stored.bytes);
        self.live_entries += 1;
        self.counters.numbered += 1;
        seq
    }

    /// Replies with the number, unless the session is about to be handed back.
    fn release_or_hold(
        &mut self,
        now: Now,
        stream: StreamId,
        token: u64,
        key: &SessionKey,
        seq: u64,
        known: bool,
    ) {
        if self.hand_back_by_holding(now, key, seq) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.held.push_back(Held { stream, token, seq, known });
                self.counters.held += 1;
            }
        } else {
            self.release(now, stream, token, key, seq, known);
        }
    }

    /// The reply with the number; from here on the gateway may have released the write.
    pub(super) fn release(
        &mut self,
        now: Now,
        stream: StreamId,
        token: u64,
        key: &SessionKey,
        seq: u64,
        known: bool,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (route, number) = (session.route(), session.number(seq));
        let after = session.after.filter(|_| seq == 1).map(Position::to_wire);
        let Some(entry) = session.entry_mut(seq) else { return };
        entry.release(token);
        let [primary_journal, secondary_journal] = entry.journals.map(Incarnation::to_wire);
        let numbered = pb::Numbered {
            epoch: number.epoch,
            seq,
            link: entry.link.0.to_vec(),
            after,
            route: route as i32,
            known,
            settled: false,
            status: entry.status(),
            received_ms: entry.received_ms,
            primary_journal,
            secondary_journal,
        };
        let takeover = now.mono_ms + self.config.takeover_ms;
        self.takeovers.push_back((takeover, key.clone(), number));
        self.reply(stream, token, pb::appended::Outcome::Numbered(numbered));
    }

    fn reply(&mut self, stream: StreamId, token: u64, outcome: pb::appended::Outcome) {
        let appended = pb::Appended { token, outcome: Some(outcome) };
        self.send(stream, pb::gateway_response::Kind::Appended(appended));
    }

    fn refuse(&mut self, stream: StreamId, token: u64, reason: Reason, detail: String, wait: u32) {
        if let Some(count) = self.counters.refused.get_mut(reason as usize) {
            *count += 1;
        }
        let refused = pb::Refused { reason: reason as i32, detail, retry_after_ms: wait };
        self.reply(stream, token, pb::appended::Outcome::Refused(refused));
    }

    /// A held write whose number was taken back.
    pub(super) fn refuse_held(&mut self, stream: StreamId, token: u64, detail: String) {
        self.refuse(stream, token, Reason::Superseded, detail, RETRY_AFTER_MS);
    }

    fn refuse_mismatch(&mut self, stream: StreamId, token: u64) {
        let detail = "the id was used in this session with another method, path or body";
        self.refuse(stream, token, Reason::PayloadMismatch, detail.to_string(), 0);
    }

    /// The gateway never released the write of this token. It becomes a no-op if nobody else
    /// released it and no delivery has begun.
    pub(super) fn cancel(&mut self, now: Now, cancel: &pb::Cancel) {
        let (Ok(key), Ok(id)) =
            (SessionKey::new(cancel.session.as_str()), Id::new(cancel.id.as_str()))
        else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(seq) = session.find(&id) else { return };
        session.held.retain(|h| h.token != cancel.token);
        let others_held = session.held.iter().any(|h| h.seq == seq);
        let number = session.number(seq);
        let Some(entry) = session.entry_mut(seq) else { return };
        entry.unrelease(cancel.token);
        let released = others_held || entry.is_released() || entry.end_reported;
        if (released || entry.attempted) && !mutants::on(Mutant::WithdrawReleased) {
            return;
        }
        entry.end_at(now.mono_ms);
        session.withdraw(seq);
        let Some(withdrawn) = session.entry(seq).map(Entry::to_record) else { return };
        let value = withdrawn.encode_to_vec();
        self.urgent.push(Write::Put { key: record::entry_key(&key, number), value });
        self.urgent.push(Write::Delete { key: record::payload_key(&key, number) });
        self.counters.withdrawn += 1;
        self.queue_both(now, &key);
    }

    pub(super) fn locate(&mut self, now: Now, stream: StreamId, locate: &pb::Locate) {
        let mut located =
            pb::Located { token: locate.token, last: None, route: pb::Route::Primary as i32 };
        if let Ok(key) = SessionKey::new(locate.session.as_str())
            && let Some(session) = self.load(&key)
        {
            let seq = match mutants::on(Mutant::LocateSettled) {
                false => session.released_last(),
                true => session.base,
            };
            located.route = session.route() as i32;
            if seq > 0 || session.after.is_some() {
                let link = session.link_of(seq).unwrap_or_default();
                let here = Position { number: session.number(seq), link };
                let last = if seq > 0 { Some(here) } else { session.after };
                located.last = last.map(Position::to_wire);
            }
            self.rest_later(now, &key);
        }
        self.staged.push(Staged::Ready(super::Output::ToGateway {
            stream,
            message: pb::GatewayResponse {
                kind: Some(pb::gateway_response::Kind::Located(located)),
            },
        }));
    }

    /// A session that was only looked at must not stay in memory for ever.
    pub(super) fn rest_later(&mut self, now: Now, key: &SessionKey) {
        if self.sessions.get(key).is_some_and(Session::is_quiet) {
            self.resting.insert((now.mono_ms + super::REST_MS, key.clone()));
        }
    }
}

/// The number an entry had, for the id index.
pub(super) fn remembered(number: Number, entry: &Entry) -> StoredId {
    StoredId {
        epoch: number.epoch,
        seq: number.seq,
        link: entry.link.0.to_vec(),
        fingerprint: entry.fingerprint.to_vec(),
        status: entry.status(),
        received_ms: entry.received_ms,
    }
}
