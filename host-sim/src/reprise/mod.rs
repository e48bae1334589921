//! The process `reprise` of one site: the real engines of the log and the journal, each with a
//! thread and a disk of its own, their gRPC streams, and the sender of deliveries.
//!
//! Modelled after `replay-service`: an engine takes what has queued up, commits once, and its
//! outputs leave when the sync is done. The two engines do not wait for each other; what ran here
//! is told to the log of the same process where Envoy mirrors.

mod config;
mod delivery;
mod disk;
mod engine;
mod request;
mod streams;
#[cfg(test)]
mod tests;

pub use self::config::{Config, HeaderNames, LogPart, LogSettings};
pub use self::disk::Disk;

use self::delivery::Deliverer;
use self::engine::{Machine, Turns};
use self::streams::{Of, Streams};
use crate::kernel::{Actor, Addr, ConnId, Cx, Event, MS, Micros, NetEvent, Port, Timer};
use crate::wire::{self, Frame, StreamNo};
use prost::Message;
use protocol::{Number, SessionKey, pb};
use replay_log::journal::{self, Journal, Resolution};
use replay_log::log::{self, Log};
use replay_log::store::StoreError;
use scenario::Old;

/// A supervisor starts a process again after this.
const RESTART: Micros = 500 * MS;

/// The process.
pub struct Reprise {
    config: Config,
    log_disk: Disk,
    journal_disk: Disk,
    /// The store that is found as it was so long ago, or empty, at the next start.
    old: Option<Option<Micros>>,
    life: Option<Life>,
    /// Why it dies by itself.
    cause: Option<String>,
}

/// What is lost with the process.
struct Life {
    log: Option<Turns<Log>>,
    deliverer: Option<Deliverer>,
    journal: Turns<Journal>,
    /// What ran here is told to the log.
    mirrored: bool,
    streams: Streams,
    /// The next event of the log that nobody has noted.
    event: u64,
}

impl Reprise {
    /// A process with empty disks.
    pub fn new(config: Config) -> Box<dyn Actor> {
        let log_disk = Disk::new(config.log.as_ref().map_or(0, |log| log.keep));
        let journal_disk = Disk::new(config.keep);
        Box::new(Reprise { config, log_disk, journal_disk, old: None, life: None, cause: None })
    }

    /// The disk of this site begins to misbehave, or behaves again.
    pub fn disk(&mut self, how: Option<scenario::Disk>) {
        self.log_disk.misbehave(how);
        self.journal_disk.misbehave(how);
    }

    /// The log, or the journal where there is no log, is found in an older state at the next start.
    pub fn store(&mut self, old: Old) {
        self.old = Some(old.age_ms.map(|ms| ms.saturating_mul(MS)));
    }

    /// How the engines stand; nothing while the process is down or where there is no log.
    pub fn status(&self) -> (Option<log::Status>, Option<journal::Status>) {
        let life = self.life.as_ref();
        let log = life.and_then(|life| life.log.as_ref()).map(|log| log.machine.status());
        (log, life.map(|life| life.journal.machine.status()))
    }

    /// An operator resolves a write in doubt; nothing happens if it is not.
    pub fn resolve(
        &mut self,
        cx: &mut Cx<'_>,
        session: &SessionKey,
        number: Number,
        action: Resolution,
    ) {
        if let Some(life) = &mut self.life {
            let input = journal::Input::Resolve { session: session.clone(), number, action };
            life.journal.feed(input, 0);
            self.settle(cx);
        }
    }

