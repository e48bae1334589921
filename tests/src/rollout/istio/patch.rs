//! EnvoyFilters: which of them apply to what istiod made, and how.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::mesh::Mesh;
use super::{items, merge, only, port, text};

/// Where in a proxy something stands.
pub const GATEWAY: &str = "GATEWAY";
/// What others reach of a workload.
pub const INBOUND: &str = "SIDECAR_INBOUND";
/// What a workload reaches.
pub const OUTBOUND: &str = "SIDECAR_OUTBOUND";

const CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// The patches of one kind that stand in one context.
fn patches<'a>(mesh: &Mesh<'a>, apply_to: &'a str, context: &'a str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for filter in mesh.selecting("EnvoyFilter") {
        for patch in items(filter.at("/spec/configPatches")) {
            let there = text(&patch["match"]["context"]);
            let here = there == context || there.is_empty() || there == "ANY";
            if here && patch["applyTo"] == apply_to {
                found.push(patch);
            }
        }
    }
    found
}

/// The value to merge; any other operation is an error.
fn merged(patch: &Value) -> Result<&Value> {
    ensure!(patch["patch"]["operation"] == "MERGE", "only MERGE is known here: {patch}");
    Ok(&patch["patch"]["value"])
}

/// Patches a cluster.
pub fn cluster(mesh: &Mesh<'_>, context: &str, cluster: &mut Value) -> Result<()> {
    let name = text(&cluster["name"]).to_owned();
    let parts: Vec<&str> = name.split('|').collect();
    let [_, number, subset, host] = parts[..] else { bail!("the cluster name {name}") };
    for patch in patches(mesh, "CLUSTER", context) {
        let at = &patch["match"]["cluster"];
        only(at, &["name", "service", "subset", "portNumber"], "a match of a cluster")?;
        let same = |key: &str, is: &str| at[key].is_null() || text(&at[key]) == is;
        let matches = match &at["name"] {
            Value::Null => {
                let number =
                    at["portNumber"].is_null() || number.parse() == Ok(port(&at["portNumber"]));
                same("service", host) && same("subset", subset) && number
            }
            exactly => *exactly == name.as_str(),
        };
        if matches {
            merge::merge(cluster, merged(patch)?);
        }
    }
    Ok(())
}

/// Patches a listener with one connection manager that stands for a port of the pod.
pub fn listener(mesh: &Mesh<'_>, context: &str, number: u16, listener: &mut Value) -> Result<()> {
    let name = text(&listener["name"]).to_owned();
    let here = |patch: &Value| -> Result<bool> {
        let at = &patch["match"]["listener"];
        only(at, &["name", "portNumber", "filterChain"], "a match of a listener")?;
        only(&at["filterChain"], &["filter"], "a match of a filter chain")?;
        let filter = &at["filterChain"]["filter"];
        only(filter, &["name", "subFilter"], "a match of a filter")?;
        ensure!(
            filter.is_null() || filter["name"] == CONNECTION_MANAGER,
            "there is only {CONNECTION_MANAGER}: {filter}"
        );
        let named = at["name"].is_null() || at["name"] == name.as_str();
        Ok(named && (at["portNumber"].is_null() || port(&at["portNumber"]) == number))
    };
    for patch in patches(mesh, "LISTENER", context) {
        if here(patch)? {
            merge::merge(listener, merged(patch)?);
        }
    }
    let manager = listener
        .pointer_mut("/filter_chains/0/filters/0/typed_config")
        .and_then(Value::as_object_mut)
        .context("a listener without a connection manager")?;
    for patch in patches(mesh, "NETWORK_FILTER", context) {
        if here(patch)? {
            let value = &merged(patch)?["typed_config"];
            ensure!(Some(&value["@type"]) == manager.get("@type"), "another type: {patch}");
            merge::merge_fields(manager, value.as_object().context("no typed_config")?);
        }
    }
    let filters = manager.get_mut("http_filters").and_then(Value::as_array_mut);
    let filters = filters.context("no filters")?;
    for patch in patches(mesh, "HTTP_FILTER", context) {
        if here(patch)? {
            ensure!(patch["patch"]["operation"] == "REPLACE", "only REPLACE is known: {patch}");
            let replaced =
                &patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"];
            for filter in filters.iter_mut().filter(|filter| filter["name"] == *replaced) {
                *filter = patch["patch"]["value"].clone();
            }
        }
    }
    Ok(())
}

/// Patches the routes of a port of the pod.
pub fn routes(mesh: &Mesh<'_>, context: &str, number: u16, config: &mut Value) -> Result<()> {
    let hosts = config["virtual_hosts"].as_array_mut().context("no virtual hosts")?;
    for host in hosts {
        for patch in patches(mesh, "VIRTUAL_HOST", context) {
            if here(patch, number)? && patch["match"]["routeConfiguration"]["vhost"].is_null() {
                merge::merge(host, merged(patch)?);
            }
        }
        for route in host["routes"].as_array_mut().context("no routes")? {
            for patch in patches(mesh, "HTTP_ROUTE", context) {
                let wanted = &patch["match"]["routeConfiguration"]["vhost"]["route"]["name"];
                if here(patch, number)? && (wanted.is_null() || *wanted == route["name"]) {
                    merge::merge(route, merged(patch)?);
                }
            }
        }
    }
    Ok(())
}

fn here(patch: &Value, number: u16) -> Result<bool> {
    let at = &patch["match"]["routeConfiguration"];
    only(at, &["portNumber", "vhost"], "a match of routes")?;
    only(&at["vhost"], &["route"], "a match of a virtual host")?;
    only(&at["vhost"]["route"], &["name"], "a match of a route")?;
    Ok(at["portNumber"].is_null() || port(&at["portNumber"]) == number)
}
