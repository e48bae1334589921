//! The smallest HTTP client: one request, one connection, the whole answer. For admin pages.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, decoded from chunks if it came in chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET `path`. Gives up after five seconds.
pub async fn get(to: SocketAddr, path: &str) -> Result<Answer> {
    request(to, "GET", path, "").await
}

/// POST `body` as JSON to `path`. Gives up after five seconds.
pub async fn post(to: SocketAddr, path: &str, body: &str) -> Result<Answer> {
    request(to, "POST", path, body).await
}

async fn request(to: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await?;
        parse(&raw)
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| anyhow!("no answer within {TIMEOUT:?}"))?
        .with_context(|| format!("{method} http://{to}{path}"))
}

fn parse(raw: &[u8]) -> Result<Answer> {
    let (head, body) =
        split(raw, b"\r\n\r\n").ok_or_else(|| anyhow!("the answer has no end of headers"))?;
    let head = std::str::from_utf8(head)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let chunked = head.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    Ok(Answer {
        status: status.ok_or_else(|| anyhow!("not HTTP: {head}"))?,
        body: if chunked { dechunk(body)? } else { body.to_vec() },
    })
}

fn split<'a>(raw: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let index = raw.windows(at.len()).position(|window| window == at)?;
    Some((raw.get(..index)?, raw.get(index + at.len()..)?))
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let (size, after) = split(rest, b"\r\n").ok_or_else(|| anyhow!("a chunk has no size"))?;
        let size = usize::from_str_radix(std::str::from_utf8(size)?.trim(), 16)?;
        if size == 0 {
            return Ok(out);
        }
        let Some(chunk) = after.get(..size) else {
            bail!("the answer ends within a chunk");
        };
        out.extend_from_slice(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_and_a_chunked_answer_have_the_same_body() {
        let plain = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        let chunked = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!(plain, chunked);
        assert_eq!(plain.text(), "hello");
    }

    #[test]
    fn half_an_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhel").is_err());
        assert!(parse(b"").is_err());
    }
}
