//! Services, ServiceEntries, DestinationRules and Sidecars become clusters.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::mesh::{Mesh, Role};
use super::{address, items, merge, only, patch, port, text};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The name of a cluster that leads to a host.
pub fn outbound(number: u16, subset: &str, host: &str) -> String {
    format!("outbound|{number}|{subset}|{host}")
}

/// The header by which a host's pods are chosen.
pub fn session_header<'a>(mesh: &Mesh<'a>, host: &str) -> Option<&'a str> {
    let policy = &rule(mesh, host)?["trafficPolicy"];
    policy["loadBalancer"]["consistentHash"]["httpHeaderName"].as_str()
}

fn rule<'a>(mesh: &Mesh<'a>, host: &str) -> Option<&'a Value> {
    mesh.kind("DestinationRule").map(|m| m.at("/spec")).find(|spec| spec["host"] == host)
}

/// All clusters of the pod that lead somewhere here.
pub fn all(mesh: &Mesh<'_>) -> Result<Vec<Value>> {
    let context = match mesh.role {
        Role::Gateway => patch::GATEWAY,
        Role::Sidecar => patch::OUTBOUND,
    };
    let mut all = Vec::new();
    for (host, number, http2, endpoints) in hosts(mesh)? {
        for mut cluster in of_host(mesh, &host, number, http2, &endpoints)? {
            patch::cluster(mesh, context, &mut cluster)?;
            all.push(cluster);
        }
    }
    for sidecar in mesh.selecting("Sidecar") {
        ensure!(mesh.role == Role::Sidecar, "{sidecar} selects a gateway");
        for ingress in items(sidecar.at("/spec/ingress")) {
            let mut cluster = inbound(mesh, ingress)?;
            patch::cluster(mesh, patch::INBOUND, &mut cluster)?;
            all.push(cluster);
        }
    }
    Ok(all)
}

/// An endpoint: its address here, its region, its labels.
struct Endpoint {
    at: SocketAddr,
    region: String,
    labels: Value,
}

/// Hosts with a port, whether it speaks HTTP/2, and the endpoints that something stands for here.
type Host = (String, u16, bool, Vec<Endpoint>);

fn hosts(mesh: &Mesh<'_>) -> Result<Vec<Host>> {
    let mut all = Vec::new();
    let at = |host: &str, number: u16| mesh.world.hosts.get(&(host.to_owned(), number)).copied();
    for service in mesh.kind("Service") {
        let host = format!("{}.shop.svc.cluster.local", service.name);
        for one in items(service.at("/spec/ports")) {
            let (number, name) = (port(&one["port"]), text(&one["name"]));
            let endpoint = |at| Endpoint { at, region: String::new(), labels: json!({}) };
            let endpoints: Vec<_> = at(&host, number).map(endpoint).into_iter().collect();
            all.push((
                host.clone(),
                number,
                name.starts_with("grpc") || name == "http2",
                endpoints,
            ));
        }
    }
    for entry in mesh.kind("ServiceEntry") {
        let spec = entry.at("/spec");
        let known = ["hosts", "exportTo", "location", "resolution", "ports", "endpoints"];
        only(spec, &known, "a ServiceEntry")?;
        ensure!(spec["resolution"] == "DNS", "{entry}: only DNS is known");
        let ([host], [one]) = (items(&spec["hosts"]), items(&spec["ports"])) else {
            bail!("{entry}: not one host with one port");
        };
        let mut endpoints = Vec::new();
        for endpoint in items(&spec["endpoints"]) {
            only(endpoint, &["address", "ports", "locality", "labels"], "an endpoint")?;
            let own = &endpoint["ports"][text(&one["name"])];
            let number = port(if own.is_null() { &one["number"] } else { own });
            let address = text(&endpoint["address"]);
            if let Some(at) = at(address, number) {
                let region = text(&endpoint["locality"]).to_owned();
                endpoints.push(Endpoint { at, region, labels: endpoint["labels"].clone() });
            }
        }
        let whole = items(&spec["endpoints"]).len();
        ensure!(
            [0, whole].contains(&endpoints.len()),
            "{entry}: nothing stands for some endpoints"
        );
        let http2 = one["protocol"] == "HTTP2";
        all.push((text(host).to_owned(), port(&one["number"]), http2, endpoints));
    }
    all.retain(|(_, _, _, endpoints)| !endpoints.is_empty());
    Ok(all)
}

