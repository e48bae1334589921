//! The gRPC services: one bidirectional stream per Envoy worker, tied to an engine.
//!
//! Each stream gets a number that is never used again, a bounded queue of answers, and a task
//! that reads it. However the stream ends, the engine hears of it exactly once, after the
//! stream's last message.

use crate::engine::{Engine, Machine, Stopped};
use crate::logging;
use crate::streams;
use prost::Message;
use protocol::{limits, pb};
use replay_log::StreamId;
use replay_log::journal::{self, Journal};
use replay_log::log::{self, Log};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

#[rustfmt::skip]
#[path = "generated/reprise.replaylog.v1.rs"]
mod generated;

use generated::journal_server::{Journal as JournalService, JournalServer};
use generated::replay_log_server::{ReplayLog as ReplayLogService, ReplayLogServer};

/// A peer that has been silent this long is asked for a sign of life, and has as long to give it.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// HTTP/2 window of a stream, bytes: a body of the default limit goes without a wait.
const STREAM_WINDOW: u32 = 2 << 20;
/// HTTP/2 window of a connection, bytes.
const CONNECTION_WINDOW: u32 = 8 << 20;

type Answers<R> = ReceiverStream<Result<R, Status>>;

/// Serves both services until `stop` resolves and the streams have ended.
pub async fn serve(
    listener: TcpListener,
    log: Option<Engine<Log>>,
    journal: Option<Engine<Journal>>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let log = ReplayLogServer::new(Attach::new(log))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES);
    let journal = JournalServer::new(Attach::new(journal))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(log)
        .add_service(journal)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
}

/// Ties streams to an engine, if the site has it.
struct Attach<M: Machine> {
    engine: Option<Engine<M>>,
    streams: AtomicU64,
}

impl<M: Machine> Attach<M> {
    fn new(engine: Option<Engine<M>>) -> Self {
        Attach { engine, streams: AtomicU64::new(1) }
    }

    async fn attach<Q: Message + 'static>(
        &self,
        inbound: Streaming<Q>,
        input: fn(StreamId, Q) -> M::Input,
        without: &'static str,
    ) -> Result<Response<Answers<M::Reply>>, Status> {
        let engine = self.engine.clone().ok_or_else(|| Status::unimplemented(without))?;
        let stream = StreamId(self.streams.fetch_add(1, Ordering::Relaxed));
        let (peer, ends) = streams::pair();
        let stopped = |stopped: Stopped| Status::unavailable(stopped.to_string());
        engine.open(stream, peer).await.map_err(stopped)?;
        tokio::spawn(async move {
            read(&engine, stream, inbound, input, ends.ended).await;
            // Without an engine nobody needs to know.
            let _ = engine.closed(stream).await;
        });
        Ok(Response::new(ReceiverStream::new(ends.answers)))
    }
}

/// Feeds a stream's messages to its engine until either side ends it.
async fn read<M: Machine, Q: Message + 'static>(
    engine: &Engine<M>,
    stream: StreamId,
    mut inbound: Streaming<Q>,
    input: fn(StreamId, Q) -> M::Input,
    mut ended: tokio::sync::oneshot::Receiver<()>,
) {
    loop {
        let message = tokio::select! {
            _ = &mut ended => return,
            message = inbound.message() => message,
        };
        let message = match message {
            Ok(Some(message)) => message,
            // A broken connection and a proper end are the same to an engine.
            Ok(None) => return,
            Err(status) => return complain(M::NAME, stream, &status),
        };
        let bytes = message.encoded_len();
        if engine.feed(input(stream, message), bytes).await.is_err() {
            return;
        }
    }
}

/// Says so where a peer sent what cannot be read; that a connection broke is no news.
fn complain(engine: &str, stream: StreamId, status: &Status) {
    if matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::Internal) {
        let fields: [logging::Field; 3] =
            [("engine", &engine), ("stream", &stream.0), ("cause", &status.message())];
        logging::warn("ended a stream with a message that cannot be read", &fields);
    }
}

#[tonic::async_trait]
impl ReplayLogService for Attach<Log> {
    type GatewayStream = Answers<pb::GatewayResponse>;

    async fn gateway(
        &self,
        request: Request<Streaming<pb::GatewayRequest>>,
    ) -> Result<Response<Self::GatewayStream>, Status> {
        let input = |stream, message| log::Input::Gateway { stream, message };
        let without = "this reprise keeps no replay log: its configuration has no [log]";
        self.attach(request.into_inner(), input, without).await
    }
}

#[tonic::async_trait]
impl JournalService for Attach<Journal> {
    type GuardStream = Answers<pb::GuardResponse>;

    async fn guard(
        &self,
        request: Request<Streaming<pb::GuardRequest>>,
    ) -> Result<Response<Self::GuardStream>, Status> {
        let input = |stream, message| journal::Input::Guard { stream, message };
        let without = "this reprise keeps no journal: its configuration has no [journal]";
        self.attach(request.into_inner(), input, without).await
    }
}
