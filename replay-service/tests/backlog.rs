//! An outage that is longer than any memory: the primary is away while writes to thousands of
//! sessions go on, the process is killed in the middle and again at the end, and then the primary
//! comes back.
//!
//! `BACKLOG_WRITES` sets how many writes there are, 50 a session; 1,000,000 take some minutes and
//! a release build.
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

mod support;

use protocol::{Incarnation, Link, Number, Position, Replica, Stamp, Verdict, Word, pb};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::listener::{Delivered, DeliveryListener, runs};
use support::process::{Peak, disk_bytes};
use support::{Reprise, config, get};
use tokio::sync::Semaphore;

/// Writes of a session.
const DEPTH: u64 = 50;
/// Appends without an answer, as of many clients.
const IN_FLIGHT: usize = 1024;
/// Bytes of a body.
const BODY: usize = 1000;
/// The process must not have more memory than this.
const MEMORY: u64 = 512 << 20;
/// The process must answer again after this, however much it holds.
const RESTART: Duration = Duration::from_secs(10);
/// So much may stay on disk: fjall does not trouble to give back less.
const SMALL: u64 = 64 << 20;
/// The disk's space must be back after this.
const GIVEN_BACK: Duration = Duration::from_secs(60);

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// The guards of both replicas and what they have run.
#[derive(Default)]
struct Guards {
    primary_is_there: AtomicBool,
    /// By replica: where each session stands.
    stand: [Mutex<BTreeMap<String, Position>>; 2],
    ran: [AtomicU64; 2],
    repeated: [AtomicU64; 2],
}

impl Guards {
    /// Runs a write if it is the next of its session.
    fn run(&self, replica: Replica, session: &str, number: Number, link: Link) -> Word {
        let r = replica.index();
        let mut stand = self.stand[r].lock().expect("not poisoned");
        let at = stand.entry(session.to_string()).or_default();
        let first = at.number.seq == 0;
        assert!(first || at.number.epoch == number.epoch, "{session} changed its epoch");
        let next = at.number.seq + 1;
        assert!(number.seq <= next, "{replica}: {session} {number} came when {next} was next");
        let verdict = if number.seq == next { Verdict::Ran } else { Verdict::Remembered };
        match verdict {
            Verdict::Ran => {
                *at = Position { number, link };
                self.ran[r].fetch_add(1, Ordering::Relaxed);
            }
            _ => drop(self.repeated[r].fetch_add(1, Ordering::Relaxed)),
        }
        Word {
            number: Some(number),
            status: 200,
            at: Some(*at),
            journal: Incarnation([r as u8 + 1; 8]),
            ..Word::new(replica, verdict)
        }
    }

    /// What comes through the delivery listener.
    fn delivered(&self, delivered: &Delivered) -> Option<Word> {
        let replica = delivered.replica;
        if replica == Replica::Primary && !self.primary_is_there.load(Ordering::Relaxed) {
            return None;
        }
        let Stamp::Write(stamp) = &delivered.stamp else { return runs(delivered) };
        Some(self.run(replica, stamp.session.as_str(), stamp.number, stamp.link))
    }

    /// Where the secondary's session stands.
    fn secondary_at(&self, session: &str) -> u64 {
        let stand = self.stand[1].lock().expect("not poisoned");
        stand.get(session).map_or(0, |at| at.number.seq)
    }

    fn ran(&self, replica: Replica) -> u64 {
        self.ran[replica.index()].load(Ordering::Relaxed)
    }
}

/// The clients' writes, by number, and which of them have been numbered.
struct Writes {
    sessions: u64,
    numbered: Mutex<Vec<bool>>,
    count: AtomicU64,
}

impl Writes {
    fn new(writes: u64) -> Writes {
        let numbered = Mutex::new(vec![false; writes as usize]);
        Writes { sessions: writes / DEPTH, numbered, count: AtomicU64::new(0) }
    }

    fn open(&self, below: u64) -> Vec<u64> {
        let numbered = self.numbered.lock().expect("not poisoned");
        (0..below).filter(|n| !numbered[*n as usize]).collect()
    }

    fn session(&self, n: u64) -> String {
        format!("customer-{:06}", n % self.sessions)
    }

