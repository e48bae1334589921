//! What is simulated of `envoy-configs/edge.yaml` and `cloud.yaml`. `host-sim/tests/files.rs`
//! holds it against those files.

use super::config::{
    Cluster, Config, HealthCheck, Host, Listener, Match, Ping, Plugin, Retry, Route, Way,
};
use crate::kernel::{Addr, MS, Micros, NodeId, Port, SECOND};
use protocol::names::{self, route};

/// One of the filter's roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// On `clients`.
    Gateway,
    /// On `guard-…`.
    Guard,
}

impl Role {
    /// The name of its plugin, which is also its `vm_id` and `root_id`.
    pub fn plugin(self) -> &'static str {
        match self {
            Role::Gateway => "reprise-gateway",
            Role::Guard => "reprise-guard",
        }
    }

    fn with(self, configuration: String) -> Option<Plugin> {
        let name = self.plugin().to_string();
        Some(Plugin { root_id: name.clone(), name, configuration, stop_iteration: true })
    }
}

/// Where the clusters of an edge's Envoy point.
#[derive(Clone, Copy, Debug)]
pub struct EdgeHosts {
    /// The listener before the primary's guard.
    pub primary_guard: Addr,
    /// The service that a health check of it ends at.
    pub primary: NodeId,
    /// The listener before the secondary's guard.
    pub secondary_guard: Addr,
    /// The secondary.
    pub replica: Addr,
    /// The log and the secondary's journal.
    pub reprise: Addr,
}

/// Where the clusters of the cloud's Envoy point.
#[derive(Clone, Copy, Debug)]
pub struct CloudHosts {
    /// The primary.
    pub replica: Addr,
    /// Its journal.
    pub reprise: Addr,
}

/// The times of a stack whose detection time is D.
struct Times {
    detect: Micros,
}

impl Times {
    fn of(detect_ms: u64) -> Times {
        Times { detect: detect_ms * MS }
    }

    /// On a request of a client or of the log, on which nothing moves.
    fn idle(&self) -> Micros {
        (6 * self.detect).max(15 * SECOND)
    }

    fn connect(&self) -> Micros {
        self.detect / 2
    }

    /// To the guards.
    fn ping(&self) -> Option<Ping> {
        Some(Ping { interval: self.detect / 4, timeout: self.detect / 2 })
    }
}

/// On a read, and on any request at a guard, on which nothing moves.
const LONG_IDLE: Micros = 60 * SECOND;

fn named(name: &str, hosts: &[Host], connect: Micros, ping: Option<Ping>) -> Cluster {
    let (name, hosts) = (name.to_string(), hosts.to_vec());
    Cluster { name, hosts, shared: true, connect, idle: None, ping }
}

fn unchecked(addr: Addr) -> Host {
    Host { addr, checked: false }
}

/// A replica: HTTP/1, and no connection that it might close under a request.
fn replica(times: &Times, addr: Addr) -> Cluster {
    let cluster = named("replica", &[unchecked(addr)], times.connect(), None);
    Cluster { shared: false, idle: Some(SECOND), ..cluster }
}

fn reprise(name: &str, addr: Addr) -> Cluster {
    let ping = Ping { interval: 2 * SECOND, timeout: 2 * SECOND };
    named(name, &[unchecked(addr)], 500 * MS, Some(ping))
}

fn guard(role: Option<Plugin>) -> Listener {
    let matches = Match { prefix: "/".into(), ..Match::default() };
    let way = Way { idle: Some(LONG_IDLE), ..Way::default() };
    Listener {
        port: Port::Guard,
        plugin: role,
        idle: LONG_IDLE,
        routes: vec![Route { matches, cluster: "replica".into(), way }],
        removes: vec![names::ROUTE.into(), names::MIRROR.into()],
    }
}

