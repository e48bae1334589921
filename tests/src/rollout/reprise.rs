//! The configuration of a site's reprise, from its ConfigMap.

use anyhow::{Context as _, Result};
use manifests::Manifest;
use xtask::stack::{Places, StackOptions};

use super::Files;

/// The configurations of both sites' reprise, by the name of their file.
pub fn both(
    edge: &[Manifest],
    cloud: &[Manifest],
    options: &StackOptions,
    places: &Places,
) -> Result<Files> {
    let delivery = places.delivery;
    let data = |site: &str| options.data.join(site).display().to_string();
    let (grpc, admin) = (places.log_grpc, places.log_admin);
    let at_the_edge = Here { grpc, admin, delivery, data: data("edge") };
    let (grpc, admin) = (places.journal_grpc, places.journal_admin);
    let in_the_cloud = Here { grpc, admin, delivery, data: data("cloud") };
    Ok(Files::from([
        ("edge.toml".to_owned(), config(edge, &at_the_edge)?),
        ("cloud.toml".to_owned(), config(cloud, &in_the_cloud)?),
    ]))
}

/// What differs on this machine from a pod.
#[derive(Debug)]
struct Here {
    /// gRPC.
    grpc: u16,
    /// The page that decides.
    admin: u16,
    /// Where the log delivers, if there is one.
    delivery: u16,
    /// Where the stores are.
    data: String,
}

/// The file that the pod would mount, with this machine's addresses.
fn config(all: &[Manifest], here: &Here) -> Result<String> {
    let is = |m: &&Manifest| m.kind == "ConfigMap" && !m.at("/data/reprise.toml").is_null();
    let map = all.iter().find(is).context("no ConfigMap has a reprise.toml")?;
    let text = map.at("/data/reprise.toml").as_str().unwrap_or_default();
    let mut table: toml::Table = toml::from_str(text).with_context(|| map.to_string())?;
    let local = |port: u16| toml::Value::from(format!("127.0.0.1:{port}"));
    table.insert("listen".into(), local(here.grpc));
    table.insert("admin".into(), local(here.admin));
    // Any free port: nobody asks there.
    table.insert("probes".into(), local(0));
    table.insert("data".into(), here.data.clone().into());
    if let Some(log) = table.get_mut("log").and_then(toml::Value::as_table_mut) {
        log.insert("delivery".into(), local(here.delivery));
    }
    Ok(toml::to_string(&table)?)
}
