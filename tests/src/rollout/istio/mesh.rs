//! The objects of one cluster, and the pod whose Envoy is to be made.

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::{Value, json};

use super::{FILTER_DIR, World, address, clusters, has_the_filter, items, listeners, text};

/// The versions that differ in what this model knows: in the names of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Istio {
    /// 1.28 and 1.29.
    V1_28,
    /// 1.30 and newer, with TrafficExtension.
    V1_30,
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
    /// Whose names filters have.
    pub(super) istio: Istio,
    pub(super) world: &'a World,
    template: &'a Value,
}

impl<'a> Mesh<'a> {
    /// As the pods of a workload see it.
    pub fn of(
        all: &'a [Manifest],
        workload: &str,
        world: &'a World,
        istio: Istio,
    ) -> Result<Mesh<'a>> {
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
        Ok(Mesh { all, role, istio, world, template })
    }

    /// All that istiod sends its Envoy.
    pub fn resources(&self) -> Result<Value> {
        let (listeners, clusters) = (listeners::all(self)?, clusters::all(self)?);
        let mut sent = json!({"listeners": listeners, "clusters": clusters});
        self.world.read_the_file(&mut sent, self.mounts_the_filter())?;
        Ok(sent)
    }

    /// The configuration that its Envoy starts with. As from istiod, the clusters come first and
    /// have had their first health checks before there are listeners.
    pub fn bootstrap(&self) -> Result<Value> {
        let sent = self.resources()?;
        let app = self.label("app");
        let file =
            |what: &str, kind: &str| self.world.sent(&format!("{app}-{what}"), kind, &sent[what]);
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

    /// Whether the proxy mounts the ConfigMap with the filter.
    fn mounts_the_filter(&self) -> bool {
        let volumes = items(&self.template["spec"]["volumes"]);
        let volume = volumes
            .iter()
            .find(|volume| has_the_filter(self.all, text(&volume["configMap"]["name"])));
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
