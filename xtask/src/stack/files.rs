//! The configuration files of a stack, from the templates in `envoy-configs/`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::options::{BareOptions, StackOptions};
use super::template::{Values, merge, render};
use super::times::{DETECT_MS_MIN, Times};

/// The ports that a stack listens on, all on 127.0.0.1, and the way to the primary's guard.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// Where clients go.
    pub clients: u16,
    /// Where the log delivers.
    pub delivery: u16,
    /// The secondary's guard.
    pub guard_secondary: u16,
    /// Where the cloud's Envoy listens for the edge.
    pub guard_primary: u16,
    /// The edge's way there.
    pub primary_via: SocketAddr,
    /// The edge Envoy's admin page.
    pub edge_admin: u16,
    /// The cloud Envoy's admin page.
    pub cloud_admin: u16,
    /// gRPC of the edge's reprise.
    pub log_grpc: u16,
    /// The admin page of the edge's reprise.
    pub log_admin: u16,
    /// gRPC of the cloud's reprise.
    pub journal_grpc: u16,
    /// The admin page of the cloud's reprise.
    pub journal_admin: u16,
    /// The ports of a second Envoy at the edge.
    pub second: Option<Second>,
    /// The ports of guards in Envoys of their own.
    pub guards: Option<Guards>,
    /// The ports of what else has an Envoy of its own.
    pub apart: Option<Apart>,
}

/// The ports of a second Envoy at the edge.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    /// Where clients go.
    pub clients: u16,
    /// Its own way for deliveries, which nobody uses.
    pub delivery: u16,
    /// Its own guard.
    pub guard_secondary: u16,
    /// Its admin page.
    pub admin: u16,
}

/// The ports of guards in Envoys of their own, beside those that every stack has.
#[derive(Debug, Clone, Copy)]
pub struct Guards {
    /// The admin page of the secondary's.
    pub secondary_admin: u16,
    /// The primary's guard, where the cloud's Envoy finds it.
    pub primary: u16,
    /// The admin page of the primary's.
    pub primary_admin: u16,
}

/// The ports of what else may have an Envoy of its own at the edge.
#[derive(Debug, Clone, Copy)]
pub struct Apart {
    /// The admin page of the Envoy that delivers.
    pub delivery_admin: u16,
    /// Where the filter's module is served.
    pub module: u16,
    /// The admin page of the Envoy that serves it.
    pub module_admin: u16,
}

impl Second {
    /// Where everything is for an edge that has this Envoy alone.
    fn places(self, all: &Places) -> Places {
        Places {
            clients: self.clients,
            delivery: self.delivery,
            guard_secondary: self.guard_secondary,
            edge_admin: self.admin,
            ..*all
        }
    }
}

/// `limits.body_bytes` where the templates' default is not changed.
const BODY_BYTES: u64 = 1_048_576;
/// The header that steers routes, as the templates call it.
const ROUTE_HEADER: &str = "x-reprise-route";

/// Writes all configurations into `options.data`.
pub(super) fn write(options: &StackOptions, places: &Places, filter: &Path) -> Result<()> {
    if options.detect_ms < DETECT_MS_MIN {
        bail!("the detection time must be at least {DETECT_MS_MIN} ms");
    }
    if let Some(configs) = options.configs {
        for (name, text) in configs(options, places, filter)? {
            put(&options.data, &name, &text)?;
        }
        return Ok(());
    }
    for (name, text) in [
        ("edge.yaml", edge_yaml(options, places, filter)?),
        ("cloud.yaml", cloud_yaml(options, places, filter)?),
        ("edge.toml", edge_toml(options, places)?),
        ("cloud.toml", cloud_toml(options, places)?),
    ] {
        put(&options.data, name, &text)?;
    }
    if let Some(second) = places.second {
        put(&options.data, "second.yaml", &edge_yaml(options, &second.places(places), filter)?)?;
    }
    Ok(())
}

/// Writes the configuration of a bare Envoy into `options.data`.
pub(super) fn write_bare(options: &BareOptions, clients: u16, admin: u16) -> Result<()> {
    let times = Times::for_detect(options.detect_ms.max(DETECT_MS_MIN));
    let mut values = Values::default();
    values
        .number("clients_port", clients.into())
        .number("admin_port", admin.into())
        .number("buffer_bytes", 2 * BODY_BYTES)
        .text("primary_host", options.primary.ip())
        .number("primary_port", options.primary.port().into())
        .text("secondary_host", options.secondary.ip())
        .number("secondary_port", options.secondary.port().into());
    client_times(&mut values, &times, &options.health);
    put(&options.data, "bare.yaml", &rendered("bare.yaml", &template("bare.yaml")?, &values)?)
}

fn edge_yaml(options: &StackOptions, places: &Places, filter: &Path) -> Result<String> {
    let times = Times::for_detect(options.detect_ms);
    let mut gateway = Map::new();
    gateway.insert("session".to_owned(), options.session.to_json());
    merge(&mut gateway, &options.gateway_extra);
    let mut values = Values::default();
    values
        .number("clients_port", places.clients.into())
        .number("delivery_port", places.delivery.into())
        .number("secondary_guard_port", places.guard_secondary.into())
        .text("primary_guard_host", places.primary_via.ip())
        .number("primary_guard_port", places.primary_via.port().into())
        .number("admin_port", places.edge_admin.into())
        .number("reprise_port", places.log_grpc.into())
        .text("replica_host", options.secondary.ip())
        .number("replica_port", options.secondary.port().into())
        .number("buffer_bytes", buffer_bytes(options))
        .millis("ping_interval", times.ping_interval)
        .millis("ping_timeout", times.ping_timeout)
        .millis("delivery_timeout", times.delivery)
        .text("filter", filter.display())
        .object("gateway", gateway)
        .object("guard", guard(options, &times));
    client_times(&mut values, &times, &options.health);
    rendered("edge.yaml", &routed(options, "edge.yaml")?, &values)
}

