//! A log that is full refuses writes, with a reason; one whose container is full is killed, and reads
//! the same backlog when it starts again. So the container has room for what the log may hold.

use serde_json::Value;

use super::reprise;
use crate::Manifest;
use crate::pods::containers;

const MIB: u64 = 1 << 20;

pub(super) fn problems(manifests: &[Manifest]) -> Vec<String> {
    let Some(log) = reprise(manifests).and_then(|config| config.get("log").cloned()) else {
        return Vec::new();
    };
    let entries = log.get("max_entries").and_then(toml::Value::as_integer);
    let Some(entries) = entries.and_then(|entries| u64::try_from(entries).ok()) else {
        return vec!["reprise.toml: max_entries must fit the container's memory: say it".into()];
    };
    // As `reprise size` reckons.
    let needed = (128 * MIB + 280 * entries) / 2 * 3;
    let sets = manifests.iter().filter(|m| m.kind == "StatefulSet" && m.name == "reprise");
    let limits = sets.flat_map(|set| {
        containers(set.at("/spec/template/spec"))
            .filter(|container| container["name"] == "reprise")
            .map(|container| &container["resources"]["limits"]["memory"])
    });
    limits
        .filter(|limit| bytes(limit).is_none_or(|limit| limit < needed))
        .map(|limit| {
            let needed = needed.div_ceil(MIB);
            format!("reprise: {entries} entries need {needed} MiB, its limit of memory is {limit}")
        })
        .collect()
}

fn bytes(quantity: &Value) -> Option<u64> {
    let text = quantity.as_str()?;
    let units = [("Gi", 1024 * MIB), ("Mi", MIB)];
    units.iter().find_map(|(unit, size)| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * size))
}
