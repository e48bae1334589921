//! A gRPC server, one stream at a time, without any notion of what is said.

use anyhow::Result;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// Starts it and gives its port. What it does is the last part of the path:
///
/// | method | does |
/// |---|---|
/// | `Echo` | answers at once, sends every message back, ends with 0 when the client has ended |
/// | `Finish` | the same, but ends with 0 after the first message, which it sends back |
/// | `Fail` | the same, but ends with 9 and sends nothing back |
/// | `Refuse` | answers with status 7 and nothing else |
/// | `Die` | answers, and closes the connection at the first message |
/// | `DieAtOnce` | closes the connection instead of an answer |
/// | `Silent` | never answers |
pub async fn start(servers: &mut JoinSet<()>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let die = Arc::new(Notify::new());
                let dying = Arc::clone(&die);
                let service = service_fn(move |request| answer(request, Arc::clone(&dying)));
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    _ = connection => {}
                    () = die.notified() => {}
                }
            });
        }
    });
    Ok(port)
}

async fn answer(
    request: Request<Incoming>,
    die: Arc<Notify>,
) -> Result<Response<Said>, Infallible> {
    let path = request.uri().path().to_string();
    let how = path.rsplit('/').next().unwrap_or_default().to_string();
    let (say, said) = mpsc::unbounded_channel();
    let mut response = Response::new(Said(Some(said)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    match how.as_str() {
        "Refuse" => {
            response.headers_mut().insert("grpc-status", HeaderValue::from_static("7"));
            response.body_mut().0 = None;
            return Ok(response);
        }
        "DieAtOnce" => {
            die.notify_one();
            std::future::pending::<()>().await;
        }
        "Silent" => std::future::pending().await,
        _ => {}
    }
    tokio::spawn(hear(how, request.into_body(), say, die));
    Ok(response)
}

async fn hear(
    how: String,
    mut body: Incoming,
    say: mpsc::UnboundedSender<Frame<Bytes>>,
    die: Arc<Notify>,
) {
    let mut heard = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        heard.extend(frame.into_data().unwrap_or_default());
        while let Some(message) = message(&mut heard) {
            match how.as_str() {
                "Die" => {
                    // The head has been sent by then.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    die.notify_one();
                    // Until the connection is gone: nothing more may be said on it.
                    std::future::pending::<()>().await;
                }
                "Fail" => drop(say.send(trailers("9"))),
                _ => drop(say.send(Frame::data(framed(&message)))),
            }
            if how == "Finish" {
                let _ = say.send(trailers("0"));
            }
            if how != "Echo" {
                return;
            }
        }
    }
    let _ = say.send(trailers("0"));
}

/// Takes a whole message.
fn message(heard: &mut BytesMut) -> Option<BytesMut> {
    let (_, rest) = heard.split_at_checked(1)?;
    let size = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    if heard.len() < 5 + size {
        return None;
    }
    let _ = heard.split_to(5);
    Some(heard.split_to(size))
}

fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap_or(0));
    out.put_slice(message);
    out.freeze()
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from_static(status));
    Frame::trailers(map)
}

/// What is said on one stream; none: the head was all.
struct Said(Option<mpsc::UnboundedReceiver<Frame<Bytes>>>);

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Some(said) => said.poll_recv(cx).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
