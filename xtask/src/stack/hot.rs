//! Hot restart: a new Envoy takes the listening sockets over from the one that runs, which goes on
//! with the connections that it has until it is told to end.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::process::{Child, Spec, wait_exit};
use super::{Process, Stack, http};

const EPOCH: &str = "--restart-epoch";
/// How long the new Envoy may take until it is the one that answers.
const LIMIT: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(10);

/// What the Envoys that follow on one another have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// By this they find one another; no other Envoy of the machine has it.
    pub(super) base_id: u16,
    /// How long the old one lives on, seconds. It asks clients to go for half of it.
    pub(super) overlap_s: u32,
}

impl Family {
    pub(super) fn args(self) -> Vec<OsString> {
        let drain_s = (self.overlap_s / 2).max(1);
        let flags = [
            ("--base-id", self.base_id.into()),
            (EPOCH, 0),
            ("--drain-time-s", drain_s),
            ("--parent-shutdown-time-s", self.overlap_s.max(drain_s + 1)),
        ];
        flags
            .into_iter()
            .flat_map(|(flag, value)| [flag.into(), value.to_string().into()])
            .collect()
    }
}

/// The epoch in a spec's arguments, and the spec with another one.
fn epoch(spec: &Spec) -> Option<u32> {
    let flag = spec.args.iter().position(|arg| arg == EPOCH)?;
    spec.args.get(flag + 1)?.to_str()?.parse().ok()
}

fn with_epoch(mut spec: Spec, epoch: u32) -> Spec {
    let flag = spec.args.iter().position(|arg| arg == EPOCH);
    if let Some(value) = flag.and_then(|flag| spec.args.get_mut(flag + 1)) {
        *value = epoch.to_string().into();
    }
    spec
}

/// How to start it as the first of its family.
pub(super) fn cold(spec: Spec) -> Spec {
    with_epoch(spec, 0)
}

impl Stack {
    /// Starts another Envoy that takes over from the one that runs, and waits until it has. The
    /// old one lives on beside it for [`super::StackOptions::hot_restart_s`].
    pub async fn restart_hot(&self, process: Process) -> Result<()> {
        let spec = self.child(process, |child| child.spec().clone())?;
        let Some(epoch) = epoch(&spec) else {
            bail!("{} was not started for hot restarts", process.name());
        };
        let child = Child::spawn(&with_epoch(spec, epoch + 1))?;
        let exited = child.exit();
        if let Some(elder) = self.children().insert(process, child) {
            self.elders().push(elder);
        }
        let admin = self.admin(process)?;
        let taken_over = async {
            loop {
                if http::get(admin, "/server_info").await.is_ok_and(|a| is_live(&a.body, epoch + 1))
                {
                    return;
                }
                tokio::time::sleep(PACE).await;
            }
        };
        tokio::select! {
            () = taken_over => Ok(()),
            ended = wait_exit(exited, LIMIT) => {
                let tail = self.child(process, |child| child.tail(30))?;
                bail!("{} has not taken over ({ended:?}):\n{tail}", process.name())
            }
        }
    }

    /// Waits until every Envoy that was restarted hot has ended.
    pub async fn elders_end(&self) -> Result<()> {
        loop {
            let Some(elder) = self.elders().pop() else { return Ok(()) };
            let (name, exit) = (elder.spec().name, elder.exit());
            wait_exit(exit, LIMIT).await.with_context(|| format!("an old {name} does not end"))?;
        }
    }
}

fn is_live(server_info: &[u8], epoch: u32) -> bool {
    let info: Value = serde_json::from_slice(server_info).unwrap_or_default();
    info["state"] == "LIVE" && info["command_line_options"]["restart_epoch"] == epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_of_a_family_differs_in_its_epoch_alone() {
        let spec = Spec {
            name: "envoy",
            program: "envoy".into(),
            args: Family { base_id: 20_007, overlap_s: 4 }.args(),
            log: "log".into(),
            env: Vec::new(),
        };
        assert_eq!(epoch(&spec), Some(0));
        let next = with_epoch(spec.clone(), 1);
        assert_eq!(epoch(&next), Some(1));
        assert_eq!(cold(next).args, spec.args);
    }
}
