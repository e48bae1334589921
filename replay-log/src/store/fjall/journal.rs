//! Reads fjall's journals by ourselves, and never writes them.
//!
//! fjall cuts a journal off at the first entry that it cannot make out, wherever that is: one
//! flipped bit would lose every acknowledged batch after it without a word. So the journals are
//! read before fjall opens them.
//!
//! A journal is a row of batches, then zeros up to its end (it is allocated ahead). Integers are
//! little endian:
//!
//! | entry | bytes |
//! |---|---|
//! | start | `01`, number of items (4), sequence number (8) |
//! | item | `02`, kind (0 put, 1 and 2 delete), `00` (not compressed), keyspace (8), length of the key (2), of the value (4), of the value as stored (4), key, value |
//! | clear | `04`, keyspace (8); counts as an item |
//! | end | `03`, XXH3 of the items' bytes (8), `46 4a 4c 03` |
//!
//! Sequence numbers rise from batch to batch, across journals too; they are not in the checksum.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = [b'F', b'J', b'L', 3];
const START_BYTES: usize = 13;
const ITEM_BYTES: usize = 21;
/// How much is read at a time.
const BUFFER: usize = 256 << 10;
/// No store commits so many bytes at once; a batch that seems to is none.
const BATCH_BYTES: usize = 256 << 20;

/// What stands next in a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A whole batch.
    Batch,
    /// Bytes from `at` on that are no batch, up to the next whole one or the journal's end. There
    /// are none if what stands there is a whole batch with a sequence number out of order.
    Hole {
        /// Offset in the file.
        at: u64,
    },
}

/// A journal that is read from its beginning.
pub(super) struct Journal {
    file: BufReader<File>,
    length: u64,
    at: u64,
    /// Sequence number of the last whole batch, of this journal or the one before.
    seqno: Option<u64>,
    /// The last batch, as it stands.
    batch: Vec<u8>,
}

