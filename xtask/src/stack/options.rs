//! What can be chosen about a stack.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{Places, Process};

/// Makes the files of a stack, by name. The same names as ours, and `edge-guard.yaml` and
/// `cloud-guard.yaml` for the guards, which then have Envoys of their own; with
/// [`StackOptions::apart`] also `edge-delivery.yaml` and `edge-module.yaml`.
pub type Configs = fn(&StackOptions, &Places, filter: &Path) -> Result<BTreeMap<String, String>>;

/// Where the session key of a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionSource {
    /// `header:NAME`
    Header(String),
    /// `cookie:NAME`
    Cookie(String),
    /// `jwt:CLAIM`, of the bearer token
    JwtClaim(String),
    /// `path:REGEX`, its first group
    Path(String),
}

impl Default for SessionSource {
    fn default() -> Self {
        Self::Header("x-session-id".to_owned())
    }
}

impl SessionSource {
    /// As the gateway's configuration says it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Header(name) => json!({"header": name}),
            Self::Cookie(name) => json!({"cookie": name}),
            Self::JwtClaim(claim) => json!({"jwt_claim": claim}),
            Self::Path(regex) => json!({"path": regex}),
        }
    }
}

impl FromStr for SessionSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((_, "")) => Err(format!("{text:?} names nothing after the colon")),
            Some(("header", name)) => Ok(Self::Header(name.to_owned())),
            Some(("cookie", name)) => Ok(Self::Cookie(name.to_owned())),
            Some(("jwt", claim)) => Ok(Self::JwtClaim(claim.to_owned())),
            Some(("path", regex)) => Ok(Self::Path(regex.to_owned())),
            _ => {
                Err(format!("{text:?} is none of header:NAME, cookie:NAME, jwt:CLAIM, path:REGEX"))
            }
        }
    }
}

/// Who brings a write to the other replica while both are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mirror {
    /// The log delivers it, in order and acknowledged.
    #[default]
    Log,
    /// Envoy sends a copy at once; the log repairs what got lost.
    Envoy,
}

impl Mirror {
    /// As the configuration says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Envoy => "envoy",
        }
    }
}

/// What a stack is to be. [`StackOptions::new`] fills in the defaults; every field may be changed.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The primary replica, as the cloud site reaches it.
    pub primary: SocketAddr,
    /// The secondary replica, as the edge site reaches it.
    pub secondary: SocketAddr,
    /// Where clients come in; a free port if none.
    pub listen: Option<u16>,
    /// Where the primary's guard listens; a free port if none.
    pub cloud_port: Option<u16>,
    /// Where the edge reaches the primary's guard, if not at its port: a relay or a tunnel.
    pub cloud_via: Option<SocketAddr>,
    /// The session key.
    pub session: SessionSource,
    /// Configurations, logs and stores go here. Kept when the stack ends.
    pub data: PathBuf,
    /// Who brings writes to the other replica.
    pub mirror: Mirror,
    /// How long a silent primary may take before failover, in milliseconds.
    pub detect_ms: u64,
    /// The path of the replicas' health check.
    pub health: String,
    /// Worker threads of each Envoy.
    pub workers: u32,
    /// The Envoy to run, if not the one that is found.
    pub envoy: Option<PathBuf>,
    /// The filter to run, if not the one that is found.
    pub filter: Option<PathBuf>,
    /// The `reprise` to run, if not the one that is found.
    pub reprise: Option<PathBuf>,
    /// A second Envoy at the edge, with a gateway and a guard of its own. The log must be told
    /// that gateways are `shared`.
    pub second_gateway: bool,
    /// The Envoys can be restarted hot, and the old one then lives on for so many seconds.
    pub hot_restart_s: Option<u32>,
    /// Merged into the gateway's plugin configuration.
    pub gateway_extra: Map<String, Value>,
    /// Merged into both guards' plugin configurations.
    pub guard_extra: Map<String, Value>,
    /// Merged into the section `[log]` of the edge's reprise.
    pub log_extra: toml::Table,
    /// Merged into the section `[journal]` of both reprises.
    pub journal_extra: toml::Table,
    /// Merged into the top of both reprises' configurations.
    pub reprise_extra: toml::Table,
    /// Configurations that are made elsewhere than from our templates.
    pub configs: Option<Configs>,
    /// Deliveries have an Envoy of their own, and one serves the filter's module. Only with
    /// [`StackOptions::configs`].
    pub apart: bool,
    /// Environment variables of single processes.
    pub env: BTreeMap<Process, Vec<(String, String)>>,
}

impl StackOptions {
    /// A stack in front of two replicas, with its files under `data`.
    pub fn new(primary: SocketAddr, secondary: SocketAddr, data: impl Into<PathBuf>) -> Self {
        Self {
            primary,
            secondary,
            listen: None,
            cloud_port: None,
            cloud_via: None,
            session: SessionSource::default(),
            data: data.into(),
            mirror: Mirror::default(),
            detect_ms: 1000,
            health: "/healthz".to_owned(),
            workers: 2,
            envoy: None,
            filter: None,
            reprise: None,
            second_gateway: false,
            hot_restart_s: None,
            gateway_extra: Map::new(),
            guard_extra: Map::new(),
            log_extra: toml::Table::new(),
            journal_extra: toml::Table::new(),
            reprise_extra: toml::Table::new(),
            configs: None,
            apart: false,
            env: BTreeMap::new(),
        }
    }
}

/// What a bare Envoy in front of the same two replicas is to be.
#[derive(Debug, Clone)]
pub struct BareOptions {
    /// The primary replica, by the way that is cut.
    pub primary: SocketAddr,
    /// The secondary replica.
    pub secondary: SocketAddr,
    /// Where clients come in; a free port if none.
    pub listen: Option<u16>,
    /// Its configuration and log go here.
    pub data: PathBuf,
    /// As in [`StackOptions`].
    pub detect_ms: u64,
    /// As in [`StackOptions`].
    pub health: String,
    /// As in [`StackOptions`].
    pub workers: u32,
    /// As in [`StackOptions`].
    pub envoy: Option<PathBuf>,
}

impl BareOptions {
    /// A bare Envoy with the stack's defaults.
    pub fn new(primary: SocketAddr, secondary: SocketAddr, data: impl Into<PathBuf>) -> Self {
        Self {
            primary,
            secondary,
            listen: None,
            data: data.into(),
            detect_ms: 1000,
            health: "/healthz".to_owned(),
            workers: 2,
            envoy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_source_is_a_kind_and_a_name() {
        for (text, json) in [
            ("header:x-user", json!({"header": "x-user"})),
            ("cookie:sid", json!({"cookie": "sid"})),
            ("jwt:sub", json!({"jwt_claim": "sub"})),
            ("path:^/s/([^/:]+):", json!({"path": "^/s/([^/:]+):"})),
        ] {
            assert_eq!(text.parse::<SessionSource>().unwrap().to_json(), json);
        }
        for text in ["", "header", "header:", "query:x"] {
            assert!(text.parse::<SessionSource>().is_err(), "{text}");
        }
    }
}
