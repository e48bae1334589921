//! How the two engines of a site are run: the log and the journal as [`Machine`]s.

use crate::delivery::Work;
use crate::engine::{Act, Machine};
use protocol::{SessionKey, Word, pb};
use replay_log::journal::{self, Journal};
use replay_log::log::{self, Log};
use replay_log::store::{Reclaim, StoreError};
use replay_log::{Now, StreamId};

impl Machine for Log {
    type Input = log::Input;
    type Output = log::Output;
    type Reply = pb::GatewayResponse;
    type Work = Work;
    const NAME: &'static str = "log";

    fn tick() -> log::Input {
        log::Input::Tick
    }

    fn closed(stream: StreamId) -> log::Input {
        log::Input::GatewayClosed { stream }
    }

    fn handle(&mut self, now: Now, input: log::Input) {
        Log::handle(self, now, input);
    }

    fn commit(&mut self, now: Now) -> Result<Vec<log::Output>, StoreError> {
        Log::commit(self, now)
    }

    fn flush(&mut self, now: Now) -> Result<(), StoreError> {
        Log::flush(self, now)
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        Log::reclaim(self)
    }

    fn next_wake_ms(&self) -> Option<u64> {
        Log::next_wake_ms(self)
    }

    fn refusal(message: &pb::GatewayResponse) -> Option<&str> {
        match &message.kind {
            Some(pb::gateway_response::Kind::Welcome(w)) if !w.error.is_empty() => Some(&w.error),
            _ => None,
        }
    }

    fn act(output: log::Output) -> Act<pb::GatewayResponse, Work> {
        match output {
            log::Output::ToGateway { stream, message } => Act::Send(stream, message),
            log::Output::CloseGateway { stream } => Act::Close(stream),
            log::Output::Deliver(delivery) => Act::Work(Work::Deliver(delivery)),
            log::Output::Probe { replica } => Act::Work(Work::Probe(replica)),
        }
    }
}

/// The news that a write ran at the journal's replica.
pub struct Ran {
    /// The session.
    pub session: SessionKey,
    /// What its guard says.
    pub word: Word,
}

impl Machine for Journal {
    type Input = journal::Input;
    type Output = journal::Output;
    type Reply = pb::GuardResponse;
    type Work = Ran;
    const NAME: &'static str = "journal";

    fn tick() -> journal::Input {
        journal::Input::Tick
    }

    fn closed(stream: StreamId) -> journal::Input {
        journal::Input::GuardClosed { stream }
    }

    fn handle(&mut self, now: Now, input: journal::Input) {
        Journal::handle(self, now, input);
    }

    fn commit(&mut self, now: Now) -> Result<Vec<journal::Output>, StoreError> {
        Journal::commit(self, now)
    }

    fn flush(&mut self, now: Now) -> Result<(), StoreError> {
        Journal::commit(self, now).map(drop)
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        Journal::reclaim(self)
    }

    fn next_wake_ms(&self) -> Option<u64> {
        Journal::next_wake_ms(self)
    }

    fn refusal(message: &pb::GuardResponse) -> Option<&str> {
        match &message.kind {
            Some(pb::guard_response::Kind::Welcome(w)) if !w.error.is_empty() => Some(&w.error),
            _ => None,
        }
    }

    fn act(output: journal::Output) -> Act<pb::GuardResponse, Ran> {
        match output {
            journal::Output::ToGuard { stream, message } => Act::Send(stream, message),
            journal::Output::CloseGuard { stream } => Act::Close(stream),
            journal::Output::Ran { session, word } => Act::Work(Ran { session, word }),
        }
    }
}
