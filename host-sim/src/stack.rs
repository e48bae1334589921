//! Puts the processes of a scenario together: for each shop an edge and its part of the cloud.

use crate::clients::{self, Clients};
use crate::envoy::{CloudHosts, Config, EdgeHosts, Envoy, Role};
use crate::kernel::{Addr, MS, Micros, NodeId, Place, Port, SECOND, Trace, World};
use crate::replica::{self, Replica};
use crate::reprise::{self, Reprise};
use crate::vm::{Clock, Filter, Shared, Vm, VmConfig};
use scenario::{Process, ReplicaFault, Scenario};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The stack runs for so long before the load begins; all times in a report count from there.
pub const WARM: Micros = SECOND;
/// What the service is called, unless a plugin configuration of the scenario says otherwise.
const SERVICE: &str = "shop";

fn service(scenario: &Scenario) -> &str {
    let keys = [&scenario.stack.gateway, &scenario.stack.guard];
    let mut named = keys.into_iter().filter_map(|keys| keys.get("service")?.as_str());
    named.next().unwrap_or(SERVICE)
}

/// The processes of one shop.
#[derive(Clone, Copy, Debug)]
pub struct Shop {
    /// The Envoy of the clients and of the secondary's guard.
    pub edge_envoy: NodeId,
    /// The second gateway, if there is one.
    pub edge_gateway: Option<NodeId>,
    /// The log and the secondary's journal.
    pub edge_reprise: NodeId,
    /// S.
    pub secondary: NodeId,
    /// The Envoy of the primary's guard.
    pub cloud_envoy: NodeId,
    /// The primary's journal.
    pub cloud_reprise: NodeId,
    /// P.
    pub primary: NodeId,
    /// The clients.
    pub clients: NodeId,
}

impl Shop {
    /// The processes of a shop, by the order in which they are added to the world.
    fn numbered(shop: u32, gateways: u32) -> Shop {
        let second = u32::from(gateways > 1);
        let first = shop * (7 + second);
        let node = |n| NodeId(first + n);
        Shop {
            edge_envoy: node(0),
            edge_reprise: node(1),
            secondary: node(2),
            cloud_envoy: node(3),
            cloud_reprise: node(4),
            primary: node(5),
            clients: node(6),
            edge_gateway: (second == 1).then(|| node(7)),
        }
    }

    /// A process by its name in a scenario.
    pub fn process(&self, process: Process) -> Option<NodeId> {
        Some(match process {
            Process::EdgeEnvoy => self.edge_envoy,
            Process::EdgeGateway => return self.edge_gateway,
            Process::CloudEnvoy => self.cloud_envoy,
            Process::EdgeReprise => self.edge_reprise,
            Process::CloudReprise => self.cloud_reprise,
            Process::Primary => self.primary,
            Process::Secondary => self.secondary,
        })
    }

    /// All processes that can break, in the order in which they are started.
    pub fn processes(&self) -> Vec<NodeId> {
        let mut all = vec![
            self.primary,
            self.secondary,
            self.cloud_reprise,
            self.edge_reprise,
            self.cloud_envoy,
            self.edge_envoy,
        ];
        all.extend(self.edge_gateway);
        all
    }
}

/// The plugin configurations of a scenario, as they are given to Envoy.
pub struct Plugins {
    /// The gateway's.
    pub gateway: String,
    /// The secondary's guard's.
    pub secondary_guard: String,
    /// The primary's guard's.
    pub primary_guard: String,
}

fn merged(mut base: Value, over: &Map<String, Value>) -> String {
    if let Value::Object(base) = &mut base {
        for (key, value) in over {
            base.insert(key.clone(), value.clone());
        }
    }
    format!("{base:#}")
}

impl Plugins {
    /// The defaults with the times of the scenario's detection time, and what it sets instead.
    pub fn of(scenario: &Scenario) -> Plugins {
        let detect = scenario.detect_ms;
        let gateway = json!({
            "role": "gateway",
            "service": service(scenario),
            "session": {"header": "x-session-id"},
            "id": {"header": "idempotency-key"},
            "replay_log": {"cluster": "replay-log", "timeout_ms": 2000},
        });
        let guard = |replica: &str| {
            json!({
                "role": "guard",
                "service": service(scenario),
                "replica": replica,
                "journal": {"cluster": "journal"},
                "service_cluster": "replica",
                "run_timeout_ms": (5 * detect).max(5000),
                "gap_wait_ms": detect * 4 / 5,
            })
        };
        let stack = &scenario.stack;
        Plugins {
            gateway: merged(gateway, &stack.gateway),
            secondary_guard: merged(guard("secondary"), &stack.guard),
            primary_guard: merged(guard("primary"), &stack.guard),
        }
    }

