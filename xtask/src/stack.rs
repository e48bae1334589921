//! The whole stack in front of two replicas, on this machine: both sites' Envoys with the real
//! filter, and both sites' `reprise`. Also a bare Envoy with the same routes, for comparison.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use xtask::stack::{Process, Stack, StackOptions};
//! let mut options = StackOptions::new("127.0.0.1:9001".parse()?, "127.0.0.1:9002".parse()?, "data");
//! options.detect_ms = 500;
//! let stack = Stack::start(options).await?;
//! println!("clients go to {}", stack.clients);
//! stack.kill(Process::EdgeReprise).await?;
//! stack.restart(Process::EdgeReprise).await?;
//! println!("{}", stack.status().await?["log"]["backlog"]);
//! # Ok(())
//! # }
//! ```
//!
//! Everything listens on 127.0.0.1. Dropping a stack ends its processes; its directory stays.

mod bare;
mod files;
mod hot;
pub mod http;
mod options;
mod ports;
mod process;
mod ready;
mod release;
mod template;
mod times;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

pub use bare::Bare;
pub use files::{Apart, Guards, Places, Second};
pub use options::{BareOptions, Configs, Mirror, SessionSource, StackOptions};
pub use ports::PortBlock;
pub use times::Times;

use crate::tools::Tools;
use process::{Child, Spec, wait_exit};

/// How long an ordered end may take before it is forced.
const GRACE: Duration = Duration::from_secs(10);

/// The processes of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    /// Where clients come in, and the secondary's guard.
    EdgeEnvoy,
    /// The primary's guard.
    CloudEnvoy,
    /// The log and the secondary's journal.
    EdgeReprise,
    /// The primary's journal.
    CloudReprise,
    /// As the edge's Envoy, beside it: only with [`StackOptions::second_gateway`].
    SecondEnvoy,
    /// The secondary's guard in an Envoy of its own: only with [`StackOptions::configs`].
    EdgeGuard,
    /// The primary's guard in an Envoy of its own: only with [`StackOptions::configs`].
    CloudGuard,
    /// Where the log delivers, in an Envoy of its own: only with [`StackOptions::apart`].
    EdgeDelivery,
    /// Serves the filter's module: only with [`StackOptions::apart`].
    EdgeModule,
}

impl Process {
    /// Those that every stack has, in the order in which they are started.
    pub const ALL: [Self; 4] =
        [Self::CloudReprise, Self::EdgeReprise, Self::CloudEnvoy, Self::EdgeEnvoy];

    /// Its name in messages and, with `.log`, of its log file.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdgeEnvoy => "edge-envoy",
            Self::CloudEnvoy => "cloud-envoy",
            Self::EdgeReprise => "edge-reprise",
            Self::CloudReprise => "cloud-reprise",
            Self::SecondEnvoy => "second-envoy",
            Self::EdgeGuard => "edge-guard",
            Self::CloudGuard => "cloud-guard",
            Self::EdgeDelivery => "edge-delivery",
            Self::EdgeModule => "edge-module",
        }
    }
}

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    /// Where clients go.
    pub clients: SocketAddr,
    /// The primary's guard, where it listens itself (not `cloud_via`).
    pub cloud: SocketAddr,
    /// The secondary's guard.
    pub guard_secondary: SocketAddr,
    /// The delivery listener.
    pub delivery: SocketAddr,
    /// Where clients of the second Envoy go, and its admin page.
    pub second: Option<(SocketAddr, SocketAddr)>,
    /// Where the guards are that stand in Envoys of their own.
    pub guards: Option<Guards>,
    /// Where everything else is that stands in an Envoy of its own.
    pub apart: Option<Apart>,
    /// The edge Envoy's admin page.
    pub edge_admin: SocketAddr,
    /// The cloud Envoy's admin page.
    pub cloud_admin: SocketAddr,
    /// The edge reprise's gRPC port: the log and the secondary's journal.
    pub log_grpc: SocketAddr,
    /// The edge reprise's admin page.
    pub log_admin: SocketAddr,
    /// The cloud reprise's gRPC port: the primary's journal.
    pub journal_grpc: SocketAddr,
    /// The cloud reprise's admin page.
    pub journal_admin: SocketAddr,
    /// Where configurations, logs and stores are.
    pub data: PathBuf,
    children: Mutex<BTreeMap<Process, Child>>,
    /// Envoys that were restarted hot and have not ended yet.
    elders: Mutex<Vec<Child>>,
    _ports: PortBlock,
}

