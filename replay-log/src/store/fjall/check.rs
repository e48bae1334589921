//! Looks at a fjall directory before fjall does, which believes what it reads, deletes what it
//! does not know and cuts off what it does not understand.
//!
//! Nothing is changed here but one thing: the tail that a crash has torn is cut off.

use super::journal::{self, Journal, Piece};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// fjall's own keyspace, and ours.
const KEYSPACES: [&str; 2] = ["0", "1"];

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
        tables(&dir.join("keyspaces").join(keyspace))?;
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

/// The list of a keyspace's tables is believed as it stands, and tables that are not on it are
/// deleted. So its checksum is looked at first: `current` holds the number of the list (8 bytes,
/// little endian), its XXH3 (16) and a zero.
fn tables(keyspace: &Path) -> Result<(), String> {
    let damaged = |path: &Path, cause: &str| {
        format!("the list of tables {} is damaged: {cause}. Nothing was changed", path.display())
    };
    let path = keyspace.join("current");
    let current = fs::read(&path).map_err(|e| damaged(&path, &e.to_string()))?;
    let (number, rest) =
        current.split_first_chunk::<8>().ok_or_else(|| damaged(&path, "it is too short"))?;
    let expected = rest.first_chunk::<16>().ok_or_else(|| damaged(&path, "it is too short"))?;
    if rest.get(16..) != Some(&[0]) {
        return Err(damaged(&path, "its kind of checksum is not known"));
    }
    let path = keyspace.join(format!("v{}", u64::from_le_bytes(*number)));
    let mut list = Vec::new();
    File::open(&path)
        .and_then(|mut file| file.read_to_end(&mut list))
        .map_err(|e| damaged(&path, &e.to_string()))?;
    match xxh3_128(&list) == u128::from_le_bytes(*expected) {
        true => Ok(()),
        false => Err(damaged(&path, "its checksum does not fit")),
    }
}
