//! The two stages that a run is performed on: tills, a relay as the link, and before them either
//! the whole stack or a bare Envoy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use demo::relay::Relay;
use demo::run::Run;
use demo::till::{TillCommand, TillProcess};

use super::DemoArgs;
use super::drive::{self, Stage};
use super::watch::Watch;
use crate::repo;
use crate::stack::{Bare, BareOptions, PortBlock, Stack, StackOptions};
use crate::tools::Tools;

/// Builds the till for release and says where it is.
pub(crate) fn build_till() -> Result<PathBuf> {
    let build = ["build", "--quiet", "--release", "--package=demo", "--bin=till"];
    let status = repo::cargo().args(build).status().context("run cargo")?;
    if !status.success() {
        bail!("cargo {}: {status}", build.join(" "));
    }
    Ok(repo::target().join("release/till"))
}

/// Performs a run with Reprise.
pub(super) async fn reprise(
    args: &DemoArgs,
    tools: &Tools,
    till: &Path,
    data: &Path,
) -> Result<Run> {
    super::say("Reprise: starting two tills, two Envoys and two reprises");
    let (primary, secondary) = tills(till, data).await?;
    let mut ports = PortBlock::reserve()?;
    // The link stands between the edge Envoy and the primary's guard.
    let guard = local(ports.take()?);
    let relay = Relay::start(local(ports.take()?), guard).await?;
    let mut options = StackOptions::new(primary.addr(), secondary.addr(), data.join("stack"));
    options.cloud_port = Some(guard.port());
    options.cloud_via = Some(relay.addr());
    options.mirror = args.mirror;
    options.detect_ms = args.detect_ms;
    options.workers = args.workers;
    let stack = Stack::start_with(options, tools).await?;
    let stage = Stage {
        name: "Reprise",
        clients: stack.clients,
        primary: primary.addr(),
        secondary: secondary.addr(),
        relay: &relay,
        watch: Some(Watch::start(stack.log_admin)),
    };
    let run = tokio::select! {
        run = drive::perform(args, stage) => run,
        ended = stack.any_exit() => {
            let (process, status) = ended?;
            Err(anyhow::anyhow!("{} ended: {status}", process.name()))
        }
    };
    match run {
        Ok(run) => {
            stack.shutdown().await?;
            Ok(run)
        }
        Err(error) => {
            super::say(&stack.dump_logs());
            Err(error)
        }
    }
}

/// Performs a run with bare Envoy.
pub(super) async fn bare(args: &DemoArgs, tools: &Tools, till: &Path, data: &Path) -> Result<Run> {
    super::say("bare Envoy: starting two tills and one Envoy");
    let (primary, secondary) = tills(till, data).await?;
    let mut ports = PortBlock::reserve()?;
    let relay = Relay::start(local(ports.take()?), primary.addr()).await?;
    let mut options = BareOptions::new(relay.addr(), secondary.addr(), data.join("envoy"));
    options.detect_ms = args.detect_ms;
    options.workers = args.workers;
    let envoy = Bare::start_with(options, tools).await?;
    let stage = Stage {
        name: "bare Envoy",
        clients: envoy.clients,
        primary: primary.addr(),
        secondary: secondary.addr(),
        relay: &relay,
        watch: None,
    };
    drive::perform(args, stage).await
}

async fn tills(till: &Path, data: &Path) -> Result<(TillProcess, TillProcess)> {
    let start = |name| TillCommand::new(till, &data.join(name), name).start();
    tokio::try_join!(start("primary"), start("secondary"))
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
