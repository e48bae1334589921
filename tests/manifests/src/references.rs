//! What one object says of another: that it is there, and has what is said of it.

mod routes;

use serde_json::Value;

use crate::Manifest;
use crate::pods::{Pod, containers, list, picks, pods};

/// Secrets that an operator makes: they are in no rendering. `k8s/README.md` names each.
const MADE_BY_HAND: [&str; 1] = ["site-tls"];

struct All<'a> {
    manifests: &'a [Manifest],
    pods: Vec<Pod<'a>>,
}

/// What is wrong between the objects of one rendering.
pub(crate) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let all = All { manifests, pods: pods(manifests) };
    let mut problems = twice(manifests);
    for manifest in manifests {
        let found = match manifest.kind.as_str() {
            "Deployment" | "StatefulSet" => all.workload(manifest),
            "EnvoyProxy" => {
                all.volumes(manifest.at("/spec/provider/kubernetes/envoyDeployment/pod"))
            }
            "Service" => all.service(manifest),
            "NetworkPolicy" => all.network_policy(manifest),
            "PodDisruptionBudget" => all.selected("spec.selector", manifest.at("/spec/selector")),
            "HorizontalPodAutoscaler" => all.autoscaler(manifest),
            "ServiceMonitor" => all.service_monitor(manifest),
            "PodMonitor" => all.pod_monitor(manifest),
            "Gateway" if manifest.group() != "gateway.networking.k8s.io" => Vec::new(),
            "Gateway"
            | "HTTPRoute"
            | "BackendTrafficPolicy"
            | "ClientTrafficPolicy"
            | "EnvoyExtensionPolicy"
            | "EnvoyPatchPolicy" => routes::problems(&all, manifest),
            _ => Vec::new(),
        };
        problems.extend(found.into_iter().map(|problem| format!("{manifest}: {problem}")));
    }
    problems
}

fn twice(manifests: &[Manifest]) -> Vec<String> {
    let same = |a: &Manifest, b: &Manifest| {
        (a.group(), &a.kind, &a.name, &a.namespace) == (b.group(), &b.kind, &b.name, &b.namespace)
    };
    let repeated = |(index, manifest): (usize, &Manifest)| {
        let before = manifests.iter().take(index);
        before
            .clone()
            .any(|earlier| same(earlier, manifest))
            .then(|| format!("{manifest} is there twice"))
    };
    manifests.iter().enumerate().filter_map(repeated).collect()
}

