//! The filter under `capability_restriction_config`: what is on `filter/capabilities.txt` is enough
//! for both roles, and what is left out is not done.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use demo::load::{Load, Outcome};
use demo::relay::Mode;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tests::{Sites, labels, sites_test};
use xtask::dist::capabilities;
use xtask::stack::Process;

/// The line of our files that the restriction is put before, for each filter.
const POLICY: &str = "failure_policy: FAIL_RELOAD\n";

/// Restarts an Envoy so that its filters may do only what is named.
async fn restrict(sites: &Sites, envoy: Process, allowed: &BTreeSet<String>) -> Result<()> {
    let (file, filters) = match envoy {
        Process::EdgeEnvoy => ("edge.yaml", 2),
        _ => ("cloud.yaml", 1),
    };
    let path = sites.stack.data.join(file);
    let text = std::fs::read_to_string(&path)?;
    ensure!(text.matches(POLICY).count() == filters, "{file} has not {filters} filters");
    let allowed: serde_json::Map<_, _> =
        allowed.iter().map(|name| (name.clone(), json!({}))).collect();
    let restriction = json!({"allowed_capabilities": allowed});
    let indent = " ".repeat(16);
    let line = format!("capability_restriction_config: {restriction}\n{indent}{POLICY}");
    std::fs::write(&path, text.replace(POLICY, &line))?;
    sites.stack.restart(envoy).await
}

fn all_but(name: &str) -> Result<BTreeSet<String>> {
    let mut list = capabilities()?;
    ensure!(list.remove(name), "{name} is not listed");
    Ok(list)
}

sites_test! {
    async fn what_is_listed_is_enough_for_gateway_and_guard_through_a_cut(sites) {
        for envoy in [Process::EdgeEnvoy, Process::CloudEnvoy] {
            restrict(&sites, envoy, &capabilities()?).await?;
        }
        sites.write("s", "before").await?;
        let load = Load::start(sites.load());
        tokio::time::sleep(Duration::from_secs(1)).await;
        sites.cut(Mode::Refuse).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        sites.mend().await?;
        let (record, _) = sites.judge(load).await?;
        let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
        ensure!(failed.is_empty(), "{} requests failed: {:?}", failed.len(), failed.first());
        let repeated = sites.client.write("s", "again").key("k");
        ensure!(repeated.send().await?.status == 200);
        let repeated = sites.client.write("s", "again").key("k").send().await?;
        ensure!(repeated.header("x-reprise-replayed") == "remembered", "{repeated:?}");
        sites.both_hold("s", &["before", "again"]).await?;
        let logs = sites.stack.dump_logs();
        ensure!(!logs.contains("panicked"), "{logs}");
    }
}

sites_test! {
    async fn a_call_that_is_left_out_is_a_503_and_reaches_no_replica(sites) {
        restrict(&sites, Process::EdgeEnvoy, &all_but("proxy_grpc_send")?).await?;
        let answer = sites.client.write("s", "forbidden").send().await?;
        ensure!(answer.status == 503, "{answer:?}");
        for till in [&sites.primary, &sites.secondary] {
            ensure!(labels(till, "s").await?.is_empty(), "it ran");
        }
    }
}

sites_test! {
    async fn a_callback_that_is_left_out_of_the_gateway_ends_at_the_guard(sites) {
        restrict(&sites, Process::EdgeEnvoy, &all_but("proxy_on_request_headers")?).await?;
        let answer = sites.client.write("s", "unseen").send().await?;
        ensure!(answer.status >= 400, "{answer:?}");
        for till in [&sites.primary, &sites.secondary] {
            ensure!(labels(till, "s").await?.is_empty(), "it ran");
        }
    }
}
