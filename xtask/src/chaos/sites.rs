//! The real stack with two tills and a link, and a hand for each of its parts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use demo::relay::{Mode, Relay};
use demo::till::{TillCommand, TillProcess};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::plan::{Fault, Harm, Round, Setting, Victim};
use crate::stack::{PortBlock, Process, Stack, StackOptions};
use crate::tools::Tools;

/// Both sites, running.
#[derive(Debug)]
pub(super) struct Sites {
    pub(super) stack: Stack,
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
        if let Some(store) = parts.store {
            options.reprise_extra.insert("store".to_owned(), store.into());
        }
        let stack = Stack::start_with(options, &parts.tools).await?;
        Ok(Self { stack, primary, secondary, link, data: data.to_owned(), _ports: ports })
    }

    /// Carries out the faults of a round, all victims side by side. At the end everything works.
    pub(super) async fn suffer(&mut self, round: &Round, times: &Times) -> Result<()> {
        let stack = &self.stack;
        let lane = |victim, hand| lane(hand, victim, round.of(victim), times);
        let of = |process| lane(Victim::Stack(process), Hand::Stack(stack, process));
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
    begun: Instant,
    lines: Mutex<Vec<String>>,
}

impl Times {
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), lines: Mutex::default() }
    }

    fn note(&self, victim: Victim, what: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        let line = format!("{:>7.3} s  {:<13} {what}", at, victim.name());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

/// What hurts one victim.
enum Hand<'a> {
    Stack(&'a Stack, Process),
    Till(&'a mut TillProcess),
    Link(&'a Relay),
}

/// The faults of one victim, one after the other.
async fn lane(mut hand: Hand<'_>, victim: Victim, faults: Vec<Fault>, times: &Times) -> Result<()> {
    for Fault { at_ms, harm, .. } in faults {
        sleep_until(times.begun + ms(at_ms)).await;
        let what = || format!("{}: {harm}, planned for {at_ms} ms", victim.name());
        hand.hurt(&harm, &|what| times.note(victim, what)).await.with_context(what)?;
    }
    Ok(())
}

impl Hand<'_> {
    async fn hurt(&mut self, harm: &Harm, note: &impl Fn(&str)) -> Result<()> {
        match harm {
            Harm::Kill { down_ms, again_ms } => {
                self.kill(note).await?;
                sleep(ms(*down_ms)).await;
                for again in again_ms {
                    note("started, to be killed");
                    // It may be ready by then.
                    if let Ok(started) = timeout(ms(*again), self.start()).await {
                        started?;
                    }
                    self.kill(note).await?;
                }
                self.back(note).await
            }
            Harm::Terminate { down_ms } => {
                let Hand::Stack(stack, process) = self else { bail!("it knows no SIGTERM") };
                note("SIGTERM");
                stack.terminate(*process).await?;
                sleep(ms(*down_ms)).await;
                self.back(note).await
            }
            Harm::Freeze { for_ms } => {
                note("SIGSTOP");
                self.signal(Signal::STOP)?;
                sleep(ms(*for_ms)).await;
                self.signal(Signal::CONT)?;
                note("SIGCONT");
                Ok(())
            }
            Harm::FreezeAndKill { for_ms } => {
                note("SIGSTOP");
                self.signal(Signal::STOP)?;
                sleep(ms(*for_ms)).await;
                self.kill(note).await?;
                self.back(note).await
            }
            Harm::Cut { mode, times_ms } => {
                for (down, up) in times_ms {
                    note(&format!("{mode:?}"));
                    self.set(*mode).await?;
                    sleep(ms(*down)).await;
                    self.set(Mode::Pass).await?;
                    note("passes again");
                    sleep(ms(*up)).await;
                }
                Ok(())
            }
            Harm::Reset => {
                note("reset");
                self.set(Mode::Refuse).await?;
                self.set(Mode::Pass).await
            }
        }
    }

    /// Kills what must run: what has ended by itself is a finding.
    async fn kill(&mut self, note: &impl Fn(&str)) -> Result<()> {
        note("kill -9");
        match self {
            Hand::Stack(stack, process) if !stack.runs(*process) => {
                bail!("{} has ended by itself before it was killed", process.name())
            }
            Hand::Stack(stack, process) => stack.kill(*process).await,
            Hand::Till(till) => till.kill().await,
            Hand::Link(_) => bail!("the link is no process"),
        }
    }

    async fn back(&mut self, note: &impl Fn(&str)) -> Result<()> {
        note("started");
        self.start().await?;
        note("ready");
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        match self {
            Hand::Stack(stack, process) => stack.restart(*process).await,
            Hand::Till(till) => till.restart().await,
            Hand::Link(_) => bail!("the link is no process"),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Hand::Stack(stack, process) if signal == Signal::CONT => stack.cont(*process),
            Hand::Stack(stack, process) => stack.stop_process(*process),
            Hand::Till(till) => {
                let pid = till.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
                Ok(kill_process(
                    pid.ok_or_else(|| anyhow!("the till has ended by itself"))?,
                    signal,
                )?)
            }
            Hand::Link(_) => bail!("the link is no process"),
        }
    }

    async fn set(&self, mode: Mode) -> Result<()> {
        match self {
            Hand::Link(link) => Ok(link.set(mode).await?),
            _ => bail!("only the link can be cut"),
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
