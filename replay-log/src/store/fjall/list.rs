//! The list of a keyspace's tables, read by ourselves.
//!
//! fjall believes it as it stands, without looking at its checksum, and deletes the tables that
//! are not on it. Integers are little endian:
//! - `current`: the list's number n (8 bytes), XXH3 of the whole file `vn` (16), `00`.
//! - `vn`: sections; `TOC!`, their number (4), and of each its offset (8), length (8), length of
//!   its name (2), name; `SFA!`, `01 00`, XXH3 of the contents (16), their offset (8), length (8).
//! - Section `tables`: number of levels (1), of each the number of runs (1), of each the number of
//!   tables (4), of each its name (8), `00`, XXH3 of the whole file (16), a sequence number (8).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

const TRAILER_BYTES: usize = 38;
const TABLE_BYTES: usize = 33;

/// A list whose checksum is right.
pub(super) struct List {
    keyspace: PathBuf,
    number: u64,
    bytes: Vec<u8>,
}

/// What a list says of a table.
type Entry = [u8; TABLE_BYTES];

fn name(entry: &Entry) -> u64 {
    entry.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn checksum(entry: &Entry) -> u128 {
    entry[9..].first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes))
}

impl List {
    /// The list in force.
    pub(super) fn read(keyspace: &Path) -> Result<List, String> {
        let damaged = |path: &Path, cause: &str| {
            format!("the list of tables {} is damaged: {cause}", path.display())
        };
        let path = keyspace.join("current");
        let current = fs::read(&path).map_err(|e| damaged(&path, &e.to_string()))?;
        let fields = current.split_first_chunk::<8>().and_then(|(number, rest)| {
            let (checksum, kind) = rest.split_first_chunk::<16>()?;
            (kind == [0]).then_some((u64::from_le_bytes(*number), u128::from_le_bytes(*checksum)))
        });
        let (number, checksum) =
            fields.ok_or_else(|| damaged(&path, "it is none that this build knows"))?;
        let path = keyspace.join(format!("v{number}"));
        let bytes = fs::read(&path).map_err(|e| damaged(&path, &e.to_string()))?;
        match xxh3_128(&bytes) == checksum {
            true => Ok(List { keyspace: keyspace.to_path_buf(), number, bytes }),
            false => Err(damaged(&path, "its checksum does not fit the one in the file current")),
        }
    }

    /// Makes the newest list there is the one in force, whatever its checksum.
    pub(super) fn believe_newest(keyspace: &Path) -> Result<(), String> {
        let step = |e: io::Error| format!("{}: {e}", keyspace.display());
        let mut newest = None;
        for entry in fs::read_dir(keyspace).map_err(step)? {
            let entry = entry.map_err(step)?.file_name();
            let number = entry.to_str().and_then(|name| name.strip_prefix('v')?.parse().ok());
            newest = newest.max(number);
        }
        let number = newest.ok_or_else(|| format!("{}: there is no list", keyspace.display()))?;
        let bytes = fs::read(keyspace.join(format!("v{number}"))).map_err(step)?;
        write(keyspace, number, &bytes).map_err(step)
    }

    /// The tables on it whose bytes are not those that were written, with a reason for each.
    pub(super) fn damaged_tables(&self) -> Vec<(u64, String)> {
        let levels = self.levels().unwrap_or_default();
        let entries = levels.iter().flatten().flatten();
        let damage = entries.filter_map(|entry| {
            let path = self.keyspace.join("tables").join(name(entry).to_string());
            let cause = match hash(&path) {
                Ok(found) if found == checksum(entry) => return None,
                Ok(_) => "its checksum does not fit".to_string(),
                Err(e) => e.to_string(),
            };
            Some((name(entry), format!("the table {} is damaged: {cause}", path.display())))
        });
        damage.collect()
    }

    /// Makes this list the one in force in a keyspace's directory, without the tables that are not
    /// to be kept.
    pub(super) fn write(&self, keyspace: &Path, keep: impl Fn(u64) -> bool) -> Result<(), String> {
        let mut levels = self.levels().ok_or("a list of tables is none")?;
        for level in &mut levels {
            level.iter_mut().for_each(|run| run.retain(|entry| keep(name(entry))));
            level.retain(|run| !run.is_empty());
        }
        let bytes = self.with_levels(&levels).ok_or("a list of tables is none")?;
        write(keyspace, self.number, &bytes).map_err(|e| format!("writing a list of tables: {e}"))
    }

