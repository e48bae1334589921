//! What the page of the probes says, and what it does not.

mod support;

use std::sync::Arc;

use protocol::Stamp;
use support::listener::{self, DeliveryListener};
use support::{Reprise, config, fetch, get, refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn with_probes(delivery: &str) -> String {
    config(&format!(
        "probes = '127.0.0.1:0'\nstore = 'memory'\n[log]\ndelivery = '{delivery}'\n\
         [journal]\nreplica = 'secondary'\n"
    ))
}

/// The status code of a POST, without what a decision would have to name.
async fn post(address: &str, path: &str) -> u16 {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

#[tokio::test]
async fn the_page_has_health_readiness_and_metrics_and_nothing_else() {
    let reprise = Reprise::start(&with_probes("127.0.0.1:1")).await;
    let probes = reprise.started["probes"].as_str();
    assert_eq!(fetch(probes, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(fetch(probes, "/readyz").await, (200, "ok\n".into()));
    let (code, page) = fetch(probes, "/metrics").await;
    assert_eq!(code, 200);
    assert!(page.contains("reprise_build_info{service=\"shop\"") && page.ends_with("# EOF\n"));

    for path in ["/", "/status", "/positions", "/resolve", "/healthz/", "/metrics/x"] {
        assert_eq!(get(probes, path).await, 404, "{path}");
    }
    for path in ["/resolve", "/healthz", "/metrics"] {
        assert_eq!(post(probes, path).await, 404, "{path}");
    }
    // The admin page has them, and reads what is asked there.
    assert_eq!(get(reprise.admin(), "/status").await, 200);
    assert_eq!(post(reprise.admin(), "/resolve").await, 400);
}

#[tokio::test]
async fn it_says_that_it_is_not_ready_while_it_shuts_down() {
    let silent = |delivered: &listener::Delivered| match delivered.stamp {
        Stamp::Probe => listener::runs(delivered),
        _ => None,
    };
    let mut listener = DeliveryListener::start(Arc::new(silent)).await;
    let mut reprise = Reprise::start(&with_probes(&listener.address.to_string())).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let numbered = gateway.append("id-1").await;
    gateway.abandon(&numbered).await;
    // Under way, it keeps the end waiting.
    listener.write().await;
    reprise.signal("-TERM").await;
    reprise.line_with("shutting down").await;
    let probes = reprise.started["probes"].as_str();
    assert_eq!(fetch(probes, "/readyz").await, (503, "shutting down\n".into()));
    assert_eq!(fetch(probes, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(reprise.exit_code().await, Some(0));
}

#[tokio::test]
async fn without_the_key_there_is_no_such_page() {
    let journal = "store = 'memory'\n[journal]\nreplica = 'primary'\n";
    let reprise = Reprise::start(&config(journal)).await;
    assert!(!reprise.started.contains_key("probes"));
}

#[tokio::test]
async fn an_address_that_something_else_has_is_refused_before_the_start() {
    let journal = "store = 'memory'\n[journal]\nreplica = 'primary'\n";
    let own = format!("service = 'shop'\nprobes = '0.0.0.0:7401'\n{journal}");
    let (code, stderr) = refused("check", &own).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("probes: must not be the same as admin (127.0.0.1:7401)"), "{stderr}");

    let first = Reprise::start(&with_probes("127.0.0.1:1")).await;
    let taken = config(&format!("probes = '{}'\n{journal}", first.started["probes"]));
    let (code, stderr) = refused("serve", &taken).await;
    assert_eq!(code, 1, "{stderr}");
    let expected = format!("cannot listen on {} (`probes`)", first.started["probes"]);
    assert!(stderr.contains(&expected), "{stderr}");
}
