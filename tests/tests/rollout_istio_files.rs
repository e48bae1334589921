//! The Envoys of the Istio overlays against `envoy-configs/`, which is measured: they must not
//! drift apart.

use anyhow::{Context as _, Result, ensure};
use manifests::Manifest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tests::rollout::istio::{Istio, Mesh};
use tests::rollout::{World, overlay};

/// A rendering with something in the filter's place: nothing here runs.
struct Rendered {
    dir: TempDir,
    edge: Vec<Manifest>,
    cloud: Vec<Manifest>,
}

impl Rendered {
    fn new() -> Result<Rendered> {
        let dir = tempfile::tempdir()?;
        let filter = dir.path().join("any.wasm");
        std::fs::write(&filter, b"\0asm")?;
        let (edge, cloud) = (overlay("edge-istio", &filter)?, overlay("cloud-istio", &filter)?);
        Ok(Rendered { dir, edge, cloud })
    }

    /// The Envoy of a workload, every address another port of this machine.
    fn envoy(&self, all: &[Manifest], workload: &str, istio: Istio) -> Result<Value> {
        let hosts = [
            ("cloud.shop.example", 8443),
            ("shop.shop.svc.cluster.local", 8080),
            ("reprise.shop.svc.cluster.local", 7400),
            ("127.0.0.1", 8080),
        ];
        let hosts = hosts
            .iter()
            .zip(1..)
            .map(|((host, port), at)| (((*host).to_owned(), *port), ([127, 0, 0, 1], at).into()));
        let ports = BTreeMap::from([(8443, 8443), (7402, 7402), (8080, 8080)]);
        let world = World {
            hosts: hosts.collect(),
            ports,
            admin: 9,
            filter: PathBuf::from("/filter.wasm"),
            dir: self.dir.path().to_owned(),
        };
        Mesh::of(all, workload, &world, istio)?.resources()
    }
}

/// A file that runs as it stands.
fn measured(name: &str) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy-configs").join(name);
    let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
    Ok(file["static_resources"].clone())
}

fn named<'a>(all: &'a Value, name: &str) -> Result<&'a Value> {
    let found = all.as_array().into_iter().flatten().find(|item| item["name"] == name);
    found.with_context(|| format!("there is no {name}"))
}

fn listener<'a>(envoy: &'a Value, name: &str) -> Result<&'a Value> {
    named(&envoy["listeners"], name)
}

fn cluster<'a>(envoy: &'a Value, name: &str) -> Result<&'a Value> {
    named(&envoy["clusters"], name)
}

fn manager(listener: &Value) -> &Value {
    &listener["filter_chains"][0]["filters"][0]["typed_config"]
}

fn routes(listener: &Value) -> &Value {
    &manager(listener)["route_config"]["virtual_hosts"][0]["routes"]
}

fn filters(listener: &Value) -> Vec<&str> {
    let filters = manager(listener)["http_filters"].as_array().into_iter().flatten();
    filters.filter_map(|filter| filter["name"].as_str()).collect()
}

/// Everything that `theirs` says `ours` says too. Ours may say more.
fn within(theirs: &Value, ours: &Value, at: &str, problems: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(_)) => {
            for (key, value) in theirs {
                within(value, &ours[key], &format!("{at}.{key}"), problems);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (theirs, ours)) in a.iter().zip(b).enumerate() {
                within(theirs, ours, &format!("{at}.{index}"), problems);
            }
        }
        (theirs, ours) => {
            let same = match (seconds(theirs), seconds(ours)) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                _ => theirs == ours,
            };
            if !same {
                problems.push(format!("{at}: {ours} instead of {theirs}"));
            }
        }
    }
}

fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.strip_suffix('s')?.parse().ok(),
        number => number.as_f64(),
    }
}

/// A copy without some fields.
fn without(value: &Value, fields: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !fields.contains(&key.as_str()));
    }
    value
}

/// What a listener says, without what is compared on its own or belongs to one machine.
fn same_listener(theirs: &Value, ours: &Value, at: &str, problems: &mut Vec<String>) {
    let own = ["name", "address", "filter_chains"];
    within(&without(theirs, &own), ours, at, problems);
    let own = ["stat_prefix", "route_config", "http_filters"];
    within(&without(manager(theirs), &own), manager(ours), at, problems);
}

/// What a cluster says, except which addresses it has.
fn same_cluster(theirs: &Value, ours: &Value, at: &str, problems: &mut Vec<String>) {
    let mut theirs = without(theirs, &["name", "load_assignment"]);
    // Istio sets the thresholds of the priority that all our routes have.
    theirs["circuit_breakers"]["thresholds"] =
        json!([without(&theirs["circuit_breakers"]["thresholds"][0], &["priority"])]);
    within(&theirs, ours, at, problems);
    for key in ["health_checks", "close_connections_on_host_health_failure"] {
        if theirs[key].is_null() && !ours[key].is_null() {
            problems.push(format!("{at}: {key}, which the measured file has not"));
        }
    }
}