/// A host's own cluster, and those of its subsets.
fn of_host(
    mesh: &Mesh<'_>,
    host: &str,
    number: u16,
    http2: bool,
    endpoints: &[Endpoint],
) -> Result<Vec<Value>> {
    let none = Value::Null;
    let rule = rule(mesh, host).unwrap_or(&none);
    only(rule, &["host", "exportTo", "trafficPolicy", "subsets"], "a DestinationRule")?;
    let all: Vec<&Endpoint> = endpoints.iter().collect();
    let cluster = |subset: &str, policy: &Value, endpoints: &[&Endpoint]| {
        of_policy(mesh, &outbound(number, subset, host), http2, policy, endpoints)
            .with_context(|| format!("{host}, subset {subset:?}"))
    };
    let policy = &rule["trafficPolicy"];
    let mut made = vec![cluster("", policy, &all)?];
    for subset in items(&rule["subsets"]) {
        only(subset, &["name", "labels", "trafficPolicy"], "a subset")?;
        let empty = Map::new();
        let labels = subset["labels"].as_object().unwrap_or(&empty);
        let selected: Vec<&Endpoint> = endpoints
            .iter()
            .filter(|e| labels.iter().all(|(key, value)| e.labels[key] == *value))
            .collect();
        ensure!(!selected.is_empty(), "subset {} selects nobody", subset["name"]);
        // A subset's own part takes the place of the whole part.
        let mut own = policy.clone();
        for (part, value) in subset["trafficPolicy"].as_object().unwrap_or(&empty) {
            own[part] = value.clone();
        }
        made.push(cluster(text(&subset["name"]), &own, &selected)?);
    }
    Ok(made)
}

fn of_policy(
    mesh: &Mesh<'_>,
    name: &str,
    http2: bool,
    policy: &Value,
    endpoints: &[&Endpoint],
) -> Result<Value> {
    only(policy, &["tls", "connectionPool", "outlierDetection", "loadBalancer"], "a policy")?;
    let balancer = &policy["loadBalancer"];
    only(balancer, &["consistentHash", "localityLbSetting"], "a load balancer")?;
    let hash = &balancer["consistentHash"];
    only(hash, &["httpHeaderName", "maglev"], "a consistent hash")?;
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "lb_policy": if hash.is_null() { "LEAST_REQUEST" } else { "MAGLEV" },
        "common_lb_config": {},
    });
    pool(&mut cluster, &policy["connectionPool"], http2)?;
    outliers(&mut cluster, &policy["outlierDetection"])?;
    let locality = &balancer["localityLbSetting"];
    only(locality, &["enabled", "failover"], "a setting of localities")?;
    let failover = match locality["enabled"].as_bool() {
        Some(false) => &[],
        _ => items(&locality["failover"]),
    };
    // Without outlier detection istiod makes no priorities.
    let failover = if cluster["outlier_detection"].is_null() { &[] } else { failover };
    if !failover.is_empty() {
        cluster["common_lb_config"]["locality_weighted_lb_config"] = json!({});
    }
    cluster["load_assignment"] = json!({
        "cluster_name": name,
        "endpoints": localities(mesh.label("istio-locality"), failover, endpoints)?,
    });
    Ok(cluster)
}

/// One group for each region, with the priority that it has as seen from the proxy's.
fn localities(own: &str, failover: &[Value], endpoints: &[&Endpoint]) -> Result<Vec<Value>> {
    let mut groups: Vec<(u32, &Endpoint)> = Vec::new();
    for &endpoint in endpoints {
        let mut priority = if endpoint.region == own { 0 } else { 3 };
        if let Some(rule) = failover.iter().find(|rule| rule["from"] == own)
            && priority == 3
            && rule["to"] != endpoint.region.as_str()
        {
            priority = 4;
        }
        let again = groups.iter().any(|(_, other)| other.region == endpoint.region);
        ensure!(!again, "two endpoints of the region {}", endpoint.region);
        groups.push((if failover.is_empty() { 0 } else { priority }, endpoint));
    }
    // Without gaps, from 0.
    let mut used: Vec<u32> = groups.iter().map(|(priority, _)| *priority).collect();
    used.sort_unstable();
    used.dedup();
    let place = |priority: &u32| used.iter().position(|used| used == priority);
    let group = |(priority, endpoint): &(u32, &Endpoint)| {
        json!({
            "locality": {"region": endpoint.region},
            "priority": place(priority),
            "load_balancing_weight": 1,
            "lb_endpoints": [{
                "endpoint": {"address": address(endpoint.at)},
                "load_balancing_weight": 1,
            }],
        })
    };
    Ok(groups.iter().map(group).collect())
}

