//! The kinds of the Prometheus operator (`monitoring.coreos.com/v1`), field by field from its API
//! reference for v0.85: of each kind the fields that are used here.
#![expect(dead_code, reason = "most fields are read only to be checked")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, de};

use crate::{Manifest, strict};

/// What is wrong with an object of the Prometheus operator; `None` if it is none.
pub fn problems(manifest: &Manifest) -> Option<Vec<String>> {
    if manifest.api_version != "monitoring.coreos.com/v1" {
        return None;
    }
    Some(match manifest.kind.as_str() {
        "ServiceMonitor" => strict::custom::<ServiceMonitor>(manifest),
        "PodMonitor" => strict::custom::<PodMonitor>(manifest),
        "PrometheusRule" => strict::custom::<PrometheusRule>(manifest),
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceMonitor {
    selector: LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodMonitor {
    selector: LabelSelector,
    pod_metrics_endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    port: Option<String>,
    path: Option<String>,
    interval: Option<Interval>,
    honor_labels: Option<bool>,
    metric_relabelings: Option<Vec<Relabeling>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Relabeling {
    source_labels: Option<Vec<String>>,
    regex: Option<String>,
    action: Option<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Replace,
    Keep,
    Drop,
    Labeldrop,
    Labelkeep,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrometheusRule {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    interval: Option<Interval>,
    rules: Vec<Rule>,
}

/// An alert; recording rules are not used here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    r#for: Option<Interval>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// A duration as Prometheus writes it: `1m`, `1h30m`.
struct Interval(String);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut rest = text.as_str();
        for unit in ["y", "w", "d", "h", "m", "s", "ms"] {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (_, after) = rest.split_at(digits);
            let ends = after.strip_prefix(unit);
            // `m` is not the beginning of `ms`.
            let ends = ends.filter(|_| unit != "m" || !after.starts_with("ms"));
            rest = ends.filter(|_| digits > 0).unwrap_or(rest);
        }
        match rest.is_empty() && !text.is_empty() {
            true => Ok(Self(text)),
            false => Err(de::Error::custom(format_args!("{text:?} is no duration"))),
        }
    }
}
