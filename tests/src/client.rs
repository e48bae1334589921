//! A client that shows all of an answer and can send what a well-behaved one would not.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From sending to the last byte.
    pub took: Duration,
}

impl Answer {
    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The name of the problem in its `type`, if the body is one.
    pub fn problem(&self) -> String {
        let value = self.json();
        let urn = value["type"].as_str().unwrap_or_default();
        urn.rsplit(':').next().unwrap_or_default().to_string()
    }
}

/// A client of one address, with a pool of connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http<HttpConnector, BoxBody<Bytes, std::io::Error>>,
    target: SocketAddr,
}

/// A request being made.
pub struct Sending {
    client: Client,
    request: http::request::Builder,
    body: BoxBody<Bytes, std::io::Error>,
}

/// A body that is known whole.
pub fn whole(body: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

impl Client {
    /// A client that speaks HTTP/1.1, or HTTP/2 with prior knowledge.
    pub fn new(target: SocketAddr, http2: bool) -> Client {
        let http = Http::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Client { http, target }
    }

    /// Any request.
    pub fn request(&self, method: Method, path: &str) -> Sending {
        let uri = format!("http://{}{path}", self.target);
        Sending {
            client: self.clone(),
            request: Request::builder().method(method).uri(uri),
            body: whole(""),
        }
    }

    /// A write with a label, its id not given.
    pub fn write(&self, session: &str, label: &str) -> Sending {
        self.request(Method::POST, "/items")
            .session(session)
            .header("x-label", label)
            .body(whole(label.to_string()))
    }

    /// A read of a session.
    pub fn read(&self, session: &str) -> Sending {
        self.request(Method::GET, &format!("/sessions/{session}")).session(session)
    }
}

impl Sending {
    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets the session header.
    pub fn session(self, session: &str) -> Self {
        self.header("x-session-id", session)
    }

    /// Sets the `Idempotency-Key`.
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Sets the body.
    pub fn body(mut self, body: BoxBody<Bytes, std::io::Error>) -> Self {
        self.body = body;
        self
    }

    /// Sends it and waits for the whole answer, at most 20 seconds.
    pub async fn send(self) -> Result<Answer> {
        let begun = Instant::now();
        let request = self.request.body(self.body)?;
        let exchange = async {
            let answer = self.client.http.request(request).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok((head, body))
        };
        let (head, body) = tokio::time::timeout(Duration::from_secs(20), exchange).await??;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            took: begun.elapsed(),
        })
    }

    /// Sends it and hands the answer over as it streams.
    pub async fn stream(self) -> Result<http::Response<hyper::body::Incoming>> {
        Ok(self.client.http.request(self.request.body(self.body)?).await?)
    }
}