    /// Has the filter judge them, as Envoy does at its start; the error is what Envoy would log.
    pub fn check(&self, filter: &Filter) -> Result<(), String> {
        let all = [
            (Role::Gateway, &self.gateway),
            (Role::Guard, &self.secondary_guard),
            (Role::Guard, &self.primary_guard),
        ];
        let problems: BTreeSet<String> = all
            .into_iter()
            .filter_map(|(role, text)| configure(filter, role.plugin(), text).err())
            .collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(problems.into_iter().collect::<Vec<_>>().join("\n"))
    }
}

/// Starts a plugin and ends it again.
pub fn configure(filter: &Filter, plugin: &str, configuration: &str) -> Result<Vm, String> {
    let config = VmConfig {
        name: plugin,
        root_id: plugin,
        configuration,
        shared: Shared::default(),
        rng: crate::rng::Rng::named(0, "configure"),
        clusters: Rc::new(BTreeMap::new()),
        environment: crate::planted::environment(),
    };
    Vm::start(filter, config, Clock { mono_ns: 0, wall_ns: 0 }).map_err(|error| error.to_string())
}

/// Builds the world of a scenario; everything in it is down.
pub fn build(
    filter: &Filter,
    scenario: &Scenario,
    seed: u64,
    trace: Trace,
) -> Result<(World, Vec<Shop>), String> {
    let plugins = Plugins::of(scenario);
    plugins.check(filter)?;
    let stack = &scenario.stack;
    let mut world = World::new(seed, stack.shops, &scenario.normal, trace);
    let parallel = scenario.normal.cloud_parallel;
    let capacity = (parallel > 0).then(|| replica::Capacity::new(parallel));
    let mut shops = Vec::new();
    for shop in 0..stack.shops {
        let nodes = Shop::numbered(shop, stack.gateways);
        let edge = Place::Edge(shop);
        let name = |name: &str| {
            if stack.shops == 1 { name.to_string() } else { format!("{name}.{shop}") }
        };
        let at = |node, port| Addr { node, port };
        let workers = usize::try_from(stack.workers).unwrap_or(1);
        let edge_hosts = EdgeHosts {
            primary_guard: at(nodes.cloud_envoy, Port::Guard),
            primary: nodes.primary,
            secondary_guard: at(nodes.edge_envoy, Port::Guard),
            replica: at(nodes.secondary, Port::Service),
            reprise: at(nodes.edge_reprise, Port::Grpc),
        };
        let cloud_hosts = CloudHosts {
            replica: at(nodes.primary, Port::Service),
            reprise: at(nodes.cloud_reprise, Port::Grpc),
        };
        let detect = scenario.detect_ms;
        let edge_config =
            |guard| Config::edge(detect, workers, plugins.gateway.clone(), guard, &edge_hosts);
        let cloud_config =
            Config::cloud(detect, workers, plugins.primary_guard.clone(), &cloud_hosts);
        let envoy = |config| Envoy::new(config, filter.clone(), seed).map(Box::new);
        let edge_reprise =
            reprise::Config::edge(scenario, service(scenario), shop, nodes.edge_envoy)?;
        let cloud_reprise = reprise::Config::cloud(scenario, service(scenario), shop)?;
        let service_us = scenario.normal.service_us;
        let replica = |replica, capacity| {
            Replica::new(replica::Config { shop, replica, service_us, capacity })
        };
        let mut doors = vec![at(nodes.edge_envoy, Port::Clients)];
        doors.extend(nodes.edge_gateway.map(|node| at(node, Port::Clients)));
        let guard = Some(plugins.secondary_guard.clone());
        world.add(&name("edge-envoy"), edge, envoy(edge_config(guard))?);
        world.add(&name("edge-reprise"), edge, Reprise::new(edge_reprise));
        world.add(&name("secondary"), edge, replica(ReplicaFault::Secondary, None));
        world.add(&name("cloud-envoy"), Place::Cloud, envoy(cloud_config)?);
        world.add(&name("cloud-reprise"), Place::Cloud, Reprise::new(cloud_reprise));
        world.add(&name("primary"), Place::Cloud, replica(ReplicaFault::Primary, capacity.clone()));
        let stop_at_us = WARM + scenario.duration_ms * MS;
        let load = scenario.load.clone();
        let clients = clients::Config { shop, gateways: doors, load, stop_at_us };
        world.add(&name("clients"), edge, Clients::new(clients));
        if nodes.edge_gateway.is_some() {
            world.add(&name("edge-gateway"), edge, envoy(edge_config(None))?);
        }
        shops.push(nodes);
    }
    Ok((world, shops))
}
