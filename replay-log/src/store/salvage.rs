//! Takes what can still be read out of a damaged store.

use super::{FjallStore, SledStore, Store, StoreError, Write, fjall};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Bytes of records that are committed at once.
const BATCH_BYTES: usize = 1 << 20;
/// How much of a file is given up where it cannot be read, bytes.
const BLOCK: usize = 4096;
/// How often a stretch of keys with damage in it is halved.
const HALVINGS: u32 = 12;
/// Bytes of a key that are looked at to find one between two.
const KEY_HEAD: usize = 48;

/// Which engine wrote a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`FjallStore`].
    Fjall,
    /// [`SledStore`].
    Sled,
}

/// What [`salvage`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Records copied into the new store.
    pub records: u64,
    /// What is missing or doubtful, for people: one line for each place of damage.
    pub holes: Vec<String>,
}

/// Copies all records that can be read from the damaged store at `from`, which nobody has open,
/// into a new one of the same engine at `to`, which must not be there or be empty. It works on a
/// copy, below `to`, of all files: nothing below `from` is written, and there is to be room for
/// twice its size.
///
/// What is missing is as if an old copy of the store were opened, and not even one of a single
/// moment: single records may be older than others, or missing, or deleted and back.
///
/// sled hides what it cannot read, so of a sled store all holes are not known.
pub fn salvage(kind: Kind, from: &Path, to: &Path) -> Result<Salvaged, StoreError> {
    let failed = |cause: String| StoreError::Open { path: from.to_path_buf(), cause };
    let to_failed =
        |e: io::Error| StoreError::Open { path: to.to_path_buf(), cause: e.to_string() };
    fs::create_dir_all(to).map_err(to_failed)?;
    if fs::read_dir(to).map_err(to_failed)?.next().is_some() {
        let cause = "it is not empty: salvage into a new directory".to_string();
        return Err(StoreError::Open { path: to.to_path_buf(), cause });
    }
    let _lock = lock(from).map_err(failed)?;
    let work = to.join("salvage");
    fs::create_dir(&work).map_err(to_failed)?;
    let mut store: Box<dyn Store> = match kind {
        Kind::Fjall => Box::new(FjallStore::open(to)?),
        Kind::Sled => Box::new(SledStore::open(to)?),
    };
    let work_name = work.join("files").display().to_string();
    let mut sink = Sink { store: Some(&mut *store), work_name, ..Sink::blind() };
    let read = || match kind {
        Kind::Fjall => fjall::salvage(from, &work, &mut sink),
        Kind::Sled => read_sled(from, &work, &mut sink),
    };
    let read = catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err("the engine gave up on what it read".into())).map_err(failed)?;
    sink.commit().map_err(failed)?;
    let salvaged = sink.salvaged;
    fs::remove_dir_all(&work).map_err(to_failed)?;
    Ok(salvaged)
}

/// Keeps others from opening a store while it is read. One without the file of its lock, which
/// sled's has not, is taken as it is.
fn lock(from: &Path) -> Result<Option<File>, String> {
    let file = match File::open(from.join("lock")) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("opening the file lock: {e}")),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(e) => Err(format!("it is in use: {e}")),
    }
}

/// sled opens a copy, cuts off what it finds broken, and what it then has is read.
fn read_sled(from: &Path, work: &Path, sink: &mut Sink<'_>) -> Result<(), String> {
    let files = work.join("files");
    copy_files(from, &files, sink).map_err(|e| format!("copying the files: {e}"))?;
    let store = SledStore::open(&files).map_err(|e| e.to_string())?;
    sink.read(&|(from, to), back, keep| {
        let mut visit = |key: &[u8], value: &[u8]| {
            keep(key, value);
            Ok(true)
        };
        store.scan_between(from, to, back, &mut visit).map_err(|e| e.to_string())
    })
}

/// Told of each record that can be read.
pub(super) type Keep<'a> = dyn FnMut(&[u8], &[u8]) + 'a;

/// Visits all records with keys from one on up to another, forwards or backwards, up to the first
/// that cannot be read.
type Read<'a> = dyn Fn((&[u8], Option<&[u8]>), bool, &mut Keep<'_>) -> Result<(), String> + 'a;

/// Where salvaged records and what is to be said about them go.
pub(super) struct Sink<'a> {
    /// None if all is to be forgotten.
    store: Option<&'a mut dyn Store>,
    /// Where it is worked, which is nobody's concern.
    work_name: String,
    batch: Vec<Write>,
    bytes: usize,
    salvaged: Salvaged,
}