    /// A figure that changes with everything that is numbered, run, settled, handed back or
    /// resolved, and with nothing that is only tried again.
    pub fn progress(&self) -> u64 {
        let (log, journal) = self.status();
        let log = log.map(|s| [s.numbered, s.withdrawn, s.backlog[0], s.backlog[1], s.pinned]);
        let journal = journal.map(|s| [s.ran, s.skipped, s.in_doubt_total, s.running, s.redone]);
        let figures = log.into_iter().chain(journal).flatten();
        figures.fold(1, |mixed: u64, n| mixed.wrapping_mul(0x0000_0100_0000_01b3).wrapping_add(n))
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Life, StoreError> {
        let now = cx.engine_now();
        let mut random = [[0; 16]; 2];
        random.iter_mut().for_each(|bytes| cx.rng().fill(bytes));
        let mut log = None;
        if let Some(part) = &self.config.log {
            let store = Box::new(self.log_disk.clone());
            let engine = Log::open(store, part.settings.engine.clone(), random[0], now)?;
            self.log_disk.synced(cx.now());
            log = Some(Turns::new(engine, self.log_disk.clone(), self.config.sync_us));
        }
        let store = Box::new(self.journal_disk.clone());
        let engine = Journal::open(store, self.config.journal.clone(), random[1], now)?;
        self.journal_disk.synced(cx.now());
        let deliverer = self.config.log.as_ref().map(|part| {
            let listener = Addr { node: part.edge_envoy, port: Port::Delivery };
            Deliverer::new(listener, part.settings.clone())
        });
        Ok(Life {
            log,
            deliverer,
            journal: Turns::new(engine, self.journal_disk.clone(), self.config.sync_us),
            mirrored: self
                .config
                .log
                .as_ref()
                .is_some_and(|log| log.settings.engine.mirror_cluster.is_some()),
            streams: Streams::default(),
            event: 0,
        })
    }

    /// Lets the engines take their turns until there is nothing to do or a disk has to be waited
    /// for.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let Some(life) = &mut self.life else { return };
        let settled = life.settle(cx, self.config.shop);
        if let Err(error) = settled {
            self.fail(cx, &error);
        }
    }

    /// Nobody knows what the disk holds: nothing more is answered, and the process ends.
    fn fail(&mut self, cx: &mut Cx<'_>, error: &StoreError) {
        self.life = None;
        self.cause = Some(error.to_string());
        cx.die(RESTART);
    }
}

impl Life {
    fn settle(&mut self, cx: &mut Cx<'_>, shop: u32) -> Result<(), StoreError> {
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

    fn net(&mut self, cx: &mut Cx<'_>, conn: ConnId, event: NetEvent) {
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

    fn closed(&mut self, stream: replay_log::StreamId, of: Of) {
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
    fn message(&mut self, stream: replay_log::StreamId, of: Of, bytes: &[u8]) -> bool {
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

    fn timer(&mut self, cx: &mut Cx<'_>, timer: Timer) {
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
    fn finish(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        self.deliverer = None;
        let outputs = self.journal.finish(cx)?;
        outputs.into_iter().for_each(|output| self.journal_output(cx, output));
        let outputs = self.log.as_mut().map(|log| log.finish(cx)).transpose()?;
        outputs.into_iter().flatten().for_each(|output| self.log_output(cx, output));
        self.streams.close_all(cx, streams::UNAVAILABLE);
        Ok(())
    }
}

impl Actor for Reprise {
    fn start(&mut self, cx: &mut Cx<'_>) {
        if let Some(age) = self.old.take() {
            let disk = if self.config.log.is_some() { &self.log_disk } else { &self.journal_disk };
            disk.put_back(cx.now(), age);
        }
        match self.open(cx) {
            Ok(life) => {
                self.life = Some(life);
                cx.note(Some(self.config.shop), "started", cx.name().to_string());
                self.settle(cx);
            }
            Err(error) => self.fail(cx, &error),
        }
    }

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        let Some(life) = &mut self.life else { return };
        match event {
            Event::Net(conn, event) => life.net(cx, conn, event),
            Event::Timer(timer) => life.timer(cx, timer),
            Event::Fault(_) => {}
        }
        self.settle(cx);
    }

    fn crash(&mut self, cx: &mut Cx<'_>) {
        self.life = None;
        self.log_disk.crash(cx.rng());
        self.journal_disk.crash(cx.rng());
        let cause = self.cause.take().map(|cause| format!(": {cause}")).unwrap_or_default();
        let text = format!("{}{cause}", cx.name());
        cx.note(Some(self.config.shop), "died", text);
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        let Some(mut life) = self.life.take() else { return };
        if let Err(error) = life.finish(cx) {
            self.cause = Some(error.to_string());
            return self.crash(cx);
        }
        cx.note(Some(self.config.shop), "stopped", cx.name().to_string());
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}