impl All<'_> {
    fn has(&self, kind: &str, name: &str) -> bool {
        self.manifests.iter().any(|manifest| manifest.kind == kind && manifest.name == name)
    }

    fn workload(&self, manifest: &Manifest) -> Vec<String> {
        let Some(pod) = self.pods.iter().find(|pod| std::ptr::eq(pod.of, manifest)) else {
            return Vec::new();
        };
        let mut problems = self.volumes(pod.spec);
        if !picks(manifest.at("/spec/selector"), &pod.labels) {
            problems.push("spec.selector does not pick the pods of its own template".into());
        }
        let account = &pod.spec["serviceAccountName"];
        if account.as_str().is_none_or(|name| !self.has("ServiceAccount", name)) {
            problems.push(format!("there is no ServiceAccount {account}"));
        }
        let governing = manifest.at("/spec/serviceName").as_str();
        if governing.is_some_and(|name| !self.has("Service", name)) {
            problems.push(format!("there is no Service {:?}", governing.unwrap_or_default()));
        }
        for container in containers(pod.spec) {
            let name = container["name"].as_str().unwrap_or_default();
            let claims =
                list(manifest.at("/spec/volumeClaimTemplates")).map(|c| &c["metadata"]["name"]);
            let volumes: Vec<_> =
                list(&pod.spec["volumes"]).map(|volume| &volume["name"]).chain(claims).collect();
            for mount in list(&container["volumeMounts"]) {
                if !volumes.contains(&&mount["name"]) {
                    problems
                        .push(format!("container {name}: there is no volume {}", mount["name"]));
                }
            }
            problems
                .extend(probes(container).map(|problem| format!("container {name}: {problem}")));
        }
        problems
    }

    /// The ConfigMaps, Secrets and keys that volumes name.
    fn volumes(&self, spec: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        for volume in list(&spec["volumes"]) {
            let parts = list(&volume["projected"]["sources"]).chain([volume]);
            for part in parts {
                let named = [
                    ("ConfigMap", &part["configMap"]["name"]),
                    ("Secret", &part["secret"]["secretName"]),
                    ("Secret", &part["secret"]["name"]),
                ];
                for (kind, name) in named {
                    let Some(name) = name.as_str() else { continue };
                    let by_hand = kind == "Secret" && MADE_BY_HAND.contains(&name);
                    if !by_hand && !self.has(kind, name) {
                        problems.push(format!("there is no {kind} {name}"));
                    }
                }
            }
        }
        problems
    }

    fn picked<'b>(&'b self, selector: &'b Value) -> impl Iterator<Item = &'b Pod<'b>> + 'b {
        self.pods.iter().filter(|pod| picks(selector, &pod.labels))
    }

    fn selected(&self, place: &str, selector: &Value) -> Vec<String> {
        match self.picked(selector).next() {
            Some(_) => Vec::new(),
            None => vec![format!("{place} picks no pod of this rendering: {selector}")],
        }
    }

    fn service(&self, manifest: &Manifest) -> Vec<String> {
        let selector = manifest.at("/spec/selector");
        let mut problems = self.selected("spec.selector", selector);
        for port in list(manifest.at("/spec/ports")) {
            let target =
                if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
            let mut picked = self.picked(selector).peekable();
            if picked.peek().is_some() && !picked.any(|pod| pod.injected || has_port(pod, target)) {
                problems.push(format!("no container that it picks has the port {target}"));
            }
        }
        problems
    }

    fn network_policy(&self, manifest: &Manifest) -> Vec<String> {
        let selector = manifest.at("/spec/podSelector");
        let mut problems = self.selected("spec.podSelector", selector);
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            for rule in list(&manifest.at("/spec")[direction]) {
                let mut targets = Vec::new();
                for peer in list(&rule[peers]).filter(|peer| peer["namespaceSelector"].is_null()) {
                    let Some(selector) = peer.get("podSelector") else { continue };
                    problems.extend(self.selected(&format!("spec.{direction}"), selector));
                    targets.extend(self.picked(selector));
                }
                let elsewhere = list(&rule[peers]).any(|peer| {
                    peer.get("podSelector").is_none() || peer.get("namespaceSelector").is_some()
                }) || rule.get(peers).is_none();
                if direction == "ingress" {
                    targets = self.picked(selector).collect();
                } else if elsewhere {
                    continue;
                }
                for port in
                    list(&rule["ports"]).map(|port| &port["port"]).filter(|port| !port.is_null())
                {
                    if !targets.iter().any(|pod| pod.injected || has_port(pod, port)) {
                        problems.push(format!(
                            "spec.{direction}: no pod that it lets through has the port {port}"
                        ));
                    }
                }
            }
        }
        problems
    }

    fn autoscaler(&self, manifest: &Manifest) -> Vec<String> {
        let mut problems = Vec::new();
        let target = manifest.at("/spec/scaleTargetRef");
        let (kind, name) = (target["kind"].as_str(), target["name"].as_str());
        let found = self
            .pods
            .iter()
            .find(|pod| Some(pod.of.kind.as_str()) == kind && Some(pod.of.name.as_str()) == name);
        let Some(pod) = found else {
            return vec![format!("there is nothing to scale: {target}")];
        };
        if !pod.of.at("/spec/replicas").is_null() {
            // Each time it is applied it would undo what the autoscaler has done.
            problems.push(format!("{} says how many, which the autoscaler says", pod.of));
        }
        for metric in list(manifest.at("/spec/metrics")) {
            let wanted = &metric["containerResource"]["container"];
            if !wanted.is_null()
                && containers(pod.spec).all(|container| &container["name"] != wanted)
            {
                problems.push(format!("{} has no container {wanted}", pod.of));
            }
        }
        problems
    }

    fn service_monitor(&self, manifest: &Manifest) -> Vec<String> {
        let selector = manifest.at("/spec/selector");
        let labels = |service: &Manifest| {
            let labels = service.at("/metadata/labels").as_object().into_iter().flatten();
            labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        };
        let services: Vec<_> = self
            .manifests
            .iter()
            .filter(|other| other.kind == "Service" && picks(selector, &labels(other)))
            .collect();
        let unknown =
            list(manifest.at("/spec/endpoints")).map(|endpoint| &endpoint["port"]).filter(|port| {
                let mut ports = services.iter().flat_map(|service| list(service.at("/spec/ports")));
                !ports.any(|known| &&known["name"] == port)
            });
        unknown.map(|port| format!("no Service that it picks has a port {port}")).collect()
    }

    /// Of the ports of a PodMonitor some pod must have one: others may be injected later.
    fn pod_monitor(&self, manifest: &Manifest) -> Vec<String> {
        let selector = manifest.at("/spec/selector");
        let mut ports =
            list(manifest.at("/spec/podMetricsEndpoints")).map(|endpoint| &endpoint["port"]);
        let known =
            ports.any(|port| self.picked(selector).any(|pod| pod.injected || has_port(pod, port)));
        if known { Vec::new() } else { vec!["no pod that it picks has one of its ports".into()] }
    }
}

fn has_port(pod: &Pod, port: &Value) -> bool {
    pod.ports.iter().any(|(name, number)| {
        port.as_u64() == Some(*number) || (port.is_string() && port.as_str() == name.as_deref())
    })
}

/// Probes and hooks that go to a port which the container does not have.
fn probes(container: &Value) -> impl Iterator<Item = String> {
    let probes =
        ["startupProbe", "livenessProbe", "readinessProbe"].map(|kind| (kind, &container[kind]));
    probes.into_iter().filter_map(|(kind, probe)| {
        let port =
            ["httpGet", "tcpSocket", "grpc"].into_iter().find_map(|way| probe[way].get("port"))?;
        let known = list(&container["ports"])
            .any(|known| &known["name"] == port || &known["containerPort"] == port);
        (!known).then(|| format!("{kind} goes to port {port}, which is not there"))
    })
}
