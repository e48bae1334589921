//! One byte of a store's files is wrong. Either everything acknowledged is still read right, or
//! opening or reading fails with an error that says where; never are records missing or wrong
//! without a word.

use super::{Random, Records, apply, copy, files, open, put, read};
use replay_log::store::{Kind, Store, Write};
use std::fs;
use std::path::{Path, PathBuf};

/// Set it for a longer campaign.
const FLIPS: &str = "REPRISE_STORE_TEST_FLIPS";

/// What came of a flipped byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All records are right.
    Right,
    /// Opening failed, and changed nothing.
    NotOpened,
    /// Reading failed.
    NotRead,
    /// The last batch of the last journal is gone, and counted as torn: nobody can tell it from
    /// one that was not acknowledged.
    LastBatchTorn,
    /// Records are missing or wrong, without a word.
    Wrong,
}

/// Commits what the log and the journal commit, in small, until there are tables and journals.
/// Returns the records before and after the last batch.
pub(super) fn fill(store: &mut dyn Store) -> [Records; 2] {
    let mut random = Random::new(17);
    let mut records = Records::new();
    for n in 0..420 {
        let mut batch = vec![put(&format!("s/{}", n % 30), random.bytes(150))];
        for entry in 0..8 {
            batch.push(put(&format!("e/{n:06}/{entry}"), random.bytes(6000)));
        }
        batch.push(Write::Delete { key: format!("e/{:06}/3", n / 2).into_bytes() });
        store.commit(&batch).unwrap();
        batch.iter().for_each(|write| apply(&mut records, write));
    }
    let before = records.clone();
    let last = put("last", vec![9; 100]);
    store.commit(std::slice::from_ref(&last)).unwrap();
    apply(&mut records, &last);
    [before, records]
}

fn outcome(kind: Kind, dir: &Path, records: &[Records; 2], place: &str) -> Outcome {
    let untouched = files(dir);
    let store = match open(kind, dir) {
        Ok(store) => store,
        Err(error) => {
            assert!(error.to_string().contains(dir.to_str().unwrap()), "{place}: {error}");
            let now = files(dir);
            let changed = untouched.iter().find(|(path, bytes)| now.get(*path) != Some(bytes));
            assert!(
                changed.is_none() || kind == Kind::Sled,
                "{place}: {error}, {:?}",
                changed.unwrap().0
            );
            return Outcome::NotOpened;
        }
    };
    let [before, all] = records;
    let found = match read(&*store, b"") {
        Ok(found) => found,
        Err(_) => return Outcome::NotRead,
    };
    for (key, value) in all {
        match store.get(key) {
            Ok(Some(got)) if got == *value => {}
            Ok(None) if store.stats().torn == 1 && !before.contains_key(key) => {}
            Ok(_) => return Outcome::Wrong,
            Err(_) => return Outcome::NotRead,
        }
    }
    match &found {
        found if found == all => Outcome::Right,
        found if found == before && store.stats().torn == 1 => Outcome::LastBatchTorn,
        _ => Outcome::Wrong,
    }
}

/// Flips one byte after the other, each in a store as it was, in files drawn evenly.
fn flip(kind: Kind, flips: u64, is_wanted: impl Fn(&Path) -> bool) -> Vec<(Outcome, String)> {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(kind, &dir.path().join("whole")).unwrap();
    let records = fill(&mut *store);
    drop(store);
    // Opened once more, so that all but the last journal is written out as far as it will be.
    drop(open(kind, &dir.path().join("whole")).unwrap());
    let whole = files(&dir.path().join("whole"));
    let names: Vec<_> =
        whole.iter().filter(|(path, bytes)| !bytes.is_empty() && is_wanted(path)).collect();
    assert!(!names.is_empty());
    let mut random = Random::new(flips);
    let mut outcomes = Vec::new();
    for n in 0..flips {
        let (path, bytes) = names[n as usize % names.len()];
        // Half of them near the end, where tables have their index.
        let from = if n / 2 % 2 == 0 { 0 } else { bytes.len().saturating_sub(3000) };
        let at = from + random.below((bytes.len() - from) as u64) as usize;
        let bit = 1u8 << random.below(8);
        let broken = dir.path().join("broken");
        copy(&dir.path().join("whole"), &broken);
        let name: PathBuf = path.strip_prefix(dir.path().join("whole")).unwrap().into();
        let mut bytes = bytes.clone();
        bytes[at] ^= bit;
        fs::write(broken.join(&name), bytes).unwrap();
        let place = format!("{}: bit {bit:02x} of byte {at}", name.display());
        outcomes.push((outcome(kind, &broken, &records, &place), place));
        fs::remove_dir_all(&broken).unwrap();
    }
    outcomes.sort();
    outcomes
}

fn count(outcomes: &[(Outcome, String)], wanted: Outcome) -> usize {
    outcomes.iter().filter(|(outcome, _)| *outcome == wanted).count()
}

fn flips() -> u64 {
    std::env::var(FLIPS).map_or(240, |n| n.parse().unwrap())
}

fn reports_every_flip_of(is_wanted: impl Fn(&Path) -> bool) -> Vec<(Outcome, String)> {
    let outcomes = flip(Kind::Fjall, flips(), is_wanted);
    for (outcome, place) in &outcomes {
        println!("{outcome:?} {place}");
    }
    let wrong: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome == Outcome::Wrong).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    outcomes
}

fn is_in(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

#[test]
fn a_flipped_byte_in_fjalls_records_is_harmless_or_reported() {
    let records = |path: &Path| is_in(path, ".jnl") || is_in(path, "keyspaces/1/tables/");
    let outcomes = reports_every_flip_of(records);
    assert!(count(&outcomes, Outcome::NotOpened) > 0 && count(&outcomes, Outcome::NotRead) > 0);
}

#[test]
fn a_flipped_byte_in_fjalls_own_lists_is_harmless_or_reported() {
    let outcomes = reports_every_flip_of(|path| {
        !path.ends_with("lock") && !is_in(path, ".jnl") && !is_in(path, "keyspaces/1/tables/")
    });
    assert!(count(&outcomes, Outcome::NotOpened) > 0);
}

#[test]
fn sled_flips() {
    let outcomes = flip(Kind::Sled, flips(), |path| path.ends_with("db"));
    for (outcome, place) in &outcomes {
        println!("{outcome:?} {place}");
    }
}
