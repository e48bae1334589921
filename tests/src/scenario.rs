//! The real arm of the scenario files: the same file that the simulator runs in virtual time, on
//! two real Envoys, two real `reprise` and two tills.
//!
//! The network and the machines have their own times, so `normal` is not looked at. What the real
//! arm cannot do at all it refuses before it starts anything.

mod measure;
mod options;
mod plan;

use crate::{Sites, scenario::measure::Measure, scenario::plan::Act};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use demo::load::Load;
use demo::relay::Mode;
use scenario::{Process, Scenario};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use xtask::stack;

/// Runs a scenario file and judges what came of it.
pub async fn run(yaml: &str) -> Result<()> {
    let scenario = scenario::read(yaml)?;
    let cannot = options::cannot(&scenario);
    ensure!(cannot.is_empty(), "the real arm cannot do this:\n{}", cannot.join("\n"));
    let mut failed = None;
    let sites = Sites::start_with(|stack| failed = options::stack(&scenario, stack).err()).await?;
    sites
        .run(|mut sites| async move {
            let result = match failed {
                Some(error) => Err(error),
                None => play(&mut sites, &scenario).await,
            };
            (sites, result)
        })
        .await
}

/// The faults at their times under the load; then everything is mended, drained and judged.
async fn play(sites: &mut Sites, scenario: &Scenario) -> Result<()> {
    let begun = Instant::now();
    let options = options::load(&scenario.load, sites.load())?;
    let measure = Measure::start(sites.stack.log_admin);
    let (mut load, mut drain) = (None, None);
    let mut broken = Broken::default();
    for step in plan::of(scenario) {
        let at = Duration::from_millis(step.at_ms);
        tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
        let what = format!("{:?} at {} ms", step.act, step.at_ms);
        match step.act {
            Act::Load => load = Some(Load::start(options.clone())),
            Act::Mended => drain = Some(measure::drain(sites, scenario)),
            act => broken.act(sites, act).await.context(what)?,
        }
    }
    broken.mend(sites).await?;
    let drain = drain.unwrap_or_else(|| measure::drain(sites, scenario));
    let load = load.ok_or_else(|| anyhow!("there was no load"))?;
    let record = sites.stop_resolving(load).await?;
    sites.judge_record(&record).await?;
    let wrong = measure.stop().await?.wrong(&scenario.expect, &record, drain.await?);
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// What is broken now.
#[derive(Debug, Default)]
struct Broken {
    /// How the link is cut, by the faults that cut it; the last one holds.
    cuts: Vec<(usize, Mode)>,
    down: BTreeSet<Process>,
    frozen: BTreeSet<Process>,
}

impl Broken {
    async fn act(&mut self, sites: &mut Sites, act: Act) -> Result<()> {
        match act {
            Act::Load | Act::Mended => {}
            Act::Cut(fault, mode) => {
                self.cuts.retain(|(other, _)| *other != fault);
                self.cuts.push((fault, mode));
                self.set(sites).await?;
            }
            Act::Pass(fault) => {
                self.cuts.retain(|(other, _)| *other != fault);
                self.set(sites).await?;
            }
            Act::Reset => {
                sites.link.set(Mode::Refuse).await?;
                self.set(sites).await?;
            }
            Act::Kill(process) => {
                match replica(sites, process) {
                    Some(till) => till.kill().await?,
                    None => sites.stack.kill(of_stack(process)?).await?,
                }
                self.down.insert(process);
            }
            Act::Terminate(process) => {
                sites.stack.terminate(of_stack(process)?).await?;
                self.down.insert(process);
            }
            Act::Start(process) => {
                if self.down.remove(&process) {
                    match replica(sites, process) {
                        Some(till) => till.restart().await?,
                        None => sites.stack.restart(of_stack(process)?).await?,
                    }
                }
            }
            Act::Freeze(process) => {
                sites.stack.stop_process(of_stack(process)?)?;
                self.frozen.insert(process);
            }
            Act::Thaw(process) => {
                if self.frozen.remove(&process) {
                    sites.stack.cont(of_stack(process)?)?;
                }
            }
        }
        Ok(())
    }

    async fn set(&self, sites: &Sites) -> Result<()> {
        let mode = self.cuts.last().map_or(Mode::Pass, |(_, mode)| *mode);
        Ok(sites.link.set(mode).await?)
    }

    /// Everything that is still broken.
    async fn mend(&mut self, sites: &mut Sites) -> Result<()> {
        self.cuts.clear();
        self.set(sites).await?;
        for process in self.frozen.clone() {
            self.act(sites, Act::Thaw(process)).await?;
        }
        for process in self.down.clone() {
            self.act(sites, Act::Start(process)).await?;
        }
        Ok(())
    }
}

fn replica(sites: &mut Sites, process: Process) -> Option<&mut demo::till::TillProcess> {
    match process {
        Process::Primary => Some(&mut sites.primary),
        Process::Secondary => Some(&mut sites.secondary),
        _ => None,
    }
}

fn of_stack(process: Process) -> Result<stack::Process> {
    Ok(match process {
        Process::EdgeEnvoy => stack::Process::EdgeEnvoy,
        Process::CloudEnvoy => stack::Process::CloudEnvoy,
        Process::EdgeReprise => stack::Process::EdgeReprise,
        Process::CloudReprise => stack::Process::CloudReprise,
        Process::EdgeGateway | Process::Primary | Process::Secondary => {
            bail!("{process:?} is no process of the stack")
        }
    })
}