    fn append(&self, n: u64) -> pb::Append {
        let header =
            |name: &str, value: &str| pb::Header { name: name.into(), value: value.into() };
        // Bytes that do not compress.
        let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut random = || {
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            x.wrapping_mul(0x2545_F491_4F6C_DD1D)
        };
        let id = [random().to_be_bytes(), random().to_be_bytes()].concat();
        pb::Append {
            token: n,
            session: self.session(n),
            id: protocol::Id::mint(id.try_into().expect("16 bytes")).to_string(),
            method: "POST".into(),
            path: "/orders?of=today".into(),
            headers: vec![
                header(":authority", "shop.example"),
                header("content-type", "application/json"),
                header("user-agent", "till/3.2"),
            ],
            body: (0..BODY / 8).flat_map(|_| random().to_be_bytes()).collect(),
            received_ms: 1_700_000_000_000 + n,
            refuse_when_cut: false,
        }
    }
}

/// One life of the process, and what is measured of it.
struct Site {
    config: String,
    peak: Peak,
}

impl Site {
    /// Starts the process and waits until it is healthy; how long that took.
    async fn start(&self) -> (Reprise, Duration) {
        let since = Instant::now();
        let mut reprise = Reprise::start(&self.config).await;
        reprise.relay_log();
        while get(reprise.admin(), "/healthz").await != 200 {}
        let took = since.elapsed();
        let process = reprise.process();
        let (resident, most) = (mib(process.resident()), mib(self.peak.look(process)));
        let busy = process.busy_ms();
        eprintln!("healthy after {took:?}, busy {busy} ms, {resident}, at most {most}");
        (reprise, took)
    }

    async fn kill(&self, mut reprise: Reprise) {
        eprintln!("killed at {}", mib(self.peak.look(reprise.process())));
        reprise.signal("-KILL").await;
        reprise.exit_code().await;
    }
}

/// What the gateway says of a numbered write: the secondary has answered it, or, for some, its
/// client has gone, so that the log must deliver it.
fn end(guards: &Guards, session: String, n: u64, numbered: &pb::Numbered) -> pb::End {
    let number = Number { epoch: numbered.epoch, seq: numbered.seq };
    let abandoned = n % 16 == 7 || guards.secondary_at(&session) + 1 != number.seq;
    let word = match abandoned {
        true => String::new(),
        false => {
            let link = Link::from_wire(&numbered.link).expect("a link");
            guards.run(Replica::Secondary, &session, number, link).to_string()
        }
    };
    let kind = if abandoned { pb::end::Kind::Abandoned } else { pb::end::Kind::Answered };
    pb::End {
        session,
        epoch: number.epoch,
        seq: number.seq,
        kind: kind.into(),
        word,
        token: n,
        route: numbered.route,
    }
}

/// Appends what is not numbered yet, with many in flight, until `enough` are.
async fn fill(
    reprise: &Reprise,
    writes: &Arc<Writes>,
    guards: &Arc<Guards>,
    below: u64,
    enough: u64,
) {
    let since = (Instant::now(), writes.count.load(Ordering::Relaxed));
    let mut gateway = reprise.gateway().await.expect("a stream");
    assert_eq!(gateway.hello(protocol::VERSION).await.error, "");
    let (requests, mut responses) = gateway.split();
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let ends: Arc<Mutex<Vec<pb::End>>> = Arc::default();
    let sender = tokio::spawn({
        let (writes, room, ends) = (writes.clone(), room.clone(), ends.clone());
        async move {
            for n in writes.open(below) {
                room.acquire().await.expect("open").forget();
                let ends = std::mem::take(&mut *ends.lock().expect("not poisoned"));
                let kind = Some(pb::gateway_request::Kind::Append(writes.append(n)));
                if requests.send(pb::GatewayRequest { kind, ends }).await.is_err() {
                    break;
                }
            }
            requests
        }
    });
    while writes.count.load(Ordering::Relaxed) < enough {
        let message = responses.message().await.expect("no error").expect("not the end");
        match message.kind.expect("a kind") {
            pb::gateway_response::Kind::Appended(pb::Appended { token, outcome }) => {
                let Some(pb::appended::Outcome::Numbered(numbered)) = outcome else {
                    panic!("refused: {outcome:?}")
                };
                assert_eq!(numbered.seq, token / writes.sessions + 1, "{token}");
                let done = std::mem::replace(
                    &mut writes.numbered.lock().expect("not poisoned")[token as usize],
                    true,
                );
                assert!(!done, "{token} was numbered twice");
                writes.count.fetch_add(1, Ordering::Relaxed);
                let end = end(guards, writes.session(token), token, &numbered);
                ends.lock().expect("not poisoned").push(end);
                room.add_permits(1);
            }
            pb::gateway_response::Kind::Moved(_) => {}
            other => panic!("not numbered: {other:?}"),
        }
    }
    if enough == below {
        let requests = sender.await.expect("sent");
        let ends = std::mem::take(&mut *ends.lock().expect("not poisoned"));
        requests.send(pb::GatewayRequest { kind: None, ends }).await.expect("open");
        // Answered after what came before.
        reprise.status_when(|s| s["log"]["backlog"]["secondary"] == 0).await;
    } else {
        sender.abort();
    }
    let rate = (enough - since.1) as f64 / since.0.elapsed().as_secs_f64();
    eprintln!("{enough} writes are numbered, {rate:.0}/s, {}", mib(reprise.process().resident()));
}

