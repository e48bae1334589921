//! Both clusters of a site on this machine.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use manifests::Manifest;
use xtask::stack::{Places, StackOptions};

use super::{Files, Gateway, World, as_is, local, reprise};

/// The files of a stack from what was rendered for the edge and for the cloud. The stack must have
/// [`StackOptions::apart`].
pub fn edge_and_cloud(
    edge: &[Manifest],
    cloud: &[Manifest],
    options: &StackOptions,
    places: &Places,
    filter: &Path,
) -> Result<Files> {
    let guards = places.guards.context("the guards have Envoys of their own")?;
    let apart = places.apart.context("deliveries and the module have Envoys of their own")?;
    let world = |admin: u16, hosts: &[(&str, u16, SocketAddr)], ports: &[(u16, u16)]| {
        World::new(options, filter, admin, hosts, ports)
    };
    let (guard, reprise) = ("shop-guard.shop.svc.cluster.local", "reprise.shop.svc.cluster.local");
    let at_the_edge = [
        ("guard.cloud.example", 7503, places.primary_via),
        (guard, 7403, local(places.guard_secondary)),
        (reprise, 7400, local(places.log_grpc)),
        ("module.shop.svc.cluster.local", 8080, local(apart.module)),
    ];
    let gateway = world(places.edge_admin, &at_the_edge, &[(8080, places.clients)]);
    let delivery = world(apart.delivery_admin, &at_the_edge, &[(7402, places.delivery)]);
    let behind = [(guard, 7503, local(guards.primary))];
    let ingress = world(places.cloud_admin, &behind, &[(7503, places.guard_primary)]);
    let module = world(apart.module_admin, &[], &[(8080, apart.module)]);
    let mut files = reprise::both(edge, cloud, options, places)?;
    let [secondary, primary] = as_is::guards(edge, cloud, options, places, filter)?;
    for (file, envoy) in [
        ("edge.yaml", Gateway::of(edge, "gateway", &gateway)?.bootstrap()?),
        ("edge-delivery.yaml", Gateway::of(edge, "delivery", &delivery)?.bootstrap()?),
        ("edge-guard.yaml", secondary),
        ("edge-module.yaml", as_is::of(edge, "module", "envoy", &module)?),
        ("cloud.yaml", Gateway::of(cloud, "ingress", &ingress)?.bootstrap()?),
        ("cloud-guard.yaml", primary),
    ] {
        files.insert(file.to_owned(), serde_json::to_string_pretty(&envoy)?);
    }
    Ok(files)
}
