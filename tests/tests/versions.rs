//! Filter and `reprise` one release apart, in both directions; upgrades, rollbacks and a canary.
//! The release before this one is built from the history of this repository.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Context as _, Result, ensure};
use demo::load::{Load, LoadOptions, Outcome};
use demo::relay::Mode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Sites, sites_test};
use xtask::stack::{Process, StackOptions};
use xtask::tools::{Release, Tools, previous_release};

/// Long enough for some hundred writes.
const A_WHILE: Duration = Duration::from_millis(1500);
/// The sessions that are given the new filter have ids that begin so.
const CANARY: &str = "canary-";

/// The release before this one; without it the stack says which file it misses.
fn previous() -> Release {
    previous_release().unwrap_or_else(|error| {
        let missing = PathBuf::from(format!("({error:#})"));
        Release { reprise: missing.clone(), filter: missing }
    })
}

fn this() -> Result<Release> {
    let tools = Tools::find(None)?;
    Ok(Release { reprise: tools.reprise, filter: tools.filter })
}

fn all_previous(options: &mut StackOptions) {
    let previous = previous();
    (options.reprise, options.filter) = (Some(previous.reprise), Some(previous.filter));
}

/// Load, a cut in the middle of it, the return, and every promise checked; nobody is told of it.
async fn cut_and_return(sites: &Sites) -> Result<()> {
    let load = Load::start(sites.load());
    tokio::time::sleep(A_WHILE).await;
    sites.link.set(Mode::Hole).await?;
    tokio::time::sleep(A_WHILE).await;
    sites.mend().await?;
    tokio::time::sleep(A_WHILE).await;
    let (record, _) = sites.judge(load).await?;
    let failed = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).count();
    ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}

#[test]
fn the_releases_are_two() -> Result<()> {
    let (this, previous) = (this()?, previous());
    ensure!(std::fs::read(this.filter)? != std::fs::read(previous.filter)?);
    let version = |reprise: &Path| -> Result<String> {
        let said = std::process::Command::new(reprise).arg("--version").output()?;
        Ok(String::from_utf8(said.stdout)?)
    };
    ensure!(version(&this.reprise)? != version(&previous.reprise)?);
    Ok(())
}

sites_test! {
    async fn the_last_releases_filter_works_with_this_reprise(sites, |options| {
        options.filter = Some(previous().filter);
    }) {
        cut_and_return(&sites).await?;
    }
}

sites_test! {
    async fn this_filter_works_with_the_last_releases_reprise(sites, |options| {
        options.reprise = Some(previous().reprise);
    }) {
        cut_and_return(&sites).await?;
    }
}

/// Replaces a part by one of another release: an Envoy hot, a `reprise` by an orderly end.
async fn replace(sites: &Sites, process: Process, release: &Release) -> Result<()> {
    sites.stack.give(process, release)?;
    if matches!(process, Process::EdgeEnvoy | Process::CloudEnvoy) {
        sites.stack.restart_hot(process).await?;
        return sites.stack.elders_end().await;
    }
    sites.stack.terminate(process).await?;
    sites.stack.restart(process).await
}

sites_test! {
    async fn an_upgrade_part_by_part_and_its_rollback_in_a_cut_keep_every_promise(sites, |options| {
        all_previous(options);
        options.hot_restart_s = Some(3);
    }) {
        let load = Load::start(LoadOptions { retries: 100, ..sites.load() });
        let (this, previous) = (this()?, previous());
        for process in Process::ALL {
            replace(&sites, process, &this).await.context(process.name())?;
        }
        // A backlog that this release has written, and the last one has to deliver.
        sites.link.set(Mode::Refuse).await?;
        tokio::time::sleep(A_WHILE).await;
        for process in Process::ALL.into_iter().rev() {
            replace(&sites, process, &previous).await.context(process.name())?;
        }
        let behind = sites.log().await?["backlog"]["primary"].as_u64();
        ensure!(behind > Some(0), "there was no backlog to take over: {behind:?}");
        sites.mend().await?;
        tokio::time::sleep(A_WHILE).await;
        let record = sites.stop_resolving(load).await?;
        sites.judge_record(&record).await?;
        let failed = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).count();
        ensure!(failed == 0, "{failed} requests failed for good");
    }
}

