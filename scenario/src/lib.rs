//! Scenario files: what is to happen to a service on two sites, and what must hold afterwards.
//!
//! One file runs on two arms: `host-sim run FILE` in virtual time, and the end-to-end tests on
//! real processes. All times are milliseconds from the start of the load unless a name says
//! otherwise; every random choice that a file leaves open follows from its `seed`.

mod check;
mod fault;
mod load;
mod read;
mod shape;
mod tree;
mod valid;

pub use self::check::Expect;
pub use self::fault::{
    Break, Clock, Cut, Disk, DiskFault, Fault, Flap, Old, Plugin, Process, ReplicaFault,
    ServiceFault, Site, What,
};
pub use self::load::{Load, Methods};
pub use self::read::{Problem, Problems, read, to_yaml, validate};
pub use self::valid::PROMISES;

use serde::{Deserialize, Serialize};

/// Least and most of something that is drawn anew each time.
pub type Range = [u64; 2];

/// A whole scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: lower case, digits and dashes.
    pub name: String,
    /// What it shows, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Decides what the file leaves open.
    #[serde(default = "one")]
    pub seed: u64,
    /// How long clients send. Then all faults are mended and everything must come to rest.
    pub duration_ms: u64,
    /// After the load: the longest time without any progress before it counts as stalled.
    #[serde(default = "default_stall")]
    pub stall_ms: u64,
    /// The detection time D; every other timeout of the stack follows from it.
    #[serde(default = "default_detect")]
    pub detect_ms: u64,
    /// The stack.
    #[serde(default)]
    pub stack: Stack,
    /// What clients do.
    pub load: Load,
    /// How the network and the machines behave when nothing is broken.
    #[serde(default)]
    pub normal: Normal,
    /// What breaks.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What must hold beyond the promises, which always must.
    #[serde(default)]
    pub expect: Expect,
}

/// Who sends the copies for the secondary while connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    /// The replay log.
    #[default]
    Log,
    /// Envoy's `request_mirror_policies`; the log repairs what got lost.
    Envoy,
}

/// The processes and their configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    /// Edge sites, each with a service of its own; all of their primaries are in one cloud.
    pub shops: u32,
    /// Gateway Envoys at each edge; above one the log is told that they share it.
    pub gateways: u32,
    /// Worker threads of each Envoy.
    pub workers: u32,
    /// Who mirrors.
    pub mirror: Mirror,
    /// Keys of the gateway's plugin configuration in place of the defaults, as given to Envoy.
    pub gateway: serde_json::Map<String, serde_json::Value>,
    /// Keys of both guards' plugin configurations in place of the defaults.
    pub guard: serde_json::Map<String, serde_json::Value>,
    /// Keys of `[log]` of the edge's `reprise` in place of the defaults.
    pub log: serde_json::Map<String, serde_json::Value>,
    /// Keys of both `[journal]` sections in place of the defaults.
    pub journal: serde_json::Map<String, serde_json::Value>,
}

impl Default for Stack {
    fn default() -> Self {
        Stack {
            shops: 1,
            gateways: 1,
            workers: 1,
            mirror: Mirror::Log,
            gateway: serde_json::Map::new(),
            guard: serde_json::Map::new(),
            log: serde_json::Map::new(),
            journal: serde_json::Map::new(),
        }
    }
}

/// Times while nothing is broken, microseconds. The real arm has its own and ignores these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Normal {
    /// One way between the edge and the cloud.
    pub link_us: Range,
    /// One way between two processes of a site.
    pub local_us: Range,
    /// One request at a replica.
    pub service_us: Range,
    /// Requests that the cloud's service runs at once, over all shops; 0: no limit.
    pub cloud_parallel: u32,
    /// One sync of a disk.
    pub sync_us: Range,
    /// How fast the sites' clocks run apart, parts per million.
    pub drift_ppm: u32,
}

impl Default for Normal {
    fn default() -> Self {
        Normal {
            link_us: [5_000, 7_000],
            local_us: [40, 120],
            service_us: [300, 900],
            cloud_parallel: 0,
            sync_us: [200, 900],
            drift_ppm: 20,
        }
    }
}

fn one() -> u64 {
    1
}

fn default_stall() -> u64 {
    30_000
}

fn default_detect() -> u64 {
    1_000
}
