//! Requests to the probe.

use super::cases::Request;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// Between two parts of a body.
const APART: Duration = Duration::from_millis(100);
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Status and body of an answer; none if the client gave up before, or the connection ended.
pub type Answer = Option<(u16, String)>;

/// Sends a case's request on a connection of its own.
pub async fn send(to: SocketAddr, case: &str, request: &Request) -> Result<Answer> {
    let parts = request.body.iter().map(|part| Bytes::from(part.clone())).collect();
    let body = if request.body.is_empty() {
        Empty::new().boxed()
    } else {
        Parts { parts, wait: None, end_with_last: request.end_with_last }.boxed()
    };
    let http = http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("http://{to}{}", request.path))
        .header("host", to.to_string())
        .header("x-case", case)
        .header("x-script", &request.script)
        .body(body)?;
    // Only HTTP/2 can say with the last bytes of a body that they are the last.
    let exchange = exchange(to, http, request.end_with_last);
    match request.abort_after_ms {
        Some(ms) => Ok(timeout(Duration::from_millis(ms), exchange).await.ok().flatten()),
        None => timeout(PATIENCE, exchange).await.context("no answer"),
    }
}

/// What the probe has noted of a case.
pub async fn trace(to: SocketAddr, case: &str) -> Result<String> {
    let request = http::Request::get(format!("http://{to}/"))
        .header("host", to.to_string())
        .header("x-result", case)
        .body(Empty::new().boxed())?;
    let answer = timeout(PATIENCE, exchange(to, request, false)).await?;
    Ok(answer.map(|(_, body)| body).unwrap_or_default())
}

/// Dropping this closes the connection.
async fn exchange(
    to: SocketAddr,
    request: http::Request<BoxBody<Bytes, Infallible>>,
    http2: bool,
) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(to).await.ok()?);
    let answer = async |answer: http::Response<hyper::body::Incoming>| {
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    };
    if http2 {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
        let (mut sender, connection) = handshake.await.ok()?;
        let exchange = async { answer(sender.send_request(request).await.ok()?).await };
        tokio::select! {
            answer = exchange => answer,
            _ = connection => None,
        }
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.ok()?;
        let exchange = async { answer(sender.send_request(request).await.ok()?).await };
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

/// A body in parts with pauses between them, and one before its end.
struct Parts {
    parts: VecDeque<Bytes>,
    wait: Option<Pin<Box<Sleep>>>,
    end_with_last: bool,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.parts.is_empty() && self.end_with_last {
            return Poll::Ready(None);
        }
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(APART)));
        if wait.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.wait = None;
        Poll::Ready(self.parts.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.end_with_last && self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
