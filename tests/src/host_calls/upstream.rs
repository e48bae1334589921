//! The services behind the probe.

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Starts a service and gives its port. Its answer names it, the method, the bytes of the body
/// and the header `x-late`. `first` heeds the last part of the path: `busy` is answered with 503,
/// `slow` after 300 ms, `never` never; at `break` the connection is closed.
pub async fn start(name: &'static str, servers: &mut JoinSet<()>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| answer(name, request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            connections.spawn(connection);
        }
    });
    Ok(port)
}

async fn answer(name: &str, request: Request<Incoming>) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut status = 200;
    let knob = head.uri.path().rsplit('/').next().unwrap_or_default();
    match knob {
        _ if name != "first" => {}
        "busy" => status = 503,
        "slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        "never" => std::future::pending().await,
        "break" => return Err(std::io::Error::other("as asked")),
        _ => {}
    }
    let late = head.headers.get("x-late").and_then(|v| v.to_str().ok()).unwrap_or("-");
    let text = String::from_utf8_lossy(&body);
    let text = if text.is_empty() { "-".into() } else { text };
    let seen = format!("{name},{},{text},{late}", head.method);
    let answer = Response::builder().status(status).header("x-seen", &seen).body(Full::from(seen));
    answer.map_err(std::io::Error::other)
}
