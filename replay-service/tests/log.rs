//! A site that orders the service: appended writes are delivered through the delivery listener.

mod support;

use protocol::{Replica, Stamp, pb};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::listener::{self, DeliveryListener};
use support::{Reprise, config, run, write};

/// Nobody listens here.
const NOWHERE: &str = "127.0.0.1:1";

async fn started(listener: &DeliveryListener) -> Reprise {
    let log = format!("store = 'memory'\n[log]\ndelivery = '{}'\n", listener.address);
    Reprise::start(&config(&log)).await
}

#[tokio::test]
async fn an_abandoned_write_is_delivered_to_both_replicas_and_forgotten() {
    let mut listener = DeliveryListener::start(Arc::new(listener::runs)).await;
    let reprise = started(&listener).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    assert_eq!(gateway.hello(protocol::VERSION).await.error, "");
    let numbered = gateway.append("id-1").await;
    assert_eq!(numbered.seq, 1);
    gateway.abandon(&numbered).await;

    let mut replicas = vec![];
    for _ in Replica::BOTH {
        let delivered = listener.write().await;
        replicas.push(delivered.replica);
        let request = delivered.request;
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "/orders?of=today");
        assert_eq!(request.headers()["host"], "shop.example");
        assert_eq!(request.headers()["x-note"], "kept");
        assert_eq!(request.body(), "one loaf");
        let Stamp::Write(stamp) = delivered.stamp else { panic!("not a write's stamp") };
        assert!(stamp.delivery);
        assert_eq!((stamp.number.epoch, stamp.number.seq), (numbered.epoch, 1));
    }
    replicas.sort();
    assert_eq!(replicas, Replica::BOTH);

    let status = reprise.status_when(|status| status["log"]["entries"] == 0).await;
    let log = &status["log"];
    assert_eq!(log["delivered"], serde_json::json!({"primary": 1, "secondary": 1}));
    assert_eq!(log["backlog"], serde_json::json!({"primary": 0, "secondary": 0}));
    assert_eq!((&log["numbered"], &log["gateways"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn a_word_of_another_replica_or_number_settles_nothing() {
    let lying = Arc::new(AtomicBool::new(true));
    let lies = lying.clone();
    let guards = move |delivered: &listener::Delivered| {
        let mut word = listener::runs(delivered)?;
        if lies.load(Ordering::SeqCst) {
            match delivered.replica {
                Replica::Primary => word.replica = Replica::Secondary,
                Replica::Secondary => word.number = None,
            }
        }
        Some(word)
    };
    let mut listener = DeliveryListener::start(Arc::new(guards)).await;
    let reprise = started(&listener).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let numbered = gateway.append("id-1").await;
    gateway.abandon(&numbered).await;
    for _ in Replica::BOTH {
        listener.write().await;
    }
    let status = reprise.status().await;
    assert_eq!(status["log"]["delivered"], serde_json::json!({"primary": 0, "secondary": 0}));
    assert_eq!(status["log"]["entries"], 1);

    lying.store(false, Ordering::SeqCst);
    reprise.status_when(|status| status["log"]["entries"] == 0).await;
}

#[tokio::test]
async fn a_gateway_of_another_version_is_refused_and_its_stream_ended() {
    let listener = DeliveryListener::start(Arc::new(listener::runs)).await;
    let reprise = started(&listener).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    let welcome = gateway.hello(protocol::VERSION + 1).await;
    assert!(welcome.error.contains("version"), "{}", welcome.error);
    assert!(gateway.next().await.expect("no error").is_none());
}

#[tokio::test]
async fn a_write_larger_than_one_http2_window_is_numbered() {
    let listener = DeliveryListener::start(Arc::new(listener::runs)).await;
    let reprise = started(&listener).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let body = protocol::limits::BODY_BYTES_MAX as usize;
    assert_eq!(gateway.append_with("large", vec![b'x'; body]).await.expect("numbered").seq, 1);
}

#[tokio::test]
async fn a_second_signal_ends_what_would_wait_for_a_delivery() {
    let silent = |delivered: &listener::Delivered| match delivered.stamp {
        Stamp::Probe => listener::runs(delivered),
        _ => None,
    };
    let mut listener = DeliveryListener::start(Arc::new(silent)).await;
    let mut reprise = started(&listener).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let numbered = gateway.append("id-1").await;
    gateway.abandon(&numbered).await;
    listener.write().await;
    reprise.signal("-INT").await;
    reprise.line_with("shutting down").await;
    // Too soon, it counts as the first; without a second the process would end with 0.
    while !reprise.has_ended() {
        reprise.signal("-INT").await;
    }
    assert_eq!(reprise.exit_code().await, Some(1));
}

#[tokio::test]
async fn numbers_go_on_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let data = data.path().display();
    let text = config(&format!("data = '{data}'\n[log]\ndelivery = '{NOWHERE}'\n"));
    let mut reprise = Reprise::start(&text).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let first = gateway.append("id-1").await;
    reprise.signal("-KILL").await;
    reprise.exit_code().await;

    let reprise = Reprise::start(&text).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let again = gateway.append("id-1").await;
    assert_eq!((again.epoch, again.seq, again.known), (first.epoch, first.seq, true));
    let second = gateway.append("id-2").await;
    assert_eq!((second.epoch, second.seq), (first.epoch, 2));
}

#[tokio::test]
async fn the_status_is_readable_and_the_page_healthy() {
    let listener = DeliveryListener::start(Arc::new(listener::runs)).await;
    let reprise = started(&listener).await;
    let output = run(&["status", "--admin", reprise.admin()]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.starts_with(&format!("shop · reprise {version}\n\nReplay log\n")), "{text}");
    let health = support::get(reprise.admin(), "/healthz").await;
    assert_eq!(health, 200);
    let output = run(&["status", "--admin", "127.0.0.1:1"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is reprise running"));
}

#[tokio::test]
async fn what_envoys_mirror_brought_is_settled_by_the_local_journal() {
    let mut listener = DeliveryListener::start(Arc::new(listener::runs)).await;
    let reprise = Reprise::start(&config(&format!(
        "store = 'memory'\n[log]\nmirror = 'envoy'\nmirror_grace_ms = 60000\ndelivery = '{}'\n\
         [journal]\nreplica = 'secondary'\n",
        listener.address
    )))
    .await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    let welcome = gateway.hello(protocol::VERSION).await;
    assert_eq!(welcome.mirror_cluster, "secondary-guard");
    let numbered = gateway.append("id-1").await;
    reprise.status_when(|status| status["log"]["backlog"]["secondary"] == 1).await;

    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "secondary").await;
    let mirrored = pb::Begin { epoch: numbered.epoch, ..write(1) };
    guard.begin(mirrored.clone()).await;
    guard.outcome(&mirrored, pb::outcome::Kind::Ran).await;
    reprise.status_when(|status| status["log"]["backlog"]["secondary"] == 0).await;
    gateway.abandon(&numbered).await;
    assert_eq!(listener.write().await.replica, Replica::Primary);
    let none = serde_json::json!({"primary": 0, "secondary": 0});
    let status = reprise.status_when(|status| status["log"]["backlog"] == none).await;
    assert_eq!(status["log"]["delivered"]["secondary"], 0);
}

#[tokio::test]
async fn a_retry_right_after_both_replicas_settled_the_write_is_known() {
    let listener = DeliveryListener::start(Arc::new(listener::runs)).await;
    let reprise = started(&listener).await;
    let mut gateway = reprise.gateway().await.expect("a stream");
    gateway.hello(protocol::VERSION).await;
    let first = gateway.append("id-1").await;
    gateway.abandon(&first).await;
    reprise.status_when(|status| status["log"]["entries"] == 0).await;
    let again = gateway.append("id-1").await;
    assert_eq!((again.epoch, again.seq, again.known), (first.epoch, first.seq, true));
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn a_guard_that_gives_up_a_gap_before_the_log_takes_over_is_refused_in_its_log() {
    let both = format!(
        "store = 'memory'\n[log]\ndelivery = '{NOWHERE}'\ntakeover_ms = 800\n\
         [journal]\nreplica = 'secondary'\n"
    );
    let mut reprise = Reprise::start(&config(&both)).await;
    let mut guard = reprise.guard().await;
    let welcome = guard.hello_waiting(protocol::VERSION, "secondary", 800).await;
    let why = "gap_wait_ms (800) must be longer than the log's takeover_ms (800)";
    assert!(welcome.error.contains(why), "{}", welcome.error);
    assert!(guard.next().await.expect("no error").is_none());
    let line = reprise.line_with("refused a stream engine=journal").await;
    assert!(line.contains(why), "{line}");
    let mut patient = reprise.guard().await;
    assert_eq!(patient.hello_waiting(protocol::VERSION, "secondary", 801).await.error, "");
}
