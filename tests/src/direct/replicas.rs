//! Stands in for Envoy's delivery listener, the guards and both replicas: keeps what it was given
//! and notes whatever a replica must never be given. It outlives every `reprise`.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use protocol::stamp::WriteStamp;
use protocol::{Digest, Incarnation, Link, Number, Position, Replica, Stamp, Verdict, Word, names};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A write as a replica has run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub number: Number,
    /// Its id.
    pub id: String,
    /// The digest of its body.
    pub body: Digest,
    link: Link,
}

/// What both replicas have run, session by session, in order.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Replica and session → what ran.
    pub runs: BTreeMap<(Replica, String), Vec<Run>>,
    /// What should not have come: a number with another id or body, a gap, a broken link.
    pub wrong: Vec<String>,
}

impl Held {
    fn take(&mut self, replica: Replica, stamp: &WriteStamp, body: &[u8]) -> Word {
        let runs = self.runs.entry((replica, stamp.session.to_string())).or_default();
        let run = Run {
            number: stamp.number,
            id: stamp.id.to_string(),
            body: Digest::of(body),
            link: stamp.link,
        };
        let mut word = Word::new(replica, Verdict::Ran);
        word.journal = Incarnation([9; 8]);
        word.number = Some(run.number);
        word.status = 200;
        let last = runs.last().map(|last| (last.number, last.link));
        let fits = match last {
            None => run.number.seq == 1,
            Some((last, _)) if last.epoch == run.number.epoch => run.number.seq == last.seq + 1,
            Some((last, _)) => last.epoch < run.number.epoch && run.number.seq == 1,
        };
        if let Some(known) = runs.iter().find(|known| known.number == run.number) {
            if *known == run {
                word.verdict = Verdict::Remembered;
            } else {
                self.wrong.push(format!("{replica}: {run:?} after {known:?}"));
                word.verdict = Verdict::Conflict;
            }
        } else if fits {
            let before = last.filter(|_| run.number.seq > 1).map_or(Link::START, |(_, link)| link);
            if before.next(&stamp.id) != run.link && stamp.after.is_none() {
                self.wrong.push(format!("{replica}: the link of {run:?} does not fit"));
            }
            runs.push(run);
        } else {
            self.wrong.push(format!("{replica}: {run:?} after {last:?}"));
            word.verdict = Verdict::Gap;
        }
        word.at = runs.last().map(|last| Position { number: last.number, link: last.link });
        word
    }

    /// How many writes have run, at both together.
    pub fn count(&self) -> usize {
        self.runs.values().map(Vec::len).sum()
    }
}

/// The listener. It answers as long as it is not dropped.
#[derive(Debug)]
pub struct Replicas {
    /// Where it listens.
    pub addr: SocketAddr,
    held: Arc<Mutex<Held>>,
    counted: Arc<watch::Sender<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replicas {
    /// Starts it with replicas that have run this much.
    pub async fn start(held: Held) -> Result<Replicas> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let counted = Arc::new(watch::Sender::new(held.count()));
        let held = Arc::new(Mutex::new(held));
        let (shared, count) = (held.clone(), counted.clone());
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (held, count) = (shared.clone(), count.clone());
                let service = hyper::service::service_fn(move |request| {
                    answer(request, held.clone(), count.clone())
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(connection), service));
            }
        });
        Ok(Replicas { addr, held, counted, task })
    }

    /// What they hold now.
    pub fn held(&self) -> Held {
        lock(&self.held).clone()
    }

    /// Waits until they have run so many writes, both together.
    pub async fn until(&self, count: usize) -> Result<()> {
        let mut counted = self.counted.subscribe();
        let reached = counted.wait_for(|now| *now >= count);
        let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
        let held = self.held();
        in_time.ok().with_context(|| {
            format!("{} of {count} writes came; wrong: {:?}", held.count(), held.wrong)
        })??;
        ensure!(held.wrong.is_empty(), "the replicas were given what is wrong: {:?}", held.wrong);
        Ok(())
    }
}

async fn answer(
    request: Request<Incoming>,
    held: Arc<Mutex<Held>>,
    counted: Arc<watch::Sender<usize>>,
) -> Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| -> Result<&str> {
        Ok(parts.headers.get(name).with_context(|| format!("no {name}"))?.to_str()?)
    };
    let replica = match header(names::ROUTE)? {
        names::route::PRIMARY_ONLY => Replica::Primary,
        _ => Replica::Secondary,
    };
    let word = match Stamp::parse(header(names::STAMP)?).context("no stamp")? {
        Stamp::Write(stamp) => {
            let mut held = lock(&held);
            let word = held.take(replica, &stamp, &body);
            counted.send_replace(held.count());
            word
        }
        _ => Word { journal: Incarnation([9; 8]), ..Word::new(replica, Verdict::Ready) },
    };
    Ok(Response::builder()
        .header(names::WORD, word.to_string())
        .body(Full::new(Bytes::from_static(b"done")))?)
}