fn cloud_yaml(options: &StackOptions, places: &Places, filter: &Path) -> Result<String> {
    let times = Times::for_detect(options.detect_ms);
    let mut values = Values::default();
    values
        .number("primary_guard_port", places.guard_primary.into())
        .number("admin_port", places.cloud_admin.into())
        .number("reprise_port", places.journal_grpc.into())
        .text("replica_host", options.primary.ip())
        .number("replica_port", options.primary.port().into())
        .number("buffer_bytes", buffer_bytes(options))
        .millis("connect_timeout", times.connect)
        .text("filter", filter.display())
        .object("guard", guard(options, &times));
    rendered("cloud.yaml", &routed(options, "cloud.yaml")?, &values)
}

fn edge_toml(options: &StackOptions, places: &Places) -> Result<String> {
    let times = Times::for_detect(options.detect_ms);
    let mut table = site_toml("edge", options, places.log_grpc, places.log_admin)?;
    let log = section(&mut table, "log")?;
    log.insert("delivery".into(), local(places.delivery).into());
    log.insert("mirror".into(), options.mirror.name().into());
    log.insert("takeover_ms".into(), integer(times.takeover)?);
    log.insert("delivery_timeout_ms".into(), integer(times.delivery)?);
    let renamed = |key: &str| Some((key.into(), header(options, key)?.into()));
    let headers: toml::Table = ["stamp", "word", "route"].into_iter().filter_map(renamed).collect();
    if !headers.is_empty() {
        log.insert("headers".into(), headers.into());
    }
    log.extend(options.log_extra.clone());
    Ok(toml::to_string(&table)?)
}

fn cloud_toml(options: &StackOptions, places: &Places) -> Result<String> {
    let table = site_toml("cloud", options, places.journal_grpc, places.journal_admin)?;
    Ok(toml::to_string(&table)?)
}

fn site_toml(site: &str, options: &StackOptions, grpc: u16, admin: u16) -> Result<toml::Table> {
    let mut table: toml::Table = toml::from_str(&template(&format!("{site}.toml"))?)?;
    let store = options.data.join(site);
    table.insert("listen".into(), local(grpc).into());
    table.insert("admin".into(), local(admin).into());
    table.insert("data".into(), store.display().to_string().into());
    if let Some(service) = options.gateway_extra.get("service").and_then(Value::as_str) {
        table.insert("service".into(), service.into());
    }
    section(&mut table, "journal")?.extend(options.journal_extra.clone());
    table.extend(options.reprise_extra.clone());
    Ok(table)
}

fn section<'a>(table: &'a mut toml::Table, name: &str) -> Result<&'a mut toml::Table> {
    table
        .get_mut(name)
        .and_then(toml::Value::as_table_mut)
        .with_context(|| format!("the template has no section [{name}]"))
}

/// What the clients' side of an Envoy has, with and without us.
fn client_times(values: &mut Values, times: &Times, health: &str) {
    values
        .millis("detect", times.detect)
        .millis("connect_timeout", times.connect)
        .millis("health_interval", times.health_interval)
        .millis("health_timeout", times.health_timeout)
        .millis("route_timeout", times.route)
        .millis("stream_idle", times.stream_idle)
        .text("health", health);
}

fn guard(options: &StackOptions, times: &Times) -> Map<String, Value> {
    let times = json!({"gap_wait_ms": times.gap_wait, "run_timeout_ms": times.run});
    let mut guard = times.as_object().cloned().unwrap_or_default();
    // One service, one limit for bodies: what the gateway takes, the guards must take too.
    for key in ["service", "limits", "headers"] {
        if let Some(value) = options.gateway_extra.get(key) {
            guard.insert(key.to_owned(), value.clone());
        }
    }
    merge(&mut guard, &options.guard_extra);
    guard
}

/// Twice the largest body that either role takes.
fn buffer_bytes(options: &StackOptions) -> u64 {
    let limit = |extra: &Map<String, Value>| extra.get("limits")?.get("body_bytes")?.as_u64();
    let gateway = limit(&options.gateway_extra);
    let guard = limit(&options.guard_extra);
    2 * gateway.max(guard).unwrap_or(BODY_BYTES).max(BODY_BYTES)
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn integer(ms: u64) -> Result<toml::Value> {
    Ok(i64::try_from(ms)?.into())
}

fn template(name: &str) -> Result<String> {
    let path = crate::repo::root().join("envoy-configs").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// What the filters call one of our headers, if not by its own name.
fn header<'a>(options: &'a StackOptions, key: &str) -> Option<&'a str> {
    options.gateway_extra.get("headers")?.get(key)?.as_str()
}

/// A template whose routes match on the route header by the name that the filters give it.
fn routed(options: &StackOptions, name: &str) -> Result<String> {
    let text = template(name)?;
    Ok(match header(options, "route") {
        Some(route) => text.replace(ROUTE_HEADER, route),
        None => text,
    })
}

fn rendered(name: &str, template: &str, values: &Values) -> Result<String> {
    render(template, values).with_context(|| format!("envoy-configs/{name}"))
}

fn put(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
