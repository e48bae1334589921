//! The Envoy configurations of the overlays without a control plane, derived from those under
//! `envoy-configs/`, so that neither can drift from the other: what the tests and the simulator
//! hold `envoy-configs/` to holds for these too.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Where the module is mounted.
const MODULE: &str = "/var/lib/reprise/reprise_filter.wasm";
/// The replica as its own guard sees it: in the same pod.
const SERVICE_PORT: u16 = 8080;
/// The name that the cloud's certificate has too.
const CLOUD: &str = "guard.cloud.example";
const GUARD: &str = "shop-guard.shop.svc.cluster.local";
const REPRISE: &str = "reprise.shop.svc.cluster.local";
/// What the filter takes the session from, in `envoy-configs/edge.yaml`.
const SESSION_HEADER: &str = "x-session-id";

/// The Envoy that clients come to, which also delivers.
pub fn gateway(edge: &str) -> Result<Value> {
    let mut config = read(edge)?;
    keep(&mut config, "listeners", &["clients", "delivery"])?;
    keep(
        &mut config,
        "clusters",
        &[
            "primary-first",
            "secondary-first",
            "primary-only",
            "primary-guard",
            "secondary-guard",
            "replay-log",
        ],
    )?;
    for listener in each(&mut config, "listeners")? {
        open(listener)?;
        use_mounted_module(listener);
        add_hash_policies(listener);
    }
    for cluster in each(&mut config, "clusters")? {
        resolve(cluster)?;
        if cluster["name"] != "replay-log" {
            // Of two guards the retry must find the other one, and a hashing balancer does not ask
            // which priority a retry is for.
            let groups = cluster["load_assignment"]["endpoints"].as_array();
            if groups.is_some_and(|groups| groups.len() == 1) {
                cluster["lb_policy"] = json!("MAGLEV");
            }
            // The first is for endpoints of the cloud, by their metadata.
            cluster["transport_socket_matches"] = json!([
                {"name": "cloud", "match": {"cloud": true}, "transport_socket": to_cloud()},
                {"name": "site", "match": {}, "transport_socket": plain()},
            ]);
        }
    }
    Ok(finished(config, "gateway"))
}

/// The guard beside the secondary.
pub fn guard_secondary(edge: &str) -> Result<Value> {
    guard(edge, "guard-secondary")
}

/// The guard beside the primary.
pub fn guard_primary(cloud: &str) -> Result<Value> {
    guard(cloud, "guard-primary")
}

fn guard(text: &str, listener: &str) -> Result<Value> {
    let mut config = read(text)?;
    keep(&mut config, "listeners", &[listener])?;
    keep(&mut config, "clusters", &["replica", "journal"])?;
    for listener in each(&mut config, "listeners")? {
        open(listener)?;
        use_mounted_module(listener);
    }
    for cluster in each(&mut config, "clusters")? {
        resolve(cluster)?;
    }
    Ok(finished(config, listener))
}

fn read(text: &str) -> Result<Value> {
    serde_saphyr::from_str(text).context("no YAML")
}

fn each<'a>(config: &'a mut Value, kind: &str) -> Result<&'a mut Vec<Value>> {
    let list = config["static_resources"][kind].as_array_mut();
    list.with_context(|| format!("there are no static {kind}"))
}

/// Drops all but those with these names, which must all be there.
fn keep(config: &mut Value, kind: &str, names: &[&str]) -> Result<()> {
    let list = each(config, kind)?;
    list.retain(|item| item["name"].as_str().is_some_and(|name| names.contains(&name)));
    ensure!(list.len() == names.len(), "not all {kind} of {names:?} are there");
    Ok(())
}

/// From loopback to the pod's address; who may come, the NetworkPolicies say.
fn open(listener: &mut Value) -> Result<()> {
    let address = listener.pointer_mut("/address/socket_address/address");
    *address.context("a listener has no address")? = json!("0.0.0.0");
    Ok(())
}

