//! What no type says and Reprise rests on: one `reprise` that knows of all its gateways, a filter that
//! never lets anything past, the order of the times, nothing in plain text between sites.

mod filter;
mod guards;
mod links;
mod room;
mod times;

use serde_json::Value;

use crate::Manifest;
use crate::pods::{Pod, containers, list, pods};

/// What would break a promise.
pub(crate) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let pods = pods(manifests);
    let mut problems = one_reprise(manifests);
    problems.extend(shared_gateways(manifests, &pods));
    problems.extend(pods.iter().flat_map(restricted));
    problems.extend(filter::problems(manifests));
    problems.extend(guards::problems(manifests));
    problems.extend(links::problems(manifests));
    problems.extend(room::problems(manifests));
    problems.extend(times::problems(manifests));
    problems
}

/// A file out of a ConfigMap, whatever hash its name ends in.
fn file<'a>(manifests: &'a [Manifest], config_map: &str, name: &str) -> Option<&'a str> {
    let named = |manifest: &&Manifest| {
        let rest = manifest.name.strip_prefix(config_map);
        manifest.kind == "ConfigMap"
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let found = manifests.iter().filter(named);
    found.filter_map(|manifest| manifest.at("/data").get(name)?.as_str()).next()
}

/// `reprise.toml` of this rendering.
fn reprise(manifests: &[Manifest]) -> Option<toml::Table> {
    toml::from_str(file(manifests, "reprise-config", "reprise.toml")?).ok()
}

/// It is the one place that orders the service's writes, and it holds its store alone.
fn one_reprise(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for manifest in manifests {
        let of_reprise = |name: &Value| name.as_str() == Some("reprise");
        match manifest.kind.as_str() {
            "StatefulSet"
                if manifest.name == "reprise"
                    && manifest.at("/spec/replicas").as_u64() != Some(1) =>
            {
                problems.push(format!("{manifest}: there is one, always"));
            }
            "HorizontalPodAutoscaler" if of_reprise(manifest.at("/spec/scaleTargetRef/name")) => {
                problems.push(format!("{manifest}: reprise is never scaled"));
            }
            _ => {}
        }
    }
    problems
}

/// With `gateways = "sole"` a gateway answers reads from its own table, as if no other were there.
fn shared_gateways(manifests: &[Manifest], pods: &[Pod]) -> Vec<String> {
    let gateway =
        |pod: &&Pod| pod.labels.get("reprise/gateway").is_some_and(|value| value == "true");
    let several = pods.iter().filter(gateway).find(|pod| {
        let proxy = pod.of.at("/spec/provider/kubernetes");
        let replicas = pod.of.at("/spec/replicas").as_u64();
        let scaled = manifests.iter().any(|scaler| {
            scaler.kind == "HorizontalPodAutoscaler"
                && scaler.at("/spec/scaleTargetRef/name") == &*pod.of.name
        });
        scaled
            || replicas.is_some_and(|replicas| replicas > 1)
            || !proxy["envoyHpa"].is_null()
            || proxy["envoyDeployment"]["replicas"].as_u64().is_some_and(|replicas| replicas > 1)
    });
    let Some(pod) = several else { return Vec::new() };
    let shared = reprise(manifests).is_some_and(|config| {
        config.get("log").and_then(|log| log.get("gateways")?.as_str()) == Some("shared")
    });
    if shared {
        return Vec::new();
    }
    vec![format!("{}: with several gateways reprise.toml needs `gateways = \"shared\"`", pod.of)]
}

/// PodSecurity `restricted`, a root file system that cannot be written, and bounded memory.
fn restricted(pod: &Pod) -> Vec<String> {
    let mut problems = Vec::new();
    let context = &pod.spec["securityContext"];
    // What Istio injects, and what Envoy Gateway makes, they set themselves.
    if pod.spec.is_null() {
        return problems;
    }
    if context["runAsNonRoot"] != true || context["seccompProfile"]["type"] != "RuntimeDefault" {
        problems
            .push(format!("{}: the pod is not restricted: runAsNonRoot, seccompProfile", pod.of));
    }
    for container in containers(pod.spec) {
        // A container that the injector fills in.
        if container["image"] == "auto" {
            continue;
        }
        let name = &container["name"];
        let own = &container["securityContext"];
        let drops_all = list(&own["capabilities"]["drop"]).any(|drop| drop == "ALL");
        if own["allowPrivilegeEscalation"] != false
            || own["readOnlyRootFilesystem"] != true
            || !drops_all
        {
            problems.push(format!("{}: container {name} is not restricted", pod.of));
        }
        if container["resources"]["limits"]["memory"].is_null()
            || container["resources"]["requests"].is_null()
        {
            problems.push(format!(
                "{}: container {name} has no bound of memory, or no requests",
                pod.of
            ));
        }
    }
    problems
}

/// The objects of a kind whose targetRefs name this one.
fn policies<'a>(
    manifests: &'a [Manifest],
    kind: &'a str,
    target: &'a Manifest,
) -> impl Iterator<Item = &'a Manifest> {
    manifests.iter().filter(move |policy| {
        let one = policy.at("/spec/targetRef");
        let mut all = list(policy.at("/spec/targetRefs")).chain((!one.is_null()).then_some(one));
        policy.kind == kind && all.any(|t| t["kind"] == *target.kind && t["name"] == *target.name)
    })
}
