//! The objects of one cluster, and the pod whose Envoy is to be made.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::{Value, json};

use super::{clusters, items, listeners, text};

/// The versions that differ in what this model knows: in the names of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Istio {
    /// 1.28 and 1.29.
    V1_28,
    /// 1.30 and newer, with TrafficExtension.
    V1_30,
}

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
    /// Where files that istiod would send go.
    pub dir: PathBuf,
    /// Whose names filters have.
    pub istio: Istio,
}

impl World {
    /// The port of this machine that stands for one of the pod's.
    pub fn port(&self, number: u16) -> Result<u16> {
        self.ports
            .get(&number)
            .copied()
            .with_context(|| format!("nothing stands for port {number}"))
    }
}

/// What an Envoy does in Istio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A pod made by the gateway template.
    Gateway,
    /// Beside a workload.
    Sidecar,
}

/// The objects of one cluster as one pod's proxy sees them.
#[derive(Debug)]
pub struct Mesh<'a> {
    /// All objects.
    pub all: &'a [Manifest],
    /// What its Envoy is.
    pub role: Role,
    pub(super) world: &'a World,
    template: &'a Value,
}

/// Where pods find the filter.
const FILTER_DIR: &str = "/var/lib/reprise";
const FILTER_FILE: &str = "/var/lib/reprise/reprise_filter.wasm";

impl<'a> Mesh<'a> {
    /// As the pods of a workload see it.
    pub fn of(all: &'a [Manifest], workload: &str, world: &'a World) -> Result<Mesh<'a>> {
        let is = |m: &&Manifest| m.name == workload && !m.at("/spec/template").is_null();
        let found = all.iter().find(is).with_context(|| format!("no workload {workload}"))?;
        let template = found.at("/spec/template");
        let injected = text(&template["metadata"]["labels"]["sidecar.istio.io/inject"]) == "true";
        ensure!(injected, "{found}: nothing is injected");
        let role = match text(&template["metadata"]["annotations"]["inject.istio.io/templates"]) {
            "gateway" => Role::Gateway,
            "" => Role::Sidecar,
            other => bail!("{found}: the template {other}"),
        };
        Ok(Mesh { all, role, world, template })
    }

    /// All that istiod sends its Envoy.
    pub fn resources(&self) -> Result<Value> {
        let (listeners, clusters) = (listeners::all(self)?, clusters::all(self)?);
        let mut sent = json!({"listeners": listeners, "clusters": clusters});
        self.read_the_file(&mut sent)?;
        Ok(sent)
    }

    /// The configuration that its Envoy starts with. As from istiod, the clusters come first and
    /// have had their first health checks before there are listeners.
    pub fn bootstrap(&self) -> Result<Value> {
        let sent = self.resources()?;
        let app = self.label("app");
        let file = |what: &str, kind: &str| -> Result<Value> {
            let mut all = sent[what].clone();
            for resource in all.as_array_mut().into_iter().flatten() {
                resource["@type"] = format!("type.googleapis.com/envoy.config.{kind}").into();
            }
            let path = self.world.dir.join(format!("{}-{app}-{what}.json", self.world.admin));
            std::fs::write(&path, json!({"resources": all}).to_string())
                .with_context(|| format!("write {}", path.display()))?;
            Ok(json!({"path_config_source": {"path": path}, "resource_api_version": "V3"}))
        };
        Ok(json!({
            "node": {"id": app, "cluster": "shop"},
            "admin": {"address": address(([127, 0, 0, 1], self.world.admin).into())},
            "dynamic_resources": {
                "cds_config": file("clusters", "cluster.v3.Cluster")?,
                "lds_config": file("listeners", "listener.v3.Listener")?,
            },
        }))
    }

    /// Objects of a kind.
    pub(super) fn kind(&self, kind: &str) -> impl Iterator<Item = &'a Manifest> + use<'a> {
        let kind = kind.to_owned();
        self.all.iter().filter(move |m| m.kind == kind)
    }

    /// Objects of a kind that select this pod, or no pod in particular.
    pub(super) fn selecting(&self, kind: &str) -> impl Iterator<Item = &'a Manifest> + use<'a, '_> {
        self.kind(kind).filter(|m| {
            let spec = m.at("/spec");
            let labels = match m.kind.as_str() {
                "EnvoyFilter" | "Sidecar" => &spec["workloadSelector"]["labels"],
                "Gateway" => &spec["selector"],
                _ => &spec["selector"]["matchLabels"],
            };
            labels.as_object().is_none_or(|labels| {
                labels.iter().all(|(key, value)| self.label(key) == text(value))
            })
        })
    }

    /// A label of the pod.
    pub(super) fn label(&self, key: &str) -> &'a str {
        text(&self.template["metadata"]["labels"][key])
    }

    /// Puts the file that stands for the mounted one in its place, wherever it is named.
    fn read_the_file(&self, value: &mut Value) -> Result<()> {
        match value {
            Value::String(text) if text.starts_with(FILTER_DIR) => {
                ensure!(text == FILTER_FILE, "{text} is not in the ConfigMap");
                ensure!(self.mounts_the_filter(), "the proxy does not mount {FILTER_DIR}");
                *text = self.world.filter.display().to_string();
                Ok(())
            }
            Value::Object(fields) => {
                fields.values_mut().try_for_each(|value| self.read_the_file(value))
            }
            Value::Array(items) => items.iter_mut().try_for_each(|value| self.read_the_file(value)),
            _ => Ok(()),
        }
    }

    /// Whether the proxy mounts the ConfigMap with the filter.
    fn mounts_the_filter(&self) -> bool {
        let volumes = items(&self.template["spec"]["volumes"]);
        let volume = volumes.iter().find(|volume| {
            let map = text(&volume["configMap"]["name"]);
            let has =
                |m: &Manifest, part: &str| !m.at(&format!("/{part}/reprise_filter.wasm")).is_null();
            let mut maps = self.all.iter().filter(|m| m.kind == "ConfigMap" && m.name == map);
            maps.any(|m| has(m, "binaryData") || has(m, "data"))
        });
        let Some(volume) = volume else { return false };
        let name = text(&volume["name"]);
        match self.role {
            Role::Gateway => {
                let containers = items(&self.template["spec"]["containers"]);
                let proxy = containers.iter().find(|c| c["name"] == "istio-proxy");
                let mounts = proxy.map_or(&[][..], |proxy| items(&proxy["volumeMounts"]));
                mounts.iter().any(|m| m["name"] == name && m["mountPath"] == FILTER_DIR)
            }
            Role::Sidecar => {
                let annotations = &self.template["metadata"]["annotations"];
                let mounts = text(&annotations["sidecar.istio.io/userVolumeMount"]);
                let mounts: Value = serde_json::from_str(mounts).unwrap_or_default();
                mounts[name]["mountPath"] == FILTER_DIR
            }
        }
    }
}

/// An address as Envoy writes it.
pub(super) fn address(at: SocketAddr) -> Value {
    json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}})
}
