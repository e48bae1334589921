//! The journal of the real `reprise` is killed at any sync: what it granted is never fresh again.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use anyhow::{Context as _, Result, bail, ensure};
use pb::begun::Verdict;
use protocol::{Id, Link, pb};
use std::collections::BTreeMap;
use std::path::Path;
use tests::direct::{GuardStream, Reprise, Started};
use tests::faults::{Faults, Word};
use tests::for_both_stores;

/// Sessions of a run, and writes of each.
const SESSIONS: u64 = 5;
const WRITES: u64 = 12;

/// What a guard heard of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Granted,
    Noted,
}

type Book = BTreeMap<(u64, u64), Heard>;

fn config(store: &str, data: &Path) -> String {
    format!(
        "service = 'shop'\nlisten = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nstore = '{store}'\n\
         data = '{}'\n[journal]\nreplica = 'secondary'\n",
        data.display()
    )
}

fn begin(session: u64, seq: u64) -> Result<pb::Begin> {
    let mut link = Link::START;
    let id = |n: u64| Id::new(format!("id-{session}-{n}")).map_err(anyhow::Error::from);
    for n in 1..=seq {
        link = link.next(&id(n)?);
    }
    Ok(pb::Begin {
        token: seq,
        session: format!("s{session}"),
        epoch: 1,
        seq,
        link: link.0.to_vec(),
        id: id(seq)?.to_string(),
        method: "POST".into(),
        path: "/orders".into(),
        in_doubt: pb::InDoubtPolicy::ByMethod.into(),
        run_timeout_ms: 5000,
        ..pb::Begin::default()
    })
}

async fn begun(guard: &mut GuardStream, begin: pb::Begin) -> Result<Verdict> {
    guard.send(pb::guard_request::Kind::Begin(begin)).await?;
    match guard.next().await? {
        pb::guard_response::Kind::Begun(begun) => Ok(begun.verdict()),
        other => bail!("not begun: {other:?}"),
    }
}

/// Begins and ends writes until the process goes or all are done; the last of each session stays
/// granted, without an outcome.
async fn drive(reprise: &Reprise, book: &mut Book) -> Result<()> {
    let mut guard = reprise.guard().await?;
    guard.hello(7, vec![]).await?;
    for seq in 1..=WRITES {
        for session in 0..SESSIONS {
            let write = begin(session, seq)?;
            let verdict = begun(&mut guard, write.clone()).await?;
            ensure!(verdict == Verdict::Run, "{session} {seq}: {verdict:?}");
            book.insert((session, seq), Heard::Granted);
            if seq == WRITES {
                continue;
            }
            let outcome = pb::Outcome {
                token: seq,
                session: write.session,
                epoch: 1,
                seq,
                kind: pb::outcome::Kind::Ran.into(),
                status: 200,
                digest: vec![1; 8],
                response: None,
            };
            guard.send(pb::guard_request::Kind::Outcome(outcome)).await?;
            match guard.next().await? {
                pb::guard_response::Kind::Noted(_) => book.insert((session, seq), Heard::Noted),
                other => bail!("not noted: {other:?}"),
            };
        }
    }
    Ok(())
}

/// Kills the journal at its n-th sync and asks for everything again, as another guard or as the
/// same one that still has under way what it was granted.
async fn killed_at(store: &str, n: i64, after: bool, same: bool) -> Result<i64> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let faults = Faults::new(&data)?;
    faults.set(Word::DieAtSync, n)?;
    faults.set(Word::DieAfter, after.into())?;
    let (text, file) = (config(store, &data.canonicalize()?), dir.path().join("reprise.toml"));
    let mut book = Book::new();
    if let Started::Runs(mut reprise) = Reprise::try_start(&text, &file, &faults.env()).await? {
        if let Err(error) = drive(&reprise, &mut book).await {
            reprise.ended().await.context(error)?;
        }
        reprise.kill().await?;
    }
    let syncs = faults.get(Word::Syncs)?;
    let reprise = Reprise::start(&text, &file, &[]).await?;
    let mut guard = reprise.guard().await?;
    let granted = book.iter().filter(|(_, heard)| **heard == Heard::Granted);
    let running = granted.map(|((session, seq), _)| pb::Running {
        session: format!("s{session}"),
        epoch: 1,
        seq: *seq,
    });
    match same {
        true => guard.hello(7, running.collect()).await?,
        false => guard.hello(8, vec![]).await?,
    }
    for ((session, seq), heard) in &book {
        let verdict = begun(&mut guard, begin(*session, *seq)?).await?;
        let fits = match heard {
            Heard::Noted => verdict == Verdict::Ran,
            // Its outcome may have been kept and only the answer lost.
            Heard::Granted => verdict != Verdict::Run,
        };
        ensure!(fits, "session {session}, {seq}: {heard:?}, and now {verdict:?}");
    }
    Ok(syncs)
}

async fn killed_everywhere(store: &'static str) -> Result<()> {
    let syncs = killed_at(store, 0, false, false).await?;
    ensure!(syncs > 20, "{syncs} syncs only");
    let all = std::env::var("FAULT_POINTS").is_ok_and(|points| points == "all");
    let step = if all { 1 } else { usize::try_from(syncs)?.div_ceil(20) };
    let offset = i64::from(std::process::id()) % step as i64;
    let (mut tried, mut failed) = (0, vec![]);
    for n in (1 + offset..=syncs).step_by(step) {
        for (after, same) in [(false, n % 2 == 0), (true, n % 2 == 1)] {
            tried += 1;
            let result = killed_at(store, n, after, same).await.with_context(|| {
                format!("killed {} sync {n}", if after { "after" } else { "before" })
            });
            if let Err(error) = result {
                failed.push(format!("{error:#}"));
            }
        }
    }
    println!("{store}: {syncs} syncs in a run, killed at {tried} places");
    ensure!(failed.is_empty(), "{} of {tried}: {failed:#?}", failed.len());
    Ok(())
}

for_both_stores! {
    a_journal_killed_at_any_sync_grants_nothing_twice => super::killed_everywhere;
}
