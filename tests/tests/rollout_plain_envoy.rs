//! The plain Envoy overlays, run: their files, on this machine.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::Result;
use demo::relay::Mode;
use std::path::Path;
use tests::rollout::plain_envoy::edge_and_cloud;
use tests::rollout::scenes::{restarted_while_cut, through_a_cut};
use tests::rollout::{Files, overlay};
use tests::sites_test;
use xtask::stack::{Places, StackOptions};

fn laid_out(options: &StackOptions, places: &Places, filter: &Path) -> Result<Files> {
    let (edge, cloud) =
        (overlay("plain-envoy/edge", filter)?, overlay("plain-envoy/cloud", filter)?);
    edge_and_cloud(&edge, &cloud, options, places, filter)
}

sites_test! {
    async fn a_site_of_plain_envoys_keeps_every_promise_through_a_cut_and_a_return(sites, |options| {
        options.configs = Some(laid_out);
    }) {
        through_a_cut(&sites, Mode::Hole).await?;
    }
}

sites_test! {
    async fn a_site_of_plain_envoys_whose_connections_are_refused_asks_the_other_replica(sites, |options| {
        options.configs = Some(laid_out);
    }) {
        through_a_cut(&sites, Mode::Refuse).await?;
    }
}

sites_test! {
    async fn a_plain_gateway_that_starts_again_while_its_site_is_cut_serves(sites, |options| {
        options.configs = Some(laid_out);
    }) {
        restarted_while_cut(&sites, &[]).await?;
    }
}
