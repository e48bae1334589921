//! A site with a replica and no log, as its guards and its operator see it.

mod support;

use protocol::pb::begun::Verdict;
use protocol::pb::outcome;
use support::{Reprise, config, run, write};

async fn started() -> Reprise {
    Reprise::start(&config("store = 'memory'\n[journal]\nreplica = 'primary'\n")).await
}

#[tokio::test]
async fn a_guard_begins_a_write_and_reports_its_outcome() {
    let reprise = started().await;
    let mut guard = reprise.guard().await;
    let welcome = guard.hello(protocol::VERSION, "primary").await;
    assert_eq!(welcome.error, "");
    assert_eq!(welcome.journal.len(), 8);

    let begun = guard.begin(write(1)).await;
    assert_eq!(begun.verdict(), Verdict::Run);
    let noted = guard.outcome(&write(1), outcome::Kind::Ran).await;
    assert_eq!(noted.at.expect("a position").seq, 1);
    assert_eq!(guard.begin(write(1)).await.verdict(), Verdict::Ran);

    let status = reprise.status().await;
    assert_eq!(status["service"], "shop");
    assert_eq!(status["log"], serde_json::Value::Null);
    let journal = &status["journal"];
    assert_eq!(journal["replica"], "primary");
    assert_eq!(
        (&journal["guards"], &journal["ran"], &journal["duplicates"], &journal["running"]),
        (&1.into(), &1.into(), &1.into(), &0.into())
    );
}

#[tokio::test]
async fn a_guard_of_another_version_is_refused_and_its_stream_ended() {
    let reprise = started().await;
    let mut guard = reprise.guard().await;
    let welcome = guard.hello(protocol::VERSION + 1, "primary").await;
    assert!(welcome.error.contains("version"), "{}", welcome.error);
    assert!(guard.next().await.expect("no error").is_none());
}

#[tokio::test]
async fn a_site_without_the_log_says_so_to_a_gateway() {
    let reprise = started().await;
    let status = reprise.gateway().await.err().expect("refused");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(status.message().contains("has no [log]"), "{}", status.message());
}

#[tokio::test]
async fn a_guard_that_leaves_is_noticed() {
    let reprise = started().await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    drop(guard);
    reprise.status_when(|status| status["journal"]["guards"] == 0).await;
}

#[tokio::test]
async fn sigterm_ends_the_streams_and_then_the_process_with_zero() {
    let mut reprise = started().await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    reprise.signal("-TERM").await;
    let ended = guard.next().await.expect_err("ended with the reason");
    assert_eq!(ended.message(), "reprise is shutting down");
    assert_eq!(reprise.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_operator_resolves_a_write_in_doubt() {
    let reprise = started().await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    guard.begin(write(1)).await;
    guard.outcome(&write(1), outcome::Kind::InDoubt).await;
    assert_eq!(reprise.status().await["journal"]["in_doubt"][0]["number"], "1.1");
    assert_eq!(guard.begin(write(2)).await.verdict(), Verdict::InDoubt);

    let resolve = async |number: &str| {
        let admin = reprise.admin();
        run(&["resolve", "--session", "s", "--number", number, "--skip", "--admin", admin]).await
    };
    let wrong = resolve("1.7").await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("1.7 of session s is not in doubt here")
    );
    let done = resolve("1.1").await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(reprise.status().await["journal"]["in_doubt"], serde_json::json!([]));
    assert_eq!(guard.begin(write(2)).await.verdict(), Verdict::Run);
}

#[tokio::test]
async fn what_ran_is_known_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let text =
        config(&format!("data = '{}'\n[journal]\nreplica = 'primary'\n", data.path().display()));
    let mut reprise = Reprise::start(&text).await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    guard.begin(write(1)).await;
    guard.outcome(&write(1), outcome::Kind::Ran).await;
    reprise.signal("-KILL").await;
    assert_eq!(reprise.exit_code().await, None);

    let reprise = Reprise::start(&text).await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    assert_eq!(guard.begin(write(1)).await.verdict(), Verdict::Ran);
    assert_eq!(guard.begin(write(2)).await.verdict(), Verdict::Run);
}
