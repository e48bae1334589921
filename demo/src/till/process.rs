//! A till as a process of its own, which can be killed and started again.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// How to start the process.
#[derive(Clone, Debug)]
pub struct TillCommand {
    /// The binary `till`.
    pub binary: PathBuf,
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where it keeps its sessions.
    pub data: PathBuf,
    /// The name of the replica.
    pub name: String,
    /// Other arguments, such as `--delay-ms`.
    pub more: Vec<String>,
}

/// A running till. It ends when this is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub struct TillProcess {
    command: TillCommand,
    addr: SocketAddr,
    child: Child,
}

#[derive(Deserialize)]
struct Ready {
    listening: SocketAddr,
}

impl TillCommand {
    /// A till on a free port of this machine.
    #[must_use]
    pub fn new(binary: &Path, data: &Path, name: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.to_owned(),
            name: name.to_owned(),
            more: Vec::new(),
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it listens.
    pub async fn start(self) -> anyhow::Result<TillProcess> {
        let mut child = Command::new(&self.binary)
            .arg("--listen")
            .arg(self.listen.to_string())
            .arg("--data")
            .arg(&self.data)
            .args(["--answer", &self.name, "--with-parent"])
            .args(&self.more)
            // The pipe closes with this process, however it ends, and the till ends with it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let stdout = child.stdout.take().context("the till has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let ready: Ready = serde_json::from_str(&line)
            .with_context(|| format!("the till {:?} did not start", self.name))?;
        Ok(TillProcess { command: self, addr: ready.listening, child })
    }
}

impl TillProcess {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If that cannot be waited for.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Kills it with SIGKILL and starts it again on the same port and the same data.
    ///
    /// # Errors
    /// If it does not start again.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        let command = TillCommand { listen: self.addr, ..self.command.clone() };
        *self = command.start().await?;
        Ok(())
    }
}
