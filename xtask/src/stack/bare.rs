//! A bare Envoy in front of the two replicas: `envoy-configs/bare.yaml`.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::options::BareOptions;
use super::ports::PortBlock;
use super::process::Child;
use super::{envoy_spec, files, local, ready};
use crate::tools::Tools;

/// A running bare Envoy. Dropping it ends it.
#[derive(Debug)]
pub struct Bare {
    /// Where clients go.
    pub clients: SocketAddr,
    /// The Envoy's admin page.
    pub admin: SocketAddr,
    child: Child,
    _ports: PortBlock,
}

impl Bare {
    /// Finds or builds the tools, starts the Envoy and waits until it is ready.
    pub async fn start(options: BareOptions) -> Result<Self> {
        let envoy = options.envoy.clone();
        let tools = tokio::task::spawn_blocking(move || Tools::find(envoy.as_deref())).await??;
        Self::start_with(options, &tools).await
    }

    /// Starts the Envoy with the given tools and waits until it is ready.
    pub async fn start_with(options: BareOptions, tools: &Tools) -> Result<Self> {
        let data = &options.data;
        std::fs::create_dir_all(data).with_context(|| format!("create {}", data.display()))?;
        let mut ports = PortBlock::reserve()?;
        let clients = match options.listen {
            Some(port) => port,
            None => ports.take()?,
        };
        let admin = ports.take()?;
        files::write_bare(&options, clients, admin)?;
        let config = data.join("bare.yaml");
        let spec = envoy_spec("bare-envoy", tools, &config, data, options.workers, None);
        let bare = Self {
            clients: local(clients),
            admin: local(admin),
            child: Child::spawn(&spec)?,
            _ports: ports,
        };
        let exited = bare.child.exit();
        match ready::wait(exited, bare.admin, "/ready", &[bare.clients]).await {
            Ok(()) => Ok(bare),
            Err(error) => Err(ready::failure(&bare.child, &error)),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}
