//! Envoys that have a file of their own in a ConfigMap.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use manifests::Manifest;
use serde_json::{Value, json};
use xtask::stack::{Places, StackOptions};

use super::world::{FILTER_DIR, address, local};
use super::{World, has_the_filter, items, text};

/// The guards' files, which Envoy Gateway's overlays and the plain ones share: the edge's, the cloud's.
pub fn guards(
    edge: &[Manifest],
    cloud: &[Manifest],
    options: &StackOptions,
    places: &Places,
    filter: &Path,
) -> Result<[Value; 2]> {
    let guards = places.guards.context("the guards have Envoys of their own")?;
    let reprise = "reprise.shop.svc.cluster.local";
    // The probes have any free port: nobody asks there.
    let secondary = World::new(
        options,
        filter,
        guards.secondary_admin,
        &[("127.0.0.1", 8080, options.secondary), (reprise, 7400, local(places.log_grpc))],
        &[(7403, places.guard_secondary), (7408, 0)],
    );
    let primary = World::new(
        options,
        filter,
        guards.primary_admin,
        &[("127.0.0.1", 8080, options.primary), (reprise, 7400, local(places.journal_grpc))],
        &[(7503, guards.primary), (7408, 0)],
    );
    Ok([of(edge, "shop", "guard", &secondary)?, of(cloud, "shop", "guard", &primary)?])
}

/// The file that a container of a workload mounts, with this machine's addresses.
pub fn of(all: &[Manifest], workload: &str, container: &str, world: &World) -> Result<Value> {
    let is = |m: &&Manifest| m.name == workload && !m.at("/spec/template").is_null();
    let found = all.iter().find(is).with_context(|| format!("no workload {workload}"))?;
    let pod = found.at("/spec/template/spec");
    let containers = items(&pod["initContainers"]).iter().chain(items(&pod["containers"]));
    let own = containers.into_iter().find(|c| c["name"] == container);
    let own = own.with_context(|| format!("{found}: no container {container}"))?;
    let args: Vec<&str> = items(&own["args"]).iter().map(text).collect();
    ensure!(args.starts_with(&["-c", "/etc/envoy/envoy.yaml"]), "{found}: {args:?}");
    let mounted = |path: &str| {
        let mount = items(&own["volumeMounts"]).iter().find(|m| m["mountPath"] == path)?;
        let volume = items(&pod["volumes"]).iter().find(|v| v["name"] == mount["name"])?;
        volume["configMap"]["name"].as_str()
    };
    let map = mounted("/etc/envoy").with_context(|| format!("{found}: nothing at /etc/envoy"))?;
    let map =
        all.iter().find(|m| m.kind == "ConfigMap" && m.name == map).context("no ConfigMap")?;
    let mut file: Value = serde_saphyr::from_str(text(map.at("/data/envoy.yaml")))
        .with_context(|| map.to_string())?;
    let filter = mounted(FILTER_DIR).is_some_and(|map| has_the_filter(all, map));
    world.read_the_file(&mut file, filter)?;
    let page = file["admin"]["address"]["socket_address"].clone();
    let mut world = world.clone();
    let admin = ([127, 0, 0, 1], world.admin).into();
    world
        .hosts
        .insert((text(&page["address"]).to_owned(), super::port(&page["port_value"])), admin);
    world.find_the_hosts(&mut file)?;
    file["admin"] = json!({"address": address(admin)});
    Ok(file)
}
