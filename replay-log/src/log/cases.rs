//! What an operator must see: divergences, conflicts, forced epochs, quarantine, doubts; and the
//! recent events. Cases are durable and bounded; doubts and events live in memory.

use super::Log;
use super::record::{self, StoredCase, StoredPayload};
use super::status::{Case, Event, HeldUp};
use crate::Now;
use crate::store::Write;
use prost::Message as _;
use protocol::{Number, Replica, SessionKey, limits};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Diverged,
    Conflict,
    Forced,
    Quarantined,
    InDoubt,
    NotRun,
    Unanswered,
    Unseeded,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Diverged => "diverged",
            Kind::Conflict => "conflict",
            Kind::Forced => "forced",
            Kind::Quarantined => "quarantined",
            Kind::InDoubt => "in_doubt",
            Kind::NotRun => "not_run",
            Kind::Unanswered => "unanswered",
            Kind::Unseeded => "unseeded",
        }
    }
}

#[derive(Default)]
pub(super) struct Cases {
    /// By number; kept on disk.
    pub(super) kept: VecDeque<(u64, StoredCase)>,
    pub(super) next: u64,
    /// What holds up a session at a replica, until it goes on there.
    pub(super) waiting: BTreeMap<(SessionKey, Replica), HeldUp>,
    pub(super) events: VecDeque<Event>,
    pub(super) next_event: u64,
    /// How many of each kind were listed, by [`Kind`].
    pub(super) listed: BTreeMap<Kind, u64>,
}

impl Cases {
    /// The replica went on in this session.
    pub(super) fn resolve(&mut self, replica: Replica, key: &SessionKey) {
        self.waiting.remove(&(key.clone(), replica));
    }

    /// Makes room for a case of a kind: the oldest of the same kind goes, so that many of one kind
    /// push out none of another.
    fn crowded_out(&mut self, kind: &str) -> Option<u64> {
        let same = |kept: &(u64, StoredCase)| kept.1.kind == kind;
        if self.kept.iter().filter(|kept| same(kept)).count() < limits::CASES_KEPT {
            return None;
        }
        let oldest = self.kept.iter().position(same)?;
        self.kept.remove(oldest).map(|(number, _)| number)
    }

    pub(super) fn of_kind(&self, kinds: &[Kind]) -> Vec<Case> {
        let wanted = |c: &StoredCase| {
            kinds.iter().any(|k| {
                k.name() == c.kind || (*k == Kind::Diverged && c.kind.starts_with("diverged"))
            })
        };
        self.kept.iter().filter(|(_, c)| wanted(c)).map(|(_, c)| Case::from_stored(c)).collect()
    }
}

impl Log {
    pub(super) fn event(
        &mut self,
        now: Now,
        kind: &'static str,
        replica: Option<Replica>,
        session: Option<&SessionKey>,
        detail: &str,
    ) {
        let event = Event {
            seq: self.cases.next_event,
            at_ms: now.unix_ms,
            kind,
            replica,
            session: session.map(SessionKey::to_string),
            detail: detail.to_string(),
        };
        self.cases.next_event += 1;
        self.cases.events.push_back(event);
        if self.cases.events.len() > limits::EVENTS_KEPT {
            self.cases.events.pop_front();
        }
    }

    /// Lists a case for the operator.
    pub(super) fn case(
        &mut self,
        now: Now,
        kind: Kind,
        key: &SessionKey,
        number: Number,
        detail: &str,
    ) {
        let stored = StoredCase {
            kind: kind.name().to_string(),
            detail: detail.to_string(),
            ..self.describe(key, number)
        };
        self.keep_case(now, kind, key, stored);
    }

    fn keep_case(&mut self, now: Now, kind: Kind, key: &SessionKey, stored: StoredCase) {
        self.event(now, kind.name(), None, Some(key), &stored.detail.clone());
        *self.cases.listed.entry(kind).or_default() += 1;
        let number = self.cases.next;
        self.cases.next += 1;
        self.meta_dirty = true;
        self.urgent
            .push(Write::Put { key: record::case_key(number), value: stored.encode_to_vec() });
        if let Some(oldest) = self.cases.crowded_out(&stored.kind) {
            self.urgent.push(Write::Delete { key: record::case_key(oldest) });
        }
        self.cases.kept.push_back((number, stored));
    }

    /// What the store knows of a write, for a list.
    fn describe(&mut self, key: &SessionKey, number: Number) -> StoredCase {
        let mut case = StoredCase {
            session: key.to_string(),
            epoch: number.epoch,
            seq: number.seq,
            ..StoredCase::default()
        };
        let stored = self.store.get(&record::payload_key(key, number)).ok().flatten();
        if let Some(entry) = stored.and_then(|b| StoredPayload::decode(b.as_slice()).ok()) {
            case.method = entry.method;
            case.path = entry.path;
        }
        case
    }

    /// The replicas answered this write differently.
    pub(super) fn diverged(&mut self, now: Now, key: &SessionKey, number: Number) {
        let mut case = self.describe(key, number);
        let ran = self
            .sessions
            .get(key)
            .filter(|s| s.epoch == number.epoch)
            .and_then(|s| s.entry(number.seq))
            .map(|e| e.ran);
        let Some([Some(p), Some(s)]) = ran else { return };
        let differs = if p.status == s.status { "body" } else { "status" };
        case.kind = format!("diverged_{differs}");
        case.detail = format!("the replicas answered with another {differs}");
        case.primary_status = u32::from(p.status.get());
        case.primary_digest = p.digest.to_string();
        case.secondary_status = u32::from(s.status.get());
        case.secondary_digest = s.digest.to_string();
        self.keep_case(now, Kind::Diverged, key, case);
    }

    /// The replica does not get past this number by itself. What a guard has said of it stands
    /// until it says something else: silence says less.
    pub(super) fn stuck(
        &mut self,
        now: Now,
        replica: Replica,
        key: &SessionKey,
        number: Number,
        kind: Kind,
        detail: &str,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let lane = &mut session.lanes[replica.index()];
        let again = lane.stuck_at.replace(number.seq) == Some(number.seq);
        let place = (key.clone(), replica);
        let listed = self.cases.waiting.get(&place).filter(|w| w.number == number);
        let listed = listed.map(|waiting| waiting.kind);
        if again && (kind == Kind::Unanswered || listed.is_none() || listed == Some(kind.name())) {
            return;
        }
        if matches!(kind, Kind::InDoubt | Kind::NotRun | Kind::Unanswered) {
            let described = self.describe(key, number);
            let doubt = HeldUp {
                session: key.to_string(),
                number,
                replica,
                method: described.method,
                path: described.path,
                kind: kind.name(),
            };
            self.cases.waiting.insert(place, doubt);
            self.event(now, kind.name(), Some(replica), Some(key), detail);
        } else {
            self.cases.waiting.remove(&place);
            let detail = format!("at the {replica}: {detail}");
            self.case(now, kind, key, number, &detail);
        }
    }

    /// Tells when a replica has caught up in every session.
    pub(super) fn note_drained(&mut self, now: Now) {
        if self.live_entries > 0 {
            return;
        }
        for replica in Replica::BOTH {
            if std::mem::take(&mut self.delivering[replica.index()].had_backlog) {
                self.event(now, "drained", Some(replica), None, "");
            }
        }
    }
}
