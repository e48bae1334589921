//! The token table: requests that wait for an answer of the log.
//!
//! A token stands for one request until it is answered, refused, left or timed out, whichever is
//! first; then it is gone, and a reply that names it is late. Tokens begin at a random place, so
//! that those of two workers do not meet in the log.

use crate::effects::Exchange;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::problem::Problem;
use protocol::{Id, SessionKey, limits};
use std::collections::BTreeMap;

/// What is known of a write while the log has it.
#[derive(Clone, Debug)]
pub(super) struct AppendInfo {
    pub(super) session: SessionKey,
    pub(super) id: Id,
    pub(super) received_ms: u64,
    pub(super) refuse_when_cut: bool,
}

/// What a request waits for.
#[derive(Debug)]
pub(super) enum What {
    /// A write, to be numbered.
    Append(AppendInfo),
    /// A read, to be told where its session stands.
    Locate { session: SessionKey, upgrade: bool },
}

impl What {
    /// The answer when the log was never asked.
    pub(super) fn unavailable(&self, detail: &str) -> Reply {
        let problem = match self {
            What::Append(_) => Problem::LogUnavailable,
            What::Locate { .. } => Problem::ReadUnavailable,
        };
        Reply::problem(problem, detail).retry_after_ms(0)
    }
}

/// One request that waits.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) exchange: Exchange,
    pub(super) deadline_ms: u64,
    pub(super) what: What,
    /// The encoded question.
    pub(super) message: Vec<u8>,
    /// It was sent on some stream, so the log may know of it.
    pub(super) ever_sent: bool,
    /// When it was sent on the present stream.
    pub(super) sent_ms: Option<u64>,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    waits: BTreeMap<u64, Wait>,
    bytes: usize,
    next: Option<u64>,
}

impl Held {
    /// A token for one more request of this size; `None` if there is no room.
    pub(super) fn reserve(&mut self, cx: &Cx<'_>, size: usize) -> Option<u64> {
        let full = self.waits.len() >= limits::HELD_REQUESTS
            || self.bytes.saturating_add(size) > limits::HELD_BYTES;
        if full {
            return None;
        }
        let token = match self.next {
            Some(token) => token,
            None => crate::ports::first_token(cx)?,
        };
        self.next = Some(token.wrapping_add(1));
        Some(token)
    }

    pub(super) fn insert(
        &mut self,
        token: u64,
        exchange: Exchange,
        deadline_ms: u64,
        what: What,
        message: Vec<u8>,
    ) {
        self.bytes = self.bytes.saturating_add(message.len());
        let wait = Wait { exchange, deadline_ms, what, message, ever_sent: false, sent_ms: None };
        self.waits.insert(token, wait);
    }

    pub(super) fn get(&self, token: u64) -> Option<&Wait> {
        self.waits.get(&token)
    }

    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut Wait> {
        self.waits.get_mut(&token)
    }

    pub(super) fn take(&mut self, token: u64) -> Option<Wait> {
        let wait = self.waits.remove(&token)?;
        self.bytes = self.bytes.saturating_sub(wait.message.len());
        Some(wait)
    }

    /// Tokens that have not been asked about on the present stream, in the order of arrival.
    pub(super) fn unsent(&self) -> Vec<u64> {
        self.waits.iter().filter(|(_, w)| w.sent_ms.is_none()).map(|(t, _)| *t).collect()
    }

    /// Tokens whose deadline has passed.
    pub(super) fn expired(&self, cx: &Cx<'_>) -> Vec<u64> {
        self.waits.iter().filter(|(_, w)| cx.passed(w.deadline_ms)).map(|(t, _)| *t).collect()
    }

    /// The stream is gone: everything is to be asked again.
    pub(super) fn stream_lost(&mut self) {
        for wait in self.waits.values_mut() {
            wait.sent_ms = None;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waits.len()
    }
}
