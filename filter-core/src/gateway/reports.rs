//! What the log is to be told of writes: ends of released ones, cancels of others.
//!
//! Ends are collected and ride on the next message, so that they cost no message of their own
//! under load. Both queues survive the stream and are bounded; what falls out is settled by the
//! log when it sees the gateway's stream close.

use prost::Message as _;
use protocol::limits;
use protocol::pb::{self, gateway_request::Kind};
use std::collections::VecDeque;

/// Ends in one message.
const BATCH: usize = 1024;

/// The two queues.
#[derive(Debug, Default)]
pub(super) struct Reports {
    ends: VecDeque<pb::End>,
    cancels: VecDeque<pb::Cancel>,
}

impl Reports {
    /// Queues an end; says whether it is time to send.
    pub(super) fn end(&mut self, end: pb::End) -> bool {
        push(&mut self.ends, end);
        self.ends.len() >= limits::ENDS_QUEUED
    }

    /// Queues a cancel.
    pub(super) fn cancel(&mut self, cancel: pb::Cancel) {
        push(&mut self.cancels, cancel);
    }

    /// Appends queued ends to an encoded message: fields of a message may come in pieces.
    pub(super) fn ride(&mut self, message: &mut Vec<u8>) {
        if let Some(ends) = self.next_ends() {
            message.extend_from_slice(&ends);
        }
    }

    /// A message with ends alone.
    pub(super) fn next_ends(&mut self) -> Option<Vec<u8>> {
        if self.ends.is_empty() {
            return None;
        }
        let ends = self.ends.drain(..self.ends.len().min(BATCH)).collect();
        Some(pb::GatewayRequest { kind: None, ends }.encode_to_vec())
    }

    /// A message with the oldest cancel.
    pub(super) fn next_cancel(&mut self) -> Option<Vec<u8>> {
        let cancel = self.cancels.pop_front()?;
        let kind = Some(Kind::Cancel(cancel));
        Some(pb::GatewayRequest { kind, ends: Vec::new() }.encode_to_vec())
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= limits::KEPT_REPORTS {
        queue.pop_front();
    }
    queue.push_back(item);
}
