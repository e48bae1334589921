//! What an Envoy is configured with, as data: listeners, routes, plugins, clusters. It says what
//! a file of Envoy's says, as far as that is simulated.

use crate::kernel::{Addr, MS, Micros, NodeId, Port};

/// An Envoy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Worker threads.
    pub workers: usize,
    /// Where it listens; each port once.
    pub listeners: Vec<Listener>,
    /// Whom it knows.
    pub clusters: Vec<Cluster>,
    /// What it checks, if it checks anybody.
    pub health: Option<HealthCheck>,
}

/// A listener with its routes, and the filter before them.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its port.
    pub port: Port,
    /// The filter, if there is one.
    pub plugin: Option<Plugin>,
    /// A request on which nothing moves for so long is ended.
    pub idle: Micros,
    /// The first that matches is taken; where none does, the answer is 404.
    pub routes: Vec<Route>,
    /// Request headers that do not leave this Envoy.
    pub removes: Vec<String>,
}

/// The filter on a listener, under FAIL_RELOAD and with a `vm_id` of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Its `root_id`.
    pub root_id: String,
    /// Its configuration.
    pub configuration: String,
    /// `allow_on_headers_stop_iteration`.
    pub stop_iteration: bool,
}

/// A route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which requests.
    pub matches: Match,
    /// Where to.
    pub cluster: String,
    /// How.
    pub way: Way,
}

/// What a request must have; all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// How its path begins.
    pub prefix: String,
    /// A header with this value.
    pub header: Option<(String, String)>,
    /// POST, PUT, PATCH or DELETE.
    pub write: bool,
}

/// How a request is sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// For the whole exchange, from the end of the request on.
    pub timeout: Option<Micros>,
    /// A request on which nothing moves for so long is ended; in place of the listener's.
    pub idle: Option<Micros>,
    /// What is tried again, if anything is.
    pub retry: Option<Retry>,
    /// Whether the cluster that `x-reprise-mirror` names gets a copy.
    pub mirror: bool,
}

/// What is tried again, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// How often.
    pub times: u32,
    /// One try, from the end of the request until the first byte.
    pub per_try: Option<Micros>,
    /// A connection that does not come about.
    pub connect: bool,
    /// That, a connection that breaks, and a try that takes too long.
    pub reset: bool,
    /// A 503.
    pub busy: bool,
    /// At another priority (`previous_priorities`).
    pub elsewhere: bool,
    /// The wait before the first one, and the longest, at most.
    pub wait: [Micros; 2],
}

impl Retry {
    /// Envoy's own waits.
    pub const WAIT: [Micros; 2] = [25 * MS, 250 * MS];
}

/// A cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// One host for each priority.
    pub hosts: Vec<Host>,
    /// Whether one connection carries many exchanges (HTTP/2).
    pub shared: bool,
    /// To connect.
    pub connect: Micros,
    /// A connection without an exchange is closed after so long.
    pub idle: Option<Micros>,
    /// Pings on its connections.
    pub ping: Option<Ping>,
}

impl Cluster {
    /// Whether hosts are checked, and left when they fail.
    pub fn is_checked(&self) -> bool {
        self.hosts.iter().any(|host| host.checked)
    }
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Host {
    /// Where it is.
    pub addr: Addr,
    /// Whether its health is checked.
    pub checked: bool,
}

/// Pings of a connection, which is closed when they are not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Between two.
    pub interval: Micros,
    /// For the answer.
    pub timeout: Micros,
}

/// The health checks of the one host that is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// The host.
    pub of: Addr,
    /// The service behind it that a check ends at.
    pub service: NodeId,
    /// Between two checks.
    pub interval: Micros,
    /// For one check.
    pub timeout: Micros,
    /// So many bad ones in a row, and it is not healthy.
    pub unhealthy: u32,
    /// So many good ones in a row, and it is healthy again.
    pub healthy: u32,
}
