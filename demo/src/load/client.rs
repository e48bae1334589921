//! One client: sends a request, waits for so long, and tells how it ended.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;

use super::Outcome;

/// How long a client waits before it sends a request again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A client with connections of its own, which it keeps.
#[derive(Debug)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    target: SocketAddr,
    session: String,
    timeout: Duration,
    retries: u32,
}

/// How a request ended, after all its tries.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub outcome: Outcome,
    pub tries: u32,
    pub body: Bytes,
    pub error: Option<String>,
}

impl Client {
    pub fn new(session: &str, options: &super::LoadOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http2_only(options.http2)
            // What the client library repairs would be counted for what stands behind.
            .retry_canceled_requests(false)
            .build(connector);
        Self {
            http,
            target: options.target,
            session: session.to_owned(),
            timeout: options.timeout,
            retries: options.retries,
        }
    }

    /// Writes with the key `key`, which is the same for all tries.
    pub async fn write(&self, key: &str, body: Bytes) -> Answer {
        self.send(|| {
            self.request(Method::POST, "/items")
                .header("idempotency-key", key)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(body.clone()))
        })
        .await
    }

    /// Reads the session.
    pub async fn read(&self) -> Answer {
        let path = format!("/sessions/{}", self.session);
        self.send(|| self.request(Method::GET, &path).body(Full::default())).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.target))
            .header("x-session-id", &self.session)
    }

    async fn send(&self, request: impl Fn() -> http::Result<Request<Full<Bytes>>>) -> Answer {
        let mut tries = 0;
        let mut maybe = false;
        loop {
            tries += 1;
            let mut answer = match request() {
                Ok(request) => self.once(request).await,
                Err(error) => nothing(Outcome::Failed, error.to_string()),
            };
            answer.tries = tries;
            if answer.outcome == Outcome::Ok {
                return answer;
            }
            maybe |= answer.outcome == Outcome::Unknown;
            let again = answer.outcome == Outcome::Unknown || answer.status == 503;
            if tries > self.retries || !again {
                if maybe {
                    answer.outcome = Outcome::Unknown;
                }
                return answer;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn once(&self, request: Request<Full<Bytes>>) -> Answer {
        let exchange = async {
            let answer = self.http.request(request).await.map_err(|error| explain(&error))?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|error| explain(&error))?;
            Ok((status, body.to_bytes()))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok((status, body))) => judge(status, body),
            Ok(Err(error)) => nothing(Outcome::Unknown, error),
            Err(_) => nothing(Outcome::Unknown, format!("no answer within {:?}", self.timeout)),
        }
    }
}

fn nothing(outcome: Outcome, error: String) -> Answer {
    Answer { status: 0, outcome, tries: 1, body: Bytes::new(), error: Some(error) }
}

fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// An answer of RFC 9457.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(rename = "type", default)]
    kind: String,
}

/// Refused are 4xx and 503: whoever answers so says that nothing was done, unless the problem
/// is of the type *maybe done*. Every other failure leaves it open.
fn judge(status: StatusCode, body: Bytes) -> Answer {
    let kind = if status.is_success() {
        String::new()
    } else {
        serde_json::from_slice::<Problem>(&body).unwrap_or_default().kind
    };
    let refused = status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
    let outcome = match refused {
        _ if status.is_success() => Outcome::Ok,
        true if !kind.contains("maybe") => Outcome::Failed,
        _ => Outcome::Unknown,
    };
    let error = (outcome != Outcome::Ok)
        .then(|| format!("{} {kind}", status.as_u16()).trim_end().to_owned());
    Answer { status: status.as_u16(), outcome, tries: 1, body, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &'static str) -> Outcome {
        judge(StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes())).outcome
    }

    #[test]
    fn an_answer_is_ok_refused_or_open() {
        assert_eq!(outcome(200, ""), Outcome::Ok);
        assert_eq!(outcome(204, ""), Outcome::Ok);
        assert_eq!(outcome(422, ""), Outcome::Failed);
        assert_eq!(outcome(503, r#"{"type":"https://x/log-full"}"#), Outcome::Failed);
        assert_eq!(outcome(503, r#"{"type":"https://x/maybe-done"}"#), Outcome::Unknown);
        assert_eq!(outcome(504, ""), Outcome::Unknown);
        assert_eq!(outcome(500, ""), Outcome::Unknown);
    }

    #[test]
    fn an_error_names_the_status_and_the_problem() {
        let answer =
            judge(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(br#"{"type":"urn:full"}"#));
        assert_eq!(answer.error.as_deref(), Some("503 urn:full"));
    }
}
