//! The life of the process: start, serve until a signal, and end in order.

use crate::admin::{self, Site};
use crate::clock::Clock;
use crate::config::Config;
use crate::start::{self, Addresses, Engines};
use crate::{grpc, logging, probes};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Threads of the runtime that moves bytes; each engine has one of its own.
const WORKERS: usize = 2;
/// How long deliveries under way at shutdown may still take.
const DELIVERIES: Duration = Duration::from_secs(2);
/// Signals closer than this are one.
const SAME_SIGNAL: Duration = Duration::from_millis(250);
/// How long connections may take to close after their streams have ended.
const CONNECTIONS: Duration = Duration::from_secs(1);

/// Runs until a signal ends it. The error says what failed, where, and what to do.
pub fn run(config: Config) -> Result<(), String> {
    let clock = Clock::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|cause| format!("cannot start the runtime: {cause}"))?;
    let signals = runtime.block_on(async { Signals::new() })?;
    let (grpc, listen) = start::bind(&runtime, "listen", config.listen)?;
    let (admin, admin_address) = start::bind(&runtime, "admin", config.admin)?;
    let probes =
        config.probes.map(|address| start::bind(&runtime, "probes", address)).transpose()?;
    let (probes, probes_address) = probes.unzip();
    let engines = Engines::start(&config, clock, &runtime)?;
    let addresses = Addresses { listen, admin: admin_address, probes: probes_address };
    start::announce(&config, addresses, &engines);
    let listeners = Listeners { grpc, admin, probes };
    let result = runtime.block_on(serve(listeners, engines, signals));
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

/// What connections come in by.
struct Listeners {
    grpc: TcpListener,
    admin: TcpListener,
    probes: Option<TcpListener>,
}

/// Waits for the signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals, String> {
        let listen =
            |kind| signal(kind).map_err(|cause| format!("cannot listen to signals: {cause}"));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Ends the process when a signal comes for the second time. Supervisors and terminals send the
/// first one to the process and to its group, so what comes at once is still the first.
async fn end_at_once() {
    tokio::time::sleep(SAME_SIGNAL).await;
    if let Ok(mut signals) = Signals::new() {
        let signal = signals.next().await;
        logging::warn("ended at once, by a second signal", &[("signal", &signal)]);
        std::process::exit(1);
    }
}

async fn serve(listeners: Listeners, engines: Engines, mut signals: Signals) -> Result<(), String> {
    let (stop, _) = watch::channel(false);
    // The pages go on until the engines have ended, to say that this process is not ready.
    let (end_pages, _) = watch::channel(false);
    let set = |flag: &watch::Sender<bool>| {
        let mut flag = flag.subscribe();
        async move {
            // The sender outlives all that wait.
            let _ = flag.wait_for(|set| *set).await;
        }
    };
    let site = engines.site.clone();
    let journal = site.journal.as_ref().map(|(_, journal)| journal.clone());
    let mut grpc = tokio::spawn(grpc::serve(listeners.grpc, site.log.clone(), journal, set(&stop)));
    let page = probes::serve(listeners.probes, site.clone(), stop.subscribe(), set(&end_pages));
    let mut probes = tokio::spawn(page);
    let page = admin::serve(listeners.admin, site, stop.subscribe(), set(&end_pages));
    let mut admin = tokio::spawn(page);
    let signal = tokio::select! {
        signal = signals.next() => signal,
        ended = &mut grpc => return Err(format!("the gRPC server has ended: {ended:?}")),
        ended = &mut admin => return Err(format!("the admin server has ended: {ended:?}")),
        ended = &mut probes => return Err(format!("the probes' server has ended: {ended:?}")),
    };
    drop(signals);
    tokio::spawn(end_at_once());
    // Sent before the streams end, so that no peer comes back on the same connection.
    stop.send_replace(true);
    logging::info("shutting down", &[("signal", &signal)]);
    end(engines).await;
    end_pages.send_replace(true);
    let servers = async {
        // Connections that do not close in time go down with the process.
        let _ = (grpc.await, admin.await, probes.await);
    };
    let _ = tokio::time::timeout(CONNECTIONS, servers).await;
    logging::info("ended", &[]);
    Ok(())
}

/// Ends the log's streams, lets deliveries come to an end while the journal still serves them,
/// and ends the engines: the journal first, since it feeds the log. An engine that has stopped
/// already needs no telling.
async fn end(engines: Engines) {
    let Site { log, journal, .. } = engines.site;
    if let Some(log) = &log {
        let _ = log.close_streams().await;
    }
    if let Some(deliverer) = engines.deliverer
        && tokio::time::timeout(DELIVERIES, deliverer.finish()).await.is_err()
    {
        logging::info("left deliveries under way; they are repeated after the start", &[]);
    }
    if let Some((_, journal)) = &journal {
        let _ = journal.quit().await;
    }
    if let Some(log) = &log {
        let _ = log.quit().await;
    }
    for thread in engines.threads {
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            logging::error("an engine's thread did not end in order", &[]);
        }
    }
}
