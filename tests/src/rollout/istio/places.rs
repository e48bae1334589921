//! Both clusters of a site on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use manifests::Manifest;
use xtask::stack::{Guards, Places, Process, StackOptions};

use super::mesh::{Istio, Mesh};
use super::{Files, World, local, reprise};

/// What Istio gives every proxy in its environment, as far as these overlays ask for it.
pub fn environment() -> BTreeMap<Process, Vec<(String, String)>> {
    let proxies =
        [Process::EdgeEnvoy, Process::CloudEnvoy, Process::EdgeGuard, Process::CloudGuard];
    proxies.map(|proxy| (proxy, vec![("POD_NAMESPACE".into(), "shop".into())])).into()
}

/// The files of a stack from what was rendered for the edge and for the cloud.
pub fn edge_and_cloud(
    edge: &[Manifest],
    cloud: &[Manifest],
    options: &StackOptions,
    places: &Places,
    filter: &Path,
) -> Result<Files> {
    let guards =
        places.guards.unwrap_or(Guards { secondary_admin: 0, primary: 0, primary_admin: 0 });
    let world = |admin: u16, hosts: &[(&str, u16, SocketAddr)], ports: &[(u16, u16)]| {
        World::new(options, filter, admin, hosts, ports)
    };
    let shop = "shop.shop.svc.cluster.local";
    let reprise = "reprise.shop.svc.cluster.local";
    let gateway = world(
        places.edge_admin,
        &[
            ("cloud.shop.example", 8443, places.primary_via),
            (shop, 8080, local(places.guard_secondary)),
            (reprise, 7400, local(places.log_grpc)),
        ],
        &[(8443, places.clients), (7402, places.delivery)],
    );
    let secondary = world(
        guards.secondary_admin,
        &[("127.0.0.1", 8080, options.secondary), (reprise, 7400, local(places.log_grpc))],
        &[(8080, places.guard_secondary)],
    );
    let ingress = world(
        places.cloud_admin,
        &[(shop, 8080, local(guards.primary))],
        &[(8443, places.guard_primary)],
    );
    let primary = world(
        guards.primary_admin,
        &[("127.0.0.1", 8080, options.primary), (reprise, 7400, local(places.journal_grpc))],
        &[(8080, guards.primary)],
    );
    let mut files = reprise::both(edge, cloud, options, places)?;
    for (file, all, workload, world) in [
        ("edge.yaml", edge, "shop-gateway", &gateway),
        ("edge-guard.yaml", edge, "shop", &secondary),
        ("cloud.yaml", cloud, "shop-ingress", &ingress),
        ("cloud-guard.yaml", cloud, "shop", &primary),
    ] {
        let envoy = Mesh::of(all, workload, world, Istio::V1_28)?.bootstrap()?;
        files.insert(file.to_owned(), serde_json::to_string_pretty(&envoy)?);
    }
    Ok(files)
}
