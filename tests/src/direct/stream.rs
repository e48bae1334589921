//! Streams to `reprise`, as the filters' workers open them.

use super::PATIENCE;
use anyhow::{Context as _, Result, bail, ensure};
use prost::Message;
use protocol::pb;
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

/// Messages that wait to be sent.
const QUEUE: usize = 64;

/// A worker's end of a stream.
#[derive(Debug)]
pub struct Stream<Q, R> {
    requests: mpsc::Sender<Q>,
    responses: Streaming<R>,
}

/// A gateway's.
pub type GatewayStream = Stream<pb::GatewayRequest, pb::GatewayResponse>;
/// A guard's.
pub type GuardStream = Stream<pb::GuardRequest, pb::GuardResponse>;

impl<Q: Message + 'static, R: Message + Default + 'static> Stream<Q, R> {
    async fn connect(listen: SocketAddr, path: &'static str) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{listen}"))?.connect().await?;
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await?;
        let (requests, receiver) = mpsc::channel(QUEUE);
        let request = tonic::Request::new(ReceiverStream::new(receiver));
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = tonic_prost::ProstCodec::<Q, R>::default();
        let responses = grpc.streaming(request, path, codec).await?.into_inner();
        Ok(Stream { requests, responses })
    }

    async fn give(&self, message: Q) -> Result<()> {
        self.requests.send(message).await.ok().context("the stream has ended")
    }

    async fn take(&mut self) -> Result<R> {
        let message = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        message.context("no message in time")??.context("the stream has ended")
    }
}

impl GatewayStream {
    pub(super) async fn open(listen: SocketAddr) -> Result<Self> {
        let mut stream = Self::connect(listen, "/reprise.replaylog.v1.ReplayLog/Gateway").await?;
        let hello = pb::GatewayHello {
            version: protocol::VERSION,
            service: "shop".into(),
            gateway: vec![1; 16],
        };
        stream.send(Some(pb::gateway_request::Kind::Hello(hello)), vec![]).await?;
        match stream.next().await? {
            pb::gateway_response::Kind::Welcome(welcome) => {
                ensure!(welcome.error.is_empty(), "refused: {}", welcome.error);
                Ok(stream)
            }
            other => bail!("not a welcome: {other:?}"),
        }
    }

    /// Sends a message.
    pub async fn send(
        &self,
        kind: Option<pb::gateway_request::Kind>,
        ends: Vec<pb::End>,
    ) -> Result<()> {
        self.give(pb::GatewayRequest { kind, ends }).await
    }

    /// The next message.
    pub async fn next(&mut self) -> Result<pb::gateway_response::Kind> {
        self.take().await?.kind.context("a message without a kind")
    }

    /// The next answer to an append.
    pub async fn appended(&mut self) -> Result<pb::Appended> {
        loop {
            match self.next().await? {
                pb::gateway_response::Kind::Appended(appended) => return Ok(appended),
                // News of a session's route may come at any time.
                pb::gateway_response::Kind::Moved(_) => {}
                other => bail!("not an answer to an append: {other:?}"),
            }
        }
    }
}

impl GuardStream {
    pub(super) async fn open(listen: SocketAddr) -> Result<Self> {
        Self::connect(listen, "/reprise.replaylog.v1.Journal/Guard").await
    }

    /// Greets as a worker of the secondary's guard that has dispatched `running`.
    pub async fn hello(&mut self, owner: u8, running: Vec<pb::Running>) -> Result<()> {
        let hello = pb::GuardHello {
            version: protocol::VERSION,
            service: "shop".into(),
            replica: "secondary".into(),
            owner: vec![owner; 16],
            running,
            gap_wait_ms: 800,
        };
        self.send(pb::guard_request::Kind::Hello(hello)).await?;
        match self.next().await? {
            pb::guard_response::Kind::Welcome(welcome) => {
                ensure!(welcome.error.is_empty(), "refused: {}", welcome.error);
                Ok(())
            }
            other => bail!("not a welcome: {other:?}"),
        }
    }

    /// Sends a message.
    pub async fn send(&self, kind: pb::guard_request::Kind) -> Result<()> {
        self.give(pb::GuardRequest { kind: Some(kind) }).await
    }

    /// The next message.
    pub async fn next(&mut self) -> Result<pb::guard_response::Kind> {
        self.take().await?.kind.context("a message without a kind")
    }
}
