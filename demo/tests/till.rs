//! The till over HTTP, in this process and as one that is killed.
#![allow(missing_docs)]

use std::{net::SocketAddr, path::Path, time::Duration};

use bytes::Bytes;
use demo::{
    fetch,
    till::{Labels, Listing, SessionSummary, Till, TillCommand, TillOptions},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Caller {
    http: Client<HttpConnector, Full<Bytes>>,
    addr: SocketAddr,
}

impl Caller {
    fn new(addr: SocketAddr) -> Self {
        Self { http: Client::builder(TokioExecutor::new()).build_http(), addr }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        session: &str,
        body: &str,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.addr))
            .header("x-session-id", session)
            .body(Full::from(body.to_owned()))?;
        let answer = self.http.request(request).await?;
        Ok((answer.status(), answer.into_body().collect().await?.to_bytes()))
    }

    async fn post(&self, path: &str, session: &str, body: &str) -> (StatusCode, Value) {
        let (status, body) = self.send(Method::POST, path, session, body).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn session(&self, id: &str) -> SessionSummary {
        let listing: Listing = fetch::get_json(self.addr, "/_till/sessions").await.unwrap();
        listing.sessions.into_iter().find(|session| session.session == id).unwrap_or_default()
    }

    async fn labels(&self, id: &str) -> Vec<String> {
        let labels: Labels =
            fetch::get_json(self.addr, &format!("/_till/session?id={id}")).await.unwrap();
        labels.labels
    }
}

async fn till_at(data: &Path, name: &str) -> Till {
    let options = TillOptions {
        listen: ANY,
        data: data.to_owned(),
        delay: Duration::ZERO,
        name: name.to_owned(),
        sync: true,
    };
    Till::start(options).await.unwrap()
}

async fn till() -> (Till, Caller, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let till = till_at(dir.path(), "primary").await;
    let caller = Caller::new(till.addr());
    (till, caller, dir)
}

#[tokio::test]
async fn two_tills_that_get_the_same_writes_answer_alike() {
    let (_p, primary, _d) = till().await;
    let (_s, secondary, _e) = till().await;
    for body in [r#"{"label":"s1-1","n":1}"#, r#"{"label":"s1-2","n":2}"#] {
        let answer = primary.post("/items", "s1", body).await;
        assert_eq!(answer, secondary.post("/items", "s1", body).await);
        assert_eq!(answer.0, StatusCode::OK);
    }
    assert_eq!(primary.session("s1").await.count, 2);
    assert_eq!(primary.labels("s1").await, ["s1-1", "s1-2"]);
}

#[tokio::test]
async fn each_write_method_is_a_write_and_nothing_else_is() {
    let (_till, caller, _dir) = till().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        caller.send(method, "/items", "s1", "x").await.unwrap();
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        caller.send(method, "/items", "s1", "").await.unwrap();
    }
    assert_eq!(caller.session("s1").await.count, 4);
}

