//! While the link is cut, and when it comes back.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use demo::load::{Load, LoadOptions, Outcome, Record};
use demo::relay::Mode;
use http::Method;
use serde_json::json;
use std::time::Duration;
use tests::{DETECT_MS, Sites, sites_test};

/// A load through a cut of three seconds and a return under load, and what must hold of it.
async fn through_a_cut(
    sites: &Sites,
    mode: Mode,
    change: impl FnOnce(&mut LoadOptions),
) -> Result<Record> {
    let mut options = sites.load();
    change(&mut options);
    let load = Load::start(options);
    tokio::time::sleep(Duration::from_secs(1)).await;
    sites.link.set(mode).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    sites.mend().await?;
    let handed_back = |s: &serde_json::Value| {
        s["log"]["handed_back"].as_u64() >= Some(8) && s["log"]["pinned"] == 0
    };
    sites.until("every session is handed back under load", handed_back).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (record, _) = sites.judge(load).await?;
    let log = sites.log().await?;
    let longest_hold_ms = 500 + record.longest_stall_ms();
    ensure!(log["longest_hold_ms"].as_u64() <= Some(longest_hold_ms), "{log}");
    ensure!(log["in_doubt"] == json!([]) && log["diverged"] == json!([]), "{log}");
    Ok(record)
}

fn no_errors(record: &Record) -> Result<()> {
    let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
    ensure!(failed.is_empty(), "{} requests failed: {:?}", failed.len(), failed.first());
    Ok(())
}

sites_test! {
    async fn a_refused_link_costs_no_client_anything(sites) {
        let record = through_a_cut(&sites, Mode::Refuse, |_| {}).await?;
        no_errors(&record)?;
    }
}

sites_test! {
    async fn a_black_hole_costs_at_most_one_detection_time(sites) {
        let record = through_a_cut(&sites, Mode::Hole, |_| {}).await?;
        no_errors(&record)?;
        let worst_ms = record.worst_awake_ms();
        ensure!(worst_ms <= DETECT_MS + 500, "the worst request took {worst_ms} ms");
    }
}

sites_test! {
    async fn swallowed_answers_run_nothing_twice(sites) {
        let record = through_a_cut(&sites, Mode::Mute, |_| {}).await?;
        no_errors(&record)?;
        let worst_ms = record.worst_awake_ms();
        ensure!(worst_ms <= DETECT_MS + 500, "the worst request took {worst_ms} ms");
    }
}

sites_test! {
    async fn requests_that_arrive_late_run_nothing_twice_or_out_of_order(sites) {
        let record = through_a_cut(&sites, Mode::Stall, |_| {}).await?;
        no_errors(&record)?;
    }
}

sites_test! {
    async fn concurrent_writes_of_a_session_keep_one_order_through_a_cut(sites) {
        let record = through_a_cut(&sites, Mode::Mute, |load| load.in_flight = 4).await?;
        no_errors(&record)?;
    }
}

sites_test! {
    async fn http_2_clients_live_through_a_cut(sites) {
        let record = through_a_cut(&sites, Mode::Hole, |load| load.http2 = true).await?;
        no_errors(&record)?;
    }
}

sites_test! {
    async fn envoys_own_mirror_keeps_the_promises_through_a_cut(sites, |options| {
        options.mirror = xtask::stack::Mirror::Envoy;
    }) {
        let record = through_a_cut(&sites, Mode::Mute, |_| {}).await?;
        no_errors(&record)?;
    }
}

sites_test! {
    async fn a_retry_with_its_key_during_and_after_a_cut_gets_the_one_answer(sites) {
        sites.link.set(Mode::Mute).await?;
        let first = sites.client.write("s", "a").key("k").send().await?;
        ensure!(first.status == 200, "{first:?}");
        let during = sites.client.write("s", "a").key("k").send().await?;
        ensure!(during.status == 200 && during.body == first.body, "{during:?}");
        sites.mend().await?;
        sites.both_hold("s", &["a"]).await?;
        let after = sites.client.write("s", "a").key("k").send().await?;
        ensure!(after.status == 200 && after.body == first.body, "{after:?}");
        sites.both_hold("s", &["a"]).await?;
    }
}

sites_test! {
    async fn reads_see_every_acknowledged_write_in_every_phase(sites) {
        let record = through_a_cut(&sites, Mode::Hole, |load| load.read_every = 1).await?;
        let reads = record.ops.iter().filter(|op| op.kind == demo::load::Kind::Read).count();
        ensure!(reads > 100, "only {reads} reads");
        no_errors(&record)?;
    }
}

sites_test! {
    async fn a_route_that_refuses_while_cut_leaves_no_trace(sites, |options| {
        options.gateway_extra.insert("routes".into(), json!([{"match": "POST /payments", "when_cut": "refuse"}]));
    }) {
        let pay = |label: &'static str| sites.client.request(Method::POST, "/payments").session("s").header("x-label", label).send();
        let before = pay("before").await?;
        ensure!(before.status == 200, "{before:?}");
        sites.cut(Mode::Refuse).await?;
        let cut = pay("cut").await?;
        ensure!(cut.status == 503 && cut.problem() == "refused-while-cut", "{cut:?}");
        ensure!(!cut.header("retry-after").is_empty());
        sites.write("s", "other").await?;
        sites.mend().await?;
        sites.drained().await?;
        let after = pay("after").await?;
        ensure!(after.status == 200, "{after:?}");
        sites.both_hold("s", &["before", "other", "after"]).await?;
    }
}

sites_test! {
    async fn the_primary_serves_while_the_secondary_is_down_and_dies_after_it_is_back(sites) {
        sites.secondary.kill().await?;
        let load = Load::start(sites.load());
        tokio::time::sleep(Duration::from_secs(2)).await;
        ensure!(load.progress().errors == 0, "{:?}", load.progress());
        sites.secondary.restart().await?;
        sites.until("the secondary has caught up", |s| s["log"]["backlog"]["secondary"].as_u64() <= Some(8)).await?;
        sites.primary.kill().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        sites.primary.restart().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let record = load.stop().await;
        let acknowledged = record.ops.iter().filter(|op| op.outcome == Outcome::Ok).count();
        ensure!(acknowledged > 300, "{acknowledged}");
        sites.resolve_doubts().await?;
        sites.judge_record(&record).await?;
    }
}
