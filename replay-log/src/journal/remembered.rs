//! What the last writes were answered with: a ring in memory, bounded in bytes over all sessions.

use protocol::mutants::{self, Mutant};
use protocol::{Digest, Link, Number, SessionKey, pb};
use std::collections::{BTreeMap, VecDeque};

/// What an entry costs beside its strings and bodies.
const ENTRY_BYTES: usize = 192;
/// What a header field costs beside its name and value.
const FIELD_BYTES: usize = 48;

/// How a write ran.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) link: Link,
    pub(super) status: u16,
    pub(super) digest: Digest,
    /// Absent when it was too large for the guard or for the ring.
    pub(super) response: Option<pb::Response>,
}

/// The last runs, the oldest forgotten first.
pub(super) struct Remembered {
    limit: u64,
    bytes: u64,
    order: VecDeque<(SessionKey, Number)>,
    sessions: BTreeMap<SessionKey, BTreeMap<Number, Run>>,
}

impl Remembered {
    /// An empty ring of at most `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Remembered { limit, bytes: 0, order: VecDeque::new(), sessions: BTreeMap::new() }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A run, if it is still remembered.
    pub(super) fn get(&self, session: &SessionKey, number: Number) -> Option<&Run> {
        if mutants::on(Mutant::AnotherSessionsAnswer) {
            let mut runs = self.sessions.values().flatten();
            return runs.find(|(other, _)| other.seq == number.seq).map(|(_, run)| run);
        }
        self.sessions.get(session)?.get(&number)
    }

    /// Remembers a run and forgets the oldest beyond the limit.
    pub(super) fn add(&mut self, session: &SessionKey, number: Number, mut run: Run) {
        if self.get(session, number).is_some() {
            return;
        }
        if cost(session, &run) > self.limit {
            run.response = None;
        }
        self.bytes += cost(session, &run);
        self.order.push_back((session.clone(), number));
        self.sessions.entry(session.clone()).or_default().insert(number, run);
        while self.bytes > self.limit {
            let Some((session, number)) = self.order.pop_front() else { return };
            self.forget(&session, number);
        }
    }

    fn forget(&mut self, session: &SessionKey, number: Number) {
        let Some(runs) = self.sessions.get_mut(session) else { return };
        if let Some(run) = runs.remove(&number) {
            self.bytes -= cost(session, &run);
        }
        if runs.is_empty() {
            self.sessions.remove(session);
        }
    }
}

fn cost(session: &SessionKey, run: &Run) -> u64 {
    let response = run.response.as_ref().map_or(0, |response| {
        let field = |h: &pb::Header| FIELD_BYTES + h.name.len() + h.value.len();
        response.body.len() + response.headers.iter().map(field).sum::<usize>()
    });
    (ENTRY_BYTES + 2 * session.as_str().len() + response) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(body: usize) -> Run {
        let response = pb::Response { status: 200, headers: vec![], body: vec![0; body] };
        Run { link: Link::START, status: 200, digest: Digest::default(), response: Some(response) }
    }

    #[test]
    fn the_oldest_runs_are_forgotten_beyond_the_bound_of_bytes() {
        let mut ring = Remembered::new(100_000);
        let key = |n: u64| SessionKey::new(format!("s{}", n % 3)).unwrap();
        let number = |n| Number { epoch: 1, seq: n };
        for n in 1..=1000 {
            ring.add(&key(n), number(n), run(10_000));
            assert!(ring.bytes() <= 100_000);
        }
        assert!(ring.get(&key(1000), number(1000)).is_some());
        assert!(ring.get(&key(992), number(992)).is_some());
        assert!(ring.get(&key(991), number(991)).is_none());
        assert!(ring.sessions.values().all(|runs| !runs.is_empty()));
    }

    #[test]
    fn a_response_over_the_bound_is_not_kept_but_its_status_is() {
        let mut ring = Remembered::new(1000);
        let key = SessionKey::new("s").unwrap();
        let number = Number { epoch: 1, seq: 1 };
        ring.add(&key, number, run(2000));
        assert_eq!(
            ring.get(&key, number).map(|r| (r.status, r.response.is_some())),
            Some((200, false))
        );
    }

    #[test]
    fn a_bound_of_zero_remembers_nothing() {
        let mut ring = Remembered::new(0);
        let key = SessionKey::new("s").unwrap();
        ring.add(&key, Number { epoch: 1, seq: 1 }, run(1));
        assert_eq!((ring.bytes(), ring.sessions.len(), ring.order.len()), (0, 0, 0));
    }
}
