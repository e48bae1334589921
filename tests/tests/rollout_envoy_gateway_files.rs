//! The Envoys of the Envoy Gateway overlays: the order of their filters, what the measured
//! `envoy-configs/` say too, and what the model refuses.

use anyhow::{Context as _, Result, ensure};
use manifests::Manifest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use tests::rollout::envoy_gateway::{Gateway, in_order};
use tests::rollout::{World, overlay};

const WASM: &str = "envoy.filters.http.wasm/envoyextensionpolicy/shop/reprise/wasm/0";

/// The edge, rendered with something in the filter's place: nothing here runs.
fn rendered() -> Result<(TempDir, Vec<Manifest>)> {
    let dir = tempfile::tempdir()?;
    let filter = dir.path().join("any.wasm");
    std::fs::write(&filter, b"\0asm")?;
    let edge = overlay("envoy-gateway/edge", &filter)?;
    Ok((dir, edge))
}

/// What the Envoys of the Gateway `gateway` are sent.
fn sent(all: &[Manifest]) -> Result<Value> {
    let world = World {
        hosts: BTreeMap::new(),
        ports: BTreeMap::new(),
        admin: 0,
        filter: "/filter.wasm".into(),
        dir: "/".into(),
    };
    Gateway::of(all, "gateway", &world)?.resources()
}

fn named<'a>(all: &'a Value, name: &str) -> Result<&'a Value> {
    let found = all.as_array().into_iter().flatten().find(|item| item["name"] == name);
    found.with_context(|| format!("there is no {name}"))
}

fn manager(listener: &Value) -> &Value {
    &listener["default_filter_chain"]["filters"][0]["typed_config"]
}

fn names(filters: &Value) -> Vec<&str> {
    filters.as_array().into_iter().flatten().filter_map(|filter| filter["name"].as_str()).collect()
}

/// The one object of a kind and name.
fn object<'a>(all: &'a mut [Manifest], kind: &str, name: &str) -> Result<&'a mut Value> {
    let is = |m: &&mut Manifest| m.kind == kind && m.name == name;
    let found = all.iter_mut().find(is).with_context(|| format!("no {kind} {name}"))?;
    Ok(&mut found.value)
}

#[test]
fn the_filter_stands_whole_before_the_router_and_every_route_switches_it_on() -> Result<()> {
    let (_dir, edge) = rendered()?;
    let sent = sent(&edge)?;
    let filters = &manager(named(&sent["listeners"], "tcp-8080")?)["http_filters"];
    ensure!(names(filters) == [WASM, "envoy.filters.http.router"], "{filters}");
    let config = &filters[0]["typed_config"]["config"];
    let file = &config["vm_config"]["code"]["local"]["filename"];
    ensure!(file == "/var/lib/reprise/reprise_filter.wasm", "{config}");
    ensure!(config["allow_on_headers_stop_iteration"] == true, "{config}");
    ensure!(filters[0]["disabled"] == true, "Envoy Gateway's own");
    let routes = &named(&sent["routes"], "http-8080")?["virtual_hosts"][0]["routes"];
    let routes = routes.as_array().context("routes")?;
    ensure!(routes.len() == 15, "{} routes", routes.len());
    for route in routes {
        ensure!(!route["typed_per_filter_config"][WASM].is_null(), "{route}");
    }
    Ok(())
}

#[test]
fn whatever_else_may_refuse_a_request_stands_before_the_filter() -> Result<()> {
    let (_dir, mut edge) = rendered()?;
    let order = object(&mut edge, "EnvoyProxy", "gateway")?["spec"]["filterOrder"].take();
    let order = order.as_array().context("an order")?;
    let refusing = ["rbac", "local_ratelimit", "ratelimit", "jwt_authn", "ext_authz"];
    // Each alone, none, and all at once.
    let cases = refusing.iter().map(|one| vec![*one]).chain([vec![], refusing.to_vec()]);
    for case in cases {
        let others = case.iter().map(|name| format!("envoy.filters.http.{name}"));
        let all = others.chain([WASM.to_owned(), "envoy.filters.http.router".to_owned()]);
        let all: Vec<Value> = all.map(|name| json!({"name": name})).collect();
        let ordered = Value::from(in_order(all, order)?);
        let found = names(&ordered);
        ensure!(found.len() == case.len() + 2, "{found:?}");
        ensure!(found.ends_with(&[WASM, "envoy.filters.http.router"]), "{case:?}: {found:?}");
    }
    // Without it, what these refuse would have its number already.
    let all = json!([{"name": WASM}, {"name": "envoy.filters.http.rbac"}]);
    let ordered = Value::from(in_order(all.as_array().cloned().unwrap_or_default(), &[])?);
    ensure!(names(&ordered) == [WASM, "envoy.filters.http.rbac"], "{ordered}");
    Ok(())
}

