//! The configuration file: read, checked as a whole, and then trusted.
//!
//! All problems are reported at once, each with the path of its key.

mod check;
#[cfg(test)]
mod tests;

use http::HeaderName;
use http::uri::Authority;
use protocol::fields::{Fields, Problems};
use protocol::{Replica, names};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A whole configuration.
#[derive(Debug)]
pub struct Config {
    /// The service whose writes these are.
    pub service: String,
    /// Where the gRPC streams come in.
    pub listen: SocketAddr,
    /// Where the admin page is.
    pub admin: SocketAddr,
    /// Where the probes' page is, if there is one.
    pub probes: Option<SocketAddr>,
    /// Where the stores are.
    pub store: Store,
    /// New writes are refused while the stores' file system has fewer bytes free.
    pub min_free_bytes: u64,
    /// The replay log, if this site keeps it.
    pub log: Option<LogSection>,
    /// The journal, if this site has a replica.
    pub journal: Option<JournalSection>,
}

/// Where records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory: lost with the process.
    Memory,
    /// On disk, the log and the journal in a directory each.
    Disk(Engine, PathBuf),
}

/// What keeps records on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// fjall.
    Fjall,
    /// sled.
    Sled,
}

impl Engine {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Fjall => "fjall",
            Engine::Sled => "sled",
        }
    }
}

/// Section `[log]`.
#[derive(Debug)]
pub struct LogSection {
    /// The delivery listener of this site's Envoy.
    pub delivery: Authority,
    /// Where Envoy mirrors numbered writes to, if it does.
    pub mirror_cluster: Option<String>,
    /// Only one gateway Envoy may be connected.
    pub sole_gateway: bool,
    /// When a write that nobody reported the end of is delivered, milliseconds after numbering.
    pub takeover_ms: u64,
    /// The longest that a delivery may take.
    pub delivery_timeout: Duration,
    /// Sessions delivered at once, per replica.
    pub delivery_parallel: usize,
    /// Deliveries begun in a second, per replica; 0: no bound.
    pub delivery_per_second: u64,
    /// The longest that a hand-back holds writes, milliseconds.
    pub handback_hold_ms: u64,
    /// How long the mirror has before the log delivers, milliseconds.
    pub mirror_grace_ms: u64,
    /// How long ids are remembered, milliseconds.
    pub remember_ids_ms: u64,
    /// Bytes that remembered ids may take.
    pub remember_ids_bytes: u64,
    /// When an idle session is closed, milliseconds.
    pub session_idle_ms: u64,
    /// Unsettled entries that there may be.
    pub max_entries: u64,
    /// Bytes that they may take.
    pub max_bytes: u64,
    /// What our headers are called on a delivery.
    pub headers: Headers,
}

/// Section `[log.headers]`: the names that the filters use, so that their guards understand
/// deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Request: the stamp.
    pub stamp: HeaderName,
    /// Response: the guard's word.
    pub word: HeaderName,
    /// Request: steers the routes of the delivery listener.
    pub route: HeaderName,
}

/// Section `[journal]`.
#[derive(Debug)]
pub struct JournalSection {
    /// The replica of this site.
    pub replica: Replica,
    /// Bytes that remembered responses may take.
    pub remember_bytes: u64,
}

/// Reads a configuration file; `Err` holds all its problems.
pub fn load(file: &Path) -> Result<Config, Vec<String>> {
    let text = std::fs::read_to_string(file)
        .map_err(|cause| vec![format!("cannot read {}: {cause}", file.display())])?;
    parse(&text)
}

/// Reads the text of a configuration file.
pub fn parse(text: &str) -> Result<Config, Vec<String>> {
    let value: Value = toml::from_str(text)
        .map_err(|cause| vec![format!("not TOML: {}", cause.to_string().trim())])?;
    let mut problems = Problems::default();
    let config = root(&value, &mut problems);
    if let Some(config) = &config {
        check::whole(config, &mut problems);
    }
    problems.into_result()?;
    config.ok_or_else(|| vec!["the configuration cannot be read".into()])
}

fn root(value: &Value, problems: &mut Problems) -> Option<Config> {
    let mut fields = Fields::root(value, problems);
    let service = fields.required("service", problems).to_string();
    let listen = socket(&mut fields, "listen", Some("127.0.0.1:7400"), problems);
    let admin = socket(&mut fields, "admin", Some("127.0.0.1:7401"), problems);
    let probes = socket(&mut fields, "probes", None, problems);
    let store = store(&mut fields, problems);
    let min_free_bytes = fields.number("min_free_bytes", 128 << 20, 0..=1 << 50, problems);
    let log = fields.has("log").then(|| log(fields.object("log", problems), problems));
    let journal =
        fields.has("journal").then(|| journal(fields.object("journal", problems), problems));
    if log.is_none() && journal.is_none() {
        // Asked for, so that an unknown key's list of known ones has them.
        let _ = (fields.raw("log"), fields.raw("journal"));
        problems.add("", "there must be a [log], a [journal] or both");
    }
    fields.finish(problems);
    // What could not be read has been reported.
    let whole = !matches!((&log, &journal), (Some(None), _) | (_, Some(None)));
    let (log, journal) = (log.flatten(), journal.flatten());
    let (listen, admin) = (listen?, admin?);
    whole.then_some(Config { service, listen, admin, probes, store, min_free_bytes, log, journal })
}

