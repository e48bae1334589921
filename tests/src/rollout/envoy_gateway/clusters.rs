//! Backends, Services and BackendTrafficPolicies become clusters.

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::{Value, json};

use super::gateway::Gateway;
use super::listener::http2;
use super::routes::Route;
use super::units::{bytes, duration, same, set};
use super::{items, only, policy, port, text};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The body of a BackendTrafficPolicy.
pub fn spec(policy: &Manifest) -> Result<&Value> {
    let known = [
        "timeout",
        "retry",
        "loadBalancer",
        "healthCheck",
        "connection",
        "circuitBreaker",
        "dns",
        "http2",
    ];
    let spec = policy::spec(policy, &known)?;
    only(&spec["timeout"], &["tcp", "http"], "a timeout")?;
    only(&spec["timeout"]["tcp"], &["connectTimeout"], "a timeout")?;
    only(&spec["timeout"]["http"], &["streamIdleTimeout"], "a timeout")?;
    Ok(spec)
}

/// The clusters of all rules, and the endpoints of those that ask for them.
pub fn all(gateway: &Gateway<'_>, routes: &[Route<'_>]) -> Result<(Vec<Value>, Vec<Value>)> {
    let (mut clusters, mut endpoints) = (Vec::<Value>::new(), Vec::new());
    for route in routes {
        if clusters.iter().any(|cluster| cluster["name"] == *route.cluster) {
            continue;
        }
        let (cluster, assignment) =
            of_rule(gateway, route).with_context(|| route.cluster.clone())?;
        clusters.push(cluster);
        endpoints.extend(assignment);
    }
    Ok((clusters, endpoints))
}

/// What a rule's backends lead to, each with its priority.
struct Backend {
    host: String,
    number: u16,
    priority: u8,
    /// By a name that DNS answers for; otherwise by the endpoints of a Service.
    named: bool,
}

fn of_rule(gateway: &Gateway<'_>, route: &Route<'_>) -> Result<(Value, Option<Value>)> {
    let name = &route.cluster;
    let backends = items(&route.rule["backendRefs"]).iter();
    let backends: Vec<Backend> =
        backends.map(|one| backend(gateway, one)).collect::<Result<_>>()?;
    let named = backends.first().context("no backend")?.named;
    // Otherwise each has a cluster of its own.
    ensure!(backends.iter().all(|backend| backend.named == named), "backends of two kinds");
    let localities: Vec<Value> = backends
        .iter()
        .enumerate()
        .map(|(index, backend)| locality(name, index, backend))
        .collect();
    let assignment = json!({"cluster_name": name, "endpoints": localities});
    let none = Value::Null;
    let found = policy::of_the_route(gateway, "BackendTrafficPolicy", route.manifest)?;
    let policy = found.map(spec).transpose()?.unwrap_or(&none);
    let mut cluster = json!({
        "name": name,
        "connect_timeout": "10s",
        "dns_lookup_family": "V4_PREFERRED",
        "common_lb_config": {},
        "per_connection_buffer_limit_bytes": 32768,
        "ignore_health_on_host_removal": true,
        "typed_extension_protocol_options": {HTTP_OPTIONS: {
            "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
            "explicit_http_config": {"http2_protocol_options": http2(&policy["http2"], None)?},
        }},
    });
    if named {
        cluster["type"] = json!("STRICT_DNS");
        cluster["dns_refresh_rate"] = json!("30s");
        cluster["respect_dns_ttl"] = json!(true);
        cluster["load_assignment"] = assignment.clone();
    } else {
        cluster["type"] = json!("EDS");
    }
    settings(&mut cluster, policy)?;
    Ok((cluster, (!named).then_some(assignment)))
}

/// What a policy says of a cluster.
fn settings(cluster: &mut Value, policy: &Value) -> Result<()> {
    set(cluster, "connect_timeout", &policy["timeout"]["tcp"]["connectTimeout"], duration)?;
    only(&policy["connection"], &["bufferLimit"], "a connection")?;
    let limit = &policy["connection"]["bufferLimit"];
    set(cluster, "per_connection_buffer_limit_bytes", limit, bytes)?;
    only(&policy["dns"], &["respectDnsTtl", "lookupFamily"], "dns")?;
    if cluster["type"] == "STRICT_DNS" {
        set(cluster, "respect_dns_ttl", &policy["dns"]["respectDnsTtl"], same)?;
    }
    let family = &policy["dns"]["lookupFamily"];
    ensure!(family.is_null() || family == "IPv4Preferred", "lookupFamily: {family}");
    balancer(cluster, &policy["loadBalancer"])?;
    health(cluster, &policy["healthCheck"])?;
    let breaker = &policy["circuitBreaker"];
    let limits = [
        ("maxConnections", "max_connections"),
        ("maxPendingRequests", "max_pending_requests"),
        ("maxParallelRequests", "max_requests"),
        ("maxParallelRetries", "max_retries"),
    ];
    only(breaker, &limits.map(|(from, _)| from), "a circuit breaker")?;
    let mut thresholds = json!({"max_retries": 1024});
    for (from, to) in limits {
        set(&mut thresholds, to, &breaker[from], same)?;
    }
    cluster["circuit_breakers"] = json!({"thresholds": [thresholds]});
    Ok(())
}