/// What runs as it stands and is measured.
fn measured(part: &str) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy-configs/edge.yaml");
    let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
    Ok(file["static_resources"][part].clone())
}

fn seconds(value: &Value) -> Result<f64> {
    let text = value.as_str().and_then(|text| text.strip_suffix('s'));
    Ok(text.with_context(|| format!("{value} is no duration"))?.parse()?)
}

#[test]
fn the_guards_are_checked_and_bounded_as_measured() -> Result<()> {
    let (_dir, edge) = rendered()?;
    let sent = sent(&edge)?;
    let clusters = measured("clusters")?;
    for (theirs, ours) in [
        ("primary-first", "httproute/shop/writes/rule/1"),
        ("primary-first", "httproute/shop/reads/rule/1"),
        ("secondary-first", "httproute/shop/writes/rule/0"),
        ("secondary-first", "httproute/shop/reads/rule/0"),
        ("primary-only", "httproute/shop/writes-primary-only/rule/0"),
        ("primary-only", "httproute/shop/reads-primary-only/rule/0"),
    ] {
        let (theirs, ours) = (named(&clusters, theirs)?, named(&sent["clusters"], ours)?);
        let name = &ours["name"];
        let (checks, own) = (&theirs["health_checks"][0], &ours["health_checks"][0]);
        for time in ["interval", "timeout", "no_traffic_interval"] {
            ensure!(seconds(&checks[time])? == seconds(&own[time])?, "{name}: {time}: {own}");
        }
        for field in ["unhealthy_threshold", "healthy_threshold"] {
            ensure!(checks[field] == own[field], "{name}: {field}: {own}");
        }
        for field in
            ["close_connections_on_host_health_failure", "per_connection_buffer_limit_bytes"]
        {
            ensure!(theirs[field] == ours[field], "{name}: {field}");
        }
        ensure!(seconds(&theirs["connect_timeout"])? == seconds(&ours["connect_timeout"])?);
        let limits = |cluster: &Value| {
            let mut limits = cluster["circuit_breakers"]["thresholds"][0].clone();
            limits.as_object_mut().map(|limits| limits.remove("priority"));
            limits
        };
        ensure!(limits(theirs) == limits(ours), "{name}: {}", limits(ours));
        let panic = &ours["common_lb_config"]["healthy_panic_threshold"]["value"];
        ensure!(panic == 0, "{name}: {panic}");
        ensure!(ours["wait_for_warm_on_init"] == false, "{name}");
        let priorities = |cluster: &Value| {
            let groups = cluster["load_assignment"]["endpoints"].as_array().into_iter().flatten();
            groups.map(|group| group["priority"].as_u64().unwrap_or(0)).collect::<Vec<_>>()
        };
        ensure!(priorities(theirs) == priorities(ours), "{name}: {:?}", priorities(ours));
    }
    Ok(())
}

/// The first route that takes a request with this method and these headers of ours.
fn taken<'a>(routes: &'a [Value], method: &str, steered: Option<&str>) -> Result<&'a Value> {
    let fits = |route: &&Value| {
        let mut headers = route["match"]["headers"].as_array().into_iter().flatten();
        headers.all(|header| {
            let is = match header["name"].as_str() {
                Some(":method") => Some(method),
                Some("x-reprise-route") => steered,
                _ => None,
            };
            let wanted = &header["string_match"];
            let one_of = wanted["safe_regex"]["regex"].as_str().or(wanted["exact"].as_str());
            is.is_some_and(|is| one_of.is_some_and(|all| all.split('|').any(|one| one == is)))
        })
    };
    routes.iter().find(fits).with_context(|| format!("no route takes {method} to {steered:?}"))
}

