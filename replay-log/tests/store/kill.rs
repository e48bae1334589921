//! kill -9 at random moments: what was acknowledged is there, and of the batch under way a prefix
//! (sled), or all or nothing (fjall). (It does not show the loss of power: the page cache survives.)
//!
//! The child is this test binary itself, running [`child`] with [`DIR`] set. It commits batches
//! that both sides make from the batch's number, and prints that number when it is committed.

use super::{KINDS, Random, apply, contents, open};
use replay_log::store::{Kind, Write};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const DIR: &str = "REPRISE_STORE_TEST_DIR";
const KIND: &str = "REPRISE_STORE_TEST_KIND";
const FROM: &str = "REPRISE_STORE_TEST_FROM";
/// Set it for a longer campaign.
const ROUNDS: &str = "REPRISE_STORE_TEST_ROUNDS";

fn batch(number: u64) -> Vec<Write> {
    let mut random = Random::new(number);
    let write = |_| {
        let key = format!("k{}", random.below(24)).into_bytes();
        let length = match random.below(100) {
            0 => 1 << 20,
            1..=49 => random.below(600),
            50..=79 => 4000 + random.below(300),
            _ => random.below(40_000),
        };
        match random.below(5) {
            0 => Write::Delete { key },
            _ => Write::Put { key, value: random.bytes(length as usize) },
        }
    };
    (0..1 + number % 9).map(write).collect()
}

#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let from: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let kind = std::env::var(KIND).unwrap();
    let kind = KINDS.into_iter().find(|other| format!("{other:?}") == kind).unwrap();
    let mut store = open(kind, Path::new(&dir)).unwrap();
    for number in from.. {
        store.commit(&batch(number)).unwrap();
        let mut out = std::io::stdout().lock();
        // The parent has gone: so do we.
        if writeln!(out, "committed {number}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// Lets a child commit from batch `from` on, kills it, and returns the last batch that it
/// acknowledged.
fn run_and_kill(kind: Kind, dir: &Path, from: u64, random: &mut Random) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(KIND, format!("{kind:?}"))
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut left = random.below(30);
    let mut last = None;
    for line in lines {
        let line = line.unwrap();
        let Some(number) = line.strip_prefix("committed ").and_then(|n| n.parse().ok()) else {
            continue;
        };
        last = Some(number);
        if left == 0 {
            // Any moment of a commit, which takes a few milliseconds.
            std::thread::sleep(Duration::from_micros(random.below(4000)));
            child.kill().unwrap();
        }
        left = left.wrapping_sub(1);
    }
    assert!(!child.wait().unwrap().success(), "it was killed");
    last
}

fn survives_kill_9(kind: Kind) {
    let rounds = std::env::var(ROUNDS).map_or(25, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(rounds);
    let mut model = BTreeMap::new();
    let (mut from, mut prefixes, mut torn) = (0, 0, 0);
    for round in 0..rounds {
        let last = run_and_kill(kind, dir.path(), from, &mut random);
        let last = last.expect("it committed something");
        (from..=last).flat_map(batch).for_each(|write| apply(&mut model, &write));
        let store = open(kind, dir.path()).unwrap();
        torn += store.stats().torn;
        let found = contents(&*store, b"");
        let mut under_way = batch(last + 1).into_iter();
        let mut prefix = 0;
        while found != model {
            let write = under_way.next().unwrap_or_else(|| {
                panic!("round {round}: after batch {last} the records are those of no prefix")
            });
            apply(&mut model, &write);
            prefix += 1;
        }
        let is_whole = prefix == 0
            || under_way.all(|write| {
                let mut with = model.clone();
                apply(&mut with, &write);
                with == model
            });
        assert!(is_whole || kind == Kind::Sled, "round {round}: half a batch is there");
        prefixes += u32::from(!is_whole);
        for (key, value) in &model {
            assert!(store.get(key).unwrap().as_ref() == Some(value), "round {round}");
        }
        from = last + 2;
    }
    println!("{kind:?}: {rounds} rounds, {from} batches, {prefixes} in part, {torn} torn");
}

#[test]
fn what_sled_acknowledged_survives_kill_9_and_the_batch_under_way_leaves_a_prefix() {
    survives_kill_9(Kind::Sled);
}

#[test]
fn what_fjall_acknowledged_survives_kill_9_and_the_batch_under_way_is_whole_or_not_there() {
    survives_kill_9(Kind::Fjall);
}
