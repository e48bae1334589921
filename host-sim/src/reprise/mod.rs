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
mod life;
mod request;
mod streams;
#[cfg(test)]
mod tests;

pub use self::config::{Config, HeaderNames, LogPart, LogSettings};
pub use self::disk::Disk;

use self::delivery::Deliverer;
use self::engine::Turns;
use self::life::Life;
use self::streams::Streams;
use crate::kernel::{Actor, Addr, Cx, Event, MS, Micros, Port};
use protocol::{Number, SessionKey};
use replay_log::journal::seed::{self, SeedError};
use replay_log::journal::{self, Journal, JournalConfig, Resolution};
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

impl Reprise {
    /// A process with empty disks.
    pub fn new(config: Config) -> Box<Self> {
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

    /// A journal that was lost is not one in place of a lost replica: the service has its data, and
    /// the operator says so.
    fn adopt(&mut self) -> Result<(), StoreError> {
        let JournalConfig { service, replica, .. } = &self.config.journal;
        match seed::adopt(&mut self.journal_disk, service, *replica) {
            Ok(()) | Err(SeedError::InUse(_)) => Ok(()),
            Err(SeedError::Store(error)) => Err(error),
        }
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

impl Actor for Reprise {
    fn start(&mut self, cx: &mut Cx<'_>) {
        if let Some(age) = self.old.take() {
            let disk = if self.config.log.is_some() { &self.log_disk } else { &self.journal_disk };
            disk.put_back(cx.now(), age);
            if self.config.log.is_none()
                && let Err(error) = self.adopt()
            {
                return self.fail(cx, &error);
            }
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
        let now = cx.now();
        self.log_disk.crash(now, cx.rng());
        self.journal_disk.crash(now, cx.rng());
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
