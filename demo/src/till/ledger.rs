//! All sessions of a till: finds them, makes them, reads them from disk at the start.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::session::Session;

/// The sessions below one directory.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    sync: bool,
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
}

impl Ledger {
    /// Reads the sessions below `dir`, which is made if need be.
    pub fn open(dir: &Path, sync: bool) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut sessions = BTreeMap::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "till") {
                continue;
            }
            // A crash before the first whole line leaves a file that says nothing.
            if !std::fs::read(&path)?.contains(&b'\n') {
                std::fs::remove_file(&path)?;
                continue;
            }
            let session = Session::open(path, sync)?;
            sessions.insert(session.id().to_owned(), Arc::new(session));
        }
        Ok(Self { dir: dir.to_owned(), sync, sessions: Mutex::new(sessions) })
    }

    /// The session `id`, if it is known.
    pub fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    /// The session `id`, made if it is not known.
    pub fn session(&self, id: &str) -> Arc<Session> {
        let mut sessions = self.lock();
        if let Some(session) = sessions.get(id) {
            return Arc::clone(session);
        }
        let session = Arc::new(Session::new(id, Session::file(&self.dir, id), self.sync));
        sessions.insert(id.to_owned(), Arc::clone(&session));
        session
    }

    /// All sessions by their ids.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{super::session::Write, *};

    fn write(label: &str) -> Write {
        Write {
            method: "POST".to_owned(),
            path: "/items".to_owned(),
            body: label.to_owned().into(),
            label: label.to_owned(),
        }
    }

    fn ledger(labels: &[&str]) -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path(), false).unwrap();
        for label in labels {
            ledger.session("a b/ü").record(&write(label)).unwrap();
        }
        (dir, ledger)
    }

    #[test]
    fn what_was_recorded_is_there_after_a_restart() {
        let (dir, ledger) = ledger(&["one", "two \"quoted\"\n", "three"]);
        let before = ledger.session("a b/ü").state();
        let again = Ledger::open(dir.path(), false).unwrap();
        let session = again.find("a b/ü").unwrap();
        assert_eq!(session.state(), before);
        assert_eq!(session.labels().unwrap(), ["one", "two \"quoted\"\n", "three"]);
    }

    #[test]
    fn the_chain_goes_on_over_a_restart() {
        let (dir, _) = ledger(&["one"]);
        let again = Ledger::open(dir.path(), false).unwrap();
        again.session("a b/ü").record(&write("two")).unwrap();
        let (_other, straight) = ledger(&["one", "two"]);
        assert_eq!(again.session("a b/ü").state(), straight.session("a b/ü").state());
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_write_each_show_in_the_state() {
        let (_dir, right) = ledger(&["one", "two", "three"]);
        let right = right.session("a b/ü").state().chain;
        for labels in
            [&["one", "three"][..], &["one", "two", "two", "three"], &["two", "one", "three"]]
        {
            let (_dir, wrong) = ledger(labels);
            assert_ne!(wrong.session("a b/ü").state().chain, right, "{labels:?}");
        }
    }

    #[test]
    fn half_a_line_left_by_a_crash_is_cut_off() {
        let (dir, ledger) = ledger(&["one"]);
        let before = ledger.session("a b/ü").state();
        let path = Session::file(dir.path(), "a b/ü");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2 9f86d0").unwrap();
        let again = Ledger::open(dir.path(), false).unwrap();
        assert_eq!(again.session("a b/ü").state(), before);
        again.session("a b/ü").record(&write("two")).unwrap();
        assert_eq!(again.session("a b/ü").labels().unwrap(), ["one", "two"]);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let (dir, _) = ledger(&["one", "two"]);
        let path = Session::file(dir.path(), "a b/ü");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\n2 ", "\n3 ")).unwrap();
        let error = Ledger::open(dir.path(), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn writes_that_overlap_are_counted_and_survive_a_restart() {
        let (dir, ledger) = ledger(&["one"]);
        let session = ledger.session("a b/ü");
        let first = session.begin().unwrap();
        let second = session.begin().unwrap();
        drop((first, second));
        drop(session.begin().unwrap());
        assert_eq!(session.summary().overlaps, 1);
        let again = Ledger::open(dir.path(), false).unwrap();
        assert_eq!(again.session("a b/ü").summary().overlaps, 1);
        assert_eq!(again.session("a b/ü").labels().unwrap(), ["one"]);
    }

    #[test]
    fn long_and_unlike_ids_have_files_of_their_own() {
        let dir = Path::new("d");
        let ids = ["a", "a.b", "a%2eb", &"x".repeat(300), &"x".repeat(301)];
        let files: std::collections::BTreeSet<_> =
            ids.iter().map(|id| Session::file(dir, id)).collect();
        assert_eq!(files.len(), ids.len());
        assert!(files.iter().all(|file| file.to_string_lossy().len() < 220));
    }
}