fn none(problems: &[String]) -> Result<()> {
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn the_listeners_have_the_measured_times_and_limits() -> Result<()> {
    let rendered = Rendered::new()?;
    let gateway = rendered.envoy(&rendered.edge, "shop-gateway", Istio::V1_28)?;
    let guard = rendered.envoy(&rendered.edge, "shop", Istio::V1_28)?;
    let ingress = rendered.envoy(&rendered.cloud, "shop-ingress", Istio::V1_28)?;
    let far = rendered.envoy(&rendered.cloud, "shop", Istio::V1_28)?;
    let (edge, cloud) = (measured("edge.yaml")?, measured("cloud.yaml")?);
    let mut problems = Vec::new();
    for (theirs, name, ours, own) in [
        (&edge, "clients", &gateway, "0.0.0.0_8443"),
        (&edge, "delivery", &gateway, "0.0.0.0_7402"),
        (&edge, "guard-secondary", &guard, "virtualInbound"),
        (&edge, "guard-secondary", &far, "virtualInbound"),
        (&cloud, "guard-primary", &ingress, "0.0.0.0_8443"),
    ] {
        same_listener(listener(theirs, name)?, listener(ours, own)?, name, &mut problems);
    }
    none(&problems)
}

#[test]
fn the_routes_are_the_measured_ones_in_their_order() -> Result<()> {
    let rendered = Rendered::new()?;
    let gateway = rendered.envoy(&rendered.edge, "shop-gateway", Istio::V1_28)?;
    let edge = measured("edge.yaml")?;
    let mut problems = Vec::new();
    for (name, own) in [("clients", "0.0.0.0_8443"), ("delivery", "0.0.0.0_7402")] {
        let ours = routes(listener(&gateway, own)?).as_array().context("routes")?;
        let mut theirs = routes(listener(&edge, name)?).clone();
        for (index, route) in theirs.as_array_mut().context("routes")?.iter_mut().enumerate() {
            // The last one of a delivery has no name; ours needs none of it.
            let ours = ours.get(index).context("fewer routes")?;
            let to = route["route"]["cluster"].take();
            if let Some(to) = to.as_str() {
                route["route"]["cluster"] =
                    format!("outbound|8080|{to}|replicas.shop.internal").into();
            } else if let Some(route) = route.as_object_mut() {
                route.remove("route");
            }
            if let Some(action) = route["route"].as_object_mut() {
                // `mirror = "envoy"` is not laid out for Istio.
                action.remove("request_mirror_policies");
            }
            if let Some(back_off) = route.pointer_mut("/route/retry_policy/retry_back_off") {
                // Envoy's default for the longest is ten times the base.
                let longest = back_off["max_interval"].take();
                let base = seconds(&back_off["base_interval"]).context("a base")?;
                ensure!(seconds(&longest) == Some(10.0 * base), "{back_off}");
                *back_off = json!({"base_interval": back_off["base_interval"]});
            }
            if route["route"].is_null()
                && let Some(route) = route.as_object_mut()
            {
                route.remove("route");
            }
            within(route, ours, &format!("{name}.{index}"), &mut problems);
        }
        ensure!(ours.len() == theirs.as_array().map_or(0, Vec::len), "{name}: more routes");
    }
    let guard = rendered.envoy(&rendered.edge, "shop", Istio::V1_28)?;
    let (theirs, ours) = (listener(&edge, "guard-secondary")?, listener(&guard, "virtualInbound")?);
    let host = |l| &manager(l)["route_config"]["virtual_hosts"][0];
    let mut wanted = without(host(theirs), &["name"]);
    wanted["routes"][0]["route"]["cluster"] = "inbound|8080||".into();
    within(&wanted, host(ours), "guard", &mut problems);
    none(&problems)
}

#[test]
fn the_clusters_have_the_measured_checks_limits_and_order_of_replicas() -> Result<()> {
    let rendered = Rendered::new()?;
    let gateway = rendered.envoy(&rendered.edge, "shop-gateway", Istio::V1_28)?;
    let guard = rendered.envoy(&rendered.edge, "shop", Istio::V1_28)?;
    let edge = measured("edge.yaml")?;
    let mut problems = Vec::new();
    for name in
        ["primary-first", "secondary-first", "primary-only", "primary-guard", "secondary-guard"]
    {
        let ours = cluster(&gateway, &format!("outbound|8080|{name}|replicas.shop.internal"))?;
        let theirs = cluster(&edge, name)?;
        same_cluster(theirs, ours, name, &mut problems);
        let (theirs, ours) = (order(theirs, 7503), order(ours, 1));
        ensure!(theirs == ours, "{name}: {ours:?} instead of {theirs:?}");
    }
    for (name, envoy, own) in [
        ("replica", &guard, "inbound|8080||"),
        ("replay-log", &gateway, "outbound|7400||reprise.shop.svc.cluster.local"),
        ("journal", &guard, "outbound|7400||reprise.shop.svc.cluster.local"),
    ] {
        same_cluster(cluster(&edge, name)?, cluster(envoy, own)?, name, &mut problems);
    }
    none(&problems)
}

/// By priority, whether it is the primary.
fn order(cluster: &Value, primary: u64) -> BTreeMap<u64, bool> {
    let groups = cluster["load_assignment"]["endpoints"].as_array().into_iter().flatten();
    let port = "/lb_endpoints/0/endpoint/address/socket_address/port_value";
    let of = |group: &Value| group.pointer(port).and_then(Value::as_u64) == Some(primary);
    groups.map(|group| (group["priority"].as_u64().unwrap_or(0), of(group))).collect()
}

#[test]
fn the_filters_are_configured_as_the_measured_ones() -> Result<()> {
    let rendered = Rendered::new()?;
    let log = "outbound|7400||reprise.${POD_NAMESPACE}.svc.cluster.local";
    for (file, theirs, all, workload, ours, changes) in [
        (
            "edge.yaml",
            "clients",
            &rendered.edge,
            "shop-gateway",
            "0.0.0.0_8443",
            vec![("/replay_log/cluster", log)],
        ),
        (
            "edge.yaml",
            "guard-secondary",
            &rendered.edge,
            "shop",
            "virtualInbound",
            vec![("/journal/cluster", log), ("/service_cluster", "inbound|8080||")],
        ),
        (
            "cloud.yaml",
            "guard-primary",
            &rendered.cloud,
            "shop",
            "virtualInbound",
            vec![("/journal/cluster", log), ("/service_cluster", "inbound|8080||")],
        ),
    ] {
        let measured = measured(file)?;
        let filter =
            &manager(listener(&measured, theirs)?)["http_filters"][0]["typed_config"]["config"];
        let text = filter["configuration"]["value"].as_str().context("a text")?;
        let mut wanted: Value = serde_json::from_str(text)?;
        for (pointer, value) in changes {
            *wanted.pointer_mut(pointer).context(pointer)? = value.into();
        }
        let envoy = rendered.envoy(all, workload, Istio::V1_28)?;
        let chain =
            manager(listener(&envoy, ours)?)["http_filters"].as_array().context("filters")?;
        let name = if theirs == "clients" { "reprise.gateway" } else { "reprise.guard" };
        let ours = chain.iter().find(|f| f["name"] == name).context("no filter")?;
        let ours = &ours["typed_config"]["config"];
        let text = ours["configuration"]["value"].as_str().context("a text")?;
        let own: Value = serde_json::from_str(text)?;
        ensure!(own == wanted, "{theirs}: {own} instead of {wanted}");
        let mut problems = Vec::new();
        let mut rest = without(filter, &["configuration"]);
        rest["vm_config"]["code"]["local"]["filename"] = "/filter.wasm".into();
        within(&rest, ours, theirs, &mut problems);
        none(&problems)?;
    }
    Ok(())
}

#[test]
fn in_every_istio_the_filter_stands_whole_behind_authorization_and_before_the_router() -> Result<()>
{
    let rendered = Rendered::new()?;
    let newer = as_traffic_extensions(&rendered)?;
    for (edge, istio) in
        [(&rendered.edge, Istio::V1_28), (&rendered.edge, Istio::V1_30), (&newer, Istio::V1_30)]
    {
        let own = ["grpc_stats", "fault", "cors", "router"]
            .map(|name| format!("envoy.filters.http.{name}"));
        for (workload, name, filter) in [
            ("shop-gateway", "0.0.0.0_8443", Some("reprise.gateway")),
            ("shop-gateway", "0.0.0.0_7402", None),
            ("shop", "virtualInbound", Some("reprise.guard")),
        ] {
            let envoy = rendered.envoy(edge, workload, istio)?;
            let mut wanted = vec!["envoy.filters.http.rbac"];
            wanted.extend(filter);
            wanted.extend(own.iter().map(String::as_str));
            let found = filters(listener(&envoy, name)?);
            ensure!(found == wanted, "{istio:?}, {workload}, {name}: {found:?}");
        }
    }
    Ok(())
}

/// The edge with the component `traffic-extension` on top.
fn as_traffic_extensions(rendered: &Rendered) -> Result<Vec<Manifest>> {
    let dir = rendered.dir.path().join("k8s");
    xtask::dist::lay_out_k8s(&rendered.dir.path().join("any.wasm"), &dir)?;
    let own = dir.join("overlays/own");
    std::fs::create_dir_all(&own)?;
    let text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
                resources: [../edge-istio]\ncomponents: [../../components/traffic-extension]\n";
    std::fs::write(own.join("kustomization.yaml"), text)?;
    let all = manifests::render(&own)?;
    ensure!(all.iter().all(|m| m.kind != "WasmPlugin"), "a WasmPlugin is left");
    for manifest in all.iter().filter(|m| m.kind == "TrafficExtension") {
        let problems = manifests::problems(manifest);
        ensure!(problems.is_empty(), "{problems:?}");
    }
    Ok(all)
}
