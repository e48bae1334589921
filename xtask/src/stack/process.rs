//! One child process: started in its own process group, its output in a log file, never left
//! behind.
//!
//! Every child has a thread that starts it and waits for it. The thread lives exactly as long as
//! the child, so the exit is an event that can be awaited, and where `setpriv` is there the
//! kernel kills the child when this process is killed itself.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::watch;

/// How to start a process, as often as needed.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) log: PathBuf,
    pub(super) env: Vec<(String, String)>,
}

/// A process that runs, or has ended.
#[derive(Debug)]
pub(super) struct Child {
    spec: Spec,
    pid: Pid,
    exited: watch::Receiver<Option<ExitStatus>>,
    reaper: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts the process. Its output is appended to its log.
    pub(super) fn spawn(spec: &Spec) -> Result<Self> {
        let mut command = command(spec)?;
        let (started, pid) = std::sync::mpsc::channel();
        let (ended, exited) = watch::channel(None);
        let reaper =
            std::thread::Builder::new().name(format!("reap {}", spec.name)).spawn(move || {
                match command.spawn() {
                    Err(error) => drop(started.send(Err(error))),
                    Ok(mut child) => {
                        let _ = started.send(Ok(child.id()));
                        if let Ok(status) = child.wait() {
                            ended.send_replace(Some(status));
                        }
                    }
                }
            })?;
        let what = || format!("start {} ({})", spec.name, spec.program.display());
        let pid = pid.recv()?.with_context(what)?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Ok(Self {
            spec: spec.clone(),
            pid: pid.ok_or_else(|| anyhow!("{}: no process id", spec.name))?,
            exited,
            reaper: Some(reaper),
        })
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How it is started the next time.
    pub(super) fn spec_mut(&mut self) -> &mut Spec {
        &mut self.spec
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        *self.exited.borrow()
    }

    /// Something that can be awaited without holding on to the child.
    pub(super) fn exit(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.exited.clone()
    }

    /// Sends a signal to the process and what it started. Nothing happens if it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        if self.ended().is_none() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// The last lines of its log.
    pub(super) fn tail(&self, lines: usize) -> String {
        tail(&self.spec.log, lines)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(reaper) = self.reaper.take() {
            let _ = reaper.join();
        }
    }
}

/// Waits until the process has ended, for as long as `limit`.
pub(super) async fn wait_exit(
    mut exited: watch::Receiver<Option<ExitStatus>>,
    limit: Duration,
) -> Option<ExitStatus> {
    let ended = exited.wait_for(Option::is_some);
    let status = tokio::time::timeout(limit, ended).await.ok()?.ok()?;
    *status
}

/// The last `lines` lines of a file, or why it cannot be read.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    match std::fs::read(path) {
        Err(error) => format!("({}: {error})", path.display()),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
        }
    }
}

fn command(spec: &Spec) -> Result<Command> {
    let open = OpenOptions::new().create(true).append(true).open(&spec.log);
    let log = open.with_context(|| format!("open {}", spec.log.display()))?;
    let mut command = match setpriv() {
        Some(setpriv) => {
            let mut wrapped = Command::new(setpriv);
            wrapped.args(["--pdeathsig", "KILL", "--"]).arg(&spec.program);
            wrapped
        }
        None => Command::new(&spec.program),
    };
    command
        .args(&spec.args)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    Ok(command)
}

fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| cfg!(target_os = "linux").then(|| crate::tools::on_path("setpriv"))?)
        .as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &Path) -> Spec {
        Spec {
            name: "sleeper",
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "echo up; echo trouble >&2; sleep 600 & wait".into()],
            log: dir.join("sleeper.log"),
            env: Vec::new(),
        }
    }

    #[tokio::test]
    async fn an_end_is_an_event_and_the_log_keeps_both_outputs() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = sleeper(dir.path());
        spec.args[1] = "echo up; echo trouble >&2; exit 3".into();
        let child = Child::spawn(&spec).unwrap();
        let status = wait_exit(child.exit(), Duration::from_secs(10)).await;
        assert_eq!(status.and_then(|s| s.code()), Some(3));
        assert_eq!(child.tail(9), "up\ntrouble");
        assert_eq!(child.tail(1), "trouble");
    }

    #[tokio::test]
    async fn dropping_a_child_ends_it_and_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let child = Child::spawn(&sleeper(dir.path())).unwrap();
        let group = child.pid;
        let exited = child.exit();
        drop(child);
        assert!(exited.borrow().is_some());
        // Its own child is reaped by init a moment later.
        for _ in 0..500 {
            if rustix::process::test_kill_process_group(group).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the group is still there");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_or_ends_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = sleeper(dir.path());
        spec.program = "/nonexistent/program".into();
        if let Ok(mut child) = Child::spawn(&spec) {
            child.reaper.take().unwrap().join().unwrap();
            assert!(child.tail(3).contains("/nonexistent/program"));
        }
    }
}
