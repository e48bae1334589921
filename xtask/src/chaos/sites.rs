//! The real stack with two tills and a link, and a hand for each of its parts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use demo::relay::Relay;
use demo::till::{TillCommand, TillProcess};
use tokio::time::Instant;

use super::hand::{Hand, lane};
use super::plan::{Round, Setting, Victim};
use crate::faults::Faults;
use crate::stack::{PortBlock, Process, Stack, StackOptions};
use crate::tools::Tools;

/// Both sites, running.
#[derive(Debug)]
pub(super) struct Sites {
    pub(super) stack: Stack,
    /// What can be done to the disks and clocks of the two reprises.
    disks: BTreeMap<Process, Faults>,
    pub(super) primary: TillProcess,
    pub(super) secondary: TillProcess,
    pub(super) link: Relay,
    pub(super) data: PathBuf,
    _ports: PortBlock,
}

/// What is run.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) tools: Tools,
    pub(super) till: PathBuf,
    /// The engine of the stores, if not the default.
    pub(super) store: Option<&'static str>,
}

impl Sites {
    /// Starts fresh sites, with everything below `data`.
    pub(super) async fn start(parts: &Parts, setting: &Setting, data: &Path) -> Result<Self> {
        let till = |name: &str| {
            let mut command = TillCommand::new(&parts.till, &data.join(name), name);
            command.more = vec!["--delay-ms".to_owned(), setting.till_ms.to_string()];
            command
        };
        // Tills that are killed must find their ports free again.
        let mut ports = PortBlock::reserve()?;
        let mut port =
            || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, ports.take()?)));
        let (mut first, mut second) = (till("primary"), till("secondary"));
        (first.listen, second.listen) = (port()?, port()?);
        let (guard, link) = (port()?, port()?);
        let (primary, secondary) = tokio::try_join!(first.start(), second.start())?;
        let link = Relay::start(link, guard).await?;
        let mut options = StackOptions::new(primary.addr(), secondary.addr(), data.join("stack"));
        options.cloud_port = Some(guard.port());
        options.cloud_via = Some(link.addr());
        options.mirror = setting.mirror;
        let disk = |site: &str| Faults::new(&data.join("stack").join(site));
        let disks =
            [(Process::EdgeReprise, disk("edge")?), (Process::CloudReprise, disk("cloud")?)];
        for (process, disk) in &disks {
            options.env.insert(*process, disk.env());
        }
        if let Some(store) = parts.store {
            options.reprise_extra.insert("store".to_owned(), store.into());
        }
        let stack = Stack::start_with(options, &parts.tools).await?;
        let (disks, data) = (BTreeMap::from(disks), data.to_owned());
        Ok(Self { stack, disks, primary, secondary, link, data, _ports: ports })
    }

    /// Carries out the faults of a round, all victims side by side. At the end everything works.
    pub(super) async fn suffer(&mut self, round: &Round, times: &Times) -> Result<()> {
        let stack = &self.stack;
        let lane = |victim, hand| lane(hand, victim, round.of(victim), times);
        let disks = &self.disks;
        let of = |process| {
            lane(Victim::Stack(process), Hand::Stack(stack, process, disks.get(&process)))
        };
        tokio::try_join!(
            of(Process::EdgeReprise),
            of(Process::CloudReprise),
            of(Process::EdgeEnvoy),
            of(Process::CloudEnvoy),
            lane(Victim::Primary, Hand::Till(&mut self.primary)),
            lane(Victim::Secondary, Hand::Till(&mut self.secondary)),
            lane(Victim::Link, Hand::Link(&self.link)),
        )?;
        self.all_run()
    }

    /// An error if a process of the stack has ended though nobody ended it.
    pub(super) fn all_run(&self) -> Result<()> {
        let gone: Vec<_> = Process::ALL.into_iter().filter(|p| !self.stack.runs(*p)).collect();
        match gone.first() {
            Some(process) => bail!("{} has ended by itself", process.name()),
            None => Ok(()),
        }
    }
}

/// When what was really done, for the record: starts take their time.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) begun: Instant,
    lines: Mutex<Vec<String>>,
}

impl Times {
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), lines: Mutex::default() }
    }

    pub(super) fn note(&self, victim: Victim, what: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        let line = format!("{:>7.3} s  {:<13} {what}", at, victim.name());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}
