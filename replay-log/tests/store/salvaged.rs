//! What salvage takes out of a damaged store, and that it leaves that store alone.

use super::flips::fill;
use super::{KINDS, Records, apply, contents, files, open, put};
use replay_log::store::{FjallStore, Kind, Salvaged, Store, salvage};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

struct Salvage {
    found: Records,
    salvaged: Salvaged,
}

impl Salvage {
    /// Salvages into a new store, which opens and holds what was said.
    fn of(kind: Kind, from: &Path) -> Salvage {
        let before = files(from);
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("new");
        let salvaged = salvage(kind, from, &to).unwrap();
        assert!(files(from) == before, "the damaged store was changed");
        assert!(!to.join("salvage").exists(), "the copy is still there");
        let found = contents(&*open(kind, &to).unwrap(), b"");
        assert_eq!(found.len() as u64, salvaged.records);
        for hole in &salvaged.holes {
            println!("{hole}");
        }
        Salvage { found, salvaged }
    }

    /// What is there is right, and this many records are not there.
    fn misses(&self, records: &Records) -> usize {
        for (key, value) in &self.found {
            assert!(records.get(key) == Some(value), "{} is wrong", key.escape_ascii());
        }
        records.len() - self.found.len()
    }

    fn says(&self, words: &[&str]) {
        let holes = self.salvaged.holes.join("\n");
        for word in words {
            assert!(holes.contains(word), "{word} is not in: {holes}");
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn file(dir: &Path, part: &str) -> PathBuf {
    files(dir).into_keys().find(|path| path.to_string_lossy().contains(part)).unwrap()
}

/// A fjall store with tables and a journal, and its records.
fn filled() -> (tempfile::TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(dir.path()).unwrap();
    let [_, records] = fill(&mut store);
    drop(store);
    (dir, records)
}

#[test]
fn a_whole_store_is_copied_without_a_hole() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(kind, dir.path()).unwrap();
        let [_, records] = fill(&mut *store);
        drop(store);
        let salvage = Salvage::of(kind, dir.path());
        assert!(salvage.found == records && salvage.salvaged.holes.is_empty(), "{kind:?}");
    }
}

#[test]
fn of_a_damaged_journal_all_batches_but_the_damaged_one_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Records::new();
    let mut store = FjallStore::open(dir.path()).unwrap();
    for n in 0..100u8 {
        let batch = [put(&format!("{n:03}"), vec![n; 1000]), put(&format!("{n:03}+"), vec![n; 9])];
        store.commit(&batch).unwrap();
        batch.iter().for_each(|write| apply(&mut records, write));
    }
    drop(store);
    let journal = file(dir.path(), ".jnl");
    let batch = fs::metadata(&journal).map(|_| 13 + 2 * 21 + 1000 + 3 + 9 + 4 + 13).unwrap();
    // The start's tag, its sequence number's highest and lowest byte, a length, a value, the end.
    for (n, (at, lost)) in
        [(0, 2), (10, 0), (5, 0), (13 + 13, 2), (500, 2), (batch - 1, 2)].into_iter().enumerate()
    {
        let whole = fs::read(&journal).unwrap();
        let at = batch * (20 + n) + at;
        flip(&journal, at);
        let error = FjallStore::open(dir.path()).err().unwrap().to_string();
        assert!(
            error.contains(".jnl is damaged at byte") && error.contains("stand behind it"),
            "{error}"
        );
        let salvage = Salvage::of(Kind::Fjall, dir.path());
        salvage.says(&["is damaged at byte", "behind it are kept"]);
        let missing = salvage.misses(&records);
        let keys = records.keys().filter(|key| !salvage.found.contains_key(*key));
        let keys: Vec<_> = keys.map(|key| key.escape_ascii().to_string()).collect();
        assert_eq!(missing, lost, "byte {at}: {keys:?}");
        fs::write(&journal, whole).unwrap();
    }
    assert!(contents(&FjallStore::open(dir.path()).unwrap(), b"") == records);
}

#[test]
fn of_a_table_with_damaged_blocks_all_other_blocks_are_read() {
    let (dir, records) = filled();
    let table = file(dir.path(), "keyspaces/1/tables/");
    let length = fs::metadata(&table).unwrap().len() as usize;
    for at in [length / 10, length / 3, length / 2] {
        flip(&table, at);
    }
    let salvage = Salvage::of(Kind::Fjall, dir.path());
    salvage.says(&["keyspaces/1/tables/", "what can be read of it is kept", "records from key"]);
    let missing = salvage.misses(&records);
    assert!((1..40).contains(&missing), "{missing} of {} are missing", records.len());
}

#[test]
fn without_a_table_that_cannot_be_opened_the_rest_is_read() {
    let (dir, records) = filled();
    let table = file(dir.path(), "keyspaces/1/tables/");
    flip(&table, fs::metadata(&table).unwrap().len() as usize - 20);
    let error = FjallStore::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("keyspaces/1/tables/"), "{error}");
    let salvage = Salvage::of(Kind::Fjall, dir.path());
    salvage.says(&["keyspaces/1/tables/", "all of it is lost"]);
    let found = salvage.found.iter().filter(|(key, value)| records.get(*key) == Some(value));
    assert!(found.count() > records.len() / 10);
}

#[test]
fn a_damaged_list_of_tables_is_believed_as_far_as_it_goes() {
    let (dir, records) = filled();
    flip(&file(dir.path(), "keyspaces/1/current"), 12);
    let salvage = Salvage::of(Kind::Fjall, dir.path());
    salvage.says(&["keyspaces/1/v", "its checksum does not fit"]);
    assert_eq!(salvage.misses(&records), 0);
    flip(&file(dir.path(), "keyspaces/0/current"), 12);
    assert_eq!(Salvage::of(Kind::Fjall, dir.path()).misses(&records), 0);
}

#[test]
fn of_a_damaged_sled_store_what_sled_gives_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(Kind::Sled, dir.path()).unwrap();
    let [_, records] = fill(&mut *store);
    drop(store);
    // Now it has a snapshot; without one it reads all at opening, and panics more often.
    drop(open(Kind::Sled, dir.path()).unwrap());
    let mut random = super::Random::new(23);
    let path = dir.path().join("db");
    let whole = fs::read(&path).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let sound = elsewhere.path().join("sound");
    super::copy(dir.path(), &sound);
    let (mut damaged, mut rounds) = (0, 0);
    while damaged < 5 && rounds < 60 {
        rounds += 1;
        flip(&path, random.below(whole.len() as u64) as usize);
        let broken = fs::read(&path).unwrap();
        // sled panics at some damage.
        let is_damaged = catch_unwind(|| {
            open(Kind::Sled, dir.path()).is_ok_and(|store| super::read(&*store, b"").is_err())
        });
        if is_damaged.unwrap_or(false) {
            fs::write(&path, broken).unwrap();
            let salvage = Salvage::of(Kind::Sled, dir.path());
            salvage.says(&["cannot be read"]);
            let missing = salvage.misses(&records);
            assert!((1..200).contains(&missing), "{missing} of {} are missing", records.len());
            damaged += 1;
        }
        fs::remove_dir_all(dir.path()).unwrap();
        super::copy(&sound, dir.path());
    }
    assert!(damaged > 0);
}

#[test]
fn a_store_in_use_and_a_place_in_use_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let store = FjallStore::open(&from).unwrap();
    let error = salvage(Kind::Fjall, &from, &to).unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    drop(store);
    fs::write(to.join("file"), "x").unwrap();
    let error = salvage(Kind::Fjall, &from, &to).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
}
