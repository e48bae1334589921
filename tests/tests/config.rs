//! What a configuration makes of the stack: refused, slow, rolled, and with other names.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::load::{Load, LoadOptions, Outcome};
use demo::relay::Mode;
use http::Method;
use serde_json::json;
use std::time::Duration;
use tests::client::Client;
use tests::{Sites, UNTIL_BACK, sites_test};
use xtask::stack::{Process, SessionSource};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_plugin_configuration_stops_envoy_with_all_its_problems_listed() -> Result<()> {
    let bad = Sites::start_with(|options| {
        options.gateway_extra.insert("colour".into(), json!("red"));
        options.gateway_extra.insert("strict".into(), json!("perhaps"));
    });
    let error = bad.await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    for part in
        ["edge-envoy is not ready: it ended", "colour: unknown key", "strict: expected true"]
    {
        ensure!(error.contains(part), "{part} is not in: {error}");
    }
    Ok(())
}

sites_test! {
    async fn times_that_do_not_fit_together_are_named_in_both_logs(sites, |options| {
        options.log_extra.insert("takeover_ms".into(), 900.into());
    }) {
        sites.write("s", "a").await?;
        let why = "the guard's gap_wait_ms (800) must be longer than the log's takeover_ms (900)";
        let named = |_: &serde_json::Value| {
            let logs = sites.stack.dump_logs();
            let at_the_guard = logs.contains(&format!("no stream to the journal: it was refused: {why}"));
            at_the_guard && logs.lines().any(|l| l.contains("refused a stream engine=journal") && l.contains(why))
        };
        sites.until("both logs name the two times", named).await?;
    }
}

sites_test! {
    async fn a_write_slower_than_the_detection_time_is_answered_and_runs_once(sites) {
        let slow = sites.client.request(Method::POST, "/slow/1500").session("s").header("x-label", "slow").send().await?;
        ensure!(slow.status == 200, "{slow:?}");
        ensure!(slow.took >= Duration::from_millis(1500), "{slow:?}");
        sites.both_hold("s", &["slow"]).await?;
        sites.write("s", "next").await?;
        sites.both_hold("s", &["slow", "next"]).await?;
        let log = sites.log().await?;
        ensure!(log["in_doubt"] == json!([]) && log["diverged"] == json!([]), "{log}");
    }
}

sites_test! {
    async fn every_process_can_be_rolled_under_load(sites) {
        let load = Load::start(LoadOptions { sessions: 4, writes_per_second: 40, retries: UNTIL_BACK, ..sites.load() });
        for process in Process::ALL {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sites.stack.terminate(process).await?;
            sites.stack.restart(process).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let record = sites.stop_resolving(load).await?;
        sites.judge_record(&record).await?;
        let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
        ensure!(failed.is_empty(), "{} requests failed for good: {:?}", failed.len(), failed.first());
    }
}

/// Writes of different answers are listed with their session: what the log takes for its key.
async fn listed_session(sites: &Sites) -> Result<String> {
    let listed = |s: &serde_json::Value| s["log"]["diverged"][0]["session"].is_string();
    let status = sites.until("the write is listed", listed).await?;
    Ok(status["log"]["diverged"][0]["session"].as_str().unwrap_or_default().to_string())
}

sites_test! {
    async fn the_session_may_come_from_a_claim_of_the_token(sites, |options| {
        options.session = SessionSource::JwtClaim("azp".to_string());
    }) {
        let token = |claims: serde_json::Value| {
            let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("Bearer {}.{}.not-verified-here", part(json!({"alg": "none"})), part(claims))
        };
        let write = |path: &str, label: &str, shelf: &str, token: &str| sites.client.request(Method::POST, path).session(shelf).header("x-label", label).header("authorization", token).send();
        let (anna, ben) = (token(json!({"sub": "anna", "azp": "till-7"})), token(json!({"sub": "ben", "azp": "till-7"})));
        let other = token(json!({"sub": "anna", "azp": "till-8"}));
        for (label, shelf, bearer) in [("a", "shelf-7", &anna), ("b", "shelf-7", &ben), ("c", "shelf-8", &other)] {
            let answer = write("/items", label, shelf, bearer).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        let log = sites.log().await?;
        ensure!(log["sessions"] == 2 && log["numbered"] == 3, "{log}");
        let random = write("/random", "r", "shelf-7", &anna).await?;
        ensure!(random.status == 200, "{random:?}");
        ensure!(listed_session(&sites).await? == "till-7");
        for without in [token(json!({"sub": "anna"})), "Bearer not-a-token".to_string()] {
            let refused = write("/items", "x", "shelf-7", &without).await?;
            ensure!(refused.status == 400 && refused.problem() == "no-session", "{refused:?}");
        }
        sites.both_hold("shelf-7", &["a", "b", "r"]).await?;
        sites.both_hold("shelf-8", &["c"]).await?;
    }
}

sites_test! {
    async fn the_session_may_come_from_the_path(sites, |options| {
        options.session = SessionSource::Path("^/sessions/([^/]+)/".to_string());
    }) {
        let write = |path: &str, label: &str| sites.client.request(Method::POST, path).header("x-label", label).send();
        for (path, label) in [("/sessions/a/items", "a1"), ("/sessions/b/items?of=a", "b1"), ("/sessions/a/other", "a2")] {
            let answer = write(path, label).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        let log = sites.log().await?;
        ensure!(log["sessions"] == 2, "{log}");
        let refused = write("/items", "none").await?;
        ensure!(refused.status == 400 && refused.problem() == "no-session", "{refused:?}");
        sites.both_hold("a", &["a1", "a2"]).await?;
        sites.both_hold("b", &["b1"]).await?;
    }
}

sites_test! {
    async fn renamed_headers_work_through_a_cut(sites, |options| {
        let names = json!({"stamp": "x-trace-key", "word": "x-envoy-internal", "route": "x-wso2-cluster-header"});
        options.gateway_extra.insert("headers".into(), names);
    }) {
        let guard = Client::new(sites.stack.cloud, false);
        let probed = guard.request(Method::GET, "/").header("x-trace-key", "v=1;kind=probe").send().await?;
        ensure!(probed.header("x-envoy-internal").contains("replica=primary"), "{probed:?}");
        sites.write("s", "before").await?;
        sites.cut(Mode::Refuse).await?;
        let during = sites.write("s", "during").await?;
        ensure!(["x-trace-key", "x-envoy-internal"].iter().all(|name| during.header(name).is_empty()), "{during:?}");
        sites.mend().await?;
        sites.both_hold("s", &["before", "during"]).await?;
        sites.write("s", "after").await?;
        sites.both_hold("s", &["before", "during", "after"]).await?;
    }
}
