//! What is watched exists: alerts and the dashboard name only metrics of `docs/metrics.md`, and what
//! is said there to be a worry in any case has an alert.

mod laid_out;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use laid_out::LaidOut;
use manifests::Manifest;
use serde_json::Value;
use xtask::{repo, tools};

/// Envoy's own that are used; the monitors keep them.
const OF_ENVOY: [&str; 2] =
    ["envoy_cluster_upstream_rq_retry", "envoy_cluster_upstream_rq_timeout"];

/// Metrics as Prometheus shows them, and when to worry.
fn documented() -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(repo::root().join("docs/metrics.md"))?;
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.split(" | ").collect();
        let name = cells.first()?.strip_prefix("| `")?.strip_suffix('`')?;
        // Envoy leaves the namespace out, and writes dots as underscores.
        let name = name.strip_prefix("wasmcustom.").unwrap_or(name).replace('.', "_");
        Some((name, cells.last()?.trim_end_matches(" |").to_owned()))
    });
    Ok(rows.collect())
}

/// The names in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("reprise_") || word.starts_with("envoy_c"))
}

fn watching() -> Result<Vec<Manifest>> {
    LaidOut::new()?.render("plain-envoy/edge")
}

fn find<'a>(manifests: &'a [Manifest], kind: &str, name: &str) -> Result<&'a Manifest> {
    let found = manifests.iter().find(|m| m.kind == kind && m.name.starts_with(name));
    found.with_context(|| format!("no {kind} {name}"))
}

fn rules(manifests: &[Manifest]) -> Result<Vec<&Value>> {
    let groups = find(manifests, "PrometheusRule", "reprise")?.at("/spec/groups");
    let groups = groups.as_array().into_iter().flatten();
    Ok(groups.flat_map(|group| group["rules"].as_array().into_iter().flatten()).collect())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn alerts_name_metrics_that_exist_and_say_what_to_do() -> Result<()> {
    let (documented, manifests) = (documented()?, watching()?);
    let mut seen = BTreeSet::new();
    for rule in rules(&manifests)? {
        let alert = text(rule, "alert");
        ensure!(seen.insert(alert), "{alert} is there twice");
        let mut named = names(text(rule, "expr")).peekable();
        ensure!(named.peek().is_some(), "{alert} names no metric");
        for name in named {
            ensure!(documented.contains_key(name), "{alert}: docs/metrics.md has no {name}");
        }
        for key in ["summary", "do"] {
            ensure!(text(&rule["annotations"], key).len() > 20, "{alert} has no {key}");
        }
        let severity = text(&rule["labels"], "severity");
        ensure!(["warning", "critical"].contains(&severity), "{alert}: {severity}");
    }
    Ok(())
}

#[test]
fn what_is_a_worry_in_any_case_has_an_alert() -> Result<()> {
    let manifests = watching()?;
    let watched: BTreeSet<&str> =
        rules(&manifests)?.into_iter().flat_map(|rule| names(text(rule, "expr"))).collect();
    let worries = documented()?;
    let always = worries.iter().filter(|(_, worry)| {
        let begins = ["above 0", "1:", "0:", "0 anywhere"];
        begins.iter().any(|begin| worry.starts_with(begin))
    });
    let missing: Vec<_> = always.filter(|(name, _)| !watched.contains(name.as_str())).collect();
    ensure!(missing.is_empty(), "no alert for {missing:?}");
    Ok(())
}

#[test]
fn the_dashboard_shows_metrics_that_exist_and_that_are_kept() -> Result<()> {
    let (documented, manifests) = (documented()?, watching()?);
    let dashboard = find(&manifests, "ConfigMap", "reprise-dashboard")?;
    let json = dashboard.at("/data/reprise.json").as_str().context("no dashboard")?;
    let dashboard: Value = serde_json::from_str(json)?;
    let monitor = find(&manifests, "PodMonitor", "envoys")?;
    let kept = monitor.at("/spec/podMetricsEndpoints/0/metricRelabelings/0/regex").to_string();
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = text(panel, "title");
        ensure!(ids.insert(panel["id"].as_u64()), "{title}: its id is there twice");
        for target in panel["targets"].as_array().into_iter().flatten() {
            for name in names(text(target, "expr")).filter(|name| *name != "envoy_cluster_name") {
                let ours = documented.contains_key(name);
                let last = name.rsplit('_').next().unwrap_or_default();
                ensure!(
                    ours || (OF_ENVOY.contains(&name) && kept.contains(last)),
                    "{title}: there is no {name}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn the_label_of_the_service_is_the_one_that_reprise_gives() -> Result<()> {
    let manifests = watching()?;
    let monitor = find(&manifests, "ServiceMonitor", "reprise")?;
    let honours = monitor.at("/spec/endpoints/0/honorLabels");
    ensure!(honours == true, "without honorLabels the label `service` is the Service's name");
    Ok(())
}

#[test]
fn promtool_finds_that_the_alerts_fire_as_they_should_where_it_is_installed() -> Result<()> {
    let Some(promtool) = tools::on_path("promtool") else {
        println!("skipped: there is no promtool on the PATH (Debian: install prometheus)");
        return Ok(());
    };
    let manifests = watching()?;
    let dir = tempfile::tempdir()?;
    // JSON is YAML too.
    let rules = find(&manifests, "PrometheusRule", "reprise")?.at("/spec").to_string();
    std::fs::write(dir.path().join("rules.json"), rules)?;
    std::fs::write(dir.path().join("alerts.yaml"), include_str!("alerts.yaml"))?;
    for task in [["check", "rules", "rules.json"], ["test", "rules", "alerts.yaml"]] {
        let output = Command::new(&promtool).args(task).current_dir(dir.path()).output()?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "{task:?}: {}", String::from_utf8_lossy(&said));
    }
    Ok(())
}
