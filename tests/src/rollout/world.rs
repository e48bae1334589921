//! What stands on this machine for a cluster's network and a pod's files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::stack::StackOptions;

use super::{port, text};

/// Where pods find the filter.
pub(super) const FILTER_DIR: &str = "/var/lib/reprise";
const FILTER_FILE: &str = "/var/lib/reprise/reprise_filter.wasm";

/// What stands for the cluster's network and the pod's files.
#[derive(Debug, Clone)]
pub struct World {
    /// Where a host and port is found.
    pub hosts: BTreeMap<(String, u16), SocketAddr>,
    /// On which port of this machine a port of the pod is listened on.
    pub ports: BTreeMap<u16, u16>,
    /// The Envoy's own page.
    pub admin: u16,
    /// What ConfigMap `reprise-filter` holds.
    pub filter: PathBuf,
    /// Where files that a control plane would send go.
    pub dir: PathBuf,
}

impl World {
    /// What stands for a pod's in a stack.
    pub(super) fn new(
        options: &StackOptions,
        filter: &Path,
        admin: u16,
        hosts: &[(&str, u16, SocketAddr)],
        ports: &[(u16, u16)],
    ) -> World {
        let named =
            hosts.iter().map(|(host, port, at)| (((*host).to_owned(), *port), *at)).collect();
        World {
            hosts: named,
            ports: ports.iter().copied().collect(),
            admin,
            filter: filter.to_owned(),
            dir: options.data.clone(),
        }
    }

    /// The port of this machine that stands for one of the pod's.
    pub fn port(&self, number: u16) -> Result<u16> {
        self.ports
            .get(&number)
            .copied()
            .with_context(|| format!("nothing stands for port {number}"))
    }

    /// Where a host and port is found here.
    pub(super) fn host(&self, host: &str, number: u16) -> Result<SocketAddr> {
        let found = self.hosts.get(&(host.to_owned(), number)).copied();
        found.with_context(|| format!("nothing stands for {host}:{number}"))
    }

    /// A file with what a control plane would send, and where Envoy is to look for it.
    pub(super) fn sent(&self, name: &str, kind: &str, resources: &Value) -> Result<Value> {
        let mut all = resources.clone();
        for resource in all.as_array_mut().into_iter().flatten() {
            resource["@type"] = format!("type.googleapis.com/envoy.config.{kind}").into();
        }
        let path = self.dir.join(format!("{}-{name}.json", self.admin));
        std::fs::write(&path, json!({"resources": all}).to_string())
            .with_context(|| format!("write {}", path.display()))?;
        Ok(json!({"path_config_source": {"path": path}, "resource_api_version": "V3"}))
    }

    /// Puts the file that stands for the mounted one in its place, wherever it is named.
    pub(super) fn read_the_file(&self, value: &mut Value, mounted: bool) -> Result<()> {
        match value {
            Value::String(text) if text.starts_with(FILTER_DIR) => {
                ensure!(text == FILTER_FILE, "{text} is not in the ConfigMap");
                ensure!(mounted, "the proxy does not mount {FILTER_DIR}");
                *text = self.filter.display().to_string();
                Ok(())
            }
            Value::Object(fields) => {
                fields.values_mut().try_for_each(|value| self.read_the_file(value, mounted))
            }
            Value::Array(items) => {
                items.iter_mut().try_for_each(|value| self.read_the_file(value, mounted))
            }
            _ => Ok(()),
        }
    }

    /// Puts addresses of this machine in the place of those that are named. Whoever listens on all
    /// addresses of a pod listens on loopback here.
    pub(super) fn find_the_hosts(&self, value: &mut Value) -> Result<()> {
        match value {
            Value::Object(fields) => fields.iter_mut().try_for_each(|(name, value)| {
                if name != "socket_address" {
                    return self.find_the_hosts(value);
                }
                let (host, number) = (text(&value["address"]), port(&value["port_value"]));
                let at = match host {
                    "0.0.0.0" => ([127, 0, 0, 1], self.port(number)?).into(),
                    _ => self.host(host, number)?,
                };
                *value = address(at)["socket_address"].take();
                Ok(())
            }),
            Value::Array(items) => {
                items.iter_mut().try_for_each(|value| self.find_the_hosts(value))
            }
            _ => Ok(()),
        }
    }
}

/// An address as Envoy writes it.
pub(super) fn address(at: SocketAddr) -> Value {
    json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}})
}

/// A port of this machine.
pub(super) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
