//! Starting: opens the addresses and the stores, and starts the engines. Each error says what
//! failed, where, and what to do.

use crate::admin::Site;
use crate::clock::Clock;
use crate::config::{self, Config, JournalSection, LogSection};
use crate::delivery::Deliverer;
use crate::engine::{self, Engine};
use crate::logging;
use crate::machines::Ran;
use crate::salvage::{self, Which};
use protocol::Replica;
use replay_log::journal::{Journal, JournalConfig};
use replay_log::log::{self, Log, LogConfig};
use replay_log::store::{self, Kind, MemoryStore, Store};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How long the journal keeps an unused session in memory; it stays on disk.
const CACHED_MS: u64 = 600_000;
/// How often a start that takes long shows that it goes on.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What to do about damage.
const SALVAGE: &str =
    "if it is damaged, `reprise salvage --config FILE` puts what can be read in its place";

/// Listens on an address of the configuration; port 0 becomes a free one.
pub fn bind(
    runtime: &Runtime,
    key: &str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), String> {
    let bound = runtime.block_on(TcpListener::bind(address));
    let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map(|(address, listener)| (listener, address)).map_err(|cause| {
        let what_to_do = match cause.kind() {
            std::io::ErrorKind::AddrInUse => "stop the process that has it, or choose another",
            std::io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
            _ => "choose another",
        };
        format!("cannot listen on {address} (`{key}`): {cause}; {what_to_do}")
    })
}

/// Opens one of the stores of a configuration.
pub fn open_store(config: &Config, name: &str) -> Result<Box<dyn Store>, String> {
    let config::Store::Disk(engine, data) = &config.store else {
        return Ok(Box::new(MemoryStore::new()));
    };
    let path = data.join(name);
    let salvaged = salvage::place(&path);
    if !path.exists() && salvaged.exists() {
        let (salvaged, path) = (salvaged.display(), path.display());
        return Err(format!("a salvage was cut off at its end: rename {salvaged} to {path}"));
    }
    std::fs::create_dir_all(&path).map_err(|cause| {
        let path = path.display();
        format!("cannot make the directory {path}: {cause}; make it writable or change `data`")
    })?;
    let kind = match engine {
        config::Engine::Fjall => Kind::Fjall,
        config::Engine::Sled => Kind::Sled,
    };
    store::open(kind, &path, config.min_free_bytes).map_err(|cause| {
        format!(
            "{cause}; if another reprise has it open, stop that one or change `data`; {SALVAGE}"
        )
    })
}

/// Entropy for an incarnation.
pub fn random() -> Result<[u8; 16], String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|cause| format!("no entropy: {cause}"))?;
    Ok(random)
}

/// Opens what a configuration names, and closes it again; the error says why that cannot be.
pub fn check(config: &Config, which: Which) -> Result<(), String> {
    let clock = Clock::start();
    match (which, &config.log, &config.journal) {
        (Which::Log, Some(log), _) => open_log(config, log, clock).map(drop),
        (Which::Journal, _, Some(journal)) => open_journal(config, journal, clock).map(drop),
        _ => Ok(()),
    }
}

/// The engines of this site, running.
pub struct Engines {
    /// How to reach them.
    pub site: Site,
    /// Who sends for the log.
    pub deliverer: Option<Deliverer>,
    /// Their threads.
    pub threads: Vec<JoinHandle<()>>,
    /// The stores' incarnations, the log's first.
    incarnations: [Option<String>; 2],
}

impl Engines {
    /// Opens the stores and starts what the configuration names.
    pub fn start(config: &Config, clock: Clock, runtime: &Runtime) -> Result<Engines, String> {
        let site = Site { service: config.service.clone(), log: None, journal: None };
        let mut engines =
            Engines { site, deliverer: None, threads: vec![], incarnations: [None, None] };
        // Both stores are opened before either engine runs.
        let log = config.log.as_ref().map(|l| open_log(config, l, clock)).transpose()?;
        let journal =
            config.journal.as_ref().map(|j| open_journal(config, j, clock)).transpose()?;
        if let (Some(section), Some(log)) = (&config.log, log) {
            engines.start_log(section, log, clock, runtime)?;
        }
        if let (Some(section), Some(journal)) = (&config.journal, journal) {
            let mirrored = config.log.as_ref().is_some_and(|l| l.mirror_cluster.is_some());
            engines.start_journal(section, journal, mirrored, clock)?;
        }
        Ok(engines)
    }

