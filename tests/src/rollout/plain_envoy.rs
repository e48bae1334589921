//! The Envoys of `k8s/overlays/plain-envoy`: each has its own file in a ConfigMap. Only TLS is
//! replaced by plain text, and names by addresses of this machine.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use manifests::Manifest;
use serde_json::Value;
use xtask::stack::{Places, StackOptions};

use super::{Files, World, as_is, reprise, world::local};

/// The files of a stack from what was rendered for the edge and for the cloud.
pub fn edge_and_cloud(
    edge: &[Manifest],
    cloud: &[Manifest],
    options: &StackOptions,
    places: &Places,
    filter: &Path,
) -> Result<Files> {
    let guards = places.guards.context("the guards have Envoys of their own")?;
    let world = |admin: u16, hosts: &[(&str, u16, SocketAddr)], ports: &[(u16, u16)]| {
        World::new(options, filter, admin, hosts, ports)
    };
    let (guard, reprise) = ("shop-guard.shop.svc.cluster.local", "reprise.shop.svc.cluster.local");
    // The probes have any free port: nobody asks there.
    let gateway = world(
        places.edge_admin,
        &[
            ("guard.cloud.example", 7503, places.primary_via),
            (guard, 7403, local(places.guard_secondary)),
            (reprise, 7400, local(places.log_grpc)),
        ],
        &[(8080, places.clients), (7402, places.delivery), (7408, 0)],
    );
    let ingress = world(
        places.cloud_admin,
        &[(guard, 7503, local(guards.primary))],
        &[(7503, places.guard_primary), (7408, 0)],
    );
    let mut files = reprise::both(edge, cloud, options, places)?;
    let [secondary, primary] = as_is::guards(edge, cloud, options, places, filter)?;
    for (file, mut envoy) in [
        ("edge.yaml", as_is::of(edge, "gateway", "envoy", &gateway)?),
        ("edge-guard.yaml", secondary),
        ("cloud.yaml", as_is::of(cloud, "ingress", "envoy", &ingress)?),
        ("cloud-guard.yaml", primary),
    ] {
        in_plain_text(&mut envoy);
        files.insert(file.to_owned(), serde_json::to_string_pretty(&envoy)?);
    }
    Ok(files)
}

/// Takes TLS out, wherever it stands.
fn in_plain_text(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("transport_socket");
            fields.remove("transport_socket_matches");
            fields.values_mut().for_each(in_plain_text);
        }
        Value::Array(items) => items.iter_mut().for_each(in_plain_text),
        _ => {}
    }
}