/// Waits until the primary has run everything.
async fn drain(reprise: &Reprise, guards: &Guards, writes: u64, peak: &Peak) {
    let since = Instant::now();
    let mut seen = (guards.ran(Replica::Primary), since);
    while guards.ran(Replica::Primary) < writes {
        tokio::time::sleep(Duration::from_millis(20)).await;
        peak.look(reprise.process());
        let ran = guards.ran(Replica::Primary);
        if ran > seen.0 {
            if ran / 100_000 > seen.0 / 100_000 {
                eprintln!("{ran} delivered, {}", mib(reprise.process().resident()));
            }
            seen = (ran, Instant::now());
        }
        assert!(seen.1.elapsed() < support::PATIENCE, "the drain stands at {ran}");
    }
    let rate = writes as f64 / since.elapsed().as_secs_f64();
    eprintln!(
        "drained in {:?}, {rate:.0}/s, {}",
        since.elapsed(),
        mib(reprise.process().resident())
    );
}

/// Waits until the directory has come down to `bound`.
async fn given_back(data: &Path, bound: u64) {
    let since = Instant::now();
    let mut next = Duration::ZERO;
    loop {
        let bytes = disk_bytes(data);
        if since.elapsed() >= next || bytes <= bound {
            eprintln!("{:>3} s: {}", since.elapsed().as_secs(), mib(bytes));
            next += Duration::from_secs(5);
        }
        if bytes <= bound {
            return;
        }
        assert!(since.elapsed() < GIVEN_BACK, "{} on disk, not {}", mib(bytes), mib(bound));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn outage(store: &str, writes: u64) {
    let guards: Arc<Guards> = Arc::default();
    let answers = guards.clone();
    let listener =
        DeliveryListener::start(Arc::new(move |d: &Delivered| answers.delivered(d))).await;
    drop(listener.delivered);
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().display();
    let site = Site {
        config: config(&format!(
            "store = '{store}'\ndata = '{data}'\n[log]\ndelivery = '{}'\n\
             delivery_timeout_ms = 5000\n",
            listener.address
        )),
        peak: Peak::default(),
    };
    let all = Arc::new(Writes::new(writes));
    eprintln!("{store}: {writes} writes over {} sessions", all.sessions);

    let (reprise, _) = site.start().await;
    fill(&reprise, &all, &guards, writes, writes / 2).await;
    site.kill(reprise).await;
    let (reprise, restart) = site.start().await;
    assert!(restart < RESTART, "{restart:?}");
    fill(&reprise, &all, &guards, writes, writes).await;
    assert_eq!(guards.ran(Replica::Secondary), writes);
    assert_eq!(guards.ran(Replica::Primary), 0);
    site.kill(reprise).await;

    let (reprise, restart) = site.start().await;
    assert!(restart < RESTART, "{restart:?}");
    let status = reprise.status().await;
    assert_eq!(status["log"]["backlog"]["primary"], writes);
    let peak_disk = disk_bytes(dir.path());
    eprintln!("the outage takes {} on disk", mib(peak_disk));
    guards.primary_is_there.store(true, Ordering::Relaxed);
    drain(&reprise, &guards, writes, &site.peak).await;
    reprise.status_when(|status| status["log"]["entries"] == 0).await;
    assert_eq!(guards.repeated[0].load(Ordering::Relaxed), 0, "the primary was asked twice");
    eprintln!("the secondary was asked again {} times", guards.repeated[1].load(Ordering::Relaxed));
    site.peak.look(reprise.process());
    assert!(site.peak.get() < MEMORY, "{}", mib(site.peak.get()));
    if store == "fjall" {
        given_back(dir.path(), peak_disk / 4 + SMALL).await;
    }
    eprintln!("at the end {}, at most {}", mib(reprise.process().resident()), mib(site.peak.get()));
}

fn writes() -> u64 {
    std::env::var("BACKLOG_WRITES").map_or(60_000, |n| n.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_is_delivered_in_order_and_gives_its_disk_space_back() {
    outage("fjall", writes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_is_delivered_in_order_with_sled_too() {
    outage("sled", writes()).await;
}
