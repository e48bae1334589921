//! What a store does not open, saying why and changing nothing.

use super::{files, open, put};
use replay_log::store::{Kind, StoreError, Write};
use std::fs;
use std::path::Path;

/// Opening fails, with these words, and leaves all files as they were.
fn is_refused(kind: Kind, dir: &Path, words: &[&str]) {
    let before = files(dir);
    let error = open(kind, dir).err().expect("it is refused").to_string();
    for word in words {
        assert!(error.contains(word), "{error}");
    }
    let mut after = files(dir);
    after.retain(|path, bytes| before.contains_key(path) || !bytes.is_empty());
    assert!(before == after, "something was changed: {error}");
}

fn filled(kind: Kind, dir: &Path) {
    open(kind, dir).unwrap().commit(&[put("k", vec![1; 5000])]).unwrap();
}

#[test]
fn a_fjall_store_of_a_newer_version_is_refused_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    filled(Kind::Fjall, dir.path());
    fs::write(dir.path().join("fjall/format"), "reprise-store fjall 2\n").unwrap();
    is_refused(Kind::Fjall, dir.path(), &["format version 2", "knows version 1"]);
    fs::write(dir.path().join("fjall/format"), "another program's").unwrap();
    is_refused(Kind::Fjall, dir.path(), &["fjall/format does not say"]);
    fs::remove_file(dir.path().join("fjall/format")).unwrap();
    is_refused(Kind::Fjall, dir.path(), &["fjall/format"]);
}

#[test]
fn a_store_of_fjalls_own_newer_version_is_refused_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    filled(Kind::Fjall, dir.path());
    fs::write(dir.path().join("fjall/version"), b"FJL\x04").unwrap();
    is_refused(Kind::Fjall, dir.path(), &["InvalidVersion"]);
}

#[test]
fn the_other_engines_store_is_refused_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    filled(Kind::Sled, dir.path());
    is_refused(Kind::Fjall, dir.path(), &["a store of sled"]);
    let dir = tempfile::tempdir().unwrap();
    filled(Kind::Fjall, dir.path());
    is_refused(Kind::Sled, dir.path(), &["a store of fjall"]);
}

#[test]
fn a_fjall_store_that_is_open_is_refused_with_that_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(Kind::Fjall, dir.path()).unwrap();
    is_refused(Kind::Fjall, dir.path(), &["in use, by another process"]);
    store.commit(&[put("k", vec![1])]).unwrap();
}

#[test]
fn a_fjall_store_whose_creation_a_crash_broke_off_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(Kind::Fjall, dir.path());
    fs::rename(dir.path().join("fjall"), dir.path().join("fjall.new")).unwrap();
    fs::remove_file(dir.path().join("fjall.new/version")).unwrap();
    filled(Kind::Fjall, dir.path());
    assert!(!dir.path().join("fjall.new").exists());
}

/// fjall would delete a keyspace without its list, and tables that are not on it.
#[test]
fn a_fjall_store_that_misses_a_file_is_refused_and_not_changed() {
    for missing in ["keyspaces/1/current", "keyspaces/0/current", "version", "keyspaces/1"] {
        let dir = tempfile::tempdir().unwrap();
        filled(Kind::Fjall, dir.path());
        let path = dir.path().join("fjall").join(missing);
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        is_refused(Kind::Fjall, dir.path(), &[missing]);
    }
}

#[test]
fn keys_and_values_over_their_limits_are_refused() {
    for kind in super::KINDS {
        for (key, length) in [(vec![], 0), (vec![1; 1025], 0), (vec![1], (32 << 20) + 1)] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(kind, dir.path()).unwrap();
            let refused = store.commit(&[Write::Put { key, value: vec![0; length] }]);
            assert!(matches!(refused, Err(StoreError::Commit { .. })), "{kind:?}");
        }
    }
}