/// An address of this machine; without a default there may be none.
fn socket(
    fields: &mut Fields,
    key: &'static str,
    default: Option<&str>,
    problems: &mut Problems,
) -> Option<SocketAddr> {
    let text = match fields.has(key) {
        true => fields.string(key, problems)?,
        false => {
            let _ = fields.raw(key);
            default?
        }
    };
    let address = text.parse().ok();
    if address.is_none() {
        let example = default.unwrap_or("0.0.0.0:7408");
        let what = format!("expected IP:PORT like {example}, found \"{text}\"");
        problems.add(&fields.path(key), what);
    }
    address
}

fn store(fields: &mut Fields, problems: &mut Problems) -> Store {
    let data = fields.string("data", problems).unwrap_or("/var/lib/reprise");
    if data.is_empty() {
        problems.add(&fields.path("data"), "must not be empty");
    }
    let engines = [("fjall", Some(Engine::Fjall)), ("sled", Some(Engine::Sled)), ("memory", None)];
    match fields.choice("store", &engines, problems).unwrap_or(Some(Engine::Fjall)) {
        Some(engine) => Store::Disk(engine, data.into()),
        None => Store::Memory,
    }
}

fn log(mut fields: Fields, problems: &mut Problems) -> Option<LogSection> {
    let delivery = listener(&mut fields, "delivery", problems);
    let mirrored = fields.choice("mirror", &[("log", false), ("envoy", true)], problems);
    let cluster = fields.string("mirror_cluster", problems).unwrap_or("secondary-guard");
    if cluster.is_empty() {
        problems.add(&fields.path("mirror_cluster"), "must not be empty");
    }
    let sole = fields.choice("gateways", &[("sole", true), ("shared", false)], problems);
    let mut number = |key, default, range| fields.number(key, default, range, problems);
    let takeover_ms = number("takeover_ms", 500, 10..=60_000);
    let delivery_timeout = number("delivery_timeout_ms", 2000, 100..=600_000);
    let delivery_parallel = number("delivery_parallel", 64, 1..=4096);
    let delivery_per_second = number("delivery_per_second", 0, 0..=1_000_000);
    let handback_hold_ms = number("handback_hold_ms", 300, 0..=10_000);
    let mirror_grace_ms = number("mirror_grace_ms", 200, 0..=60_000);
    let remember_ids_ms = number("remember_ids_ms", DAY_MS, 1000..=365 * DAY_MS);
    let remember_ids_bytes = number("remember_ids_bytes", 256 << 20, 1 << 16..=1 << 40);
    let session_idle_ms = number("session_idle_ms", 7 * DAY_MS, 1000..=365 * DAY_MS);
    let max_entries = number("max_entries", 4_000_000, 1000..=1_000_000_000);
    let max_bytes = number("max_bytes", 8 << 30, 1 << 16..=1 << 50);
    let headers = headers(fields.object("headers", problems), problems);
    fields.finish(problems);
    Some(LogSection {
        delivery: delivery?,
        mirror_cluster: mirrored.unwrap_or(false).then(|| cluster.to_string()),
        sole_gateway: sole.unwrap_or(true),
        takeover_ms,
        delivery_timeout: Duration::from_millis(delivery_timeout),
        delivery_parallel: delivery_parallel as usize,
        delivery_per_second,
        handback_hold_ms,
        mirror_grace_ms,
        remember_ids_ms,
        remember_ids_bytes,
        session_idle_ms,
        max_entries,
        max_bytes,
        headers: headers?,
    })
}

fn headers(mut fields: Fields, problems: &mut Problems) -> Option<Headers> {
    let [mut stamp, mut word, mut route] =
        [names::STAMP, names::WORD, names::ROUTE].map(String::from);
    let all = [("stamp", &mut stamp), ("word", &mut word), ("route", &mut route)];
    fields.header_names(all, problems);
    fields.finish(problems);
    // What is no name has been reported.
    let name = |text: String| HeaderName::try_from(text).ok();
    Some(Headers { stamp: name(stamp)?, word: name(word)?, route: name(route)? })
}

/// The address of a listener of Envoy; a name will do as well as an IP address.
fn listener(fields: &mut Fields, key: &'static str, problems: &mut Problems) -> Option<Authority> {
    let text = fields.required(key, problems);
    if text.is_empty() {
        return None;
    }
    let authority = text.parse::<Authority>().ok();
    let authority = authority.filter(|a| {
        a.port_u16().is_some_and(|port| port != 0) && !a.host().is_empty() && !text.contains('@')
    });
    if authority.is_none() {
        let what = format!("expected HOST:PORT like 127.0.0.1:7402, found \"{text}\"");
        problems.add(&fields.path(key), what);
    }
    authority
}

fn journal(mut fields: Fields, problems: &mut Problems) -> Option<JournalSection> {
    let replicas = [("primary", Replica::Primary), ("secondary", Replica::Secondary)];
    if !fields.has("replica") {
        let _ = fields.required("replica", problems);
    }
    let replica = fields.choice("replica", &replicas, problems);
    let remember_bytes = fields.number("remember_bytes", 64 << 20, 0..=1 << 40, problems);
    fields.finish(problems);
    Some(JournalSection { replica: replica?, remember_bytes })
}
