//! The smallest HTTP client: asks the admin page of a running `reprise`.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer, bytes.
const ANSWER_BYTES: usize = 64 << 20;

/// An answer: its status and body.
pub type Answer = (u16, String);

/// Sends one request and waits for its answer.
pub fn ask(admin: &str, method: Method, path: &str, body: String) -> Result<Answer, String> {
    let unreachable = |cause: String| {
        format!(
            "no answer from {admin}: {cause}; is reprise running, and is this its `admin` address?"
        )
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{admin}{path}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| format!("not an address: {admin}; expected HOST:PORT like 127.0.0.1:7401"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| cause.to_string())?;
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, exchange(request)).await });
    asked.map_err(|_| unreachable(format!("nothing within {TIMEOUT:?}")))?.map_err(unreachable)
}

async fn exchange(request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| causes(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|cause| cause.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The innermost cause says what happened; the outer ones that it was a client.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
