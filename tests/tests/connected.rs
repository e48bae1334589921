//! While the link is up.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{bail, ensure};
use bytes::Bytes;
use demo::check::Replica;
use demo::load::{Load, LoadOptions};
use http::Method;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;
use std::time::Duration;
use tests::client::{Client, whole};
use tests::sites_test;
use tokio::time::Instant;

sites_test! {
    async fn each_replica_runs_each_write_once_and_in_order(sites, |options| {
        // Nothing is taken over, however slow the machine is.
        options.detect_ms = 20_000;
    }) {
        for label in ["a", "b", "c"] {
            sites.write("s", label).await?;
        }
        sites.both_hold("s", &["a", "b", "c"]).await?;
        let log = sites.log().await?;
        ensure!(log["delivered"]["primary"] == 0, "the primary got them live: {log}");
        ensure!(log["delivered"]["secondary"] == 3, "the secondary got each once: {log}");
        for status in [sites.stack.status().await?, sites.stack.cloud_status().await?] {
            ensure!(status["journal"]["duplicates"] == 0, "{status}");
        }
    }
}

sites_test! {
    async fn a_load_over_two_workers_keeps_every_promise(sites) {
        let load = Load::start(sites.load());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (record, _) = sites.judge(load).await?;
        let failed = record.ops.iter().filter(|op| op.status != 200).count();
        ensure!(failed == 0, "{failed} requests failed");
    }
}

sites_test! {
    async fn concurrent_writes_of_one_session_run_in_one_order_at_both(sites) {
        let load = Load::start(LoadOptions { sessions: 3, in_flight: 6, writes_per_second: 0, writes_per_session: Some(120), ..sites.load() });
        let record = load.finish().await;
        sites.judge_record(&record).await?;
        let failed = record.ops.iter().filter(|op| op.status != 200).count();
        ensure!(failed == 0, "{failed} requests failed");
    }
}

sites_test! {
    async fn http_2_clients_are_served_alike(sites) {
        let load = Load::start(LoadOptions { http2: true, ..sites.load() });
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (record, _) = sites.judge(load).await?;
        ensure!(record.ops.iter().all(|op| op.status == 200));
        let client = Client::new(sites.stack.clients, true);
        let over = "x".repeat(1_048_577);
        let answer = client.write("h2", "over").body(whole(over)).send().await?;
        ensure!(answer.status == 413, "{answer:?}");
    }
}

sites_test! {
    async fn a_repeated_key_is_answered_with_the_remembered_response(sites) {
        let first = sites.client.write("s", "a").key("k-1").send().await?;
        let again = sites.client.write("s", "a").key("k-1").send().await?;
        ensure!(first.status == 200 && again.status == 200, "{first:?} {again:?}");
        ensure!(first.body == again.body, "the very response: {again:?}");
        ensure!(again.header("content-type") == first.header("content-type"));
        ensure!(again.header("x-reprise-replayed") == "remembered", "{again:?}");
        sites.both_hold("s", &["a"]).await?;
        let settled = sites.client.write("s", "a").key("k-1").send().await?;
        ensure!(settled.body == first.body, "also once it has left the log: {settled:?}");
        let other = sites.client.write("t", "a").key("k-1").send().await?;
        ensure!(other.status == 200 && other.body != first.body, "another session's key is another key: {other:?}");
        sites.both_hold("t", &["a"]).await?;
    }
}

sites_test! {
    async fn a_repeated_key_with_another_payload_is_refused(sites) {
        sites.client.write("s", "a").key("k-1").send().await?;
        let other = sites.client.write("s", "b").key("k-1").send().await?;
        ensure!(other.status == 422 && other.problem() == "payload-mismatch", "{other:?}");
        ensure!(other.header("content-type") == "application/problem+json");
        sites.both_hold("s", &["a"]).await?;
    }
}