fn pool(cluster: &mut Value, pool: &Value, http2: bool) -> Result<()> {
    only(pool, &["tcp", "http"], "a connection pool")?;
    let (tcp, http) = (&pool["tcp"], &pool["http"]);
    only(tcp, &["connectTimeout", "maxConnections"], "a connection pool")?;
    let known = [
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRetries",
        "idleTimeout",
        "h2UpgradePolicy",
    ];
    only(http, &known, "a connection pool")?;
    let all = json!(u32::MAX);
    let or_all = |value: &Value| if value.is_null() { all.clone() } else { value.clone() };
    cluster["connect_timeout"] = match &tcp["connectTimeout"] {
        Value::Null => json!("10s"),
        timeout => timeout.clone(),
    };
    cluster["circuit_breakers"] = json!({"thresholds": [{
        "max_connections": or_all(&tcp["maxConnections"]),
        "max_pending_requests": or_all(&http["http1MaxPendingRequests"]),
        "max_requests": or_all(&http["http2MaxRequests"]),
        "max_retries": or_all(&http["maxRetries"]),
        "track_remaining": true,
    }]});
    let http2 = http2 || http["h2UpgradePolicy"] == "UPGRADE";
    let mut options = json!({"@type": format!("type.googleapis.com/{HTTP_OPTIONS}")});
    if let Some(idle) = http.get("idleTimeout") {
        options["common_http_protocol_options"] = json!({"idle_timeout": idle});
    }
    if http2 {
        options["explicit_http_config"] = json!({"http2_protocol_options": {}});
    } else {
        options["explicit_http_config"] = json!({"http_protocol_options": {}});
    }
    let options = json!({"typed_extension_protocol_options": {HTTP_OPTIONS: options}});
    merge::merge(cluster, &options);
    Ok(())
}

fn outliers(cluster: &mut Value, from: &Value) -> Result<()> {
    if from.is_null() {
        return Ok(());
    }
    let known = [
        "consecutive5xxErrors",
        "consecutiveGatewayErrors",
        "splitExternalLocalOriginErrors",
        "consecutiveLocalOriginFailures",
        "minHealthPercent",
    ];
    only(from, &known, "outlier detection")?;
    let mut made = json!({"enforcing_success_rate": 0});
    let mut set = |key: &str, value: &Value| {
        if let Some(count) = value.as_u64() {
            made[key] = json!(count);
            made[format!("enforcing_{key}")] = json!(if count > 0 { 100 } else { 0 });
        }
    };
    set("consecutive_5xx", &from["consecutive5xxErrors"]);
    set("consecutive_gateway_failure", &from["consecutiveGatewayErrors"]);
    if from["splitExternalLocalOriginErrors"] == true {
        let count = &from["consecutiveLocalOriginFailures"];
        if count.as_u64() > Some(0) {
            set("consecutive_local_origin_failure", count);
        }
        made["split_external_local_origin_errors"] = json!(true);
        made["enforcing_local_origin_success_rate"] = json!(0);
    }
    cluster["outlier_detection"] = made;
    let panic = from["minHealthPercent"].as_f64().unwrap_or(0.0);
    cluster["common_lb_config"]["healthy_panic_threshold"] = json!({"value": panic});
    Ok(())
}

/// What a Sidecar lets in.
fn inbound(mesh: &Mesh<'_>, ingress: &Value) -> Result<Value> {
    only(ingress, &["port", "defaultEndpoint", "connectionPool"], "an ingress")?;
    let number = port(&ingress["port"]["number"]);
    // Otherwise the cluster goes where the client's connection was meant to go, and what the
    // guard dispatches has no such connection.
    let endpoint = ingress["defaultEndpoint"].as_str().context("no defaultEndpoint")?;
    let (host, port) = endpoint.rsplit_once(':').context("an endpoint without a port")?;
    let at = mesh.world.hosts.get(&(host.to_owned(), port.parse()?));
    let at = *at.with_context(|| format!("nothing stands for {endpoint}"))?;
    let name = format!("inbound|{number}||");
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(at)}}]}],
        },
    });
    pool(&mut cluster, &ingress["connectionPool"], false)?;
    Ok(cluster)
}
