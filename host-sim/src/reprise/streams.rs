//! The gRPC streams of gateways and guards: which engine each belongs to, and where its answers
//! go. However a stream ends, its engine hears of it exactly once, after its last message.

use crate::kernel::{ConnId, Cx};
use crate::wire::{Frame, StreamNo};
use prost::Message;
use replay_log::StreamId;
use std::collections::BTreeMap;

/// Which engine a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The log.
    Log,
    /// The journal.
    Journal,
}

impl Of {
    /// The engine of a method, if there is such a method.
    pub fn path(path: &str) -> Option<Of> {
        match path {
            "/reprise.replaylog.v1.ReplayLog/Gateway" => Some(Of::Log),
            "/reprise.replaylog.v1.Journal/Guard" => Some(Of::Journal),
            _ => None,
        }
    }
}

/// `grpc-status`: all is well.
pub const OK: u32 = 0;
/// `grpc-status`: no such method here.
pub const UNIMPLEMENTED: u32 = 12;
/// `grpc-status`: it is going away.
pub const UNAVAILABLE: u32 = 14;

/// All streams of a process in this life.
#[derive(Default)]
pub struct Streams {
    last: u64,
    open: BTreeMap<StreamId, (ConnId, StreamNo)>,
    exchanges: BTreeMap<(ConnId, StreamNo), (StreamId, Of)>,
}

impl Streams {
    /// Accepts a stream.
    pub fn open(&mut self, cx: &mut Cx<'_>, conn: ConnId, exchange: StreamNo, of: Of) {
        self.last += 1;
        let stream = StreamId(self.last);
        self.open.insert(stream, (conn, exchange));
        self.exchanges.insert((conn, exchange), (stream, of));
        let status = (":status".to_string(), b"200".to_vec());
        let kind = ("content-type".to_string(), b"application/grpc".to_vec());
        cx.send(
            conn,
            exchange,
            Frame::Head { headers: vec![status, kind], body: vec![], end: false },
        );
    }

    /// The stream of an exchange.
    pub fn of(&self, conn: ConnId, exchange: StreamNo) -> Option<(StreamId, Of)> {
        self.exchanges.get(&(conn, exchange)).copied()
    }

    /// Sends an answer; what is for a stream that has ended is dropped.
    pub fn send(&self, cx: &mut Cx<'_>, stream: StreamId, message: &impl Message) {
        if let Some((conn, exchange)) = self.open.get(&stream) {
            let bytes = message.encode_to_vec();
            cx.send(*conn, *exchange, Frame::Data { bytes, end: false });
        }
    }

    /// Ends a stream from this side; whose it was, if it was open.
    pub fn close(&mut self, cx: &mut Cx<'_>, stream: StreamId, status: u32) -> Option<Of> {
        let (conn, exchange) = self.open.remove(&stream)?;
        cx.send(conn, exchange, Frame::Trailers { status });
        self.exchanges.remove(&(conn, exchange)).map(|(_, of)| of)
    }

    /// Ends all.
    pub fn close_all(&mut self, cx: &mut Cx<'_>, status: u32) {
        while let Some((stream, _)) = self.open.first_key_value() {
            let stream = *stream;
            self.close(cx, stream, status);
        }
    }

    /// The peer gave up an exchange without waiting for anything.
    pub fn reset(&mut self, conn: ConnId, exchange: StreamNo) -> Option<(StreamId, Of)> {
        let ended = self.exchanges.remove(&(conn, exchange))?;
        self.open.remove(&ended.0);
        Some(ended)
    }

    /// A connection is gone, and all of its streams with it.
    pub fn disconnected(&mut self, conn: ConnId) -> Vec<(StreamId, Of)> {
        let of_it = self.exchanges.range((conn, StreamNo::MIN)..=(conn, StreamNo::MAX));
        let exchanges: Vec<StreamNo> = of_it.map(|((_, exchange), _)| *exchange).collect();
        exchanges.into_iter().filter_map(|exchange| self.reset(conn, exchange)).collect()
    }
}