#[tokio::test]
async fn a_read_says_where_the_session_stands() {
    let (_till, caller, _dir) = till().await;
    let (_, written) = caller.post("/items", "s1", "x").await;
    let (status, body) = caller.send(Method::GET, "/sessions/s1", "s1", "").await.unwrap();
    let read: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(read, json!({"session": "s1", "count": 1, "chain": written["chain"], "last": "x"}));
    let (_, body) = caller.send(Method::GET, "/", "unknown", "").await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["count"], 0);
    assert_eq!(fetch::get(caller.addr, "/healthz").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn a_write_that_is_to_fail_records_nothing() {
    let (_till, caller, _dir) = till().await;
    assert_eq!(caller.post("/fail/503", "s1", "x").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        caller.post("/fail-at/primary/500", "s1", "x").await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(caller.post("/fail-at/secondary/500", "s1", "y").await.0, StatusCode::OK);
    let session = caller.session("s1").await;
    assert_eq!((session.count, session.calls), (1, 3));
    assert_eq!(caller.labels("s1").await, ["y"]);
}

#[tokio::test]
async fn a_write_that_breaks_is_recorded_and_not_answered() {
    let (_till, caller, _dir) = till().await;
    assert!(caller.send(Method::POST, "/break", "s1", "x").await.is_err());
    assert_eq!(caller.labels("s1").await, ["x"]);
    assert_eq!(caller.session("s1").await.overlaps, 0);
}

#[tokio::test]
async fn random_answers_differ_and_big_answers_are_as_big_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let other = till_at(dir.path(), "secondary").await;
    let (_till, caller, _dir) = till().await;
    let other = Caller::new(other.addr());
    assert_ne!(caller.post("/random", "s1", "x").await, other.post("/random", "s1", "x").await);
    assert_eq!(caller.session("s1").await, other.session("s1").await);
    let (_, body) = caller.send(Method::POST, "/big/70000", "s1", "x").await.unwrap();
    assert_eq!(body.len(), 70_000);
}

#[tokio::test]
async fn writes_that_run_at_once_in_a_session_are_counted_as_overlaps() {
    let (_till, caller, _dir) = till().await;
    let (a, b) =
        tokio::join!(caller.post("/slow/300", "s1", "a"), caller.post("/slow/300", "s1", "b"));
    assert_eq!((a.0, b.0), (StatusCode::OK, StatusCode::OK));
    assert_eq!(caller.session("s1").await.overlaps, 1);
    let (a, b) =
        tokio::join!(caller.post("/slow/10", "s2", "a"), caller.post("/slow/10", "s3", "b"));
    assert_eq!((a.0, b.0), (StatusCode::OK, StatusCode::OK));
    assert_eq!(caller.session("s2").await.overlaps + caller.session("s3").await.overlaps, 0);
}

#[tokio::test]
async fn a_stream_comes_in_pieces() {
    let (_till, caller, _dir) = till().await;
    let uri = format!("http://{}/stream?chunks=3&ms=50", caller.addr);
    let request = Request::get(uri).body(Full::default()).unwrap();
    let mut body = caller.http.request(request).await.unwrap().into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(frames, ["chunk 0\n", "chunk 1\n", "chunk 2\n"]);
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let command = TillCommand::new(Path::new(env!("CARGO_BIN_EXE_till")), dir.path(), "primary");
    let mut till = command.start().await.unwrap();
    let caller = Caller::new(till.addr());
    for n in 1..=20 {
        assert_eq!(caller.post("/items", "s1", &format!("w{n}")).await.0, StatusCode::OK);
    }
    let before = caller.session("s1").await;
    till.restart().await.unwrap();
    let after = caller.session("s1").await;
    assert_eq!((after.count, &after.chain), (20, &before.chain));
    assert_eq!(caller.labels("s1").await.last().unwrap(), "w20");
}

#[tokio::test]
async fn a_till_that_is_asked_to_dies_once_before_recording_or_answering_or_after() {
    for (moment, recorded, answered) in
        [("before", false, false), ("recorded", true, false), ("answered", true, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let till = Path::new(env!("CARGO_BIN_EXE_till"));
        let mut till = TillCommand::new(till, dir.path(), "primary").start().await.unwrap();
        let caller = Caller::new(till.addr());
        let path = format!("/die-at/primary/{moment}");
        assert_eq!(caller.send(Method::POST, &path, "s1", "x").await.is_ok(), answered, "{moment}");
        tokio::time::timeout(Duration::from_secs(10), till.ended()).await.unwrap().unwrap();
        till.restart().await.unwrap();
        let caller = Caller::new(till.addr());
        assert_eq!(caller.labels("s1").await.len(), usize::from(recorded), "{moment}");
        // Redone, it lives; and so does its twin of another name.
        assert_eq!(caller.post(&path, "s1", "x").await.0, StatusCode::OK);
        assert_eq!(caller.post("/die-at/secondary/before", "s1", "y").await.0, StatusCode::OK);
    }
}
