//! The answers of the till and their bodies.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Either;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame},
    header::CONTENT_TYPE,
};
use serde::Serialize;
use tokio::sync::mpsc;

/// An answer: all of it at once, or a stream.
pub type Answer = Response<Either<http_body_util::Full<Bytes>, Chunks>>;

/// An answer of JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value).unwrap_or_default();
    whole(status, "application/json", text.into())
}

/// An answer of text.
pub fn text(status: StatusCode, text: &str) -> Answer {
    whole(status, "text/plain", Bytes::copy_from_slice(text.as_bytes()))
}

/// An answer of `bytes` bytes, the same at every replica.
pub fn big(bytes: usize) -> Answer {
    let pattern = b"0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDE\n";
    let body: Vec<u8> = pattern.iter().copied().cycle().take(bytes).collect();
    whole(StatusCode::OK, "text/plain", body.into())
}

/// An answer of `count` lines that come `pause` apart.
pub fn stream(count: u64, pause: Duration) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for line in 0..count {
            if line > 0 {
                tokio::time::sleep(pause).await;
            }
            if sender.send(Bytes::from(format!("chunk {line}\n"))).await.is_err() {
                return; // the client has gone
            }
        }
    });
    let mut answer = Response::new(Either::Right(Chunks(receiver)));
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    answer
}

fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(http_body_util::Full::new(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    answer
}

/// A body whose chunks come from a channel.
#[derive(Debug)]
pub struct Chunks(mpsc::Receiver<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
