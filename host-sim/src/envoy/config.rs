//! What is simulated of `envoy-configs/*.yaml`: the same listeners, routes, clusters and times.
//! `host-sim/tests/files.rs` holds the figures against those files.

use crate::kernel::{Addr, Micros, Port};

/// One of the filter's roles, as a plugin of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// An Envoy.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's plugin configuration, where there is a gateway.
    pub gateway: Option<String>,
    /// The guard's plugin configuration, where there is a guard.
    pub guard: Option<String>,
    /// Worker threads.
    pub workers: usize,
    /// `allow_on_headers_stop_iteration` of both plugins.
    pub stop_iteration: bool,
    /// Where its clusters point.
    pub hosts: Hosts,
    /// Its times.
    pub times: Times,
}

/// Where the clusters point; what an Envoy has no cluster for is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Hosts {
    /// The listener before the primary's guard.
    pub primary_guard: Option<Addr>,
    /// The listener before the secondary's guard.
    pub secondary_guard: Option<Addr>,
    /// The replica behind this Envoy's guard.
    pub replica: Option<Addr>,
    /// This site's `reprise`.
    pub reprise: Addr,
    /// The service that a health check of the primary's guard ends at.
    pub checked_service: Option<crate::kernel::NodeId>,
}

/// The times of a stack whose detection time is D.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// One attempt: D.
    pub per_try: Micros,
    /// A whole write: 4 D.
    pub route: Micros,
    /// A delivery: 2 D.
    pub delivery: Micros,
    /// Between two health checks: D / 8.
    pub health_interval: Micros,
    /// One health check: D / 4.
    pub health_timeout: Micros,
    /// Between two pings of a connection: D / 4.
    pub ping_interval: Micros,
    /// One ping: D / 2.
    pub ping_timeout: Micros,
    /// To connect: D / 2.
    pub connect: Micros,
    /// A request on which nothing moves: 6 D, and 15 s at least.
    pub idle: Micros,
    /// A stopped request at a guard: one minute.
    pub guard_idle: Micros,
    /// After a panic, until a VM is started again.
    pub reload: Micros,
}

impl Times {
    /// All times follow from the detection time, milliseconds.
    pub fn of(detect_ms: u64) -> Times {
        let d = detect_ms * 1_000;
        Times {
            per_try: d,
            route: 4 * d,
            delivery: 2 * d,
            health_interval: d / 8,
            health_timeout: d / 4,
            ping_interval: d / 4,
            ping_timeout: d / 2,
            connect: d / 2,
            idle: (6 * d).max(15_000_000),
            guard_idle: 60_000_000,
            reload: 1_000_000,
        }
    }
}

/// The clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cluster {
    /// P's guard, then S's.
    PrimaryFirst,
    /// S's guard, then P's.
    SecondaryFirst,
    /// P's guard alone.
    PrimaryOnly,
    /// P's guard, for delivery.
    PrimaryGuard,
    /// S's guard, for delivery and for the mirror.
    SecondaryGuard,
    /// The service itself.
    Replica,
    /// The log.
    ReplayLog,
    /// The journal.
    Journal,
}

impl Cluster {
    /// All of them.
    pub const ALL: [Cluster; 8] = [
        Cluster::PrimaryFirst,
        Cluster::SecondaryFirst,
        Cluster::PrimaryOnly,
        Cluster::PrimaryGuard,
        Cluster::SecondaryGuard,
        Cluster::Replica,
        Cluster::ReplayLog,
        Cluster::Journal,
    ];

    /// Its name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Cluster::PrimaryFirst => "primary-first",
            Cluster::SecondaryFirst => "secondary-first",
            Cluster::PrimaryOnly => "primary-only",
            Cluster::PrimaryGuard => "primary-guard",
            Cluster::SecondaryGuard => "secondary-guard",
            Cluster::Replica => "replica",
            Cluster::ReplayLog => "replay-log",
            Cluster::Journal => "journal",
        }
    }

    /// The cluster of a name.
    pub fn named(name: &str) -> Option<Cluster> {
        Cluster::ALL.into_iter().find(|cluster| cluster.name() == name)
    }

    /// Its hosts by priority.
    pub fn hosts(self, hosts: &Hosts) -> Vec<Addr> {
        let (p, s) = (hosts.primary_guard, hosts.secondary_guard);
        let some = match self {
            Cluster::PrimaryFirst => [p, s],
            Cluster::SecondaryFirst => [s, p],
            Cluster::PrimaryOnly | Cluster::PrimaryGuard => [p, None],
            Cluster::SecondaryGuard => [s, None],
            Cluster::Replica => [hosts.replica, None],
            Cluster::ReplayLog | Cluster::Journal => [Some(hosts.reprise), None],
        };
        some.into_iter().flatten().collect()
    }

    /// Whether its hosts are checked, and left when they fail.
    pub fn is_checked(self) -> bool {
        matches!(self, Cluster::PrimaryFirst | Cluster::SecondaryFirst | Cluster::PrimaryOnly)
    }

    /// Whether one connection carries many exchanges (HTTP/2).
    pub fn is_shared(self) -> bool {
        self != Cluster::Replica
    }
}

/// What a route says.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Where to.
    pub cluster: Cluster,
    /// The whole exchange; none for reads.
    pub timeout: Option<Micros>,
    /// One attempt.
    pub per_try: Option<Micros>,
    /// How often it is tried again.
    pub retries: u32,
    /// Whether a reset, a timeout or a 503 is tried again, and not only a failed connect.
    pub failover: bool,
    /// Whether the cluster that the filter names gets a copy.
    pub mirror: bool,
}

/// The route of a request on a listener; `None` is answered 404.
pub fn route(port: Port, times: &Times, method: &str, to: Option<&str>) -> Option<Route> {
    let write = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
    let plain = Route {
        cluster: Cluster::Replica,
        timeout: None,
        per_try: None,
        retries: 0,
        failover: false,
        mirror: false,
    };
    match (port, to) {
        (Port::Guard, _) => Some(plain),
        (Port::Delivery, Some("primary-only")) => {
            Some(Route { cluster: Cluster::PrimaryGuard, timeout: Some(times.delivery), ..plain })
        }
        (Port::Delivery, Some("secondary-only")) => {
            Some(Route { cluster: Cluster::SecondaryGuard, timeout: Some(times.delivery), ..plain })
        }
        (Port::Clients, to) => {
            let timeout = write.then_some(times.route);
            if to == Some("primary-only") {
                return Some(Route { cluster: Cluster::PrimaryOnly, timeout, retries: 1, ..plain });
            }
            let secondary = to == Some("secondary");
            let cluster = if secondary { Cluster::SecondaryFirst } else { Cluster::PrimaryFirst };
            let per_try = Some(times.per_try);
            let mirror = write && !secondary;
            Some(Route { cluster, timeout, per_try, retries: 2, failover: true, mirror })
        }
        _ => None,
    }
}
