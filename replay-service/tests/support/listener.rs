//! Stands in for Envoy's delivery listener and the guards behind it.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use protocol::{Replica, Stamp, Verdict, Word, names};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// One request that came in.
#[derive(Debug)]
pub struct Delivered {
    pub replica: Replica,
    pub stamp: Stamp,
    pub request: Request<Bytes>,
}

/// What the guards answer.
pub type Guards = dyn Fn(&Delivered) -> Option<Word> + Send + Sync;

/// A listener that answers with what `guards` say; without a word it never answers.
pub struct DeliveryListener {
    pub address: String,
    pub delivered: mpsc::UnboundedReceiver<Delivered>,
}

impl DeliveryListener {
    pub async fn start(guards: Arc<Guards>) -> DeliveryListener {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, delivered) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (guards, sender) = (guards.clone(), sender.clone());
                let service = hyper::service::service_fn(move |request| {
                    answer(request, guards.clone(), sender.clone())
                });
                let connection = TokioIo::new(connection);
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(connection, service));
            }
        });
        DeliveryListener { address, delivered }
    }

    /// The next write, passing over probes.
    pub async fn write(&mut self) -> Delivered {
        let next = async {
            loop {
                let delivered = self.delivered.recv().await.expect("listening");
                if delivered.stamp != Stamp::Probe {
                    return delivered;
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, next).await.expect("a delivery in time")
    }
}

async fn answer(
    request: Request<Incoming>,
    guards: Arc<Guards>,
    sender: mpsc::UnboundedSender<Delivered>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let header = |name: &str| parts.headers[name].to_str().expect("text").to_string();
    let replica = match header(names::ROUTE).as_str() {
        names::route::PRIMARY_ONLY => Replica::Primary,
        names::route::SECONDARY_ONLY => Replica::Secondary,
        other => panic!("no such route: {other}"),
    };
    let stamp = Stamp::parse(&header(names::STAMP)).expect("a stamp");
    let delivered = Delivered { replica, stamp, request: Request::from_parts(parts, body) };
    let word = guards(&delivered);
    // The test may have heard enough.
    let _ = sender.send(delivered);
    let Some(word) = word else { return std::future::pending().await };
    let response = Response::builder().header(names::WORD, word.to_string());
    Ok(response.body(Full::new(Bytes::from_static(b"done"))).expect("a response"))
}

/// What a guard says whose replica runs everything.
pub fn runs(delivered: &Delivered) -> Option<Word> {
    let Stamp::Write(stamp) = &delivered.stamp else {
        return Some(Word::new(delivered.replica, Verdict::Ready));
    };
    let mut word = Word::new(delivered.replica, Verdict::Ran);
    word.number = Some(stamp.number);
    word.status = 200;
    word.at = Some(protocol::Position { number: stamp.number, link: stamp.link });
    word.journal = protocol::Incarnation([9; 8]);
    Some(word)
}
