//! Between sites: mutual TLS, in whichever way the Envoys are configured.

use serde_json::Value;

use super::{file, policies};
use crate::Manifest;
use crate::pods::list;

/// What sites come to.
const INGRESS_PORT: u64 = 7503;

pub(super) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for manifest in manifests {
        match manifest.kind.as_str() {
            "Backend" => problems.extend(backend(manifest)),
            "Gateway" => {
                problems.extend(gateway(manifests, manifest));
                problems.extend(hosts(manifests, manifest));
            }
            _ => {}
        }
    }
    problems.extend(plain_gateway(manifests));
    problems.extend(plain_ingress(manifests));
    problems
}

fn within(host: &Value) -> bool {
    let host = host.as_str().unwrap_or_default();
    host == "127.0.0.1" || host.ends_with(".svc.cluster.local")
}

fn backend(manifest: &Manifest) -> Option<String> {
    let outside = list(manifest.at("/spec/endpoints")).any(|end| !within(&end["fqdn"]["hostname"]));
    let plain = outside && manifest.at("/spec/tls").is_null();
    plain.then(|| format!("{manifest}: leaves the cluster in plain text"))
}

fn gateway(manifests: &[Manifest], gateway: &Manifest) -> Option<String> {
    list(gateway.at("/spec/listeners")).find(|listener| listener["port"] == INGRESS_PORT)?;
    let encrypted =
        list(gateway.at("/spec/listeners")).all(|listener| listener["protocol"] == "HTTPS");
    let asks = policies(manifests, "ClientTrafficPolicy", gateway)
        .any(|policy| policy.at("/spec/tls/clientValidation/mode") == "RequireAndVerify");
    (!encrypted || !asks).then(|| format!("{gateway}: sites come without a certificate"))
}

/// The edge sends on what the client has said as Host, so whatever sites come to must be for all.
fn hosts(manifests: &[Manifest], gateway: &Manifest) -> Option<String> {
    list(gateway.at("/spec/listeners")).find(|listener| listener["port"] == INGRESS_PORT)?;
    let own = list(gateway.at("/spec/listeners")).any(|one| !one["hostname"].is_null());
    let of_routes = manifests.iter().any(|route| {
        route.kind == "HTTPRoute"
            && list(route.at("/spec/parentRefs")).any(|parent| parent["name"] == *gateway.name)
            && !route.at("/spec/hostnames").is_null()
    });
    (own || of_routes)
        .then(|| format!("{gateway}: is for one host, and sites come with those of their clients"))
}

fn clusters(config: &Value) -> impl Iterator<Item = &Value> {
    list(&config["static_resources"]["clusters"])
}

fn plain_gateway(manifests: &[Manifest]) -> Vec<String> {
    let Some(config) = envoy(manifests, "gateway-envoy") else { return Vec::new() };
    let plain = clusters(&config).filter(|cluster| {
        let ends = list(&cluster["load_assignment"]["endpoints"]);
        let mut ends = ends.flat_map(|locality| list(&locality["lb_endpoints"]));
        let tls = list(&cluster["transport_socket_matches"]).any(|socket| {
            socket["match"]["cloud"] == true
                && socket["transport_socket"]["name"] == "envoy.transport_sockets.tls"
        });
        ends.any(|end| {
            let outside = !within(&end["endpoint"]["address"]["socket_address"]["address"]);
            let marked =
                &end["metadata"]["filter_metadata"]["envoy.transport_socket_match"]["cloud"];
            outside && !(tls && *marked == true)
        })
    });
    plain
        .map(|cluster| format!("gateway-envoy: cluster {} leaves in plain text", cluster["name"]))
        .collect()
}

fn plain_ingress(manifests: &[Manifest]) -> Option<String> {
    let config = envoy(manifests, "ingress-envoy")?;
    let mut listeners = list(&config["static_resources"]["listeners"])
        .filter(|listener| listener["address"]["socket_address"]["port_value"] == INGRESS_PORT);
    let chain = listeners.next().map(|listener| &listener["filter_chains"][0]["transport_socket"]);
    let asks = chain.is_some_and(|socket| {
        let config = &socket["typed_config"];
        config["require_client_certificate"] == true
            && !config["common_tls_context"]["validation_context_sds_secret_config"].is_null()
    });
    (!asks).then(|| "ingress-envoy: sites come without a certificate".to_owned())
}

fn envoy(manifests: &[Manifest], config_map: &str) -> Option<Value> {
    serde_saphyr::from_str(file(manifests, config_map, "envoy.yaml")?).ok()
}
