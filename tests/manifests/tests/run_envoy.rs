//! Envoys of the overlays, run.
#![allow(clippy::disallowed_methods, reason = "processes are awaited by the real clock")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use xtask::stack::PortBlock;
use xtask::{repo, tools};

/// An Envoy of one of the overlays' files, on free ports of loopback.
struct Running {
    child: Child,
    _ports: PortBlock,
    dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts it after `change`, with each of `ports` moved to a free one; returns those.
    fn start(
        path: &str,
        ports: &[u16],
        change: impl FnOnce(&mut Value),
    ) -> Result<(Self, Vec<u16>)> {
        let dir = tempfile::tempdir()?;
        let filter = tools::find_filter()?;
        let module = dir.path().join("reprise_filter.wasm");
        std::fs::copy(filter, &module)?;
        let mut text = std::fs::read_to_string(repo::root().join(path))?;
        text = text.replace("/var/lib/reprise/reprise_filter.wasm", &module.display().to_string());
        text = text.replace("0.0.0.0", "127.0.0.1");
        let mut free = PortBlock::reserve()?;
        let mut moved = Vec::new();
        for port in ports {
            let to = free.take()?;
            text = text.replace(&format!("port_value: {port}"), &format!("port_value: {to}"));
            moved.push(to);
        }
        let mut config: Value = serde_saphyr::from_str(&text)?;
        change(&mut config);
        let file = dir.path().join("envoy.json");
        std::fs::write(&file, config.to_string())?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let child = Command::new(tools::find_envoy(None)?)
            .arg("-c")
            .arg(&file)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok((Self { child, _ports: free, dir }, moved))
    }

    /// Asks until there is an answer with this status, or the time is over.
    fn until(&mut self, port: u16, path: &str, within: Duration) -> Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            match get(port, path) {
                Ok((200, body)) => return Ok(body),
                answer if begun.elapsed() > within => {
                    let log = std::fs::read_to_string(self.dir.path().join("log"))?;
                    bail!("{path} within {within:?}: {answer:?}; {log}");
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// One request, without keep-alive.
fn get(port: u16, path: &str) -> Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, answer.split_off(end + 4)))
}

const START: Duration = Duration::from_secs(20);

#[test]
fn the_module_is_served_as_it_is() -> Result<()> {
    let path = "k8s/overlays/envoy-gateway/edge/module-envoy.yaml";
    let (mut envoy, ports) = Running::start(path, &[8080, 7409], |_| {})?;
    envoy.until(ports[0], "/ready", START)?;
    // Of its size Envoy says nothing ahead, so it comes in chunks.
    let served = envoy.until(ports[0], "/reprise_filter.wasm", START)?;
    let module = std::fs::read(tools::find_filter()?)?;
    let inside = served.windows(module.len()).any(|bytes| bytes == module);
    ensure!(inside, "{} bytes are not the module's {}", served.len(), module.len());
    Ok(())
}

#[test]
fn a_guard_shows_its_readiness_and_its_counters_and_nothing_else_of_its_admin() -> Result<()> {
    let path = "k8s/components/guard-secondary/envoy.yaml";
    let (mut envoy, ports) = Running::start(path, &[7408, 7409, 7403], |_| {})?;
    envoy.until(ports[0], "/ready", START)?;
    let stats = String::from_utf8(envoy.until(ports[0], "/stats/prometheus", START)?)?;
    for counter in ["reprise_guard_ran", "reprise_guard_unnumbered"] {
        ensure!(stats.contains(counter), "no {counter}");
    }
    for closed in ["/config_dump", "/quitquitquit", "/stats"] {
        let (status, _) = get(ports[0], closed)?;
        ensure!(status == 404, "{closed}: {status}");
    }
    Ok(())
}

#[test]
fn a_gateway_that_starts_while_no_name_is_answered_serves_all_the_same() -> Result<()> {
    // A server that never answers, as the one behind a link that is cut.
    let mute = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mute_port = mute.local_addr()?.port();
    let path = "k8s/overlays/plain-envoy/edge/envoy.yaml";
    let (mut envoy, ports) = Running::start(path, &[7408, 7409, 8080, 7402], |config| {
        config["typed_dns_resolver_config"] = json!({
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": mute_port}}],
            },
        });
        let clusters = config["static_resources"]["clusters"].as_array_mut();
        for cluster in clusters.into_iter().flatten() {
            // Where the certificates are is not what is asked here.
            cluster.as_object_mut().map(|cluster| cluster.remove("transport_socket_matches"));
        }
    })?;
    // Without `wait_for_warm_on_init: false` it is not there after 40 s.
    envoy.until(ports[0], "/ready", START)?;
    // The filter answers: a request without a session is refused by nobody else.
    let (status, body) = get(ports[2], "/")?;
    ensure!(status == 400, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
