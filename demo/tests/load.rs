//! The load driver and the judge against real tills, right and wrong ones.
#![allow(missing_docs)]

use std::{net::SocketAddr, time::Duration};

use demo::{
    check::{Replica, check},
    load::{Kind, Load, LoadOptions, Outcome},
    relay::{Mode, Relay},
    till::{Till, TillOptions},
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn till() -> (Till, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = TillOptions {
        listen: ANY,
        data: dir.path().to_owned(),
        delay: Duration::ZERO,
        name: "till".to_owned(),
        sync: false,
    };
    (Till::start(options).await.unwrap(), dir)
}

fn options(target: SocketAddr) -> LoadOptions {
    LoadOptions {
        writes_per_second: 0,
        writes_per_session: Some(20),
        sessions: 3,
        ..LoadOptions::new(target)
    }
}

#[tokio::test]
async fn a_healthy_till_acknowledges_everything_and_reads_are_fresh() {
    let (till, _dir) = till().await;
    let record = Load::start(options(till.addr())).finish().await;
    let writes = record.ops.iter().filter(|op| op.kind == Kind::Write).count();
    assert_eq!((writes, record.ops.len()), (60, 60 + 12));
    assert!(record.ops.iter().all(|op| op.outcome == Outcome::Ok && !op.stale && op.tries == 1));
    let replica = Replica::fetch(till.addr()).await.unwrap();
    let verdict = check(&record.histories(), &replica, &replica);
    assert_eq!((verdict.acknowledged, verdict.broken()), (60, vec![]));
    assert_eq!(replica.writes(), 60);
}

#[tokio::test]
async fn writes_under_way_at_once_in_a_session_are_all_there() {
    let (till, _dir) = till().await;
    let record = Load::start(LoadOptions { in_flight: 4, ..options(till.addr()) }).finish().await;
    let replica = Replica::fetch(till.addr()).await.unwrap();
    let verdict = check(&record.histories(), &replica, &replica);
    assert_eq!((verdict.acknowledged, verdict.lost, verdict.out_of_order()), (60, 0, 0));
    assert!(record.ops.iter().all(|op| !op.stale));
}

#[tokio::test]
async fn a_replica_without_the_writes_is_found_to_have_lost_them() {
    let (till, _dir) = till().await;
    let (other, _other_dir) = self::till().await;
    let record = Load::start(options(till.addr())).finish().await;
    let primary = Replica::fetch(other.addr()).await.unwrap();
    let secondary = Replica::fetch(till.addr()).await.unwrap();
    let verdict = check(&record.histories(), &primary, &secondary);
    assert_eq!((verdict.lost, verdict.lost_at.primary, verdict.diverged.len()), (60, 60, 3));
}

#[tokio::test]
async fn reads_of_a_till_that_lost_its_state_are_stale() {
    let (till, _dir) = till().await;
    let (empty, _other_dir) = self::till().await;
    // Writes go to one till and reads to another, as they would after a failover without us.
    let split = split(till.addr(), empty.addr()).await;
    let record = Load::start(LoadOptions { sessions: 1, ..options(split) }).finish().await;
    let stale = record.ops.iter().filter(|op| op.stale).count();
    assert_eq!(stale, 4);
}

/// A proxy that sends writes to one till and reads to another.
async fn split(writes: SocketAddr, reads: SocketAddr) -> SocketAddr {
    use http_body_util::BodyExt as _;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let http = http.clone();
            async move {
                let (mut head, body) = request.into_parts();
                let to = if head.method == hyper::Method::GET { reads } else { writes };
                head.uri = format!("http://{to}{}", head.uri.path()).parse().unwrap();
                let body = http_body_util::Full::new(body.collect().await.unwrap().to_bytes());
                http.request(hyper::Request::from_parts(head, body)).await
            }
        });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let io = TokioIo::new(stream);
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(io, service.clone()),
            );
        }
    });
    addr
}

#[tokio::test]
async fn a_cut_link_makes_errors_that_are_recorded_and_retries_heal_them() {
    let (till, _dir) = till().await;
    let relay = Relay::start(ANY, till.addr()).await.unwrap();
    relay.set(Mode::Refuse).await.unwrap();
    let few = LoadOptions { writes_per_session: Some(2), ..options(relay.addr()) };
    let record = Load::start(few.clone()).finish().await;
    assert!(record.ops.iter().all(|op| op.outcome == Outcome::Unknown && op.error.is_some()));
    let load = Load::start(LoadOptions { retries: 100, prefix: "r".to_owned(), ..few });
    relay.set(Mode::Pass).await.unwrap();
    let record = load.finish().await;
    assert!(record.ops.iter().all(|op| op.outcome == Outcome::Ok));
}

#[tokio::test]
async fn without_an_answer_the_client_gives_up_in_its_time() {
    let (till, _dir) = till().await;
    let relay = Relay::start(ANY, till.addr()).await.unwrap();
    relay.set(Mode::Hole).await.unwrap();
    let timeout = Duration::from_millis(50);
    let few = LoadOptions { timeout, writes_per_session: Some(1), ..options(relay.addr()) };
    let record = Load::start(few).finish().await;
    assert!(record.ops.iter().all(|op| op.outcome == Outcome::Unknown && op.latency_us >= 50_000));
}

#[tokio::test]
async fn the_load_keeps_to_its_rate_and_stops_when_asked() {
    let (till, _dir) = till().await;
    let paced = LoadOptions { writes_per_second: 100, ..LoadOptions::new(till.addr()) };
    let load = Load::start(paced);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let progress = load.progress();
    assert!((1..=120).contains(&progress.acknowledged), "{progress:?}");
    let record = load.stop().await;
    assert!(record.ops.len() as u64 >= progress.acknowledged);
}

#[tokio::test]
async fn a_load_that_goes_on_numbers_after_the_one_before_and_is_judged_with_it() {
    let (till, _dir) = till().await;
    let few = LoadOptions { writes_per_session: Some(3), ..options(till.addr()) };
    let mut record = Load::start(few.clone()).finish().await;
    let more = LoadOptions { writes_per_session: Some(7), read_every: 1, ..few };
    let load = Load::go_on(more, &record);
    let later = load.finish().await;
    assert!(later.ops.iter().all(|op| !op.stale && op.outcome == Outcome::Ok), "{later:?}");
    record.extend(later);
    let replica = Replica::fetch(till.addr()).await.unwrap();
    let verdict = check(&record.histories(), &replica, &replica);
    assert_eq!(verdict.broken(), [""; 0], "{:?}", verdict.examples);
    assert_eq!(verdict.acknowledged, 7 * record.histories().len() as u64);
}
