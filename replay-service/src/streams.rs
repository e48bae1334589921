//! The gRPC streams of one engine, as the engine's thread sees them: where its answers go.
//!
//! Answers wait in a bounded queue per stream. A peer that leaves its queue full is not read
//! from either: its stream is ended, and it comes back with a new one.

use crate::logging;
use replay_log::StreamId;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// Messages that wait for one peer. A worker holds at most `limits::HELD_REQUESTS` requests; the
/// rest is room for the news of sessions that move all at once.
pub const QUEUED: usize = 16_384;

/// The engine's end of one stream.
pub struct Peer<R> {
    /// Where its answers go; dropping it ends the stream after what is queued.
    answers: mpsc::Sender<Result<R, Status>>,
    /// Dropped with the entry: tells the task that reads the stream to stop.
    _reading: oneshot::Sender<()>,
}

/// The other ends: what the server sends, and when to stop reading.
pub struct Ends<R> {
    /// Answers, in order.
    pub answers: mpsc::Receiver<Result<R, Status>>,
    /// Resolves once the engine has ended the stream.
    pub ended: oneshot::Receiver<()>,
}

/// A new stream's two ends.
pub fn pair<R>() -> (Peer<R>, Ends<R>) {
    let (answers, receiver) = mpsc::channel(QUEUED);
    let (reading, ended) = oneshot::channel();
    (Peer { answers, _reading: reading }, Ends { answers: receiver, ended })
}

/// All streams of one engine.
pub struct Streams<R> {
    engine: &'static str,
    open: BTreeMap<StreamId, Peer<R>>,
}

impl<R> Streams<R> {
    /// None yet.
    pub fn new(engine: &'static str) -> Self {
        Streams { engine, open: BTreeMap::new() }
    }

    /// Adds a stream.
    pub fn open(&mut self, stream: StreamId, peer: Peer<R>) {
        self.open.insert(stream, peer);
    }

    /// Queues an answer; what is for a stream that has ended is dropped.
    pub fn send(&mut self, stream: StreamId, message: R) {
        let Some(peer) = self.open.get(&stream) else { return };
        match peer.answers.try_send(Ok(message)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => self.close(stream),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let fields: [logging::Field; 3] =
                    [("engine", &self.engine), ("stream", &stream.0), ("queued", &QUEUED)];
                logging::warn("ended a stream whose peer does not read", &fields);
                self.close(stream);
            }
        }
    }

    /// Ends a stream after what is queued.
    pub fn close(&mut self, stream: StreamId) {
        self.open.remove(&stream);
    }

    /// Ends all streams, with the reason.
    pub fn close_all(&mut self, reason: &Status) {
        for peer in std::mem::take(&mut self.open).into_values() {
            // A full queue ends without the reason.
            let _ = peer.answers.try_send(Err(reason.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(1);

    #[tokio::test]
    async fn closing_lets_out_what_was_queued_and_stops_the_reader() {
        let mut streams = Streams::new("test");
        let (peer, mut ends) = pair();
        streams.open(STREAM, peer);
        streams.send(STREAM, "answer");
        streams.close(STREAM);
        streams.send(STREAM, "too late");
        assert!(matches!(ends.answers.recv().await, Some(Ok("answer"))));
        assert!(ends.answers.recv().await.is_none());
        assert!(ends.ended.await.is_err());
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_loses_its_stream() {
        let mut streams = Streams::new("test");
        let (peer, ends) = pair();
        streams.open(STREAM, peer);
        for n in 0..=QUEUED {
            streams.send(STREAM, n);
        }
        assert!(ends.ended.await.is_err());
    }
}
