//! Listeners, their connection managers, and the order of the filters in them.

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::{Map, Value, json};

use super::mesh::{Istio, Mesh, Role};
use super::{address, items, only, patch, policy, port, routes, text};

const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// All listeners of the pod that stand for something here.
pub fn all(mesh: &Mesh<'_>) -> Result<Vec<Value>> {
    match mesh.role {
        Role::Gateway => of_gateways(mesh),
        Role::Sidecar => of_sidecar(mesh),
    }
}

fn of_gateways(mesh: &Mesh<'_>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for gateway in mesh.selecting("Gateway") {
        for server in items(gateway.at("/spec/servers")) {
            only(server, &["port", "hosts", "tls"], "a server")?;
            ensure!(server["port"]["protocol"] == "HTTPS", "{gateway}: not HTTPS");
            ensure!(server["hosts"] == json!(["*"]), "{gateway}: hosts other than *");
            let number = port(&server["port"]["number"]);
            let mut config = routes::of_gateway(mesh, &gateway.name, number)?;
            patch::routes(mesh, patch::GATEWAY, number, &mut config)?;
            let manager = json!({
                "@type": MANAGER,
                "stat_prefix": format!("outbound_0.0.0.0_{number}"),
                "use_remote_address": true,
                "normalize_path": true,
                "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "stream_idle_timeout": "0s",
                "forward_client_cert_details": "SANITIZE_SET",
                "route_config": config,
                "http_filters": filters(mesh, number)?,
            });
            let name = format!("0.0.0.0_{number}");
            let mut listener = listener(mesh, &name, number, manager)?;
            patch::listener(mesh, patch::GATEWAY, number, &mut listener)?;
            all.push(listener);
        }
    }
    ensure!(!all.is_empty(), "no Gateway selects the pod");
    Ok(all)
}

fn of_sidecar(mesh: &Mesh<'_>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for sidecar in mesh.selecting("Sidecar") {
        for ingress in items(sidecar.at("/spec/ingress")) {
            ensure!(ingress["port"]["protocol"] == "HTTP", "{sidecar}: not HTTP");
            let number = port(&ingress["port"]["number"]);
            let cluster = format!("inbound|{number}||");
            let mut config = json!({
                "name": cluster,
                "validate_clusters": false,
                "virtual_hosts": [{
                    "name": format!("inbound|http|{number}"),
                    "domains": ["*"],
                    "routes": [{
                        "name": "default",
                        "match": {"prefix": "/"},
                        "route": {
                            "cluster": cluster,
                            "timeout": "0s",
                            // Istio's own for what comes in: only what was never sent.
                            "retry_policy": {
                                "retry_on": "reset-before-request",
                                "num_retries": 2,
                                "retry_back_off": {"base_interval": "0.010s"},
                            },
                        },
                    }],
                }],
            });
            patch::routes(mesh, patch::INBOUND, number, &mut config)?;
            let manager = json!({
                "@type": MANAGER,
                "stat_prefix": format!("inbound_0.0.0.0_{number}"),
                "use_remote_address": false,
                "normalize_path": true,
                "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "stream_idle_timeout": "0s",
                "forward_client_cert_details": "APPEND_FORWARD",
                "route_config": config,
                "http_filters": filters(mesh, number)?,
            });
            let mut listener = listener(mesh, "virtualInbound", number, manager)?;
            patch::listener(mesh, patch::INBOUND, number, &mut listener)?;
            all.push(listener);
        }
    }
    Ok(all)
}

fn listener(mesh: &Mesh<'_>, name: &str, number: u16, manager: Value) -> Result<Value> {
    let here = ([127, 0, 0, 1], mesh.world.port(number)?).into();
    Ok(json!({
        "name": name,
        "address": address(here),
        // Not Istio's, but this machine's: no second process on the port.
        "enable_reuse_port": false,
        "filter_chains": [{
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }],
        }],
    }))
}

/// The phases in istiod's order, and what of its own it puts behind each.
const PHASES: [&str; 4] = ["AUTHN", "AUTHZ", "STATS", ""];