    fn start_log(
        &mut self,
        section: &LogSection,
        log: Log,
        clock: Clock,
        runtime: &Runtime,
    ) -> Result<(), String> {
        self.incarnations[0] = Some(log.incarnation().to_string());
        let (engine, inbox) = engine::queue();
        let deliverer = Deliverer::new(section, engine.clone(), runtime.handle().clone());
        let work = deliverer.clone();
        let thread = engine::spawn(log, inbox, clock, move |w| work.start(w));
        self.threads.push(thread.map_err(|cause| format!("cannot start a thread: {cause}"))?);
        self.deliverer = Some(deliverer);
        self.site.log = Some(engine);
        Ok(())
    }

    fn start_journal(
        &mut self,
        section: &JournalSection,
        journal: Journal,
        mirrored: bool,
        clock: Clock,
    ) -> Result<(), String> {
        self.incarnations[1] = Some(journal.incarnation().to_string());
        let (engine, inbox) = engine::queue();
        let work = tell(self.site.log.clone().filter(|_| mirrored), section.replica);
        let thread = engine::spawn(journal, inbox, clock, work);
        self.threads.push(thread.map_err(|cause| format!("cannot start a thread: {cause}"))?);
        self.site.journal = Some((section.replica, engine));
        Ok(())
    }
}

/// Passes on what ran here to the log of the same process, if Envoy mirrors: nobody else hears
/// the mirror's answers.
fn tell(log: Option<Engine<Log>>, replica: Replica) -> impl FnMut(Ran) + Send {
    move |Ran { session, word }| {
        if let Some(log) = &log {
            // Without it the log delivers the write, and the guard knows it already.
            let _ = log.feed_blocking(log::Input::JournalRan { replica, session, word });
        }
    }
}

fn open_log(config: &Config, section: &LogSection, clock: Clock) -> Result<Log, String> {
    let log = LogConfig {
        service: config.service.clone(),
        mirror_cluster: section.mirror_cluster.clone(),
        sole_gateway: section.sole_gateway,
        takeover_ms: section.takeover_ms,
        delivery_parallel: section.delivery_parallel,
        delivery_per_second: section.delivery_per_second,
        handback_hold_ms: section.handback_hold_ms,
        mirror_grace_ms: section.mirror_grace_ms,
        remember_ids_ms: section.remember_ids_ms,
        remember_ids_bytes: section.remember_ids_bytes,
        session_idle_ms: section.session_idle_ms,
        max_entries: section.max_entries,
        max_bytes: section.max_bytes,
    };
    let store = open_store(config, "log")?;
    let mut told = Instant::now();
    let mut tell = |entries| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            logging::info("reading the log", &[("entries", &entries)]);
        }
    };
    Log::open_telling(store, log, random()?, clock.now(), &mut tell)
        .map_err(|e| format!("cannot open the log: {e}; {SALVAGE}"))
}

fn open_journal(
    config: &Config,
    section: &JournalSection,
    clock: Clock,
) -> Result<Journal, String> {
    let journal = JournalConfig {
        service: config.service.clone(),
        replica: section.replica,
        remember_bytes: section.remember_bytes,
        session_idle_ms: CACHED_MS,
        takeover_ms: config.log.as_ref().map(|log| log.takeover_ms),
    };
    let store = open_store(config, "journal")?;
    Journal::open(store, journal, random()?, clock.now())
        .map_err(|e| format!("cannot open the journal: {e}; {SALVAGE}"))
}

/// Where this process is reached.
pub struct Addresses {
    /// gRPC.
    pub listen: SocketAddr,
    /// The admin page.
    pub admin: SocketAddr,
    /// The probes' page, if there is one.
    pub probes: Option<SocketAddr>,
}

/// Tells the operator that it runs, and as what.
pub fn announce(config: &Config, addresses: Addresses, engines: &Engines) {
    let mut roles = vec![];
    if config.log.is_some() {
        roles.push("log".to_string());
    }
    if let Some(journal) = &config.journal {
        roles.push(format!("journal-of-{}", journal.replica));
    }
    let roles = roles.join(",");
    let store = match &config.store {
        config::Store::Memory => "memory".to_string(),
        config::Store::Disk(engine, data) => format!("{}:{}", engine.name(), data.display()),
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut fields: Vec<logging::Field> = vec![
        ("version", &version),
        ("service", &config.service),
        ("roles", &roles),
        ("listen", &addresses.listen),
        ("admin", &addresses.admin),
    ];
    if let Some(probes) = &addresses.probes {
        fields.push(("probes", probes));
    }
    fields.push(("store", &store));
    if let Some(log) = &config.log {
        fields.push(("delivery", &log.delivery));
    }
    for (key, value) in ["log", "journal"].into_iter().zip(&engines.incarnations) {
        if let Some(value) = value {
            fields.push((key, value));
        }
    }
    logging::info("started", &fields);
}
