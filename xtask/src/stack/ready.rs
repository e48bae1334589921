//! Waits until a process is ready, and says why it is not.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::http;
use super::process::Child;

const LIMIT: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(10);

/// Waits until `path` at the admin port answers 200 and every listener accepts. An error if the
/// process ends first, or after a minute.
pub(super) async fn wait(
    mut exited: watch::Receiver<Option<ExitStatus>>,
    admin: SocketAddr,
    path: &str,
    listeners: &[SocketAddr],
) -> Result<()> {
    let up = async {
        // Nothing tells when a server of another process is ready: it must be asked.
        while !matches!(http::get(admin, path).await, Ok(answer) if answer.status == 200) {
            tokio::time::sleep(PACE).await;
        }
        for listener in listeners {
            while TcpStream::connect(listener).await.is_err() {
                tokio::time::sleep(PACE).await;
            }
        }
    };
    tokio::select! {
        () = up => Ok(()),
        ended = exited.wait_for(Option::is_some) => {
            let status = ended.ok().and_then(|status| *status);
            Err(status.map_or_else(|| anyhow!("it ended"), |status| anyhow!("it ended with {status}")))
        }
        () = tokio::time::sleep(LIMIT) => bail!("no answer at http://{admin}{path} within {LIMIT:?}"),
    }
}

/// Waits until the edge Envoy has found both guards healthy, but no longer than `limit`.
pub(super) async fn healthy(admin: SocketAddr, guards: &[SocketAddr], limit: Duration) {
    let both = async {
        loop {
            let clusters = http::get(admin, "/clusters").await;
            let clusters = clusters.map(|answer| answer.text()).unwrap_or_default();
            let healthy = |guard| {
                let line = format!("::{guard}::health_flags::healthy");
                clusters
                    .lines()
                    .any(|found| found.contains("primary-first") && found.ends_with(&line))
            };
            if guards.iter().all(healthy) {
                return;
            }
            tokio::time::sleep(PACE).await;
        }
    };
    let _ = tokio::time::timeout(limit, both).await;
}

/// Why a process is not ready: the cause, and the end of its log.
pub(super) fn failure(child: &Child, cause: &anyhow::Error) -> anyhow::Error {
    let spec = child.spec();
    anyhow!(
        "{} is not ready: {cause:#}\nthe end of {}:\n{}",
        spec.name,
        spec.log.display(),
        child.tail(30)
    )
}
