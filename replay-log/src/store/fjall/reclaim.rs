//! Giving disk space back: everything is merged into new tables, without what was deleted.

use super::super::{Failed, Reclaim, StoreError, Write};
use super::FjallStore;
use ::fjall::{AbstractTree as _, Database, Keyspace, PersistMode};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

/// It is not worth the trouble for less, bytes.
const WORTH: u64 = 64 << 20;
/// How long to wait before looking again whether a memtable is written out.
const PAUSE: Duration = Duration::from_millis(20);
/// No record has so long a key.
const NO_KEY: [u8; super::super::KEY_BYTES + 1] = [0; super::super::KEY_BYTES + 1];

impl FjallStore {
    pub(super) fn offer(&mut self) -> Option<Reclaim> {
        match self.reclaiming.as_ref().map(Receiver::try_recv) {
            None if self.is_worth_it() => {}
            None | Some(Err(TryRecvError::Empty)) => return None,
            Some(_) => {
                self.reclaiming = None;
                self.let_journals_go();
                return None;
            }
        }
        self.deleted = 0;
        let (running, reclaiming) = channel();
        self.reclaiming = Some(reclaiming);
        let work = Work {
            db: self.db.clone(),
            records: self.records.clone(),
            path: self.path.clone(),
            _running: running,
        };
        Some(Box::new(move || work.run()))
    }

    /// Guesses by numbers of records: every deletion that still stands somewhere stands for one
    /// record that does, too.
    fn is_worth_it(&self) -> bool {
        let tree = &self.records.tree;
        let bytes = tree.disk_space();
        let deleted = (tree.tombstone_count() + self.deleted) as f64;
        let records = tree.approximate_len() as f64;
        let live = bytes as f64 * ((records - 2.0 * deleted) / records.max(1.0)).max(0.0);
        self.deleted > 0 && bytes as f64 > (2.0 * live).max(live + WORTH as f64)
    }

    /// A journal goes when a table is newer than all that it holds. If nothing is left there is no
    /// table, so there is to be one: with the deletion of a record that never was. If this fails,
    /// the next commit says so.
    fn let_journals_go(&mut self) {
        let write = Write::Delete { key: NO_KEY.to_vec() };
        let Ok(()) = self.apply(&[write]) else { return };
        drop(self.seal());
    }

    /// Waits until nobody works on the files any more.
    pub(super) fn await_reclaim(&mut self) {
        if let Some(reclaiming) = self.reclaiming.take() {
            let _ended = reclaiming.recv();
        }
    }
}

/// Fields are dropped in this order: whoever waits for the end finds the files let go.
struct Work {
    db: Database,
    records: Keyspace,
    path: PathBuf,
    _running: Sender<()>,
}

impl Work {
    fn run(self) -> Result<(), StoreError> {
        let done = self.write_out().and_then(|()| {
            self.records.major_compact().map_err(|e| super::failed("merging the tables", &e))
        });
        match done {
            // Without room for it, it waits; a commit that is touched by that says so itself.
            Ok(()) | Err(Failed::Full(_)) => Ok(()),
            Err(Failed::Fatal(cause)) => Err(StoreError::Commit {
                path: self.path.clone(),
                writes: 0,
                cause: format!("giving disk space back: {cause}"),
            }),
        }
    }

    /// The deletions that are in memory are to be merged, too.
    fn write_out(&self) -> Result<(), Failed> {
        let tree = &self.records.tree;
        let newest = tree.get_highest_memtable_seqno();
        self.records.rotate_memtable().map_err(|e| super::failed("writing a memtable out", &e))?;
        while tree.get_highest_persisted_seqno() < newest {
            self.db
                .persist(PersistMode::Buffer)
                .map_err(|e| super::failed("writing a memtable out", &e))?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}