sites_test! {
    async fn a_body_at_the_limit_passes_and_one_byte_over_is_refused(sites) {
        for http2 in [false, true] {
            let client = Client::new(sites.stack.clients, http2);
            let session = format!("limit-{http2}");
            let body = "x".repeat(1_048_576);
            let at = client.write(&session, "at").body(whole(body.clone())).send().await?;
            ensure!(at.status == 200, "http2 {http2}: {} {:?}", at.status, at.body);
            let over = client.write(&session, "over").body(whole(body + "x")).send().await?;
            ensure!(over.status == 413 && over.problem() == "body-too-large", "http2 {http2}: {over:?}");
            let next = client.write(&session, "next").send().await?;
            ensure!(next.status == 200, "the connection and the session go on: {next:?}");
            sites.both_hold(&session, &["at", "next"]).await?;
        }
    }
}

sites_test! {
    async fn a_chunked_upload_is_captured_whole(sites) {
        let chunks = (0..20).map(|i| Ok(hyper::body::Frame::data(Bytes::from(format!("chunk {i};")))));
        let body = StreamBody::new(Chunks(chunks.collect())).boxed();
        let answer = sites.client.write("s", "chunked").body(body).send().await?;
        ensure!(answer.status == 200, "{answer:?}");
        sites.both_hold("s", &["chunked"]).await?;
    }
}

struct Chunks(std::collections::VecDeque<Result<hyper::body::Frame<Bytes>, std::io::Error>>);

impl futures_core::Stream for Chunks {
    type Item = Result<hyper::body::Frame<Bytes>, std::io::Error>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}

sites_test! {
    async fn a_streaming_read_passes_untouched(sites) {
        sites.write("s", "a").await?;
        let begun = Instant::now();
        let mut answer = sites.client.request(Method::GET, "/stream?chunks=5&ms=200").session("s").stream().await?;
        ensure!(answer.status() == 200);
        ensure!(answer.headers().keys().all(|name| !name.as_str().starts_with("x-reprise-")), "{:?}", answer.headers());
        let mut arrivals = vec![];
        while let Some(frame) = answer.body_mut().frame().await {
            if frame?.is_data() {
                arrivals.push(begun.elapsed());
            }
        }
        ensure!(arrivals.len() >= 2, "in pieces: {arrivals:?}");
        let (first, last) = (arrivals[0], arrivals[arrivals.len() - 1]);
        ensure!(last - first > Duration::from_millis(500), "as it came: {arrivals:?}");
    }
}

sites_test! {
    async fn an_upgrade_is_refused_by_our_envoys_and_reaches_nobody(sites) {
        let upgrade = sites.client.request(Method::GET, "/stream?chunks=1&ms=1").session("s");
        let answer = upgrade.header("connection", "upgrade").header("upgrade", "websocket").send().await?;
        ensure!(answer.status == 403, "{answer:?}");
        sites.write("s", "a").await?;
        sites.both_hold("s", &["a"]).await?;
    }
}

sites_test! {
    async fn a_client_that_leaves_mid_request_loses_nothing_and_holds_up_nobody(sites) {
        sites.write("s", "a").await?;
        let leaving = sites.client.request(Method::POST, "/lag/700").session("s").header("x-label", "left").send();
        tokio::select! {
            answer = leaving => bail!("answered before it left: {answer:?}"),
            running = sites.under_way(sites.primary.addr(), "s", 2) => running?,
        }
        let after = sites.client.write("s", "after").send().await?;
        ensure!(after.status == 200, "{after:?}");
        sites.both_hold("s", &["a", "left", "after"]).await?;
    }
}

sites_test! {
    async fn our_headers_neither_come_from_clients_nor_go_to_them(sites) {
        let answer = sites.client.write("s", "a")
            .header("x-reprise-stamp", "v=1;kind=bypass")
            .header("x-reprise-route", "primary-only")
            .header("x-reprise-word", "v=1;replica=primary;verdict=ran")
            .send().await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-reprise-")), "{answer:?}");
        sites.both_hold("s", &["a"]).await?;
    }
}

