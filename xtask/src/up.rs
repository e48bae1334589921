//! `cargo xtask up`: the stack in front of two replicas that the user already has.
//!
//! Prints one line of JSON on standard output once everything is ready; everything else goes to
//! standard error. A process that ends by itself is started again, as a supervisor would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::repo;
use crate::stack::{Mirror, SessionSource, Stack, StackOptions};

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The primary replica, the one more likely to be cut off
    #[arg(long, value_name = "HOST:PORT")]
    primary: String,
    /// The secondary replica, here at the edge
    #[arg(long, value_name = "HOST:PORT")]
    secondary: String,
    /// Where clients come in [default: a free port]
    #[arg(long, value_name = "PORT")]
    listen: Option<u16>,
    /// Where the primary's guard listens [default: a free port]
    #[arg(long, value_name = "PORT")]
    cloud_port: Option<u16>,
    /// The address at which the edge reaches the primary's guard, if a relay or a tunnel stands
    /// between
    #[arg(long, value_name = "HOST:PORT")]
    cloud_via: Option<String>,
    /// The session key: header:NAME, cookie:NAME, jwt:CLAIM or path:REGEX
    #[arg(long, value_name = "SOURCE", default_value = "header:x-session-id")]
    session: SessionSource,
    /// Where configurations, logs and stores go; kept afterwards
    #[arg(long, value_name = "DIR", default_value = "target/up")]
    data: PathBuf,
    /// Who brings writes to the other replica while both are there
    #[arg(long, value_enum, default_value_t)]
    mirror: Mirror,
    /// How long a silent primary may take before failover; longer than the slowest answer
    #[arg(long, value_name = "N", default_value_t = 1000)]
    detect_ms: u64,
    /// The path of the replicas' health check
    #[arg(long, value_name = "PATH", default_value = "/healthz")]
    health: String,
    /// Worker threads of each Envoy
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// The Envoy to run [default: the one that is found]
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
}

/// Runs the stack until SIGINT or SIGTERM.
pub async fn run(args: UpArgs) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let started = async {
        let stack = Stack::start(options(args).await?).await?;
        println!("{}", stack.describe());
        note(&stack)?;
        Ok::<_, anyhow::Error>(stack)
    };
    let stack = tokio::select! {
        stack = started => stack?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    tokio::select! {
        failed = supervise(&stack) => failed?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("ending; the data stays in {}", stack.data.display());
    tokio::select! {
        ended = stack.shutdown() => ended,
        // A second Ctrl-C does not wait: dropping the stack kills what is left.
        _ = interrupt.recv() => Ok(()),
    }
}

async fn options(args: UpArgs) -> Result<StackOptions> {
    let primary = resolve(&args.primary).await?;
    let secondary = resolve(&args.secondary).await?;
    let cloud_via = match &args.cloud_via {
        Some(via) => Some(resolve(via).await?),
        None => None,
    };
    Ok(StackOptions {
        listen: args.listen,
        cloud_port: args.cloud_port,
        cloud_via,
        session: args.session,
        mirror: args.mirror,
        detect_ms: args.detect_ms,
        health: args.health,
        workers: args.workers,
        envoy: args.envoy,
        ..StackOptions::new(primary, secondary, from_root(&args.data))
    })
}

/// `target/up` means the repository's, wherever the command is called.
fn from_root(data: &Path) -> PathBuf {
    if data == Path::new("target/up") { repo::root().join(data) } else { data.to_owned() }
}

/// An address for a name, IPv4 before IPv6.
async fn resolve(name: &str) -> Result<SocketAddr> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host(name)
        .await
        .with_context(|| format!("{name:?} is not the HOST:PORT of anything"))?
        .collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(|| anyhow!("{name:?} has no address"))
}

/// Starts again whatever ends by itself; slower if it does so at once.
async fn supervise(stack: &Stack) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut pause = Duration::from_millis(100);
    let mut last = Instant::now();
    loop {
        let (process, status) = stack.any_exit().await?;
        pause = if last.elapsed() < PATIENCE {
            (pause * 2).min(PATIENCE)
        } else {
            Duration::from_millis(100)
        };
        eprintln!("{} ended with {status}; starting it again", process.name());
        tokio::time::sleep(pause).await;
        last = Instant::now();
        match stack.restart(process).await {
            Ok(()) => eprintln!("{} runs again, as {}", process.name(), stack.pid(process)?),
            Err(error) => eprintln!("{error:#}"),
        }
        note(stack)?;
    }
}

/// Keeps the line that was printed in `up.json` too, with the process ids of now.
fn note(stack: &Stack) -> Result<()> {
    let file = stack.data.join("up.json");
    std::fs::write(&file, format!("{}\n", stack.describe()))
        .with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_resolves_to_ipv4_first() {
        let address = resolve("localhost:80").await.unwrap();
        assert_eq!(address, "127.0.0.1:80".parse().unwrap());
        assert!(resolve("no port").await.is_err());
    }

    #[test]
    fn the_default_directory_is_the_repositorys_own() {
        assert_eq!(from_root(Path::new("target/up")), repo::root().join("target/up"));
        assert_eq!(from_root(Path::new("/tmp/x")), Path::new("/tmp/x"));
    }
}