impl Stack {
    /// Finds or builds the tools, starts everything and waits until it is ready.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let envoy = options.envoy.clone();
        let tools = tokio::task::spawn_blocking(move || Tools::find(envoy.as_deref())).await??;
        Self::start_with(options, &tools).await
    }

    /// Starts everything with the given tools and waits until it is ready.
    pub async fn start_with(options: StackOptions, tools: &Tools) -> Result<Self> {
        let mut options = options;
        for dir in [options.data.clone(), options.data.join("edge"), options.data.join("cloud")] {
            std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        }
        options.data = options.data.canonicalize()?;
        let mut ports = PortBlock::reserve()?;
        let places = places(&options, &mut ports)?;
        let tools = &Tools {
            envoy: tools.envoy.clone(),
            reprise: options.reprise.clone().unwrap_or_else(|| tools.reprise.clone()),
            filter: options.filter.clone().unwrap_or_else(|| tools.filter.clone()),
        };
        files::write(&options, &places, &tools.filter)?;
        let stack = Self::placed(&places, options.data.clone(), ports);
        for process in stack.parts() {
            let spec = spec(process, &options, tools, &places);
            stack.children().insert(process, Child::spawn(&spec)?);
            // The two reprise first, then the Envoys that connect to them.
            match process {
                Process::CloudReprise => {}
                Process::EdgeReprise => {
                    stack.ready(Process::CloudReprise).await?;
                    stack.ready(Process::EdgeReprise).await?;
                }
                _ => stack.ready(process).await?,
            }
        }
        // A replica may be away when a stack starts, so this is awaited but not demanded.
        let guards = [places.primary_via, stack.guard_secondary];
        ready::healthy(stack.edge_admin, &guards, times::first_checks(options.detect_ms)).await;
        Ok(stack)
    }

    fn placed(places: &Places, data: PathBuf, ports: PortBlock) -> Self {
        Self {
            clients: local(places.clients),
            cloud: local(places.guard_primary),
            guard_secondary: local(places.guard_secondary),
            delivery: local(places.delivery),
            second: places.second.map(|s| (local(s.clients), local(s.admin))),
            guards: places.guards,
            apart: places.apart,
            edge_admin: local(places.edge_admin),
            cloud_admin: local(places.cloud_admin),
            log_grpc: local(places.log_grpc),
            log_admin: local(places.log_admin),
            journal_grpc: local(places.journal_grpc),
            journal_admin: local(places.journal_admin),
            data,
            children: Mutex::default(),
            elders: Mutex::default(),
            _ports: ports,
        }
    }

    /// What this stack is made of, in the order in which it is started.
    fn parts(&self) -> Vec<Process> {
        let guards = self.guards.map(|_| [Process::CloudGuard, Process::EdgeGuard]);
        let apart = self.apart.map(|_| [Process::EdgeModule, Process::EdgeDelivery]);
        let [cloud_reprise, edge_reprise, envoys @ ..] = Process::ALL;
        [cloud_reprise, edge_reprise]
            .into_iter()
            .chain(guards.into_iter().flatten())
            .chain(apart.into_iter().flatten())
            .chain(envoys)
            .chain(self.second.map(|_| Process::SecondEnvoy))
            .collect()
    }

    /// Kills a process as a crash would (SIGKILL) and waits until it is gone.
    pub async fn kill(&self, process: Process) -> Result<()> {
        self.end(process, Signal::KILL).await
    }

    /// Asks a process to end (SIGTERM) and waits until it has; kills it after ten seconds.
    pub async fn terminate(&self, process: Process) -> Result<()> {
        self.end(process, Signal::TERM).await
    }

    /// Starts a process again, with the same ports and data, and waits until it is ready. If it
    /// still runs it is killed first.
    pub async fn restart(&self, process: Process) -> Result<()> {
        self.kill(process).await?;
        let spec = self.child(process, |child| child.spec().clone())?;
        let child = Child::spawn(&hot::cold(spec))?;
        self.children().insert(process, child);
        self.ready(process).await
    }

    /// Freezes a process (SIGSTOP): it keeps its sockets and answers nothing.
    pub fn stop_process(&self, process: Process) -> Result<()> {
        self.child(process, |child| child.signal(Signal::STOP))
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn cont(&self, process: Process) -> Result<()> {
        self.child(process, |child| child.signal(Signal::CONT))
    }

    /// The process id; of its last run, if it has ended.
    pub fn pid(&self, process: Process) -> Result<u32> {
        self.child(process, Child::pid)
    }

    /// Whether the process runs.
    pub fn runs(&self, process: Process) -> bool {
        matches!(self.child(process, Child::ended), Ok(None))
    }

    /// Waits until a process has ended, and says how.
    pub async fn exit(&self, process: Process) -> Result<ExitStatus> {
        let mut exited = self.child(process, Child::exit)?;
        let status = *exited.wait_for(Option::is_some).await?;
        status.ok_or_else(|| anyhow!("{} ended without a status", process.name()))
    }

    /// Waits until any process has ended, and says which and how.
    pub async fn any_exit(&self) -> Result<(Process, ExitStatus)> {
        let exit = async |process| Ok((process, self.exit(process).await?));
        tokio::select! {
            ended = exit(Process::EdgeEnvoy) => ended,
            ended = exit(Process::CloudEnvoy) => ended,
            ended = exit(Process::EdgeReprise) => ended,
            ended = exit(Process::CloudReprise) => ended,
        }
    }

    /// Ends everything in order: the Envoys, then what they report to.
    pub async fn shutdown(&self) -> Result<()> {
        self.elders().clear();
        for process in self.parts().into_iter().rev() {
            self.terminate(process).await?;
        }
        Ok(())
    }

    /// The edge reprise's `/status`.
    pub async fn status(&self) -> Result<Value> {
        status(self.log_admin).await
    }

    /// The cloud reprise's `/status`.
    pub async fn cloud_status(&self) -> Result<Value> {
        status(self.journal_admin).await
    }

    /// The end of every process's log, for a failure's message.
    pub fn dump_logs(&self) -> String {
        let mut out = String::new();
        for (process, child) in self.children().iter() {
            let state = match child.ended() {
                None => format!("runs as {}", child.pid()),
                Some(status) => format!("ended, {status}"),
            };
            out += &format!("── {} ({state})\n{}\n", process.name(), child.tail(40));
        }
        out
    }

    /// All addresses and process ids, as `cargo xtask up` prints them.
    pub fn describe(&self) -> Value {
        let pids: BTreeMap<_, _> = self
            .children()
            .iter()
            .map(|(process, child)| (process.name().replace('-', "_"), child.pid()))
            .collect();
        json!({
            "clients": self.clients, "cloud": self.cloud,
            "guard_secondary": self.guard_secondary, "delivery": self.delivery,
            "edge_admin": self.edge_admin, "cloud_admin": self.cloud_admin,
            "log": self.log_grpc, "log_admin": self.log_admin,
            "journal": self.journal_grpc, "journal_admin": self.journal_admin,
            "data": self.data, "pids": pids,
        })
    }

    fn children(&self) -> MutexGuard<'_, BTreeMap<Process, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elders(&self) -> MutexGuard<'_, Vec<Child>> {
        self.elders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn child<T>(&self, process: Process, ask: impl FnOnce(&Child) -> T) -> Result<T> {
        let children = self.children();
        let child = children.get(&process);
        Ok(ask(child.ok_or_else(|| anyhow!("{} was not started", process.name()))?))
    }

    async fn end(&self, process: Process, signal: Signal) -> Result<()> {
        let exited = self.child(process, |child| {
            child.signal(signal);
            // A frozen process must run to hear anything but SIGKILL.
            child.signal(Signal::CONT);
            child.exit()
        })?;
        if wait_exit(exited.clone(), GRACE).await.is_some() {
            return Ok(());
        }
        self.child(process, |child| child.signal(Signal::KILL))?;
        match wait_exit(exited, GRACE).await {
            Some(_) => Ok(()),
            None => bail!("{} does not end", process.name()),
        }
    }

    /// The admin page of a process.
    pub fn admin(&self, process: Process) -> Result<SocketAddr> {
        Ok(match process {
            Process::EdgeEnvoy => self.edge_admin,
            Process::CloudEnvoy => self.cloud_admin,
            Process::EdgeReprise => self.log_admin,
            Process::CloudReprise => self.journal_admin,
            Process::SecondEnvoy => self.second.context("there is no second Envoy")?.1,
            Process::EdgeGuard => local(self.own_guards()?.secondary_admin),
            Process::CloudGuard => local(self.own_guards()?.primary_admin),
            Process::EdgeDelivery => local(self.own_apart()?.delivery_admin),
            Process::EdgeModule => local(self.own_apart()?.module_admin),
        })
    }

    fn own_guards(&self) -> Result<Guards> {
        self.guards.context("the guards are not in Envoys of their own")
    }

    fn own_apart(&self) -> Result<Apart> {
        self.apart.context("deliveries have no Envoy of their own")
    }

    async fn ready(&self, process: Process) -> Result<()> {
        let admin = self.admin(process)?;
        let (path, listeners) = match process {
            Process::EdgeEnvoy => {
                ("/ready", vec![self.clients, self.guard_secondary, self.delivery])
            }
            Process::CloudEnvoy => ("/ready", vec![self.cloud]),
            Process::SecondEnvoy => ("/ready", self.second.iter().map(|(c, _)| *c).collect()),
            Process::EdgeGuard => ("/ready", vec![self.guard_secondary]),
            Process::CloudGuard => ("/ready", vec![local(self.own_guards()?.primary)]),
            Process::EdgeDelivery => ("/ready", vec![self.delivery]),
            Process::EdgeModule => ("/ready", vec![local(self.own_apart()?.module)]),
            Process::EdgeReprise => ("/healthz", vec![self.log_grpc]),
            Process::CloudReprise => ("/healthz", vec![self.journal_grpc]),
        };
        let exited = self.child(process, Child::exit)?;
        let Err(error) = ready::wait(exited, admin, path, &listeners).await else {
            return Ok(());
        };
        Err(self.child(process, |child| ready::failure(child, &error))?)
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn places(options: &StackOptions, ports: &mut PortBlock) -> Result<Places> {
    let chosen = |port: Option<u16>, ports: &mut PortBlock| match port {
        Some(port) => Ok(port),
        None => ports.take(),
    };
    let guard_primary = chosen(options.cloud_port, ports)?;
    Ok(Places {
        clients: chosen(options.listen, ports)?,
        delivery: ports.take()?,
        guard_secondary: ports.take()?,
        guard_primary,
        primary_via: options.cloud_via.unwrap_or(local(guard_primary)),
        edge_admin: ports.take()?,
        cloud_admin: ports.take()?,
        log_grpc: ports.take()?,
        log_admin: ports.take()?,
        journal_grpc: ports.take()?,
        journal_admin: ports.take()?,
        guards: match options.configs {
            None => None,
            Some(_) => Some(Guards {
                secondary_admin: ports.take()?,
                primary: ports.take()?,
                primary_admin: ports.take()?,
            }),
        },
        apart: match options.apart {
            false => None,
            true => Some(Apart {
                delivery_admin: ports.take()?,
                module: ports.take()?,
                module_admin: ports.take()?,
            }),
        },
        second: match options.second_gateway {
            false => None,
            true => Some(Second {
                clients: ports.take()?,
                delivery: ports.take()?,
                guard_secondary: ports.take()?,
                admin: ports.take()?,
            }),
        },
    })
}

fn spec(process: Process, options: &StackOptions, tools: &Tools, places: &Places) -> Spec {
    let config = |name: &str| options.data.join(name);
    let envoy = |file: &str, port: u16| {
        let family = |overlap_s| hot::Family { base_id: port, overlap_s };
        let family = options.hot_restart_s.map(family);
        envoy_spec(process.name(), tools, &config(file), &options.data, options.workers, family)
    };
    let spec = match process {
        Process::EdgeEnvoy => envoy("edge.yaml", places.edge_admin),
        Process::CloudEnvoy => envoy("cloud.yaml", places.cloud_admin),
        Process::SecondEnvoy => envoy("second.yaml", places.second.map_or(0, |s| s.admin)),
        Process::EdgeGuard => {
            envoy("edge-guard.yaml", places.guards.map_or(0, |g| g.secondary_admin))
        }
        Process::CloudGuard => {
            envoy("cloud-guard.yaml", places.guards.map_or(0, |g| g.primary_admin))
        }
        Process::EdgeDelivery => {
            envoy("edge-delivery.yaml", places.apart.map_or(0, |a| a.delivery_admin))
        }
        Process::EdgeModule => {
            envoy("edge-module.yaml", places.apart.map_or(0, |a| a.module_admin))
        }
        Process::EdgeReprise => {
            reprise_spec(process.name(), tools, &config("edge.toml"), &options.data)
        }
        Process::CloudReprise => {
            reprise_spec(process.name(), tools, &config("cloud.toml"), &options.data)
        }
    };
    Spec { env: options.env.get(&process).cloned().unwrap_or_default(), ..spec }
}

fn reprise_spec(name: &'static str, tools: &Tools, config: &Path, data: &Path) -> Spec {
    Spec {
        name,
        program: tools.reprise.clone(),
        args: vec!["serve".into(), "--config".into(), config.into()],
        log: data.join(format!("{name}.log")),
        env: Vec::new(),
    }
}

fn envoy_spec(
    name: &'static str,
    tools: &Tools,
    config: &Path,
    data: &Path,
    workers: u32,
    family: Option<hot::Family>,
) -> Spec {
    let mut args: Vec<std::ffi::OsString> = vec!["-c".into(), config.into()];
    // Several Envoys on one machine: without hot restart they share nothing.
    match family {
        None => args.push("--disable-hot-restart".into()),
        Some(family) => args.extend(family.args()),
    }
    args.push("--concurrency".into());
    args.push(workers.max(1).to_string().into());
    // The filter's own log is of interest from info on.
    args.extend(["-l", "warning", "--component-log-level", "wasm:info"].map(Into::into));
    Spec {
        name,
        program: tools.envoy.clone(),
        args,
        log: data.join(format!("{name}.log")),
        env: Vec::new(),
    }
}

async fn status(admin: SocketAddr) -> Result<Value> {
    let answer = http::get(admin, "/status").await?;
    if answer.status != 200 {
        bail!("/status answered {}: {}", answer.status, answer.text());
    }
    Ok(serde_json::from_slice(&answer.body)?)
}
