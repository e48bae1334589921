//! What `GET /metrics` and `GET /readyz` say.

mod support;

use protocol::{Stamp, pb};
use std::collections::BTreeSet;
use std::sync::Arc;
use support::listener::{self, DeliveryListener};
use support::{Reprise, config, fetch, write};

/// Name, type and labels of everything in a table of the documentation.
fn listed() -> BTreeSet<(String, String, String)> {
    include_str!("../../docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `reprise_"))
        .map(|line| {
            let mut cells = line.split('|').map(|cell| cell.trim().replace(['`', '–'], ""));
            cells.next();
            let mut cell = || cells.next().expect("a cell");
            (cell(), cell(), cell())
        })
        .collect()
}

/// Name, type and labels of everything on a page.
fn exposed(page: &str) -> BTreeSet<(String, String, String)> {
    let mut kind = String::new();
    let mut all = BTreeSet::new();
    for line in page.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            kind = family.rsplit_once(' ').expect("a type").1.to_string();
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_once('{').expect("labels");
            let (labels, value) = rest.rsplit_once("} ").expect("a value");
            value.parse::<f64>().expect("a number");
            let mut names = labels.split(',').map(|label| label.split('=').next().unwrap_or(""));
            assert_eq!(names.next(), Some("service"), "{line}");
            let names: Vec<_> = names.collect();
            all.insert((name.to_string(), kind.clone(), names.join(",")));
        }
    }
    all
}

fn both_roles(delivery: &str) -> String {
    config(&format!(
        "store = 'memory'\n[log]\ndelivery = '{delivery}'\n[journal]\nreplica = 'secondary'\n"
    ))
}

#[tokio::test]
async fn the_page_exposes_exactly_what_the_documentation_lists() {
    let reprise = Reprise::start(&both_roles("127.0.0.1:1")).await;
    let (code, page) = fetch(reprise.admin(), "/metrics").await;
    assert_eq!(code, 200);
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert_eq!(exposed(&page), listed());
}

#[tokio::test]
async fn what_happens_is_counted_under_the_name_of_its_replica() {
    let silent = |delivered: &listener::Delivered| match delivered.stamp {
        Stamp::Probe => listener::runs(delivered),
        _ => None,
    };
    let listener = DeliveryListener::start(Arc::new(silent)).await;
    let reprise = Reprise::start(&both_roles(&listener.address.to_string())).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    gateway.append("id-1").await;
    gateway.append("id-1").await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "secondary").await;
    guard.begin(write(1)).await;
    guard.outcome(&write(1), pb::outcome::Kind::Ran).await;
    guard.begin(write(1)).await;
    let (_, page) = fetch(reprise.admin(), "/metrics").await;
    for line in [
        "reprise_log_numbered_total{service=\"shop\"} 1",
        "reprise_log_deduplicated_total{service=\"shop\"} 1",
        "reprise_log_backlog_entries{service=\"shop\",replica=\"primary\"} 1",
        "reprise_log_gateway_streams{service=\"shop\"} 1",
        "reprise_journal_ran_total{service=\"shop\",replica=\"secondary\"} 1",
        "reprise_journal_duplicates_total{service=\"shop\",replica=\"secondary\"} 1",
        "reprise_store_room{service=\"shop\",store=\"journal\"} 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    let age = "reprise_log_oldest_unsettled_seconds{service=\"shop\",replica=\"secondary\"} ";
    let age = page.lines().find_map(|line| line.strip_prefix(age)).expect("an age");
    // It was received a millisecond after the beginning of 1970.
    assert!(age.parse::<f64>().expect("seconds") > 1e9, "{age}");
}

#[tokio::test]
async fn a_process_is_ready_until_it_shuts_down_and_says_so_while_it_does() {
    let silent = |delivered: &listener::Delivered| match delivered.stamp {
        Stamp::Probe => listener::runs(delivered),
        _ => None,
    };
    let mut listener = DeliveryListener::start(Arc::new(silent)).await;
    let mut reprise = Reprise::start(&both_roles(&listener.address.to_string())).await;
    assert_eq!(fetch(reprise.admin(), "/readyz").await.0, 200);
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let numbered = gateway.append("id-1").await;
    gateway.abandon(&numbered).await;
    // Under way, it keeps the end waiting.
    listener.write().await;
    reprise.signal("-TERM").await;
    reprise.line_with("shutting down").await;
    let (code, body) = fetch(reprise.admin(), "/readyz").await;
    assert_eq!((code, body.as_str()), (503, "shutting down\n"));
    assert_eq!(reprise.exit_code().await, Some(0));
}
