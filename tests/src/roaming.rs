//! Sessions that go from one gateway to the other with every request, as a client behind a load
//! balancer does: a write here, the read after it there, and what failed is sent again there.

use crate::client::{Answer, Client};
use anyhow::{Result, ensure};
use demo::check::{History, Sent};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two requests of a session, and before what failed is sent again.
const PAUSE: Duration = Duration::from_millis(40);
/// A request that still fails after so long has failed for good.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sessions under way.
pub struct Roaming {
    stop: Arc<AtomicBool>,
    sessions: JoinSet<Result<(History, Seen)>>,
}

/// What the sessions met.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests that failed and were sent again to the other gateway.
    pub repeated: u64,
    /// Reads.
    pub reads: u64,
    /// The longest that any request took with all its repetitions.
    pub longest: Duration,
    /// The last of the failures.
    pub failure: Option<String>,
}

impl Roaming {
    /// Starts so many sessions between two gateways.
    pub fn start(gateways: [SocketAddr; 2], sessions: u32) -> Roaming {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let mut all = JoinSet::new();
        for index in 0..sessions {
            let clients = gateways.map(|gateway| Client::new(gateway, false));
            all.spawn(session(format!("roaming-{index}"), clients, begun, Arc::clone(&stop)));
        }
        Roaming { stop, sessions: all }
    }

    /// Lets every session end its request and gives what they did and met.
    pub async fn stop(mut self) -> Result<(Vec<History>, Seen)> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut histories, mut all) = (Vec::new(), Seen::default());
        while let Some(ended) = self.sessions.join_next().await {
            let (history, seen) = ended??;
            histories.push(history);
            all.repeated += seen.repeated;
            all.reads += seen.reads;
            all.longest = all.longest.max(seen.longest);
            all.failure = all.failure.or(seen.failure);
        }
        Ok((histories, all))
    }
}

async fn session(
    name: String,
    clients: [Client; 2],
    begun: Instant,
    stop: Arc<AtomicBool>,
) -> Result<(History, Seen)> {
    let (mut writes, mut seen) = (Vec::new(), Seen::default());
    let us = || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    for n in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let label = format!("{name}-{n}");
        let start_us = us();
        let write = |client: &Client| client.write(&name, &label).key(&label);
        until_answered(&clients, n, &mut seen, write).await?;
        writes.push(Sent { label: label.clone(), start_us, acknowledged_us: Some(us()) });
        let read = until_answered(&clients, n + 1, &mut seen, |client| client.read(&name)).await?;
        seen.reads += 1;
        ensure!(read.json()["last"] == *label, "{label} was acknowledged, and read: {read:?}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok((History { session: name, writes }, seen))
}

/// Sends a request to the one gateway and then, as often as it fails, to the other and back.
async fn until_answered(
    clients: &[Client; 2],
    first: usize,
    seen: &mut Seen,
    request: impl Fn(&Client) -> crate::client::Sending,
) -> Result<Answer> {
    let begun = Instant::now();
    for turn in first.. {
        let answer = request(&clients[turn % 2]).send().await;
        seen.longest = seen.longest.max(begun.elapsed());
        match answer {
            Ok(answer) if answer.status == 200 => return Ok(answer),
            Ok(answer) => seen.failure = Some(format!("{} {}", answer.status, answer.problem())),
            Err(error) => seen.failure = Some(format!("{error:#}")),
        }
        ensure!(begun.elapsed() < PATIENCE, "failed for good: {:?}", seen.failure);
        seen.repeated += 1;
        tokio::time::sleep(PAUSE).await;
    }
    anyhow::bail!("not sent")
}
