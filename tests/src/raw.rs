//! A client that speaks HTTP/1.1 byte by byte, so that it can misbehave at any of them.

use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub struct Raw(TcpStream);

/// A POST of a session with a label and so long a body, its head alone.
pub fn head(session: &str, label: &str, length: usize, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!(
        "POST /items HTTP/1.1\r\nhost: shop\r\nx-session-id: {session}\r\nx-label: {label}\r\n"
    );
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {length}\r\n\r\n");
    head.into_bytes()
}

impl Raw {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Result<Raw> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Raw(stream))
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all(bytes).await?)
    }

    /// Leaves without a word: the other end sees a reset.
    pub fn abort(self) -> Result<()> {
        Ok(self.0.set_zero_linger()?)
    }

    /// The status of the next answer; its headers and what came of its body are read and dropped.
    pub async fn status(&mut self) -> Result<u16> {
        let mut read = Vec::new();
        let head = async {
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut part = [0; 4096];
                match self.0.read(&mut part).await? {
                    0 => break,
                    length => read.extend_from_slice(&part[..length]),
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, head).await.context("no answer")??;
        let text = String::from_utf8_lossy(&read);
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        status.with_context(|| format!("no status in {text:?}"))
    }
}
