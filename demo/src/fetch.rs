//! One plain HTTP/1.1 GET, for reading `/status`, `/healthz` and the tills' lists.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long one answer may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks `addr` for `path` on a connection of its own.
///
/// # Errors
/// If no whole answer comes within ten seconds.
pub async fn get(addr: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let ask = async {
        let stream = TcpStream::connect(addr).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(http::header::HOST, addr.to_string())
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        tokio::pin!(answer, connection);
        // The connection future must be driven for the answer to come, and may end first.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    };
    match tokio::time::timeout(TIMEOUT, ask).await {
        Ok(answer) => answer.with_context(|| format!("GET http://{addr}{path}")),
        Err(_) => bail!("GET http://{addr}{path}: no answer within {TIMEOUT:?}"),
    }
}

/// As [`get`], for a JSON answer with status 200.
///
/// # Errors
/// If no answer comes, or another status, or no such JSON.
pub async fn get_json<T: serde::de::DeserializeOwned>(
    addr: SocketAddr,
    path: &str,
) -> anyhow::Result<T> {
    let (status, body) = get(addr, path).await?;
    if status != StatusCode::OK {
        bail!("GET http://{addr}{path}: {status}");
    }
    serde_json::from_slice(&body)
        .with_context(|| format!("GET http://{addr}{path}: not the JSON expected"))
}
