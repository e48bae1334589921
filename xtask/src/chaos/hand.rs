//! Hands that carry out the faults of a plan, one for each victim.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use demo::relay::{Mode, Relay};
use demo::till::TillProcess;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, sleep_until, timeout};

use super::plan::{Fault, Harm, SyncEnd, Victim};
use super::sites::Times;
use crate::faults::{Faults, Word};
use crate::stack::{Process, Stack};

/// A process that is to end at a sync must sync within this.
const SYNC_WITHIN: Duration = Duration::from_secs(3);

/// What hurts one victim.
pub(super) enum Hand<'a> {
    Stack(&'a Stack, Process, Option<&'a Faults>),
    Till(&'a mut TillProcess),
    Link(&'a Relay),
}

/// The faults of one victim, one after the other.
pub(super) async fn lane(
    mut hand: Hand<'_>,
    victim: Victim,
    faults: Vec<Fault>,
    times: &Times,
) -> Result<()> {
    for Fault { at_ms, harm, .. } in faults {
        sleep_until(times.begun + ms(at_ms)).await;
        let what = || format!("{}: {harm}, planned for {at_ms} ms", victim.name());
        hand.hurt(&harm, &|what| times.note(victim, what)).await.with_context(what)?;
    }
    Ok(())
}

impl<'a> Hand<'a> {
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
                let Hand::Stack(stack, process, _) = self else { bail!("it knows no SIGTERM") };
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
            Harm::AtSync { end, nth, down_ms } => {
                self.end_at_sync(*end, *nth, note).await?;
                sleep(ms(*down_ms)).await;
                self.back(note).await
            }
            Harm::SlowDisk { sync_ms, for_ms } => {
                note("slow syncs");
                let (_, _, disk) = self.disk()?;
                disk.set(Word::SyncDelayUs, i64::try_from(sync_ms * 1000)?)?;
                sleep(ms(*for_ms)).await;
                note("as before");
                disk.set(Word::SyncDelayUs, 0)
            }
            Harm::Clock { ahead_ms } => {
                note("clock set");
                self.disk()?.2.set(Word::ClockMs, *ahead_ms)
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

    /// Lets the process end at a sync; if none comes in time it is killed.
    async fn end_at_sync(&mut self, end: SyncEnd, nth: u64, note: &impl Fn(&str)) -> Result<()> {
        let (stack, process, disk) = self.disk()?;
        let at = disk.get(Word::Syncs)? + i64::try_from(nth)?;
        let word = if end == SyncEnd::Fails { Word::EioAtSync } else { Word::DieAtSync };
        note("a sync is its last");
        disk.set(Word::DieAfter, i64::from(end == SyncEnd::DeathAfter))?;
        disk.set(word, at)?;
        let ended = timeout(SYNC_WITHIN, stack.exit(process)).await;
        let done = match ended {
            Ok(status) => {
                let status = status?;
                note(&format!("ended, {status}"));
                // What meets a failed sync ends with a code of its own, not by a signal.
                let as_due = (end == SyncEnd::Fails) == status.code().is_some_and(|code| code != 0);
                if as_due { Ok(()) } else { Err(anyhow!("it ended with {status}")) }
            }
            Err(_) => self.kill(note).await,
        };
        disk.set(word, 0)?;
        done
    }

    fn disk(&self) -> Result<(&'a Stack, Process, &'a Faults)> {
        match *self {
            Hand::Stack(stack, process, Some(disk)) => Ok((stack, process, disk)),
            _ => bail!("it has no disk that can fail"),
        }
    }

    /// Kills what must run: what has ended by itself is a finding.
    async fn kill(&mut self, note: &impl Fn(&str)) -> Result<()> {
        note("kill -9");
        match self {
            Hand::Stack(stack, process, _) if !stack.runs(*process) => {
                bail!("{} has ended by itself before it was killed", process.name())
            }
            Hand::Stack(stack, process, _) => stack.kill(*process).await,
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
            Hand::Stack(stack, process, _) => stack.restart(*process).await,
            Hand::Till(till) => till.restart().await,
            Hand::Link(_) => bail!("the link is no process"),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Hand::Stack(stack, process, _) if signal == Signal::CONT => stack.cont(*process),
            Hand::Stack(stack, process, _) => stack.stop_process(*process),
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