impl Sink<'_> {
    /// One that keeps nothing.
    pub(super) fn blind() -> Self {
        Sink {
            store: None,
            work_name: String::new(),
            batch: Vec::new(),
            bytes: 0,
            salvaged: Salvaged::default(),
        }
    }

    /// Keeps all records that can be read.
    pub(super) fn read(&mut self, read: &Read<'_>) -> Result<(), String> {
        self.read_between(Vec::new(), None, HALVINGS, read)
    }

    /// Where reading fails it goes on from the other end, and what is left is halved, because there
    /// may be more than one damaged block in it.
    fn read_between(
        &mut self,
        mut from: Vec<u8>,
        mut to: Option<Vec<u8>>,
        halvings: u32,
        read: &Read<'_>,
    ) -> Result<(), String> {
        let mut refused = Ok(());
        let (mut last, mut first) = (None, None);
        let mut keep = |seen: &mut Option<Vec<u8>>, key: &[u8], value: &[u8]| {
            *seen = Some(key.to_vec());
            if refused.is_ok() {
                refused = self.record(key, value);
            }
        };
        let whole =
            read((&from, to.as_deref()), false, &mut |key, value| keep(&mut last, key, value));
        let Err(damage) = whole else { return refused };
        if let Some(last) = last {
            from = [last.as_slice(), &[0]].concat();
        }
        // It fails, too, or the damage has gone.
        let _ = read((&from, to.as_deref()), true, &mut |key, value| keep(&mut first, key, value));
        refused?;
        to = first.or(to);
        if halvings == HALVINGS {
            let end = to.as_ref().map_or("the end".into(), |to| to.escape_ascii().to_string());
            let begin = from.escape_ascii();
            self.hole(format!("records from key {begin} up to {end} cannot be read: {damage}"));
        }
        match between(&from, to.as_deref()).filter(|_| halvings > 0) {
            Some(middle) => {
                self.read_between(from, Some(middle.clone()), halvings - 1, read)?;
                self.read_between(middle, to, halvings - 1, read)
            }
            None => Ok(()),
        }
    }

    /// Keeps a record; each is to come once.
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.batch.push(Write::Put { key: key.to_vec(), value: value.to_vec() });
        self.bytes += key.len() + value.len();
        self.salvaged.records += 1;
        if self.bytes > BATCH_BYTES { self.commit() } else { Ok(()) }
    }

    /// Notes a place of damage.
    pub(super) fn hole(&mut self, hole: String) {
        self.salvaged.holes.push(hole.replace(&format!("{}/", self.work_name), ""));
    }

    fn commit(&mut self) -> Result<(), String> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        match &mut self.store {
            Some(store) => store.commit(&batch).map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }
}

/// Copies a directory; blocks that the disk does not give become zeros.
pub(super) fn copy_files(from: &Path, to: &Path, sink: &mut Sink<'_>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_files(&entry.path(), &to, sink)?,
            false => copy_file(&entry.path(), &to, sink)?,
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, sink: &mut Sink<'_>) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let (source, mut copy) = (File::open(from)?, File::create(to)?);
    if io::copy(&mut &source, &mut copy).is_ok() {
        return Ok(());
    }
    let mut copy = File::create(to)?;
    let length = source.metadata()?.len();
    for at in (0..length).step_by(BLOCK) {
        let mut block = vec![0; BLOCK.min((length - at) as usize)];
        if let Err(e) = source.read_exact_at(&mut block, at) {
            sink.hole(format!("{}: {} bytes at {at}: {e}", from.display(), block.len()));
            block.fill(0);
        }
        copy.write_all(&block)?;
    }
    Ok(())
}

/// A key about half-way between two; the end is behind all keys.
fn between(from: &[u8], to: Option<&[u8]>) -> Option<Vec<u8>> {
    let digit = |key: &[u8], n: usize| u16::from(key.get(n).copied().unwrap_or(0));
    let mut sum = vec![0u16; KEY_HEAD];
    let mut carry = 0;
    for n in (0..KEY_HEAD).rev() {
        let to = to.map_or(0xff, |to| digit(to, n));
        let total = digit(from, n) + to + carry;
        (sum[n], carry) = (total & 0xff, total >> 8);
    }
    let mut middle = Vec::with_capacity(KEY_HEAD);
    for digit in sum {
        middle.push((carry << 7 | digit >> 1) as u8);
        carry = digit & 1;
    }
    while middle.last() == Some(&0) {
        middle.pop();
    }
    let is_between = middle.as_slice() > from && to.is_none_or(|to| middle.as_slice() < to);
    is_between.then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn between_two_keys_there_is_one_unless_they_touch() {
        assert_eq!(between(b"a", Some(b"c")), Some(b"b".to_vec()));
        assert_eq!(between(b"", None).map(|key| key[0]), Some(0x7f));
        assert_eq!(between(b"e/0001", Some(b"e/0003")), Some(b"e/0002".to_vec()));
        let middle = between(b"e/1", Some(b"e/2")).unwrap();
        assert!(*middle > *b"e/1".as_slice() && *middle < *b"e/2".as_slice(), "{middle:?}");
        assert_eq!(between(b"k", Some(b"k\0")), None);
        assert_eq!(between(b"k", Some(b"k")), None);
    }
}
