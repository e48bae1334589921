//! The configuration of a site's reprise, from its ConfigMap.

use anyhow::{Context as _, Result};
use manifests::Manifest;

/// What differs on this machine from a pod.
#[derive(Debug)]
pub struct Here {
    /// gRPC.
    pub grpc: u16,
    /// The page that decides.
    pub admin: u16,
    /// Where the log delivers, if there is one.
    pub delivery: u16,
    /// Where the stores are.
    pub data: String,
}

/// The file that the pod would mount, with this machine's addresses.
pub fn config(all: &[Manifest], here: &Here) -> Result<String> {
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