fn balancer(cluster: &mut Value, from: &Value) -> Result<()> {
    only(from, &["type", "consistentHash"], "a load balancer")?;
    only(&from["consistentHash"], &["type", "headers"], "a consistent hash")?;
    let (policy, name, locality) = match text(&from["type"]) {
        "" => ("LEAST_REQUEST", "least_request.v3.LeastRequest", true),
        "ConsistentHash" if from["consistentHash"]["type"] == "Headers" => {
            ("MAGLEV", "maglev.v3.Maglev", false)
        }
        other => bail!("the load balancer {other}"),
    };
    let kind = format!("type.googleapis.com/envoy.extensions.load_balancing_policies.{name}");
    let mut config = json!({"@type": kind});
    if locality {
        config["locality_lb_config"] = json!({"locality_weighted_lb_config": {}});
    }
    let short = name.split('.').next().unwrap_or_default();
    cluster["lb_policy"] = json!(policy);
    cluster["load_balancing_policy"] = json!({"policies": [{"typed_extension_config": {
        "name": format!("envoy.load_balancing_policies.{short}"),
        "typed_config": config,
    }}]});
    Ok(())
}

fn health(cluster: &mut Value, from: &Value) -> Result<()> {
    only(from, &["panicThreshold", "active"], "a health check")?;
    if let Some(panic) = from["panicThreshold"].as_u64().filter(|panic| *panic != 50) {
        cluster["common_lb_config"]["healthy_panic_threshold"] = json!({"value": panic});
    }
    let active = &from["active"];
    if active.is_null() {
        return Ok(());
    }
    let known = ["type", "timeout", "interval", "unhealthyThreshold", "healthyThreshold", "http"];
    only(active, &known, "an active health check")?;
    ensure!(active["type"] == "HTTP", "an active health check: {}", active["type"]);
    only(&active["http"], &["path", "expectedStatuses"], "an active health check")?;
    let statuses = items(&active["http"]["expectedStatuses"]).iter();
    let statuses: Vec<Value> = statuses
        .map(|status| json!({"start": status, "end": status.as_u64().unwrap_or(0) + 1}))
        .collect();
    let mut check = json!({
        "timeout": "1s",
        "interval": "3s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        // All that is for one host only would ask by that name.
        "http_health_check": {
            "host": "*",
            "path": active["http"]["path"],
            "expected_statuses": statuses,
        },
    });
    set(&mut check, "timeout", &active["timeout"], duration)?;
    set(&mut check, "interval", &active["interval"], duration)?;
    set(&mut check, "unhealthy_threshold", &active["unhealthyThreshold"], same)?;
    set(&mut check, "healthy_threshold", &active["healthyThreshold"], same)?;
    cluster["health_checks"] = json!([check]);
    Ok(())
}

fn locality(cluster: &str, index: usize, backend: &Backend) -> Value {
    let mut made = json!({
        "locality": {"region": format!("{cluster}/backend/{index}")},
        "load_balancing_weight": 1,
        "lb_endpoints": [{
            "endpoint": {"address": {"socket_address": {
                "address": backend.host,
                "port_value": backend.number,
            }}},
            "load_balancing_weight": 1,
        }],
    });
    if backend.priority > 0 {
        made["priority"] = json!(backend.priority);
    }
    made
}

fn backend(gateway: &Gateway<'_>, reference: &Value) -> Result<Backend> {
    only(reference, &["group", "kind", "name", "port"], "a reference to a backend")?;
    let (kind, name) = (reference["kind"].as_str().unwrap_or("Service"), text(&reference["name"]));
    let is = |m: &&Manifest| m.kind == kind && m.name == name;
    let found = gateway.all.iter().find(is).with_context(|| format!("no {kind} {name}"))?;
    let spec = found.at("/spec");
    match kind {
        "Backend" => {
            only(spec, &["endpoints", "appProtocols", "fallback", "tls"], "a Backend")?;
            ensure!(
                spec["appProtocols"] == json!(["gateway.envoyproxy.io/h2c"]),
                "{found}: the model knows HTTP/2 only"
            );
            only(&spec["tls"], &["sni", "caCertificateRefs"], "the TLS of a Backend")?;
            // Without it the name comes from the endpoint, and each backend has a cluster of its own.
            ensure!(spec["tls"].is_null() || !spec["tls"]["sni"].is_null(), "{found}: no sni");
            let [endpoint] = items(&spec["endpoints"]) else { bail!("{found}: not one endpoint") };
            only(endpoint, &["fqdn"], "an endpoint")?;
            only(&endpoint["fqdn"], &["hostname", "port"], "an endpoint")?;
            Ok(Backend {
                host: text(&endpoint["fqdn"]["hostname"]).to_owned(),
                number: port(&endpoint["fqdn"]["port"]),
                priority: u8::from(spec["fallback"] == true),
                named: true,
            })
        }
        "Service" => {
            let is = |one: &&Value| one["port"] == reference["port"];
            let own = items(&spec["ports"]).iter().find(is).context("no such port")?;
            ensure!(
                own["appProtocol"] == "kubernetes.io/h2c",
                "{found}: the model knows HTTP/2 only"
            );
            let namespace = found.namespace.as_deref().unwrap_or("default");
            Ok(Backend {
                host: format!("{name}.{namespace}.svc.cluster.local"),
                number: port(&own["port"]),
                priority: 0,
                named: false,
            })
        }
        _ => bail!("a backend of the kind {kind}"),
    }
}
