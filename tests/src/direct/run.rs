//! A run of many writes against a `reprise` that dies, and what must be true afterwards.

use super::replicas::{Held, Replicas};
use super::{GatewayStream, Reprise, Started};
use crate::faults::Faults;
use anyhow::{Context as _, Result, bail, ensure};
use pb::appended::Outcome;
use protocol::{Digest, Number, Replica, pb};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Appends under way at once.
const WINDOW: usize = 6;
/// The sessions of a run.
const SESSIONS: usize = 10;

/// A write of a run.
#[derive(Clone, Debug)]
pub struct Planned {
    session: String,
    id: String,
    body: Vec<u8>,
    /// The number in its session that it must get.
    seq: u64,
}

/// The writes of a run, in the order in which they are sent: small bodies, some of 7 kB, some of
/// 60 kB, none of which compresses.
pub fn plan(writes: usize) -> Arc<Vec<Planned>> {
    let mut random = Pcg64Mcg::seed_from_u64(writes as u64);
    let planned = |n: usize| {
        let length = match n {
            n if n % 40 == 19 => 60_000,
            n if n % 20 == 7 => 7_000,
            n => 50 + n % 100,
        };
        let mut body = vec![0; length];
        random.fill(&mut body[..]);
        // Sessions do not take turns, so that one commit may hold several writes of one.
        let session = format!("s{}", n / 3 % SESSIONS);
        Planned { session, id: format!("id-{n}"), body, seq: 0 }
    };
    let mut plan: Vec<Planned> = (0..writes).map(planned).collect();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for write in &mut plan {
        let seq = last.entry(write.session.clone()).or_default();
        *seq += 1;
        write.seq = *seq;
    }
    Arc::new(plan)
}

/// Which writes were acknowledged, with which number.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<BTreeMap<usize, Number>>>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Number>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is now, apart from what follows.
    pub fn copy(&self) -> Book {
        Book(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// How many were acknowledged.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn end(&self) -> usize {
        self.lock().last_key_value().map_or(0, |(n, _)| n + 1)
    }
}

/// One site that keeps the log, its replicas and its disk.
#[derive(Debug)]
pub struct Site {
    /// What it delivers to.
    pub replicas: Replicas,
    /// Where its stores are.
    pub data: PathBuf,
    store: &'static str,
    /// More lines at the top of its configuration.
    pub top: String,
}

impl Site {
    /// A site whose replicas have run this much.
    pub async fn new(store: &'static str, data: &Path, held: Held) -> Result<Site> {
        std::fs::create_dir_all(data)?;
        let replicas = Replicas::start(held).await?;
        Ok(Site { replicas, data: data.canonicalize()?, store, top: String::new() })
    }

    fn config(&self) -> String {
        format!(
            "service = 'shop'\nlisten = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nstore = '{}'\n\
             data = '{}'\n{}[log]\ndelivery = '{}'\ntakeover_ms = 50\n",
            self.store,
            self.data.display(),
            self.top,
            self.replicas.addr,
        )
    }

    /// Starts its `reprise`, under faults or without.
    pub async fn start(&self, faults: Option<&Faults>) -> Result<Started> {
        let env = faults.map(Faults::env).unwrap_or_default();
        Reprise::try_start(&self.config(), &self.data.with_extension("toml"), &env).await
    }

    /// Starts its `reprise`, which must run.
    pub async fn started(&self, faults: Option<&Faults>) -> Result<Reprise> {
        match self.start(faults).await? {
            Started::Runs(reprise) => Ok(*reprise),
            Started::Ended(status, log) => bail!("reprise does not start ({status}): {log:#?}"),
        }
    }
}

/// What one look at an append's answer says.
enum Said {
    Numbered(pb::Numbered),
    Refused(pb::Refused),
}

async fn append(gateway: &GatewayStream, n: usize, write: &Planned) -> Result<()> {
    let append = pb::Append {
        token: n as u64,
        session: write.session.clone(),
        id: write.id.clone(),
        method: "POST".into(),
        path: "/orders".into(),
        headers: vec![pb::Header { name: ":authority".into(), value: "shop.example".into() }],
        body: write.body.clone(),
        received_ms: 1,
        refuse_when_cut: false,
    };
    gateway.send(Some(pb::gateway_request::Kind::Append(append)), vec![]).await
}

async fn said(gateway: &mut GatewayStream) -> Result<(usize, Said)> {
    let appended = gateway.appended().await?;
    let said = match appended.outcome.context("an answer without an outcome")? {
        Outcome::Numbered(numbered) => Said::Numbered(numbered),
        Outcome::Refused(refused) => Said::Refused(refused),
    };
    Ok((usize::try_from(appended.token)?, said))
}

