//! The guards' streams: who is connected, and what a guard says when it comes and goes.

use super::held::Asker;
use super::session::FlightState;
use super::{Journal, Output};
use crate::StreamId;
use protocol::mutants::{self, Mutant};
use protocol::pb::guard_request::Kind;
use protocol::{Number, SessionKey, pb};
use std::collections::{BTreeMap, BTreeSet};

/// Longest owner name, bytes.
const OWNER_BYTES: usize = 64;

/// The connected guard workers' owner names by stream.
#[derive(Default)]
pub(super) struct Guards(BTreeMap<StreamId, Vec<u8>>);

impl Guards {
    /// How many workers are connected.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl Journal {
    /// A message of a guard's stream.
    pub(super) fn guard_message(&mut self, stream: StreamId, kind: Kind) {
        if !matches!(kind, Kind::Hello(_)) && !self.guards.0.contains_key(&stream) {
            return self.refuse(stream, "the first message must be a hello".to_string());
        }
        let asker = |token| Asker { stream, token };
        match kind {
            Kind::Hello(hello) => self.hello(stream, hello),
            Kind::Begin(begin) => self.begin(asker(begin.token), begin),
            Kind::Outcome(outcome) => self.outcome(asker(outcome.token), outcome),
            Kind::AwaitRun(ask) => self.await_run(asker(ask.token), ask),
            Kind::Leave(leave) => self.leave(asker(leave.token)),
        }
    }

    fn hello(&mut self, stream: StreamId, hello: pb::GuardHello) {
        if let Some(error) = self.objection(&hello) {
            return self.refuse(stream, error);
        }
        let owner = hello.owner.clone();
        let mine = |(s, o): (&StreamId, &Vec<u8>)| (*o == owner && *s != stream).then_some(*s);
        let superseded: Vec<_> = self.guards.0.iter().filter_map(mine).collect();
        for old in superseded {
            self.drop_guard(old);
            self.outputs.push(Output::CloseGuard { stream: old });
        }
        self.guards.0.insert(stream, owner.clone());
        self.welcome(stream, String::new());
        self.release_unused(&owner, &hello.running);
    }

    /// What the owner was granted and does not list was never dispatched: it may begin again.
    /// What it lists goes on, with a fresh deadline.
    fn release_unused(&mut self, owner: &[u8], running: &[pb::Running]) {
        let listed: BTreeSet<_> = running
            .iter()
            .map(|r| (r.session.as_str(), Number { epoch: r.epoch, seq: r.seq }))
            .collect();
        let granted: Vec<(SessionKey, Number)> = self
            .cache
            .flying()
            .filter(|(_, flight)| flight.owner == owner && flight.state == FlightState::Running)
            .map(|(key, flight)| (key.clone(), flight.number))
            .collect();
        for (key, number) in granted {
            let listed = listed.contains(&(key.as_str(), number));
            if listed && !mutants::on(Mutant::ReleaseListed) {
                self.cache.restart_deadline(&key);
            } else if self.load(&key) {
                self.cache.set_flight(&key, None);
                self.wake(&key);
            }
        }
    }

    fn objection(&self, hello: &pb::GuardHello) -> Option<String> {
        let config = &self.config;
        if hello.version != protocol::VERSION {
            return Some(format!(
                "the guard speaks version {}, this journal version {}",
                hello.version,
                protocol::VERSION
            ));
        }
        if hello.service != config.service {
            return Some(format!(
                "the guard is of service {:?}, this journal of {:?}",
                hello.service, config.service
            ));
        }
        if hello.replica != config.replica.name() {
            return Some(format!(
                "the guard stands before the {:?} replica, this is the journal of the {}",
                hello.replica, config.replica
            ));
        }
        let gap_wait = u64::from(hello.gap_wait_ms);
        if let Some(takeover) = config.takeover_ms.filter(|t| (1..=*t).contains(&gap_wait)) {
            return Some(format!(
                "the guard's gap_wait_ms ({gap_wait}) must be longer than the log's takeover_ms \
                 ({takeover}): what fills a gap may be delivered no sooner"
            ));
        }
        if hello.owner.is_empty() || hello.owner.len() > OWNER_BYTES {
            let bytes = hello.owner.len();
            return Some(format!(
                "the owner's name has {bytes} bytes; 1 to {OWNER_BYTES} are allowed"
            ));
        }
        None
    }

    fn refuse(&mut self, stream: StreamId, error: String) {
        self.drop_guard(stream);
        self.welcome(stream, error);
        self.outputs.push(Output::CloseGuard { stream });
    }

    fn welcome(&mut self, stream: StreamId, error: String) {
        let journal = self.incarnation().to_wire();
        let welcome = pb::GuardWelcome { version: protocol::VERSION, error, journal };
        self.tell(stream, pb::guard_response::Kind::Welcome(welcome));
    }

    /// A stream is gone. What its guard was granted goes on until its deadline.
    pub(super) fn drop_guard(&mut self, stream: StreamId) {
        self.guards.0.remove(&stream);
        self.leave_all(stream);
    }

    /// Whose stream this is.
    pub(super) fn owner(&self, stream: StreamId) -> Vec<u8> {
        self.guards.0.get(&stream).cloned().unwrap_or_default()
    }
}
