//! The real `reprise` without Envoy: its process, its streams as a gateway and a guard open them,
//! and a stand-in for the delivery listener and the replicas behind it.

pub mod replicas;
pub mod run;
mod stream;

pub use stream::{GatewayStream, GuardStream, Stream};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what cannot be awaited.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running `reprise`; killed when dropped.
#[derive(Debug)]
pub struct Reprise {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<String>,
    /// Where its gRPC streams come in.
    pub listen: SocketAddr,
    /// Where its admin page is.
    pub admin: SocketAddr,
}

/// How a `reprise` that was started has fared.
#[derive(Debug)]
pub enum Started {
    /// It runs.
    Runs(Box<Reprise>),
    /// It ended before it had started, with these lines in its log.
    Ended(ExitStatus, Vec<String>),
}

fn binary() -> Result<PathBuf> {
    let name = "REPRISE_BIN";
    Ok(std::env::var_os(name)
        .with_context(|| format!("{name} is not set: cargo xtask test"))?
        .into())
}

impl Reprise {
    /// Starts it on the configuration in `dir`, which is written there first, and waits until it
    /// runs or has ended.
    pub async fn try_start(config: &str, file: &Path, env: &[(String, String)]) -> Result<Started> {
        std::fs::write(file, config)?;
        let mut command = Command::new(binary()?);
        command.args(["serve", "--config"]).arg(file).kill_on_drop(true);
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start reprise")?;
        let stderr = child.stderr.take().context("its stderr is not piped")?;
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut reprise = Reprise { child, lines, seen: vec![], listen: nowhere, admin: nowhere };
        let Some(line) = reprise.find_line(" started ").await? else {
            return Ok(Started::Ended(reprise.ended().await?, reprise.seen));
        };
        let address = |key: &str| -> Result<SocketAddr> {
            let value = line.split(' ').find_map(|pair| pair.strip_prefix(key));
            Ok(value.with_context(|| format!("no {key} in {line}"))?.parse()?)
        };
        (reprise.listen, reprise.admin) = (address("listen=")?, address("admin=")?);
        Ok(Started::Runs(Box::new(reprise)))
    }

    /// Starts it; an error if it does not run.
    pub async fn start(config: &str, file: &Path, env: &[(String, String)]) -> Result<Reprise> {
        match Reprise::try_start(config, file, env).await? {
            Started::Runs(reprise) => Ok(*reprise),
            Started::Ended(status, log) => bail!("reprise does not start ({status}): {log:#?}"),
        }
    }

    /// The next line of its log that holds `text`; none if it ends without.
    async fn find_line(&mut self, text: &str) -> Result<Option<String>> {
        let found = async {
            while let Some(line) = self.lines.recv().await {
                self.seen.push(line.clone());
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .with_context(|| format!("no line with {text:?}"))
    }

    /// The next line of its log that holds `text`.
    pub async fn line_with(&mut self, text: &str) -> Result<String> {
        let line = self.find_line(text).await?;
        line.with_context(|| format!("ended without {text:?}: {:#?}", self.seen))
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(tokio::time::timeout(PATIENCE, self.child.wait()).await.context("it does not end")??)
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Its `/status`.
    pub async fn status(&self) -> Result<Value> {
        crate::status_of(self.admin).await
    }

    /// Looks at its `/status` until it is as wanted.
    pub async fn status_when(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let status = self.status().await?;
            if is(&status) {
                return Ok(status);
            }
            ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; {status}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A gateway's stream, welcomed.
    pub async fn gateway(&self) -> Result<GatewayStream> {
        GatewayStream::open(self.listen).await
    }

    /// A guard's stream, to be greeted.
    pub async fn guard(&self) -> Result<GuardStream> {
        GuardStream::open(self.listen).await
    }
}