/// The filters that istiod gives a listener, in its order: (ext_authz), plugins before
/// authentication, (jwt_authn), plugins before authorization, rbac, plugins of the phase STATS,
/// plugins of no phase, then its own to the router.
fn filters(mesh: &Mesh<'_>, number: u16) -> Result<Vec<Value>> {
    ensure!(mesh.kind("RequestAuthentication").next().is_none(), "jwt_authn is not modelled");
    let mut all = Vec::new();
    for phase in PHASES {
        if phase == "STATS" {
            all.extend(policy::filter(mesh)?);
        }
        let mut plugins: Vec<&Manifest> = plugins(mesh, number)
            .filter(|plugin| text(plugin.at("/spec/phase")) == phase)
            .collect();
        plugins.sort_by_key(|plugin| -plugin.at("/spec/priority").as_i64().unwrap_or(0));
        for plugin in plugins {
            all.push(plugin_filter(mesh, plugin)?);
        }
    }
    let own = |name: &str, kind: &str| {
        let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
        json!({"name": format!("envoy.filters.http.{name}"), "typed_config": {"@type": kind}})
    };
    all.push(own("grpc_stats", "grpc_stats.v3.FilterConfig"));
    all.push(own("fault", "fault.v3.HTTPFault"));
    all.push(own("cors", "cors.v3.Cors"));
    all.push(own("router", "router.v3.Router"));
    Ok(all)
}

/// The plugins that select the pod and the port.
fn plugins<'a>(mesh: &Mesh<'a>, number: u16) -> impl Iterator<Item = &'a Manifest> {
    let both = mesh.selecting("WasmPlugin").chain(mesh.selecting("TrafficExtension"));
    both.collect::<Vec<_>>().into_iter().filter(move |plugin| {
        let matches = items(plugin.at("/spec/match"));
        let ports = |of: &Value| items(&of["ports"]).iter().any(|p| port(&p["number"]) == number);
        matches.is_empty() || matches.iter().any(|m| m["ports"].is_null() || ports(m))
    })
}

/// What istiod makes of a plugin: a name, and a configuration that comes later. Here it comes from
/// a file; the module is the one that an agent would have pulled.
fn plugin_filter(mesh: &Mesh<'_>, plugin: &Manifest) -> Result<Value> {
    let name = &plugin.name;
    let (name, spec) = match (plugin.kind.as_str(), mesh.istio) {
        ("WasmPlugin", Istio::V1_28) => (format!("wasmplugin/shop.{name}"), plugin.at("/spec")),
        ("WasmPlugin", Istio::V1_30) => {
            let name = format!("trafficextension/shop.{name}~istio-translated-wasmplugin");
            (name, plugin.at("/spec"))
        }
        (_, Istio::V1_30) => (format!("trafficextension/shop.{name}"), plugin.at("/spec/wasm")),
        (_, Istio::V1_28) => bail!("{plugin}: Istio has it from 1.30 on"),
    };
    let name = format!("extensions.istio.io/{name}");
    let strategy = match text(&spec["failStrategy"]) {
        "FAIL_RELOAD" => "FAIL_RELOAD",
        "FAIL_OPEN" => "FAIL_OPEN",
        _ => "FAIL_CLOSED",
    };
    let resource = json!({"resources": [{
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": name,
        "typed_config": {
            "@type": WASM,
            "config": {
                "name": name,
                "root_id": spec["pluginName"],
                "failure_policy": strategy,
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "environment_variables": environment(&spec["vmConfig"])?,
                    "code": {"local": {"filename": mesh.world.filter}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": spec["pluginConfig"].to_string(),
                },
            },
        },
    }]});
    let file = mesh.world.dir.join(format!("{}.{}.json", mesh.label("app"), plugin.name));
    std::fs::write(&file, resource.to_string())
        .with_context(|| format!("write {}", file.display()))?;
    Ok(json!({
        "name": name,
        "config_discovery": {
            "config_source": {
                "path_config_source": {"path": file},
                "resource_api_version": "V3",
                "initial_fetch_timeout": "0s",
            },
            "type_urls": [WASM],
        },
    }))
}

/// The variables that a plugin gets, its own and its proxy's.
fn environment(vm: &Value) -> Result<Value> {
    let (mut own, mut hosts) = (Map::new(), Vec::new());
    for variable in items(&vm["env"]) {
        only(variable, &["name", "value", "valueFrom"], "a variable")?;
        match text(&variable["valueFrom"]) {
            "HOST" => hosts.push(&variable["name"]),
            _ => drop(own.insert(text(&variable["name"]).to_owned(), variable["value"].clone())),
        }
    }
    Ok(json!({"key_values": own, "host_env_keys": hosts}))
}