sites_test! {
    async fn headers_as_large_as_envoy_takes_reach_both_replicas(sites) {
        let large = "x".repeat(58_000);
        let answer = sites.client.write("s", "large").header("x-large", &large).send().await?;
        ensure!(answer.status == 200, "{answer:?}");
        sites.both_hold("s", &["large"]).await?;
    }
}

sites_test! {
    async fn a_request_without_a_session_is_refused(sites) {
        for method in [Method::POST, Method::GET] {
            let answer = sites.client.request(method, "/items").send().await?;
            ensure!(answer.status == 400 && answer.problem() == "no-session", "{answer:?}");
        }
    }
}

sites_test! {
    async fn an_unnumbered_write_at_a_guard_is_refused(sites) {
        for guard in [sites.stack.cloud, sites.stack.guard_secondary] {
            let answer = Client::new(guard, false).write("s", "a").send().await?;
            ensure!(answer.status == 400 && answer.problem() == "unnumbered-write", "{answer:?}");
        }
        sites.both_hold("s", &[]).await?;
    }
}

sites_test! {
    async fn routes_that_do_not_replicate_go_to_the_primary_alone(sites, |options| {
        options.gateway_extra.insert("routes".into(), json!([{"match": "/telemetry", "replicate": false}]));
    }) {
        let answer = sites.client.request(Method::POST, "/telemetry/x").header("x-session-id", "t").header("x-label", "tele").send().await?;
        ensure!(answer.status == 200, "{answer:?}");
        let bare = sites.client.request(Method::POST, "/telemetry/x").send().await?;
        ensure!(bare.status == 200, "it needs no session: {bare:?}");
        sites.drained().await?;
        ensure!(Replica::fetch(sites.primary.addr()).await?.held("t").labels == ["tele"]);
        ensure!(Replica::fetch(sites.secondary.addr()).await?.held("t").labels.is_empty());
        ensure!(sites.log().await?["numbered"] == 0);
    }
}

sites_test! {
    async fn different_answers_of_the_replicas_are_listed(sites) {
        let random = sites.client.request(Method::POST, "/random").session("s").header("x-label", "r").send().await?;
        ensure!(random.status == 200, "{random:?}");
        let failing = sites.client.request(Method::POST, "/fail-at/secondary/500").session("t").header("x-label", "f").send().await?;
        ensure!(failing.status == 200, "{failing:?}");
        let status = sites.until("two divergences are listed", |s| s["log"]["diverged"].as_array().is_some_and(|d| d.len() == 2)).await?;
        let listed = status["log"]["diverged"].to_string();
        ensure!(listed.contains("diverged_body") && listed.contains("diverged_status"), "{listed}");
        ensure!(listed.contains("/random") && listed.contains("500"), "{listed}");
        sites.drained().await?;
    }
}

sites_test! {
    async fn a_response_over_what_the_guard_remembers_reaches_the_client_whole(sites) {
        let big = sites.client.request(Method::POST, "/big/200000").session("s").header("x-label", "big").key("k").send().await?;
        ensure!(big.status == 200 && big.body.len() == 200_000, "{} {}", big.status, big.body.len());
        let again = sites.client.request(Method::POST, "/big/200000").session("s").header("x-label", "big").key("k").send().await?;
        ensure!(again.status == 200 && again.header("x-reprise-replayed") == "forgotten", "{} {:?}", again.status, again.headers);
        sites.drained().await?;
        ensure!(Replica::fetch(sites.primary.addr()).await?.held("s").labels == ["big"]);
    }
}

sites_test! {
    async fn every_source_of_the_session_key_works(sites, |options| {
        options.session = xtask::stack::SessionSource::Cookie("sid".to_string());
    }) {
        let answer = sites.client.request(Method::POST, "/items").header("cookie", "a=b; sid=abc; c=d").header("x-session-id", "till").header("x-label", "l").send().await?;
        ensure!(answer.status == 200, "{answer:?}");
        let status = sites.drained().await?;
        ensure!(status["log"]["numbered"] == 1);
    }
}
