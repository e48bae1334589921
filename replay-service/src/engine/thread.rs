//! The thread of an engine: turns of taking what has queued up, handling, one commit, and letting
//! the outputs go.

use super::reclaim::Reclaiming;
use super::{Act, Inbox, Machine, Message, Question};
use crate::clock::Clock;
use crate::logging;
use crate::streams::Streams;
use replay_log::store::StoreError;
use std::time::{Duration, Instant};

/// Inputs of one commit.
const BATCH_MESSAGES: usize = 1024;
/// Bytes of the inputs of one commit; the input that passes it is the last.
const BATCH_BYTES: usize = 4 << 20;
/// A turn that takes longer is told to the operator: all that wait for an answer wait for it.
const SLOW: Duration = Duration::from_millis(500);
/// A tick that is due already waits this long for company.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Exit code after a failed commit or a panic of an engine.
const EXIT_STORE: i32 = 4;

/// Starts the thread of an engine. `work` does what is not for a stream; it must not block for
/// long. The thread ends, and drops the engine, after [`Engine::quit`].
pub fn spawn<M: Machine>(
    machine: M,
    inbox: Inbox<M>,
    clock: Clock,
    work: impl FnMut(M::Work) + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let streams = Streams::new(M::NAME);
    let reclaiming = Reclaiming::default();
    let turns = Turns { machine, inbox, clock, work, streams, timer, reclaiming };
    std::thread::Builder::new().name(M::NAME.into()).spawn(move || {
        let fatal = ExitOnPanic(M::NAME);
        turns.run();
        std::mem::forget(fatal);
    })
}

/// Nobody knows what the disk holds: nothing more is answered, by any thread.
pub(super) fn failed(engine: &str, error: &StoreError) -> ! {
    let then = "mend or replace the disk and start reprise again";
    let fields: [logging::Field; 3] = [("engine", &engine), ("cause", error), ("then", &then)];
    logging::error("the store has failed; what was not saved was not answered", &fields);
    std::process::exit(EXIT_STORE);
}

/// Ends the process when its thread unwinds.
pub(super) struct ExitOnPanic(pub(super) &'static str);

impl Drop for ExitOnPanic {
    fn drop(&mut self) {
        logging::error("an engine has panicked; this is a bug, see above", &[("engine", &self.0)]);
        std::process::exit(EXIT_STORE);
    }
}

struct Turns<M: Machine, F> {
    machine: M,
    inbox: Inbox<M>,
    clock: Clock,
    work: F,
    streams: Streams<M::Reply>,
    /// Gives the wait for the queue its timeout; nothing else runs on it.
    timer: tokio::runtime::Runtime,
    reclaiming: Reclaiming,
}

/// What one turn has taken from the queue.
struct Turn<M: Machine> {
    begun: Instant,
    /// How long its commit took.
    committing: Duration,
    messages: usize,
    bytes: usize,
    questions: Vec<Question<M>>,
    close_streams: bool,
    quit: bool,
}

impl<M: Machine> Turn<M> {
    fn complain_if_slow(&self, engine: &'static str) {
        let took = self.begun.elapsed();
        if took > SLOW {
            let (took, commit) = (took.as_millis(), self.committing.as_millis());
            let fields: [logging::Field; 4] = [
                ("engine", &engine),
                ("took_ms", &took),
                ("commit_ms", &commit),
                ("messages", &self.messages),
            ];
            logging::warn("an engine was slow; commit_ms is the disk's share", &fields);
        }
    }
}

impl<M: Machine, F: FnMut(M::Work)> Turns<M, F> {
    fn run(mut self) {
        loop {
            let message = self.wait();
            let mut turn = Turn {
                begun: Instant::now(),
                committing: Duration::ZERO,
                messages: 0,
                bytes: 0,
                questions: vec![],
                close_streams: false,
                quit: false,
            };
            if let Some(message) = message {
                self.take(message, &mut turn);
                while !turn.quit && turn.messages < BATCH_MESSAGES && turn.bytes < BATCH_BYTES {
                    let Ok(message) = self.inbox.queue.try_recv() else { break };
                    self.take(message, &mut turn);
                }
            }
            self.finish(&mut turn);
            turn.complain_if_slow(M::NAME);
            let machine = &mut self.machine;
            self.reclaiming.go_on(M::NAME, self.clock.now().mono_ms, || machine.reclaim());
            if turn.quit {
                return;
            }
        }
    }

    /// The next message, or nothing once a tick is due.
    fn wait(&mut self) -> Option<Message<M>> {
        if let Ok(message) = self.inbox.queue.try_recv() {
            return Some(message);
        }
        let due = self.reclaiming.due_ms();
        let wake = self.machine.next_wake_ms().map_or(due, |wake| wake.min(due));
        let timeout = self.clock.until(wake).max(SHORTEST_WAIT);
        let queue = &mut self.inbox.queue;
        // All handles gone is the same as being told to quit.
        self.timer.block_on(async {
            let received = tokio::time::timeout(timeout, queue.recv()).await;
            received.ok().map(|message| message.unwrap_or(Message::Quit))
        })
    }

    fn take(&mut self, message: Message<M>, turn: &mut Turn<M>) {
        turn.messages += 1;
        match message {
            Message::Open(stream, peer) => self.streams.open(stream, peer),
            Message::Closed(stream) => {
                self.streams.close(stream);
                self.machine.handle(self.clock.now(), M::closed(stream));
            }
            Message::Input(input, bytes) => {
                turn.bytes += bytes;
                self.machine.handle(self.clock.now(), input);
            }
            Message::Ask(question) => turn.questions.push(question),
            Message::CloseStreams => turn.close_streams = true,
            Message::Quit => turn.quit = true,
        }
    }

    fn finish(&mut self, turn: &mut Turn<M>) {
        self.inbox.room.add_permits(turn.bytes);
        let now = self.clock.now();
        if self.machine.next_wake_ms().is_some_and(|wake| wake <= now.mono_ms) {
            self.machine.handle(now, M::tick());
        }
        let committing = Instant::now();
        let mut outputs = self.machine.commit(now);
        turn.committing = committing.elapsed();
        if turn.quit {
            outputs = outputs.and_then(|outputs| self.machine.flush(now).map(|()| outputs));
        }
        for output in outputs.unwrap_or_else(|error| failed(M::NAME, &error)) {
            match M::act(output) {
                Act::Send(stream, message) => {
                    if let Some(cause) = M::refusal(&message) {
                        let fields: [logging::Field; 3] =
                            [("engine", &M::NAME), ("stream", &stream.0), ("cause", &cause)];
                        logging::warn("refused a stream", &fields);
                    }
                    self.streams.send(stream, message);
                }
                Act::Close(stream) => self.streams.close(stream),
                Act::Work(work) => (self.work)(work),
            }
        }
        for question in turn.questions.drain(..) {
            question(&self.machine);
        }
        if turn.close_streams || turn.quit {
            self.streams.close_all(&tonic::Status::unavailable("reprise is shutting down"));
        }
    }
}
