//! `till`: the sample stateful service as a process. Prints `{"listening":"ADDR"}` once it
//! listens; see the module `demo::till` for what it serves.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use demo::till::{Till, TillOptions};
use tokio::signal::unix::{SignalKind, signal};

/// A stateful HTTP service that keeps, per session, a hash chain over its writes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Where to keep the sessions.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How long each read and each write takes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    delay_ms: u64,
    /// The name by which this replica differs from its twin where a test asks for it.
    #[arg(long, value_name = "NAME", default_value = "till")]
    answer: String,
    /// Bring each write to the disk before it is answered.
    #[arg(long)]
    sync: bool,
    /// End when standard input ends, so as not to outlive the process that holds it.
    #[arg(long)]
    with_parent: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let till = Till::start(TillOptions {
        listen: arguments.listen,
        data: arguments.data.clone(),
        delay: Duration::from_millis(arguments.delay_ms),
        name: arguments.answer,
        sync: arguments.sync,
    })
    .await
    .with_context(|| {
        format!("listen on {}, data in {}", arguments.listen, arguments.data.display())
    })?;
    println!("{}", serde_json::json!({"listening": till.addr()}));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        served = till.serve() => served?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = parent(), if arguments.with_parent => {}
    }
    Ok(())
}

/// Resolves when standard input has ended.
async fn parent() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An error ends it as well: there is nobody to hold it any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}
