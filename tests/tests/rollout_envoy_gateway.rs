//! The Envoy Gateway overlays, run: the Envoys that they imply, on this machine.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::relay::Mode;
use manifests::Manifest;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tests::rollout::envoy_gateway::edge_and_cloud;
use tests::rollout::scenes::{restarted_while_cut, serves_nobody, through_a_cut};
use tests::rollout::{Files, overlay};
use tests::{Sites, sites_test};
use xtask::stack::{Configs, Places, Process, StackOptions};

/// Both overlays, rendered once.
fn rendered(filter: &Path) -> Result<&'static (Vec<Manifest>, Vec<Manifest>)> {
    static BOTH: OnceLock<(Vec<Manifest>, Vec<Manifest>)> = OnceLock::new();
    if BOTH.get().is_none() {
        let edge = overlay("envoy-gateway/edge", filter)?;
        let _ = BOTH.set((edge, overlay("envoy-gateway/cloud", filter)?));
    }
    BOTH.get().context("rendered")
}

fn laid_out(options: &StackOptions, places: &Places, filter: &Path) -> Result<Files> {
    let (edge, cloud) = rendered(filter)?;
    edge_and_cloud(edge, cloud, options, places, filter)
}

/// As when patches are not switched on, or their names do not match.
fn without_the_patch(options: &StackOptions, places: &Places, filter: &Path) -> Result<Files> {
    let (edge, cloud) = rendered(filter)?;
    let mut edge = edge.clone();
    let before = edge.len();
    edge.retain(|manifest| (&*manifest.kind, &*manifest.name) != ("EnvoyPatchPolicy", "reprise"));
    ensure!(edge.len() + 1 == before, "one object is the patch");
    edge_and_cloud(&edge, cloud, options, places, filter)
}

/// A stack out of both overlays.
fn envoy_gateway(options: &mut StackOptions, configs: Configs) {
    options.configs = Some(configs);
    options.apart = true;
}

sites_test! {
    async fn a_site_in_envoy_gateway_keeps_every_promise_through_a_cut_and_a_return(sites, |options| {
        envoy_gateway(options, laid_out);
    }) {
        through_a_cut(&sites, Mode::Hole).await?;
    }
}

sites_test! {
    async fn a_site_in_envoy_gateway_whose_connections_are_refused_asks_the_other_replica(sites, |options| {
        envoy_gateway(options, laid_out);
    }) {
        through_a_cut(&sites, Mode::Refuse).await?;
    }
}

/// Waits until the gateway has found the primary's guard healthy in a cluster.
async fn primary_is_healthy(sites: &Sites, cluster: &str) -> Result<()> {
    let line = format!("{cluster}::{}::health_flags::healthy", sites.link.addr());
    let found = async {
        loop {
            let clusters = xtask::stack::http::get(sites.stack.edge_admin, "/clusters").await?;
            if clusters.text().lines().any(|known| known == line) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.context("not within 10 s")?
}

sites_test! {
    async fn an_envoy_gateway_envoy_that_starts_again_while_its_site_is_cut_serves_from_its_node(sites, |options| {
        envoy_gateway(options, laid_out);
    }) {
        // Nobody serves the module either.
        restarted_while_cut(&sites, &[Process::EdgeModule]).await?;
        // No request has gone to this cluster, and nobody waits a minute for the next check.
        primary_is_healthy(&sites, "httproute/shop/writes-primary-only/rule/0").await?;
    }
}

sites_test! {
    async fn an_envoy_gateway_whose_patch_is_missing_serves_nobody_and_keeps_nobody_waiting(sites, |options| {
        envoy_gateway(options, without_the_patch);
    }) {
        serves_nobody(&sites, 503).await?;
    }
}
