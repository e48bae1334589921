//! The Istio overlays, run: the Envoys that they imply, on this machine.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::relay::Mode;
use manifests::Manifest;
use std::path::Path;
use std::sync::OnceLock;
use tests::rollout::istio::{edge_and_cloud, environment};
use tests::rollout::scenes::{restarted_while_cut, serves_nobody, through_a_cut};
use tests::rollout::{Files, overlay};
use tests::sites_test;
use xtask::stack::{Configs, Places, StackOptions};

/// Both overlays, rendered once.
fn rendered(filter: &Path) -> Result<&'static (Vec<Manifest>, Vec<Manifest>)> {
    static BOTH: OnceLock<(Vec<Manifest>, Vec<Manifest>)> = OnceLock::new();
    if BOTH.get().is_none() {
        let _ = BOTH.set((overlay("edge-istio", filter)?, overlay("cloud-istio", filter)?));
    }
    BOTH.get().context("rendered")
}

/// A stack out of both overlays.
fn istio(options: &mut StackOptions, configs: Configs) {
    options.configs = Some(configs);
    options.env = environment();
}

fn as_laid_out(options: &StackOptions, places: &Places, filter: &Path) -> Result<Files> {
    let (edge, cloud) = rendered(filter)?;
    edge_and_cloud(edge, cloud, options, places, filter)
}

/// As when the names of the patches do not match what this version of Istio makes.
fn without_the_patch(options: &StackOptions, places: &Places, filter: &Path) -> Result<Files> {
    let (edge, cloud) = rendered(filter)?;
    let mut edge = edge.clone();
    let before = edge.len();
    edge.retain(|manifest| manifest.name != "reprise-gateway-filter");
    ensure!(edge.len() + 1 == before, "one object is the patch");
    edge_and_cloud(&edge, cloud, options, places, filter)
}

sites_test! {
    async fn a_site_in_istio_keeps_every_promise_through_a_cut_and_a_return(sites, |options| {
        istio(options, as_laid_out);
    }) {
        through_a_cut(&sites, Mode::Hole).await?;
    }
}

sites_test! {
    async fn a_site_in_istio_whose_connections_are_refused_asks_the_other_replica(sites, |options| {
        istio(options, as_laid_out);
    }) {
        through_a_cut(&sites, Mode::Refuse).await?;
    }
}

sites_test! {
    async fn a_gateway_that_starts_again_while_its_site_is_cut_serves_from_the_module_on_its_node(sites, |options| {
        istio(options, as_laid_out);
    }) {
        restarted_while_cut(&sites, &[]).await?;
    }
}

sites_test! {
    async fn a_gateway_whose_filter_is_not_replaced_serves_nobody_and_keeps_nobody_waiting(sites, |options| {
        istio(options, without_the_patch);
    }) {
        serves_nobody(&sites, 500).await?;
    }
}