    /// Offset, length and name of every section, and where the sections end.
    fn contents(&self) -> Option<(Vec<(u64, u64, &[u8])>, usize)> {
        let trailer = self.bytes.len().checked_sub(TRAILER_BYTES)?;
        let mut trailer = self.bytes.get(trailer + 22..)?;
        let at = usize::try_from(u64::from_le_bytes(*take(&mut trailer)?)).ok()?;
        let mut contents = self.bytes.get(at..)?.strip_prefix(b"TOC!")?;
        let mut sections = Vec::new();
        for _ in 0..u32::from_le_bytes(*take(&mut contents)?) {
            let offset = u64::from_le_bytes(*take(&mut contents)?);
            let length = u64::from_le_bytes(*take(&mut contents)?);
            let name = usize::from(u16::from_le_bytes(*take(&mut contents)?));
            let (name, rest) = contents.split_at_checked(name)?;
            contents = rest;
            sections.push((offset, length, name));
        }
        Some((sections, at))
    }

    fn levels(&self) -> Option<Vec<Vec<Vec<Entry>>>> {
        let (sections, _) = self.contents()?;
        let (offset, length, _) = sections.iter().find(|(.., name)| *name == b"tables")?;
        let section = self.bytes.get(usize::try_from(*offset).ok()?..)?;
        let mut section = section.get(..usize::try_from(*length).ok()?)?;
        let mut levels = Vec::new();
        for _ in 0..take::<1>(&mut section)?[0] {
            let mut runs = Vec::new();
            for _ in 0..take::<1>(&mut section)?[0] {
                let tables = u32::from_le_bytes(*take(&mut section)?);
                runs.push((0..tables).map(|_| take(&mut section).copied()).collect::<Option<_>>()?);
            }
            levels.push(runs);
        }
        Some(levels)
    }

    /// The same list with other tables; they become the last section.
    fn with_levels(&self, levels: &[Vec<Vec<Entry>>]) -> Option<Vec<u8>> {
        let (sections, end) = self.contents()?;
        let mut bytes = self.bytes.get(..end)?.to_vec();
        bytes.push(levels.len() as u8);
        for level in levels {
            bytes.push(level.len() as u8);
            for run in level {
                bytes.extend_from_slice(&(run.len() as u32).to_le_bytes());
                run.iter().for_each(|entry| bytes.extend_from_slice(entry));
            }
        }
        let at = bytes.len();
        let mut contents = b"TOC!".to_vec();
        contents.extend_from_slice(&(sections.len() as u32).to_le_bytes());
        for (offset, length, name) in sections {
            let (offset, length) = match name {
                b"tables" => (end as u64, (at - end) as u64),
                _ => (offset, length),
            };
            contents.extend_from_slice(&offset.to_le_bytes());
            contents.extend_from_slice(&length.to_le_bytes());
            contents.extend_from_slice(&(name.len() as u16).to_le_bytes());
            contents.extend_from_slice(name);
        }
        bytes.extend_from_slice(&contents);
        bytes.extend_from_slice(b"SFA!\x01\x00");
        bytes.extend_from_slice(&xxh3_128(&contents).to_le_bytes());
        bytes.extend_from_slice(&(at as u64).to_le_bytes());
        bytes.extend_from_slice(&(contents.len() as u64).to_le_bytes());
        Some(bytes)
    }
}

fn write(keyspace: &Path, number: u64, list: &[u8]) -> io::Result<()> {
    fs::write(keyspace.join(format!("v{number}")), list)?;
    let checksum = xxh3_128(list).to_le_bytes();
    fs::write(keyspace.join("current"), [&number.to_le_bytes()[..], &checksum, &[0]].concat())
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

fn hash(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    let mut bytes = vec![0; 256 << 10];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hash.digest128()),
            read => hash.update(&bytes[..read]),
        }
    }
}