/// The filter of `release` beside the one that is there, for the sessions of the canary: each
/// route once more before itself, with one filter enabled and the other one not.
fn with_canary(envoy: &Path, release: &Release) -> Result<()> {
    let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(envoy)?)?;
    let listeners = config["static_resources"]["listeners"].as_array_mut();
    let clients = listeners.into_iter().flatten().find(|listener| listener["name"] == "clients");
    let clients = clients.context("no listener `clients`")?;
    let manager = &mut clients["filter_chains"][0]["filters"][0]["typed_config"];
    let filters = manager["http_filters"].as_array_mut().context("no filters")?;
    let mut canary = filters.first().context("no filter")?.clone();
    canary["name"] = "reprise.gateway-canary".into();
    canary["disabled"] = true.into();
    let plugin = &mut canary["typed_config"]["config"];
    plugin["name"] = "reprise-gateway-canary".into();
    plugin["vm_config"]["vm_id"] = "reprise-gateway-canary".into();
    // By this it is told from the other one: it refuses what the other one removes.
    let mut role: Value =
        serde_json::from_str(plugin["configuration"]["value"].as_str().unwrap_or_default())?;
    role["strict"] = true.into();
    plugin["configuration"]["value"] = role.to_string().into();
    plugin["vm_config"]["code"]["local"]["filename"] = release.filter.to_str().into();
    filters.insert(1, canary);
    let set = |disabled: bool| {
        json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "config": {}, "disabled": disabled,
        })
    };
    let host = &mut manager["route_config"]["virtual_hosts"][0];
    let routes = host["routes"].as_array_mut().context("no routes")?;
    let of_canary = routes.iter().map(|route| {
        let mut route = route.clone();
        let of_session = json!({"name": "x-session-id", "string_match": {"prefix": CANARY}});
        match route["match"]["headers"].as_array_mut() {
            Some(headers) => headers.push(of_session),
            None => route["match"]["headers"] = json!([of_session]),
        }
        route["typed_per_filter_config"] =
            json!({"reprise.gateway": set(true), "reprise.gateway-canary": set(false)});
        route
    });
    let of_canary: Vec<Value> = of_canary.collect();
    routes.splice(0..0, of_canary);
    Ok(std::fs::write(envoy, serde_json::to_string_pretty(&config)?)?)
}

sites_test! {
    async fn a_canary_of_the_filter_serves_its_sessions_beside_the_last_release(sites, |options| {
        options.filter = Some(previous().filter);
        options.log_extra.insert("gateways".into(), "shared".into());
    }) {
        with_canary(&sites.stack.data.join("edge.yaml"), &this()?)?;
        sites.stack.restart(Process::EdgeEnvoy).await?;
        let of = |prefix: &str| LoadOptions { prefix: prefix.into(), ..sites.load() };
        let (canary, stable) = (Load::start(of(CANARY)), Load::start(of("s")));
        tokio::time::sleep(A_WHILE).await;
        sites.link.set(Mode::Hole).await?;
        tokio::time::sleep(A_WHILE).await;
        sites.mend().await?;
        tokio::time::sleep(A_WHILE).await;
        let (canary, stable) = tokio::join!(canary.stop(), stable.stop());
        let histories = canary.histories().into_iter().chain(stable.histories()).collect::<Vec<_>>();
        sites.judge_histories(&histories).await?;
        let bad = |op: &&demo::load::Op| op.stale || op.outcome != Outcome::Ok;
        let failed = canary.ops.iter().chain(&stable.ops).filter(bad).count();
        ensure!(failed == 0, "{failed} requests failed or read what was stale");
        for (session, status) in [("canary-probe", 400), ("probe", 200)] {
            let write = sites.client.write(session, "probe").header("x-reprise-time", "1");
            let answer = write.send().await?;
            ensure!(answer.status == status, "{session}: {answer:?}");
        }
    }
}