impl Journal {
    /// Opens the journal that follows one whose last sequence number was `seqno`.
    pub(super) fn open(path: &Path, seqno: Option<u64>) -> io::Result<Journal> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let file = BufReader::with_capacity(BUFFER, file);
        Ok(Journal { file, length, at: 0, seqno, batch: Vec::new() })
    }

    /// The last sequence number seen.
    pub(super) fn seqno(&self) -> Option<u64> {
        self.seqno
    }

    /// What stands next; `None` at the end, which may be zeros.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let at = self.at;
        if self.batch_at(at)? {
            return Ok(Some(Piece::Batch));
        }
        let Some(mut from) = self.find(at, |bytes| bytes.iter().position(|byte| *byte != 0))?
        else {
            return Ok(None);
        };
        // Behind a hole a batch is one whatever its sequence number, which may be what is damaged.
        self.seqno = None;
        while let Some(found) = self.find(from, may_start)? {
            if self.batch_at(found)? {
                // It is read again as the next piece.
                (self.at, self.seqno) = (found, None);
                return Ok(Some(Piece::Hole { at }));
            }
            from = found + 1;
        }
        self.at = self.length;
        Ok(Some(Piece::Hole { at }))
    }

    /// The batch that [`next`](Self::next) has found, with another sequence number.
    pub(super) fn batch_with(&self, seqno: u64) -> Vec<u8> {
        let mut batch = self.batch.clone();
        batch[5..START_BYTES].copy_from_slice(&seqno.to_le_bytes());
        batch
    }

    /// Reads a whole batch that begins at an offset and steps behind it; false if there is none.
    fn batch_at(&mut self, at: u64) -> io::Result<bool> {
        self.seek(at)?;
        self.batch.clear();
        if !self.take(START_BYTES)? || self.batch.first() != Some(&START) {
            return Ok(false);
        }
        let (count, seqno) = (u32_at(&self.batch, 1), u64_at(&self.batch, 5));
        if count == 0 || self.seqno.is_some_and(|last| seqno <= last) || seqno >> 63 != 0 {
            return Ok(false);
        }
        for _ in 0..count {
            if !self.take_item()? {
                return Ok(false);
            }
        }
        let end = self.batch.len();
        if !self.take(9 + TRAILER.len())? {
            return Ok(false);
        }
        let whole = self.batch.get(end) == Some(&END)
            && self.batch.get(end + 9..) == Some(&TRAILER)
            && u64_at(&self.batch, end + 1) == xxh3_64(&self.batch[START_BYTES..end]);
        if whole {
            self.at = at + self.batch.len() as u64;
            self.seqno = Some(seqno);
        }
        Ok(whole)
    }

    fn take_item(&mut self) -> io::Result<bool> {
        let at = self.batch.len();
        if !self.take(1)? {
            return Ok(false);
        }
        let tag = self.batch[at];
        match tag {
            ITEM if self.take(ITEM_BYTES - 1)? => {}
            CLEAR => return self.take(8),
            _ => return Ok(false),
        }
        match plausible_item(&self.batch[at..]) {
            Some(length) => self.take(length),
            None => Ok(false),
        }
    }

    /// Appends so many bytes to the batch; false if they are not there.
    fn take(&mut self, length: usize) -> io::Result<bool> {
        let at = self.batch.len();
        if at + length > BATCH_BYTES {
            return Ok(false);
        }
        let read = (&mut self.file).take(length as u64).read_to_end(&mut self.batch)?;
        Ok(read == length)
    }

    /// The first offset from `at` on that `looks` picks of the bytes that stand there. It sees a
    /// whole header of a start and an item, or the rest of the file.
    fn find(
        &mut self,
        mut at: u64,
        looks: impl Fn(&[u8]) -> Option<usize>,
    ) -> io::Result<Option<u64>> {
        const HEADERS: usize = START_BYTES + ITEM_BYTES;
        let mut bytes = vec![0; BUFFER];
        while at < self.length {
            self.seek(at)?;
            let mut read = 0;
            while read < bytes.len() {
                match self.file.read(&mut bytes[read..])? {
                    0 => break,
                    n => read += n,
                }
            }
            if let Some(found) = looks(&bytes[..read]) {
                return Ok(Some(at + found as u64));
            }
            match read < bytes.len() {
                true => break,
                false => at += (read - HEADERS) as u64,
            }
        }
        Ok(None)
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        let now = self.file.stream_position()?;
        let Ok(step) = i64::try_from(i128::from(at) - i128::from(now)) else {
            return self.file.seek(SeekFrom::Start(at)).map(drop);
        };
        self.file.seek_relative(step)
    }
}

/// Where a batch may begin: looks at the headers alone.
fn may_start(bytes: &[u8]) -> Option<usize> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == START);
    for (at, _) in starts {
        let header = &bytes[at..];
        if header.len() < START_BYTES + 1 {
            return None;
        }
        if u32_at(header, 1) == 0 || u64_at(header, 5) >> 63 != 0 {
            continue;
        }
        let item = &header[START_BYTES..];
        match item.first() {
            Some(&CLEAR) => return Some(at),
            Some(&ITEM) if item.len() < ITEM_BYTES || plausible_item(item).is_some() => {
                return Some(at);
            }
            _ => {}
        }
    }
    None
}

/// The length of an item's key and value, if its header may be one.
fn plausible_item(header: &[u8]) -> Option<usize> {
    let (kind, compression) = (*header.get(1)?, *header.get(2)?);
    let key = usize::from(u16::from_le_bytes(header.get(11..13)?.try_into().ok()?));
    let (value, stored) = (u32_at(header, 13), u32_at(header, 17));
    let fits = kind <= 2 && compression == 0 && key > 0 && value == stored;
    fits.then_some(key + value as usize)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    found.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// All journals of a directory, oldest first.
pub(super) fn journals(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "jnl") {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let number = number.ok_or_else(|| {
                io::Error::other(format!("the journal {} has no number", path.display()))
            })?;
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
