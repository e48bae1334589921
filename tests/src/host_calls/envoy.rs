//! The Envoy with the probe.

use super::cases::Case;
use super::{grpc, requests, upstream};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xtask::stack::{PortBlock, http};
use xtask::tools::{build_probe_filter, find_envoy};

/// How long a trace may take to be as the table says.
const SETTLE: Duration = Duration::from_secs(3);
/// How long Envoy may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One Envoy with the probe, its upstreams and its gRPC server.
pub struct Probed {
    addr: SocketAddr,
    envoy: Child,
    dir: TempDir,
    _servers: tokio::task::JoinSet<()>,
    _ports: PortBlock,
}

impl Probed {
    /// Builds the probe and starts everything.
    pub async fn start() -> Result<Probed> {
        let filter = build_probe_filter()?;
        let dir = tempfile::tempdir()?;
        let mut ports = PortBlock::reserve()?;
        let mut servers = tokio::task::JoinSet::new();
        let (probe, admin, dead) = (ports.take()?, ports.take()?, ports.take()?);
        let first = upstream::start("first", &mut servers).await?;
        let second = upstream::start("second", &mut servers).await?;
        let grpc = grpc::start(&mut servers).await?;
        let mut config = include_str!("../../host-calls/envoy.yaml").to_string();
        for (name, port) in [
            ("probe", probe),
            ("admin", admin),
            ("dead", dead),
            ("first", first),
            ("second", second),
            ("grpc", grpc),
        ] {
            config = config.replace(&format!("@{name}@"), &port.to_string());
        }
        config = config.replace("@filter@", &filter.display().to_string());
        let file = dir.path().join("envoy.yaml");
        std::fs::write(&file, config)?;
        let log = File::create(dir.path().join("envoy.log"))?;
        let envoy = Command::new(find_envoy(None)?)
            .arg("-c")
            .arg(&file)
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "warning"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start Envoy")?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, probe));
        let probed = Probed { addr, envoy, dir, _servers: servers, _ports: ports };
        let begun = Instant::now();
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
        while !matches!(http::get(admin, "/ready").await, Ok(answer) if answer.status == 200) {
            if begun.elapsed() > READY {
                bail!("Envoy is not ready:\n{}", probed.log());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(probed)
    }

    /// What Envoy has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("envoy.log")).unwrap_or_default()
    }

    /// Runs a case; what is not as the table says, line by line.
    pub async fn run(&self, case: &Case) -> Result<String> {
        tokio::time::sleep(Duration::from_millis(case.wait_ms)).await;
        let beside_name = format!("{}-beside", case.name);
        let first = requests::send(self.addr, &case.name, &case.request);
        let second = async {
            match &case.beside {
                None => Ok(None),
                Some(request) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    requests::send(self.addr, &beside_name, request).await
                }
            }
        };
        let begun = Instant::now();
        let timed = async { anyhow::Ok((first.await?, begun.elapsed())) };
        let ((first, took), second) = tokio::try_join!(timed, second)?;
        let mut wrong = String::new();
        let status = first.as_ref().map(|(status, _)| *status);
        differ(&mut wrong, "status", &case.status, &status);
        // How long at most is for the simulator: here the machine may stand still.
        if let Some([least, _]) = case.took_ms {
            let took = u64::try_from(took.as_millis())?;
            differ(&mut wrong, "took_ms, at least", &least, &least.min(took));
        }
        if let Some(answer) = &case.answer {
            let body = first.map(|(_, body)| body).unwrap_or_default();
            differ(&mut wrong, "answer", answer, &body);
        }
        differ(&mut wrong, "beside_status", &case.beside_status, &second.map(|(s, _)| s));
        for (what, name, trace) in
            [("trace", &case.name, &case.trace), ("beside_trace", &beside_name, &case.beside_trace)]
        {
            if let Some(trace) = trace {
                let seen = self.trace(name, trace).await?;
                differ(&mut wrong, what, trace, &seen);
            }
        }
        Ok(wrong)
    }

    /// The trace of a case once it is as expected, or as it is after some time.
    async fn trace(&self, name: &str, expected: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let trace = requests::trace(self.addr, name).await?;
            if trace == expected || begun.elapsed() > SETTLE {
                return Ok(trace);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn differ<T: PartialEq + std::fmt::Debug>(out: &mut String, what: &str, expected: &T, seen: &T) {
    if expected != seen {
        let _ = writeln!(out, "  {what}\n    expected {expected:?}\n    seen     {seen:?}");
    }
}

impl Drop for Probed {
    fn drop(&mut self) {
        let _ = self.envoy.kill();
        let _ = self.envoy.wait();
    }
}
