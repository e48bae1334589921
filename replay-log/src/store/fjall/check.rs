//! Looks at a fjall directory before fjall does, which believes what it reads, deletes what it
//! does not know and cuts off what it does not understand.
//!
//! Nothing is changed here but one thing: the tail that a crash has torn is cut off.

use super::journal::{self, Journal, Piece};
use super::list::List;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// fjall's own keyspace, and ours.
pub(super) const KEYSPACES: [&str; 2] = ["0", "1"];

/// A place in a journal where no whole batch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) journal: PathBuf,
    pub(super) at: u64,
    /// How many whole batches stand behind it, in its journal and the later ones.
    pub(super) behind: u64,
}

/// Checks journals and lists of tables, and cuts off a torn tail: 1 if there was one.
pub(super) fn check(dir: &Path) -> Result<u64, String> {
    // Without it, fjall would create a database here.
    let version = dir.join("version");
    if !version.is_file() {
        return Err(format!("{} is missing. Nothing was changed", version.display()));
    }
    for keyspace in KEYSPACES {
        List::read(&dir.join("keyspaces").join(keyspace))
            .map_err(|damage| format!("{damage}. Nothing was changed"))?;
    }
    let holes = holes(dir, |_| Ok(())).map_err(|e| format!("reading the journals: {e}"))?;
    match holes.as_slice() {
        [] => Ok(0),
        [Hole { journal, at, behind: 0 }] => {
            cut(journal, *at)
                .map_err(|e| format!("cutting off the torn end of {}: {e}", journal.display()))?;
            Ok(1)
        }
        [first, ..] => Err(format!(
            "the journal {} is damaged at byte {}: what stands there is no batch, but {} whole \
             batches stand behind it. Nothing was changed",
            first.journal.display(),
            first.at,
            first.behind
        )),
    }
}

/// All places of the journals where no whole batch stands, while `visit` sees every batch that is
/// whole.
pub(super) fn holes(
    dir: &Path,
    mut visit: impl FnMut(&Journal) -> io::Result<()>,
) -> io::Result<Vec<Hole>> {
    let mut holes: Vec<Hole> = Vec::new();
    let mut seqno = None;
    for path in journal::journals(dir)? {
        let mut journal = Journal::open(&path, seqno)?;
        while let Some(piece) = journal.next()? {
            match piece {
                Piece::Batch => {
                    visit(&journal)?;
                    holes.iter_mut().for_each(|hole| hole.behind += 1);
                }
                Piece::Hole { at } => holes.push(Hole { journal: path.clone(), at, behind: 0 }),
            }
        }
        seqno = journal.seqno();
    }
    Ok(holes)
}

/// Since a commit is synced before the next one begins, a crash tears the last batch at most, and
/// that one was not acknowledged.
fn cut(journal: &Path, at: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(journal)?;
    file.set_len(at)?;
    file.sync_all()
}

/// What is damaged of the tables, for the message of an error that does not say.
pub(super) fn tables(dir: &Path) -> String {
    let damage = KEYSPACES.iter().flat_map(|keyspace| {
        match List::read(&dir.join("keyspaces").join(keyspace)) {
            Ok(list) => list.damaged_tables().into_iter().map(|(_, damage)| damage).collect(),
            Err(damage) => vec![damage],
        }
    });
    damage.map(|damage| format!("; {damage}")).collect()
}
