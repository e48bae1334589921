//! One life of the process: what its engines, streams and deliveries have to do with each other.

use super::delivery::{self, Deliverer};
use super::engine::{self, Machine, Turns};
use super::streams::{self, Of, Streams};
use crate::kernel::{ConnId, Cx, NetEvent, Timer};
use crate::wire::{self, Frame, StreamNo};
use prost::Message;
use protocol::pb;
use replay_log::StreamId;
use replay_log::journal::{self, Journal};
use replay_log::log::{self, Log};
use replay_log::store::StoreError;

/// What is lost with the process.
pub(super) struct Life {
    pub(super) log: Option<Turns<Log>>,
    pub(super) deliverer: Option<Deliverer>,
    pub(super) journal: Turns<Journal>,
    /// What ran here is told to the log.
    pub(super) mirrored: bool,
    pub(super) streams: Streams,
    /// The next event of the log that nobody has noted.
    pub(super) event: u64,
}

impl Life {
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, shop: u32) -> Result<(), StoreError> {
        loop {
            if let Some(outputs) = self.journal.turn(cx) {
                outputs?.into_iter().for_each(|output| self.journal_output(cx, output));
            } else if let Some(outputs) = self.log.as_mut().and_then(|log| log.turn(cx)) {
                let outputs = outputs?;
                self.note_events(cx, shop);
                outputs.into_iter().for_each(|output| self.log_output(cx, output));
            } else {
                break;
            }
        }
        self.journal.remind(cx);
        if let Some(log) = &mut self.log {
            log.remind(cx);
        }
        Ok(())
    }

    fn note_events(&mut self, cx: &mut Cx<'_>, shop: u32) {
        let Some(log) = &self.log else { return };
        for event in log.machine.events_from(self.event) {
            self.event = event.seq + 1;
            let session = event.session.iter().map(|session| format!("session {session}"));
            let replica = event.replica.iter().map(|replica| format!("the {replica}"));
            let detail = Some(&event.detail).filter(|detail| !detail.is_empty());
            let parts = replica.chain(session).chain(detail.cloned());
            cx.note(Some(shop), event.kind, parts.collect::<Vec<_>>().join(": "));
        }
    }

    fn log_output(&mut self, cx: &mut Cx<'_>, output: log::Output) {
        match output {
            log::Output::ToGateway { stream, message } => self.streams.send(cx, stream, &message),
            log::Output::CloseGateway { stream } => {
                if self.streams.close(cx, stream, streams::OK).is_some()
                    && let Some(log) = &mut self.log
                {
                    log.feed(Log::closed(stream), 0);
                }
            }
            log::Output::Deliver(delivery) => {
                if let Some(deliverer) = &mut self.deliverer {
                    deliverer.deliver(cx, *delivery);
                }
            }
            log::Output::Probe { replica } => {
                if let Some(deliverer) = &mut self.deliverer {
                    deliverer.probe(cx, replica);
                }
            }
        }
    }

    fn journal_output(&mut self, cx: &mut Cx<'_>, output: journal::Output) {
        match output {
            journal::Output::ToGuard { stream, message } => self.streams.send(cx, stream, &message),
            journal::Output::CloseGuard { stream } => {
                if self.streams.close(cx, stream, streams::OK).is_some() {
                    self.journal.feed(Journal::closed(stream), 0);
                }
            }
            journal::Output::Ran { session, word } => {
                if self.mirrored
                    && let Some(log) = &mut self.log
                {
                    let replica = word.replica;
                    log.feed(log::Input::JournalRan { replica, session, word }, 0);
                }
            }
        }
    }

    pub(super) fn net(&mut self, cx: &mut Cx<'_>, conn: ConnId, event: NetEvent) {
        if let (Some(deliverer), Some(log)) = (&mut self.deliverer, &mut self.log)
            && deliverer.owns(conn)
        {
            return deliverer.net(cx, conn, event, |ended| log.feed(ended, 0));
        }
        match event {
            NetEvent::Frame(exchange, frame) => self.frame(cx, conn, exchange, frame),
            NetEvent::Closed => {
                for (stream, of) in self.streams.disconnected(conn) {
                    self.closed(stream, of);
                }
            }
            NetEvent::Opened(_) | NetEvent::Connected | NetEvent::Refused => {}
        }
    }

    fn closed(&mut self, stream: StreamId, of: Of) {
        match (of, &mut self.log) {
            (Of::Log, Some(log)) => log.feed(Log::closed(stream), 0),
            (Of::Log, None) => {}
            (Of::Journal, _) => self.journal.feed(Journal::closed(stream), 0),
        }
    }

    fn frame(&mut self, cx: &mut Cx<'_>, conn: ConnId, exchange: StreamNo, frame: Frame) {
        let (bytes, end) = match frame {
            Frame::Head { headers, .. } => {
                let of = wire::text(&headers, ":path").and_then(Of::path);
                let status = Frame::Trailers { status: streams::UNIMPLEMENTED };
                return match of {
                    Some(Of::Log) if self.log.is_none() => cx.send(conn, exchange, status),
                    Some(of) => self.streams.open(cx, conn, exchange, of),
                    None => cx.send(conn, exchange, status),
                };
            }
            Frame::Data { bytes, end } => (bytes, end),
            Frame::Trailers { .. } => (Vec::new(), true),
            Frame::Reset => {
                if let Some((stream, of)) = self.streams.reset(conn, exchange) {
                    self.closed(stream, of);
                }
                return;
            }
        };
        let Some((stream, of)) = self.streams.of(conn, exchange) else { return };
        let readable = bytes.is_empty() && end || self.message(stream, of, &bytes);
        if (end || !readable) && self.streams.close(cx, stream, streams::OK).is_some() {
            self.closed(stream, of);
        }
    }

    /// Hands a message to its engine; false if it cannot be read.
    fn message(&mut self, stream: StreamId, of: Of, bytes: &[u8]) -> bool {
        match (of, &mut self.log) {
            (Of::Log, Some(log)) => {
                let Ok(message) = pb::GatewayRequest::decode(bytes) else { return false };
                log.feed(log::Input::Gateway { stream, message }, bytes.len());
            }
            (Of::Log, None) => return false,
            (Of::Journal, _) => {
                let Ok(message) = pb::GuardRequest::decode(bytes) else { return false };
                self.journal.feed(journal::Input::Guard { stream, message }, bytes.len());
            }
        }
        true
    }

    pub(super) fn timer(&mut self, cx: &mut Cx<'_>, timer: Timer) {
        let now = cx.now();
        match (timer.kind, timer.a, &mut self.log, &mut self.deliverer) {
            (engine::SYNC, Log::PLACE, Some(log), _) => {
                let outputs = log.synced(now);
                outputs.into_iter().for_each(|output| self.log_output(cx, output));
            }
            (engine::SYNC, Journal::PLACE, ..) => {
                let outputs = self.journal.synced(now);
                outputs.into_iter().for_each(|output| self.journal_output(cx, output));
            }
            (engine::TICK, Log::PLACE, Some(log), _) => log.reminded(now),
            (engine::TICK, Journal::PLACE, ..) => self.journal.reminded(now),
            (delivery::TIMEOUT, exchange, Some(log), Some(deliverer)) => {
                if let Some(input) = deliverer.timeout(cx, exchange) {
                    log.feed(input, 0);
                }
            }
            _ => {}
        }
    }

    /// The orderly end: the journal first, since it feeds the log.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        self.deliverer = None;
        let outputs = self.journal.finish(cx)?;
        outputs.into_iter().for_each(|output| self.journal_output(cx, output));
        let outputs = self.log.as_mut().map(|log| log.finish(cx)).transpose()?;
        outputs.into_iter().flatten().for_each(|output| self.log_output(cx, output));
        self.streams.close_all(cx, streams::UNAVAILABLE);
        Ok(())
    }
}
