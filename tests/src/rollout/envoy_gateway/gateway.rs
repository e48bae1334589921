//! The objects of one cluster, and the Gateway whose Envoys are to be made.

use anyhow::{Context as _, Result, ensure};
use manifests::Manifest;
use serde_json::{Value, json};

use super::{
    FILTER_DIR, World, address, clusters, has_the_filter, items, listener, only, patch, policy,
    routes, text,
};

/// The cluster that Envoys fetch modules from; the bootstrap has it.
pub(super) const WASM_CLUSTER: &str = "wasm_cluster";

/// The objects of one cluster as they concern one Gateway.
#[derive(Debug)]
pub struct Gateway<'a> {
    /// All objects.
    pub all: &'a [Manifest],
    /// The Gateway itself.
    pub own: &'a Manifest,
    /// What is said of its Envoys.
    pub(super) proxy: &'a Value,
    pub(super) world: &'a World,
}

/// The kinds of the two groups that the model knows.
const KINDS: [&str; 9] = [
    "GatewayClass",
    "Gateway",
    "HTTPRoute",
    "EnvoyProxy",
    "ClientTrafficPolicy",
    "BackendTrafficPolicy",
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "Backend",
];

impl<'a> Gateway<'a> {
    /// A Gateway by its name.
    pub fn of(all: &'a [Manifest], name: &str, world: &'a World) -> Result<Gateway<'a>> {
        for manifest in all {
            let concerns =
                ["gateway.networking.k8s.io", "gateway.envoyproxy.io"].contains(&manifest.group());
            ensure!(
                !concerns || KINDS.contains(&manifest.kind.as_str()),
                "the model does not know the kind {}",
                manifest.kind
            );
        }
        let is = |m: &&Manifest| m.kind == "Gateway" && m.name == name;
        let own = all.iter().find(is).with_context(|| format!("no Gateway {name}"))?;
        let spec = own.at("/spec");
        only(spec, &["gatewayClassName", "infrastructure", "listeners"], "a Gateway")?;
        only(&spec["infrastructure"], &["parametersRef"], "an infrastructure")?;
        let parameters = &spec["infrastructure"]["parametersRef"];
        only(parameters, &["group", "kind", "name"], "a reference")?;
        let is = |m: &&Manifest| m.kind == "EnvoyProxy" && parameters["name"] == m.name.as_str();
        let proxy = all.iter().find(is).with_context(|| format!("{own}: no EnvoyProxy"))?;
        let known = ["concurrency", "filterOrder", "backendTLS", "shutdown", "provider"];
        only(proxy.at("/spec"), &known, "an EnvoyProxy")?;
        Ok(Gateway { all, own, proxy: proxy.at("/spec"), world })
    }

    /// All that Envoy Gateway sends its Envoys, with the patches applied, under its own names and
    /// addresses.
    pub fn resources(&self) -> Result<Value> {
        let routes = routes::all(self)?;
        let (clusters, endpoints) = clusters::all(self, &routes)?;
        let mut sent = json!({
            "listeners": [listener::of(self, &routes)?],
            "routes": [{
                "name": self.route_config_name(),
                "ignore_port_in_host_matching": true,
                "virtual_hosts": routes::hosts(&routes),
            }],
            "clusters": clusters,
            "endpoints": endpoints,
        });
        for policy in policy::of_the_gateway(self, "EnvoyPatchPolicy") {
            patch::apply(policy, &mut sent).with_context(|| policy.to_string())?;
        }
        Ok(sent)
    }

    /// The configuration that an Envoy of it starts with on this machine.
    pub fn bootstrap(&self) -> Result<Value> {
        let mut sent = self.resources()?;
        self.world.read_the_file(&mut sent, self.mounts_the_filter()?)?;
        self.world.find_the_hosts(&mut sent)?;
        let name = &self.own.name;
        let file = |what: &str, kind: &str, resources: &Value| {
            self.world.sent(&format!("{name}-{what}"), kind, resources)
        };
        let routes = file("routes", "route.v3.RouteConfiguration", &sent["routes"])?;
        let found = by_name(&mut sent["listeners"], "rds");
        ensure!(!found.is_empty(), "no connection manager asks for routes");
        for rds in found {
            rds["config_source"] = routes.clone();
        }
        for listener in sent["listeners"].as_array_mut().into_iter().flatten() {
            // Not Envoy Gateway's, but this machine's: no second process on the port.
            listener["enable_reuse_port"] = json!(false);
        }
        let endpoints = file("endpoints", "endpoint.v3.ClusterLoadAssignment", &sent["endpoints"])?;
        for cluster in sent["clusters"].as_array_mut().into_iter().flatten() {
            if cluster["type"] == "EDS" {
                cluster["eds_cluster_config"] =
                    json!({"service_name": cluster["name"], "eds_config": endpoints});
            }
        }
        Ok(json!({
            "node": {"id": name, "cluster": "shop"},
            "admin": {"address": address(([127, 0, 0, 1], self.world.admin).into())},
            "static_resources": {"clusters": self.module_source()?},
            "dynamic_resources": {
                "cds_config": file("clusters", "cluster.v3.Cluster", &sent["clusters"])?,
                "lds_config": file("listeners", "listener.v3.Listener", &sent["listeners"])?,
            },
        }))
    }

    /// The namespace of the Gateway and of all that it makes.
    pub(super) fn namespace(&self) -> &'a str {
        self.own.namespace.as_deref().unwrap_or("default")
    }

    /// Its listener. These overlays give each Gateway one.
    pub(super) fn listener(&self) -> Result<&'a Value> {
        let [listener] = items(self.own.at("/spec/listeners")) else {
            anyhow::bail!("{}: the model knows one listener for each", self.own);
        };
        let known = ["name", "protocol", "port", "hostname", "tls", "allowedRoutes"];
        only(listener, &known, "a listener")?;
        only(&listener["allowedRoutes"], &["namespaces"], "what a listener allows")?;
        only(&listener["allowedRoutes"]["namespaces"], &["from"], "what a listener allows")?;
        Ok(listener)
    }

    /// With `XDSNameSchemeV2`, plain listeners are called by their port.
    pub(super) fn route_config_name(&self) -> String {
        let listener = self.own.at("/spec/listeners/0");
        match text(&listener["protocol"]) {
            "HTTPS" => {
                format!("{}/{}/{}", self.namespace(), self.own.name, text(&listener["name"]))
            }
            _ => format!("http-{}", listener["port"]),
        }
    }

    /// Where its Envoys fetch modules from, if there is a place for it here.
    fn module_source(&self) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for wasm in policy::of_the_gateway(self, "EnvoyExtensionPolicy")
            .flat_map(|policy| items(policy.at("/spec/wasm")))
        {
            let url = text(&wasm["code"]["http"]["url"]);
            let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
            let (host, port) =
                host.and_then(|host| host.rsplit_once(':')).with_context(|| url.to_owned())?;
            found.push(json!({
                "name": WASM_CLUSTER,
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": WASM_CLUSTER,
                    "endpoints": [{"lb_endpoints": [{
                        "endpoint": {"address": address(self.world.host(host, port.parse()?)?)},
                    }]}],
                },
            }));
        }
        Ok(found)
    }

    /// Whether its Envoys mount the ConfigMap with the filter.
    fn mounts_the_filter(&self) -> Result<bool> {
        let kubernetes = &self.proxy["provider"]["kubernetes"];
        let known = ["envoyDeployment", "envoyHpa", "envoyPDB", "envoyService"];
        only(kubernetes, &known, "a provider")?;
        let deployment = &kubernetes["envoyDeployment"];
        only(deployment, &["replicas", "pod", "container"], "a deployment of Envoys")?;
        only(&deployment["container"], &["resources", "volumeMounts"], "a container")?;
        let known = ["labels", "volumes", "topologySpreadConstraints"];
        only(&deployment["pod"], &known, "a pod")?;
        let mut volumes = items(&deployment["pod"]["volumes"]).iter();
        let volume =
            volumes.find(|volume| has_the_filter(self.all, text(&volume["configMap"]["name"])));
        let mut mounts = items(&deployment["container"]["volumeMounts"]).iter();
        Ok(volume.is_some_and(|volume| {
            mounts.any(|m| m["name"] == volume["name"] && m["mountPath"] == FILTER_DIR)
        }))
    }
}

/// All values that have this name, wherever they stand.
fn by_name<'v>(value: &'v mut Value, name: &str) -> Vec<&'v mut Value> {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .flat_map(|(own, value)| if own == name { vec![value] } else { by_name(value, name) })
            .collect(),
        Value::Array(items) => items.iter_mut().flat_map(|item| by_name(item, name)).collect(),
        _ => Vec::new(),
    }
}
