//! One thread owns one engine, a [`Log`](replay_log::log::Log) or a
//! [`Journal`](replay_log::journal::Journal), and is the only one that touches it.
//!
//! Inputs come in by a queue bounded in messages and in bytes; who feeds waits while it is full.
//! Each turn takes what has queued up meanwhile, lets the engine handle it, commits once (the
//! group commit) and only then lets the outputs go. A commit that fails, or a panic in the
//! engine, ends the process at once: nothing that is not durable is ever answered. Disk space is
//! given back beside the turns.

mod reclaim;
mod thread;

pub use thread::spawn;

use crate::streams::Peer;
use replay_log::store::{Reclaim, StoreError};
use replay_log::{Now, StreamId};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Messages that wait for an engine.
const QUEUE_MESSAGES: usize = 4096;
/// Bytes of messages that wait for an engine.
const QUEUE_BYTES: usize = 64 << 20;

/// What an output asks for.
pub enum Act<R, W> {
    /// Send a message on a stream.
    Send(StreamId, R),
    /// End a stream.
    Close(StreamId),
    /// Work outside of the streams.
    Work(W),
}

/// An engine as this module runs it.
pub trait Machine: Send + 'static {
    /// What happens to it.
    type Input: Send + 'static;
    /// What it wants done.
    type Output;
    /// Messages of its streams.
    type Reply: Send + 'static;
    /// Its other work.
    type Work;
    /// Its name in logs.
    const NAME: &'static str;

    /// The input for time that passed.
    fn tick() -> Self::Input;
    /// The input for a stream that ended.
    fn closed(stream: StreamId) -> Self::Input;
    /// Stages the consequences of an input.
    fn handle(&mut self, now: Now, input: Self::Input);
    /// Makes what is staged durable and hands it out.
    fn commit(&mut self, now: Now) -> Result<Vec<Self::Output>, StoreError>;
    /// Makes durable what was waiting for company; before an orderly end.
    fn flush(&mut self, now: Now) -> Result<(), StoreError>;
    /// Work that gives disk space back, if there is some; asked every few seconds.
    fn reclaim(&mut self) -> Option<Reclaim>;
    /// When it wants a tick.
    fn next_wake_ms(&self) -> Option<u64>;
    /// Why a message refuses its stream, if it does.
    fn refusal(message: &Self::Reply) -> Option<&str>;
    /// Sorts an output.
    fn act(output: Self::Output) -> Act<Self::Reply, Self::Work>;
}

type Question<M> = Box<dyn FnOnce(&M) + Send>;

enum Message<M: Machine> {
    Open(StreamId, Peer<M::Reply>),
    Closed(StreamId),
    Input(M::Input, usize),
    Ask(Question<M>),
    CloseStreams,
    Quit,
}

/// The engine's thread has ended: the process is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process is shutting down")]
pub struct Stopped;

/// How everyone else reaches an engine.
pub struct Engine<M: Machine> {
    queue: mpsc::Sender<Message<M>>,
    room: Arc<Semaphore>,
}

impl<M: Machine> Clone for Engine<M> {
    fn clone(&self) -> Self {
        Engine { queue: self.queue.clone(), room: self.room.clone() }
    }
}

/// The queue's other end, to be given to [`spawn`].
pub struct Inbox<M: Machine> {
    queue: mpsc::Receiver<Message<M>>,
    room: Arc<Semaphore>,
}

/// The queue of an engine that is yet to be started.
pub fn queue<M: Machine>() -> (Engine<M>, Inbox<M>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let room = Arc::new(Semaphore::new(QUEUE_BYTES));
    (Engine { queue: sender, room: room.clone() }, Inbox { queue: receiver, room })
}

impl<M: Machine> Engine<M> {
    async fn send(&self, message: Message<M>) -> Result<(), Stopped> {
        self.queue.send(message).await.map_err(|_| Stopped)
    }

    /// Feeds an input of about `bytes`, waiting while the queue is full.
    pub async fn feed(&self, input: M::Input, bytes: usize) -> Result<(), Stopped> {
        let bytes = bytes.min(QUEUE_BYTES);
        if bytes > 0 {
            // The turn that handles it gives the room back.
            self.room.acquire_many(bytes as u32).await.map_err(|_| Stopped)?.forget();
        }
        self.send(Message::Input(input, bytes)).await
    }

    /// As [`Engine::feed`], for threads outside of the runtime.
    pub fn feed_blocking(&self, input: M::Input) -> Result<(), Stopped> {
        self.queue.blocking_send(Message::Input(input, 0)).map_err(|_| Stopped)
    }

    /// Adds a stream; its inputs may follow.
    pub async fn open(&self, stream: StreamId, peer: Peer<M::Reply>) -> Result<(), Stopped> {
        self.send(Message::Open(stream, peer)).await
    }

    /// A stream has ended, for whatever reason; no input of it follows.
    pub async fn closed(&self, stream: StreamId) -> Result<(), Stopped> {
        self.send(Message::Closed(stream)).await
    }

    /// Asks for something that is true when all inputs before it are durable.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&M) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let ask = move |machine: &M| {
            // Who asked may have gone.
            let _ = answer.send(question(machine));
        };
        self.send(Message::Ask(Box::new(ask))).await?;
        answered.await.map_err(|_| Stopped)
    }

    /// Ends all streams once everything before is durable.
    pub async fn close_streams(&self) -> Result<(), Stopped> {
        self.send(Message::CloseStreams).await
    }

    /// Ends the thread once everything before is durable.
    pub async fn quit(&self) -> Result<(), Stopped> {
        self.send(Message::Quit).await
    }
}
