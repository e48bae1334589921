//! The configuration with its names looked up, so that a request needs none.

use super::config::{Cluster, Config, Match, Plugin, Way};
use crate::kernel::Port;
use crate::wire::{self, Header};
use protocol::names::is_write;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Where a request goes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Going {
    /// Its place in the table.
    pub cluster: usize,
    pub way: Way,
}

/// The configuration.
pub(super) struct Table {
    config: Config,
    routes: Vec<Vec<Going>>,
    by_name: BTreeMap<String, usize>,
    /// For the VMs: all clusters, and whether there is anybody in them.
    pub inhabited: Rc<BTreeMap<String, bool>>,
}

impl Table {
    pub(super) fn new(config: Config) -> Result<Table, String> {
        let name = |(at, cluster): (usize, &Cluster)| (cluster.name.clone(), at);
        let by_name: BTreeMap<_, _> = config.clusters.iter().enumerate().map(name).collect();
        let mut routes = Vec::new();
        for listener in &config.listeners {
            let going = listener.routes.iter().map(|route| match by_name.get(&route.cluster) {
                Some(cluster) => Ok(Going { cluster: *cluster, way: route.way }),
                None => Err(format!("there is no cluster {}", route.cluster)),
            });
            routes.push(going.collect::<Result<_, _>>()?);
        }
        let inhabited = config.clusters.iter().map(|c| (c.name.clone(), !c.hosts.is_empty()));
        let inhabited = Rc::new(inhabited.collect());
        Ok(Table { config, routes, by_name, inhabited })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The place of the listener on a port.
    pub(super) fn listener(&self, port: Port) -> Option<usize> {
        self.config.listeners.iter().position(|listener| listener.port == port)
    }

    /// The filter on a listener.
    pub(super) fn plugin(&self, listener: usize) -> Option<&Plugin> {
        self.config.listeners.get(listener)?.plugin.as_ref()
    }

    /// The listeners that have one.
    pub(super) fn filtered(&self) -> Vec<usize> {
        let all = 0..self.config.listeners.len();
        all.filter(|listener| self.plugin(*listener).is_some()).collect()
    }

    pub(super) fn cluster(&self, at: usize) -> &Cluster {
        &self.config.clusters[at]
    }

    pub(super) fn named(&self, cluster: &str) -> Option<usize> {
        self.by_name.get(cluster).copied()
    }

    /// Where a request with these headers goes; none is answered 404.
    pub(super) fn pick(&self, listener: usize, headers: &[Header]) -> Option<Going> {
        let path = wire::get(headers, ":path").unwrap_or_default();
        let write = is_write(wire::text(headers, ":method").unwrap_or_default());
        let fits = |m: &Match| {
            let has = |(name, value): &(String, String)| {
                wire::get(headers, name) == Some(value.as_bytes())
            };
            (write || !m.write)
                && path.starts_with(m.prefix.as_bytes())
                && m.header.as_ref().is_none_or(has)
        };
        let routes = &self.config.listeners.get(listener)?.routes;
        let at = routes.iter().position(|route| fits(&route.matches))?;
        self.routes.get(listener)?.get(at).copied()
    }
}