fn use_mounted_module(listener: &mut Value) {
    visit(listener, &mut |value| {
        if let Some(file) = value.pointer_mut("/code/local/filename") {
            *file = json!(MODULE);
        }
    });
}

/// With several pods of the service a session stays at one of them, where the cluster hashes.
fn add_hash_policies(listener: &mut Value) {
    visit(listener, &mut |value| {
        if let Some(route) = value.get_mut("route").filter(|route| route["cluster"].is_string()) {
            route["hash_policy"] = json!([{"header": {"header_name": SESSION_HEADER}}]);
        }
    });
}

/// Replaces loopback addresses by the names of what stands there.
fn resolve(cluster: &mut Value) -> Result<()> {
    let name = cluster["name"].as_str().unwrap_or_default().to_owned();
    let mut problem = None;
    visit(cluster, &mut |value| {
        let Some(port) = value.pointer("/address/socket_address/port_value") else { return };
        let (host, port) = match port.as_u64() {
            Some(7400 | 7500) => (REPRISE, 7400),
            Some(7403) => (GUARD, 7403),
            Some(7503) => (CLOUD, 7503),
            Some(9001 | 9002) => ("127.0.0.1", SERVICE_PORT),
            other => return problem = Some(format!("{name}: nobody knows what port {other:?} is")),
        };
        value["address"]["socket_address"] = json!({"address": host, "port_value": port});
    });
    ensure!(problem.is_none(), "{}", problem.unwrap_or_default());
    if name != "replica" {
        cluster["type"] = json!("STRICT_DNS");
        // While the site is cut nobody may answer for the cloud's name. An Envoy that starts then
        // must serve without.
        cluster["wait_for_warm_on_init"] = json!(false);
        cluster["dns_lookup_family"] = json!("V4_PREFERRED");
    }
    visit(cluster, &mut |value| {
        if value.pointer("/endpoint/address/socket_address/address") == Some(&json!(CLOUD)) {
            value["metadata"] = json!({"filter_metadata": {
                "envoy.transport_socket_match": {"cloud": true},
            }});
        }
    });
    Ok(())
}

/// TLS with a certificate of this site, to nobody but the cloud's guard.
fn to_cloud() -> Value {
    let secret = |name: &str, file: &str| {
        json!({
            "name": name,
            "sds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": format!("/etc/envoy/{file}")},
            },
        })
    };
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": CLOUD,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
                "tls_certificate_sds_secret_configs": [secret("site", "site-certificate.yaml")],
                "validation_context_sds_secret_config": secret("peers", "peers.yaml"),
            },
        },
    })
}

fn plain() -> Value {
    json!({
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        },
    })
}

/// Every value in depth.
fn visit(value: &mut Value, see: &mut impl FnMut(&mut Value)) {
    see(value);
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| visit(field, see)),
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, see)),
        _ => {}
    }
}

/// Says who it is, and shows two pages of the admin interface, which stays on loopback, to kubelet
/// and Prometheus.
fn finished(mut config: Value, id: &str) -> Value {
    config["node"]["id"] = json!(id);
    config["admin"]["address"]["socket_address"]["port_value"] = json!(7409);
    let page = |path: &str| json!({"match": {"path": path}, "route": {"cluster": "admin"}});
    let listener = json!({
        "name": "probes",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 7408}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "probes",
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    },
                }],
                "route_config": {"virtual_hosts": [{
                    "name": "admin",
                    "domains": ["*"],
                    "routes": [page("/ready"), page("/stats/prometheus")],
                }]},
            },
        }]}],
    });
    let cluster = json!({
        "name": "admin",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "admin", "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 7409}},
        }}]}]},
    });
    for (kind, item) in [("listeners", listener), ("clusters", cluster)] {
        if let Some(list) = config["static_resources"][kind].as_array_mut() {
            list.push(item);
        }
    }
    config
}
