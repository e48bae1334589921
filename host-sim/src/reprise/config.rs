//! What a process `reprise` is configured to do: the defaults of its configuration file with the
//! times of the scenario's detection time, and what the scenario sets in place of them.

use crate::kernel::{MS, Micros, NodeId};
use protocol::fields::{Fields, Problems};
use protocol::{Replica, names};
use replay_log::journal::JournalConfig;
use replay_log::log::LogConfig;
use scenario::{Mirror, Process, Range, Scenario, What};
use serde_json::Value;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// How long the journal keeps an unused session in memory; it stays on disk.
const CACHED_MS: u64 = 600_000;

/// What our headers are called on a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderNames {
    /// Request: the stamp.
    pub stamp: String,
    /// Response: the guard's word.
    pub word: String,
    /// Request: steers the routes of the delivery listener.
    pub route: String,
}

/// Section `[log]`.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// What the engine is told.
    pub engine: LogConfig,
    /// The longest that a delivery may take.
    pub delivery_timeout: Micros,
    /// What our headers are called.
    pub headers: HeaderNames,
}

/// The replay log of a process that keeps it.
#[derive(Clone, Debug)]
pub struct LogPart {
    /// The Envoy of this site, through which it delivers.
    pub edge_envoy: NodeId,
    /// Its configuration.
    pub settings: LogSettings,
    /// How far back its disk can be put.
    pub keep: Micros,
}

/// A whole process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shop.
    pub shop: u32,
    /// The replay log, at the edge.
    pub log: Option<LogPart>,
    /// The journal of the replica of this site.
    pub journal: JournalConfig,
    /// How far back the journal's disk can be put.
    pub keep: Micros,
    /// How long one sync of a disk takes.
    pub sync_us: Range,
}

impl Config {
    /// The `reprise` of an edge: the log, and the journal of the secondary.
    pub fn edge(
        scenario: &Scenario,
        service: &str,
        shop: u32,
        edge_envoy: NodeId,
    ) -> Result<Config, String> {
        let settings = log(scenario, service)?;
        let takeover_ms = Some(settings.engine.takeover_ms);
        let keep = oldest(scenario, Process::EdgeReprise, shop);
        let log = Some(LogPart { edge_envoy, settings, keep });
        let journal = journal(scenario, service, Replica::Secondary, takeover_ms)?;
        Ok(Config { shop, log, journal, keep: 0, sync_us: scenario.normal.sync_us })
    }

    /// The `reprise` of a shop in the cloud: the journal of the primary.
    pub fn cloud(scenario: &Scenario, service: &str, shop: u32) -> Result<Config, String> {
        let journal = journal(scenario, service, Replica::Primary, None)?;
        let keep = oldest(scenario, Process::CloudReprise, shop);
        Ok(Config { shop, log: None, journal, keep, sync_us: scenario.normal.sync_us })
    }
}

/// How far back a scenario may put the store of a process.
fn oldest(scenario: &Scenario, of: Process, shop: u32) -> Micros {
    let ages = scenario.faults.iter().filter_map(|fault| match &fault.what {
        What::Store(old) if old.of == of && fault.shop.is_none_or(|s| s == shop) => old.age_ms,
        _ => None,
    });
    ages.max().unwrap_or(0).saturating_mul(MS)
}

/// Reads a section; the error names all its problems.
fn section<T>(
    path: &str,
    keys: &serde_json::Map<String, Value>,
    read: impl FnOnce(&mut Fields<'_>, &mut Problems) -> T,
) -> Result<T, String> {
    let (value, mut problems) = (Value::Object(keys.clone()), Problems::default());
    let mut fields = Fields::at(path.to_string(), Some(&value), &mut problems);
    let read = read(&mut fields, &mut problems);
    fields.finish(&mut problems);
    problems.into_result().map_err(|problems| problems.join("\n"))?;
    Ok(read)
}

fn log(scenario: &Scenario, service: &str) -> Result<LogSettings, String> {
    let (stack, detect) = (&scenario.stack, scenario.detect_ms);
    section("stack.log", &stack.log, |fields, problems| {
        let mirrored = fields.choice("mirror", &[("log", false), ("envoy", true)], problems);
        let mirrored = mirrored.unwrap_or(stack.mirror == Mirror::Envoy);
        let cluster = fields.string("mirror_cluster", problems).unwrap_or("secondary-guard");
        let mirror_cluster = mirrored.then(|| cluster.to_string());
        let sole = fields.choice("gateways", &[("sole", true), ("shared", false)], problems);
        let headers = headers(fields.object("headers", problems), problems);
        let mut number = |key, default, range| fields.number(key, default, range, problems);
        let parallel = number("delivery_parallel", 64, 1..=4096);
        let timeout_ms = number("delivery_timeout_ms", 2 * detect, 100..=600_000);
        let engine = LogConfig {
            service: service.to_string(),
            mirror_cluster,
            sole_gateway: sole.unwrap_or(stack.gateways <= 1),
            takeover_ms: number("takeover_ms", detect / 2, 10..=60_000),
            delivery_parallel: usize::try_from(parallel).unwrap_or(usize::MAX),
            delivery_per_second: number("delivery_per_second", 0, 0..=1_000_000),
            handback_hold_ms: number("handback_hold_ms", 300, 0..=10_000),
            mirror_grace_ms: number("mirror_grace_ms", 200, 0..=60_000),
            remember_ids_ms: number("remember_ids_ms", DAY_MS, 1000..=365 * DAY_MS),
            remember_ids_bytes: number("remember_ids_bytes", 256 << 20, 1 << 16..=1 << 40),
            session_idle_ms: number("session_idle_ms", 7 * DAY_MS, 1000..=365 * DAY_MS),
            max_entries: number("max_entries", 4_000_000, 1000..=1_000_000_000),
            max_bytes: number("max_bytes", 8 << 30, 1 << 16..=1 << 50),
        };
        if engine.takeover_ms >= timeout_ms {
            let (path, found) = (fields.path("takeover_ms"), engine.takeover_ms);
            let what =
                format!("must be less than delivery_timeout_ms ({timeout_ms}), found {found}");
            problems.add(&path, what);
        }
        LogSettings { engine, delivery_timeout: timeout_ms * MS, headers }
    })
}

fn headers(mut fields: Fields<'_>, problems: &mut Problems) -> HeaderNames {
    let [mut stamp, mut word, mut route] =
        [names::STAMP, names::WORD, names::ROUTE].map(String::from);
    let all = [("stamp", &mut stamp), ("word", &mut word), ("route", &mut route)];
    fields.header_names(all, problems);
    fields.finish(problems);
    HeaderNames { stamp, word, route }
}

fn journal(
    scenario: &Scenario,
    service: &str,
    replica: Replica,
    takeover_ms: Option<u64>,
) -> Result<JournalConfig, String> {
    section("stack.journal", &scenario.stack.journal, |fields, problems| JournalConfig {
        service: service.to_string(),
        replica,
        remember_bytes: fields.number("remember_bytes", 64 << 20, 0..=1 << 40, problems),
        session_idle_ms: CACHED_MS,
        takeover_ms,
    })
}
