//! Takes what can be read out of a damaged fjall store: of a copy of its files is made what fjall
//! opens again, and of that everything is read that can be.

use super::super::salvage::{Keep, Sink, copy_files};
use super::journal::{self, Journal, Piece};
use super::list::List;
use super::{FjallStore, check, open};
use ::fjall::Keyspace;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::Bound;
use std::path::Path;

/// Fills `sink` from the store in `from`, working in the directory `work`.
pub(in crate::store) fn salvage(
    from: &Path,
    work: &Path,
    sink: &mut Sink<'_>,
) -> Result<(), String> {
    let (files, blank) = (work.join("files"), work.join("blank"));
    let step = |e: io::Error| format!("working in {}: {e}", work.display());
    copy_files(&open::database(from), &files, sink).map_err(step)?;
    drop(FjallStore::open(&blank).map_err(|e| e.to_string())?);
    let blank = open::database(&blank);
    // What fjall keeps for itself is the same in every store of this version.
    fs::remove_dir_all(files.join("keyspaces/0")).map_err(step)?;
    copy_files(&blank.join("keyspaces/0"), &files.join("keyspaces/0"), sink).map_err(step)?;
    fs::copy(blank.join("version"), files.join("version")).map_err(step)?;
    mend_journals(&files, sink).map_err(step)?;
    mend_list(&files.join("keyspaces/1"), &blank, sink)?;
    let (_db, records) = open::open_fjall(&files)?;
    sink.read(&|range, back, keep| visit(&records, range, back, keep))
}

/// Writes every journal anew with its whole batches alone.
fn mend_journals(files: &Path, sink: &mut Sink<'_>) -> io::Result<()> {
    let mut seqnos = Vec::new();
    let holes = check::holes(files, |journal| {
        seqnos.extend(journal.seqno());
        Ok(())
    })?;
    for hole in &holes {
        let name = hole.journal.file_name().unwrap_or_default().display();
        sink.hole(match hole.behind {
            0 => format!(
                "the journal {name} ends with a batch that is torn or damaged, at byte {}: if it \
                 was acknowledged, it is lost",
                hole.at
            ),
            behind => format!(
                "the journal {name} is damaged at byte {}: one batch or more is lost there, unless \
                 it is in the tables, too; the {behind} behind it are kept",
                hole.at
            ),
        });
    }
    if holes.is_empty() {
        return Ok(());
    }
    let mut seqnos = in_order(seqnos).into_iter();
    let mut last = None;
    for path in journal::journals(files)? {
        let mended = path.with_extension("mended");
        let mut file = BufWriter::new(File::create(&mended)?);
        let mut journal = Journal::open(&path, last)?;
        while let Some(piece) = journal.next()? {
            if piece == Piece::Batch
                && let Some(seqno) = seqnos.next()
            {
                file.write_all(&journal.batch_with(seqno))?;
            }
        }
        last = journal.seqno();
        file.flush()?;
        fs::rename(mended, path)?;
    }
    Ok(())
}

/// Sequence numbers that rise: one that does not fit in with its neighbours is the wrong one.
fn in_order(mut seqnos: Vec<u64>) -> Vec<u64> {
    for n in 1..seqnos.len() {
        if seqnos[n] > seqnos[n - 1] {
            continue;
        }
        let before = if n > 1 { seqnos[n - 2] } else { 0 };
        if seqnos[n] > before {
            seqnos[n - 1] = before + 1;
        }
        seqnos[n] = seqnos[n].max(seqnos[n - 1] + 1);
    }
    seqnos
}

/// Makes the list of tables one that fjall opens; a table that it cannot open goes off it.
fn mend_list(keyspace: &Path, blank: &Path, sink: &mut Sink<'_>) -> Result<(), String> {
    let list = List::read(keyspace).or_else(|damage| {
        sink.hole(format!("{damage}; records may be missing, and old or deleted ones be back"));
        List::believe_newest(keyspace)?;
        List::read(keyspace)
    })?;
    let mut lost = Vec::new();
    for (table, damage) in list.damaged_tables() {
        let opens = opens_alone(&list, table, keyspace, blank)?;
        sink.hole(match opens {
            true => format!("{damage}; what can be read of it is kept"),
            false => format!("{damage}; all of it is lost, and what it replaced may be back"),
        });
        if !opens {
            lost.push(table);
        }
    }
    list.write(keyspace, |table| !lost.contains(&table))
}

/// Whether fjall opens an empty database to which the table is added.
fn opens_alone(list: &List, table: u64, keyspace: &Path, blank: &Path) -> Result<bool, String> {
    let trial = blank.with_extension("trial");
    let step = |e: io::Error| format!("working in {}: {e}", trial.display());
    let to = trial.join("keyspaces/1");
    copy_files(blank, &trial, &mut Sink::blind()).map_err(step)?;
    let copied =
        fs::copy(keyspace.join(format!("tables/{table}")), to.join(format!("tables/{table}")));
    let opens = copied.is_ok()
        && list.write(&to, |other| other == table).is_ok()
        && open::open_fjall(&trial).is_ok();
    fs::remove_dir_all(&trial).map_err(step)?;
    Ok(opens)
}

/// All records with keys from one on up to another, forwards or backwards.
fn visit(
    records: &Keyspace,
    (from, to): (&[u8], Option<&[u8]>),
    back: bool,
    keep: &mut Keep<'_>,
) -> Result<(), String> {
    let to = to.map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = records.range::<&[u8], _>((Bound::Included(from), to));
    while let Some(pair) = if back { found.next_back() } else { found.next() } {
        let (key, value) = pair.into_inner().map_err(|e| e.to_string())?;
        keep(&key, &value);
    }
    Ok(())
}
