//! Sends deliveries and probes through Envoy's delivery listener and reports the guard's word.
//!
//! One attempt each: whether and when to try again is the engine's to decide. A word counts only
//! if it names the replica and, of a write, echoes its number.

use crate::config::{Headers, LogSection};
use crate::engine::Engine;
use crate::logging;
use crate::request;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use protocol::{Replica, Word};
use replay_log::log::{Delivery, Input, Log};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long an idle connection to Envoy is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Response bytes read so that the connection can be used again; a longer body closes it.
const DRAINED_BYTES: usize = 1 << 20;

/// Something to be sent.
pub enum Work {
    /// A write.
    Deliver(Box<Delivery>),
    /// The question whether a guard is there.
    Probe(Replica),
}

/// Sends.
#[derive(Clone)]
pub struct Deliverer {
    client: Client<HttpConnector, Full<Bytes>>,
    listener: Authority,
    names: Headers,
    timeout: Duration,
    log: Engine<Log>,
    runtime: Handle,
    /// How many are under way; `None` once no more may begin.
    under_way: watch::Sender<(usize, bool)>,
}

impl Deliverer {
    /// Sends to the delivery listener, on the runtime, and feeds the outcomes to the log.
    pub fn new(section: &LogSection, log: Engine<Log>, runtime: Handle) -> Self {
        let timeout = section.delivery_timeout;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        // The client sends a request again only if its connection had died before any of it
        // was written.
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let (under_way, _) = watch::channel((0, false));
        let (listener, names) = (section.delivery.clone(), section.headers.clone());
        Deliverer { client, listener, names, timeout, log, runtime, under_way }
    }

    /// Begins to send; the outcome reaches the log later.
    pub fn start(&self, work: Work) {
        let begun = self.under_way.send_if_modified(|(count, closed)| {
            *count += usize::from(!*closed);
            !*closed
        });
        if begun {
            let this = self.clone();
            self.runtime.spawn(async move {
                this.send(work).await;
                this.under_way.send_modify(|(count, _)| *count -= 1);
            });
        }
    }

    /// Begins no more, and returns once nothing is under way.
    pub async fn finish(&self) {
        self.under_way.send_modify(|(_, closed)| *closed = true);
        // The sender is ours: it cannot be gone.
        let _ = self.under_way.subscribe().wait_for(|(count, _)| *count == 0).await;
    }

    async fn send(&self, work: Work) {
        let (input, response) = match work {
            Work::Deliver(delivery) => self.deliver(*delivery).await,
            Work::Probe(replica) => {
                let probe = request::probe(&self.listener, &self.names, replica);
                let response = self.request(probe).await;
                let word = self.word(response.as_ref()).filter(|w| w.replica == replica);
                (Input::Probed { replica, word }, response)
            }
        };
        // Fails only while the process ends; the next one delivers again.
        let _ = self.log.feed(input, 0).await;
        if let Some(response) = response {
            let _ = tokio::time::timeout(self.timeout, drain(response.into_body())).await;
        }
    }

    async fn deliver(&self, delivery: Delivery) -> (Input, Option<Response<Incoming>>) {
        let (replica, session, number) =
            (delivery.replica, delivery.session.clone(), delivery.number);
        let response = match request::delivery(&self.listener, &self.names, delivery) {
            Ok(request) => self.request(request).await,
            Err(cause) => {
                let fields: [logging::Field; 4] = [
                    ("session", &session),
                    ("number", &number),
                    ("replica", &replica),
                    ("cause", &cause),
                ];
                logging::error("a write cannot be delivered", &fields);
                None
            }
        };
        let word = self
            .word(response.as_ref())
            .filter(|w| w.replica == replica && w.number == Some(number));
        (Input::Delivered { replica, session, number, word }, response)
    }

    async fn request(&self, request: Request<Full<Bytes>>) -> Option<Response<Incoming>> {
        tokio::time::timeout(self.timeout, self.client.request(request)).await.ok()?.ok()
    }

    fn word(&self, response: Option<&Response<Incoming>>) -> Option<Word> {
        Word::parse(response?.headers().get(&self.names.word)?.to_str().ok()?)
    }
}

async fn drain(mut body: Incoming) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED_BYTES {
            return;
        }
    }
}