/// Of every three writes two are reported abandoned, the third is left to `takeover_ms`.
fn ends(n: usize, write: &Planned, numbered: &pb::Numbered) -> Vec<pb::End> {
    if n.is_multiple_of(3) || numbered.settled {
        return vec![];
    }
    vec![pb::End {
        session: write.session.clone(),
        epoch: numbered.epoch,
        seq: numbered.seq,
        kind: pb::end::Kind::Abandoned.into(),
        word: String::new(),
        token: n as u64,
        route: numbered.route,
    }]
}

/// Appends the writes from `from` on and notes what is acknowledged. Ends with an error when the
/// process goes. Gives the writes that were refused for want of room.
pub async fn drive(
    reprise: &Reprise,
    plan: &[Planned],
    from: usize,
    book: &Book,
) -> Result<Vec<usize>> {
    let mut gateway = reprise.gateway().await?;
    let (mut next, mut open, mut full) = (from, 0, vec![]);
    while next < plan.len() || open > 0 {
        while open < WINDOW && next < plan.len() {
            append(&gateway, next, &plan[next]).await?;
            (next, open) = (next + 1, open + 1);
        }
        let (n, said) = said(&mut gateway).await?;
        open -= 1;
        match said {
            Said::Numbered(numbered) => {
                let number = Number { epoch: numbered.epoch, seq: numbered.seq };
                book.lock().insert(n, number);
                gateway.send(None, ends(n, &plan[n], &numbered)).await?;
            }
            Said::Refused(refused) if refused.reason() == pb::refused::Reason::Full => {
                ensure!(refused.retry_after_ms > 0, "full, without when to come back");
                full.push(n);
            }
            Said::Refused(refused) => bail!("write {n} was refused: {refused:?}"),
        }
    }
    Ok(full)
}

/// Checks a site whose `reprise` runs again: every acknowledged write is there with its number
/// and payload, every other one wholly or not at all, numbers have no gap, and both replicas get
/// all of it in order.
pub async fn verify(site: &Site, reprise: &Reprise, plan: &[Planned], book: &Book) -> Result<()> {
    // What was under way is sent again as well.
    let until = plan.len().min(book.end() + 2 * WINDOW);
    let plan = &plan[..until];
    let mut gateway = reprise.gateway().await?;
    let acknowledged = book.lock().clone();
    let mut numbers = BTreeMap::new();
    let (mut next, mut open, mut lost) = (0, 0, vec![]);
    while next < plan.len() || open > 0 {
        while open < 2 * WINDOW && next < plan.len() {
            append(&gateway, next, &plan[next]).await?;
            (next, open) = (next + 1, open + 1);
        }
        let (n, said) = said(&mut gateway).await?;
        open -= 1;
        let Said::Numbered(numbered) = said else {
            bail!("write {n} was refused; acknowledged: {:?}", acknowledged.get(&n));
        };
        let number = Number { epoch: numbered.epoch, seq: numbered.seq };
        if let Some(before) = acknowledged.get(&n) {
            if !numbered.known {
                lost.push(n);
                continue;
            }
            ensure!(*before == number, "write {n} was {before:?} and is {number:?}");
        }
        numbers.insert(n, number);
        if !lost.is_empty() {
            continue;
        }
        ensure!(number.seq == plan[n].seq, "write {n} is {number:?}, not {}", plan[n].seq);
    }
    drop(gateway);
    ensure!(
        lost.is_empty(),
        "LOST of {} acknowledged writes: {lost:?}, the last of all was {}",
        acknowledged.len(),
        book.end() - 1
    );
    site.replicas.until(2 * plan.len()).await?;
    reprise.status_when("everything is settled", |s| s["log"]["entries"] == 0).await?;
    let held = site.replicas.held();
    for replica in Replica::BOTH {
        let mut place: BTreeMap<&str, usize> = BTreeMap::new();
        for (n, write) in plan.iter().enumerate() {
            let at = place.entry(&write.session).or_default();
            let runs = held.runs.get(&(replica, write.session.clone()));
            let run = runs.and_then(|runs| runs.get(*at)).context("a write did not come")?;
            *at += 1;
            ensure!(run.id == write.id, "{replica}: {} instead of {}", run.id, write.id);
            ensure!(numbers.get(&n) == Some(&run.number), "{replica}: {run:?}");
            ensure!(run.body == Digest::of(&write.body), "{replica}: another body of {n}");
        }
    }
    Ok(())
}