#[test]
fn every_request_goes_the_measured_way_with_the_measured_times_and_retries() -> Result<()> {
    let (_dir, edge) = rendered()?;
    let sent = sent(&edge)?;
    let ours = &named(&sent["routes"], "http-8080")?["virtual_hosts"][0]["routes"];
    let listeners = measured("listeners")?;
    let theirs = &named(&listeners, "clients")?["filter_chains"][0]["filters"][0]["typed_config"];
    let theirs = &theirs["route_config"]["virtual_hosts"][0]["routes"];
    let (ours, theirs) = (ours.as_array().context("routes")?, theirs.as_array().context("routes")?);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        for steered in [None, Some("primary"), Some("secondary"), Some("primary-only"), Some("x")] {
            let (ours, theirs) = (taken(ours, method, steered)?, taken(theirs, method, steered)?);
            let what = format!("{method} to {steered:?}");
            let remove = "request_headers_to_remove";
            ensure!(ours[remove] == theirs[remove], "{what}: {ours}");
            let (ours, theirs) = (&ours["route"], &theirs["route"]);
            let kind = if ["POST", "PUT", "PATCH", "DELETE"].contains(&method) {
                "writes"
            } else {
                "reads"
            };
            let to = match theirs["cluster"].as_str() {
                Some("primary-first") => format!("httproute/shop/{kind}/rule/1"),
                Some("secondary-first") => format!("httproute/shop/{kind}/rule/0"),
                _ => format!("httproute/shop/{kind}-primary-only/rule/0"),
            };
            ensure!(ours["cluster"] == *to, "{what}: {ours}");
            let (own, retries) = (&ours["retry_policy"], &theirs["retry_policy"]);
            for (ours, theirs) in [
                (&ours["timeout"], &theirs["timeout"]),
                (&ours["idle_timeout"], &theirs["idle_timeout"]),
                (&own["per_try_timeout"], &retries["per_try_timeout"]),
                (
                    &own["retry_back_off"]["base_interval"],
                    &retries["retry_back_off"]["base_interval"],
                ),
                (
                    &own["retry_back_off"]["max_interval"],
                    &retries["retry_back_off"]["max_interval"],
                ),
            ] {
                let same = match theirs {
                    Value::Null => ours.is_null(),
                    theirs => seconds(ours)? == seconds(theirs)?,
                };
                ensure!(same, "{what}: {ours} instead of {theirs}");
            }
            for field in ["retry_on", "num_retries"] {
                ensure!(own[field] == retries[field], "{what}: {own}");
            }
            let codes = |policy: &Value| policy["retriable_status_codes"].as_array().cloned();
            ensure!(codes(own).unwrap_or_default() == codes(retries).unwrap_or_default(), "{own}");
            let every = |policy: &Value| {
                policy["retry_priority"]["typed_config"]["update_frequency"].clone()
            };
            ensure!(every(own) == every(retries), "{what}: {own}");
        }
    }
    Ok(())
}

#[test]
fn a_field_that_the_model_does_not_know_is_named() -> Result<()> {
    let (_dir, edge) = rendered()?;
    for (kind, name, pointer, field) in [
        ("Gateway", "gateway", "/spec/listeners/0", "backendTLS"),
        ("EnvoyProxy", "gateway", "/spec", "telemetry"),
        ("ClientTrafficPolicy", "gateway", "/spec", "clientIPDetection"),
        ("ClientTrafficPolicy", "gateway", "/spec/timeout/http", "drainTimeout"),
        ("BackendTrafficPolicy", "writes", "/spec", "rateLimit"),
        ("BackendTrafficPolicy", "reads", "/spec/retry/perRetry", "jitter"),
        ("EnvoyExtensionPolicy", "reprise", "/spec", "lua"),
        ("EnvoyPatchPolicy", "reprise", "/spec", "priority"),
        ("HTTPRoute", "writes", "/spec/rules/0", "sessionPersistence"),
        ("Backend", "primary", "/spec", "zone"),
    ] {
        let mut edge = edge.clone();
        let into = object(&mut edge, kind, name)?.pointer_mut(pointer).context(pointer)?;
        into[field] = json!({});
        let refused = format!("{:#}", sent(&edge).err().context("it is passed over")?);
        ensure!(refused.contains(&format!("the field {field}")), "{kind} {field}: {refused}");
    }
    let mut with_another = edge.clone();
    let mut policy = edge.iter().find(|m| m.kind == "Backend").context("a Backend")?.clone();
    policy.kind = "SecurityPolicy".into();
    with_another.push(policy);
    let refused = format!("{:#}", sent(&with_another).err().context("it is passed over")?);
    ensure!(refused.contains("the kind SecurityPolicy"), "{refused}");
    Ok(())
}

#[test]
fn a_patch_that_finds_nothing_is_an_error() -> Result<()> {
    let (_dir, edge) = rendered()?;
    for (pointer, value, said) in [
        ("/spec/jsonPatches/0/name", "tcp-80", "there is no such resource"),
        (
            "/spec/jsonPatches/0/operation/jsonPath",
            "..http_filters[?(@.name=='wasm')]",
            "nothing stands at",
        ),
        ("/spec/jsonPatches/0/operation/jsonPath", "$.*", "the path $.*"),
        ("/spec/jsonPatches/8/operation/path", "/health_check/0/timeout", "nothing is at"),
    ] {
        let mut edge = edge.clone();
        let policy = object(&mut edge, "EnvoyPatchPolicy", "reprise")?;
        *policy.pointer_mut(pointer).context(pointer)? = value.into();
        let refused = format!("{:#}", sent(&edge).err().context("it is passed over")?);
        ensure!(refused.contains(said), "{value}: {refused}");
    }
    // What is replaced must be there; what is added need not.
    let mut edge = edge;
    let policy = object(&mut edge, "EnvoyPatchPolicy", "reprise")?;
    let operation = policy.pointer_mut("/spec/jsonPatches/2/operation").context("an operation")?;
    operation["op"] = "replace".into();
    let refused = format!("{:#}", sent(&edge).err().context("it is passed over")?);
    ensure!(refused.contains("nothing is at /close_connections"), "{refused}");
    Ok(())
}