/// The routes of a destination: of its writes, of its reads.
fn both(times: &Times, to: Option<&str>, cluster: &str, retry: Retry, mirror: bool) -> [Route; 2] {
    let header = to.map(|to| (names::ROUTE.to_string(), to.to_string()));
    [true, false].map(|write| Route {
        matches: Match { prefix: "/".into(), header: header.clone(), write },
        cluster: cluster.into(),
        way: Way {
            timeout: write.then_some(4 * times.detect),
            idle: (!write).then_some(LONG_IDLE),
            retry: Some(retry),
            mirror: mirror && write,
        },
    })
}

fn clients(times: &Times, gateway: String) -> Listener {
    let failover = Retry {
        times: 2,
        per_try: Some(times.detect),
        connect: true,
        reset: true,
        busy: true,
        elsewhere: true,
        wait: [MS, 10 * MS],
    };
    let reconnect = Retry {
        times: 1,
        per_try: None,
        connect: true,
        reset: false,
        busy: false,
        elsewhere: false,
        wait: Retry::WAIT,
    };
    let routes = [
        both(times, Some(route::SECONDARY), "secondary-first", failover, false),
        both(times, Some(route::PRIMARY_ONLY), "primary-only", reconnect, false),
        both(times, None, "primary-first", failover, true),
    ];
    Listener {
        port: Port::Clients,
        plugin: Role::Gateway.with(gateway),
        idle: times.idle(),
        routes: routes.into_iter().flatten().collect(),
        removes: vec![names::ROUTE.into()],
    }
}

fn delivery(times: &Times) -> Listener {
    let to = |to: &str, cluster: &str| Route {
        matches: Match {
            prefix: "/".into(),
            header: Some((names::ROUTE.into(), to.into())),
            write: false,
        },
        cluster: cluster.into(),
        way: Way { timeout: Some(2 * times.detect), ..Way::default() },
    };
    Listener {
        port: Port::Delivery,
        plugin: None,
        idle: times.idle(),
        routes: vec![
            to(route::PRIMARY_ONLY, "primary-guard"),
            to(route::SECONDARY_ONLY, "secondary-guard"),
        ],
        removes: vec![names::ROUTE.into()],
    }
}

impl Config {
    /// The Envoy of an edge. Without a configuration for its guard it has the listener for
    /// clients alone, as a second gateway.
    pub fn edge(
        detect_ms: u64,
        workers: usize,
        gateway: String,
        secondary_guard: Option<String>,
        hosts: &EdgeHosts,
    ) -> Config {
        let times = Times::of(detect_ms);
        let (connect, ping) = (times.connect(), times.ping());
        let checked = Host { addr: hosts.primary_guard, checked: true };
        let [p, s] = [hosts.primary_guard, hosts.secondary_guard].map(unchecked);
        let mut listeners = vec![clients(&times, gateway)];
        if let Some(configuration) = secondary_guard {
            listeners.extend([guard(Role::Guard.with(configuration)), delivery(&times)]);
        }
        Config {
            workers,
            listeners,
            clusters: vec![
                named("primary-first", &[checked, s], connect, ping),
                named("secondary-first", &[s, checked], connect, ping),
                named("primary-only", &[checked], connect, ping),
                named("primary-guard", &[p], connect, ping),
                named("secondary-guard", &[s], connect, ping),
                replica(&times, hosts.replica),
                reprise("replay-log", hosts.reprise),
                reprise("journal", hosts.reprise),
            ],
            health: Some(HealthCheck {
                of: hosts.primary_guard,
                service: hosts.primary,
                interval: times.detect / 8,
                timeout: times.detect / 4,
                unhealthy: 2,
                healthy: 2,
            }),
        }
    }

    /// The Envoy of the cloud.
    pub fn cloud(
        detect_ms: u64,
        workers: usize,
        primary_guard: String,
        hosts: &CloudHosts,
    ) -> Config {
        let times = Times::of(detect_ms);
        Config {
            workers,
            listeners: vec![guard(Role::Guard.with(primary_guard))],
            clusters: vec![replica(&times, hosts.replica), reprise("journal", hosts.reprise)],
            health: None,
        }
    }
}
