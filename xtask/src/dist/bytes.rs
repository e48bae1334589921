//! Bytes, their digests, and archives that come out the same from the same content.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The SHA-256 of bytes, in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file of an archive.
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    /// Whether it is a program.
    pub(super) runs: bool,
}

/// A tar archive, and the same compressed: no times, no owners, the entries in their order.
pub(super) struct Archive {
    pub(super) tar: Vec<u8>,
    pub(super) gzip: Vec<u8>,
}

impl Archive {
    pub(super) fn of(entries: &[Entry]) -> Result<Self> {
        let mut builder = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(entry.bytes.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mode(if entry.runs { 0o755 } else { 0o644 });
            builder
                .append_data(&mut header, &entry.path, entry.bytes.as_slice())
                .with_context(|| format!("pack {}", entry.path))?;
        }
        let tar = builder.into_inner()?;
        // Its header has no time and no name of the system that made it.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        std::io::Write::write_all(&mut encoder, &tar)?;
        Ok(Self { gzip: encoder.finish()?, tar })
    }
}

/// Every file below `dir`, by its path from there, in order.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    let mut inside: Vec<_> =
        found.iter().filter_map(|path| path.strip_prefix(dir).ok()).map(Path::to_owned).collect();
    inside.sort();
    Ok(inside)
}

/// Writes a file, and makes its directory.
pub(super) fn put(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let what = || format!("write {}", path.display());
    std::fs::create_dir_all(path.parent().with_context(what)?).with_context(what)?;
    std::fs::write(path, bytes).with_context(what)
}

/// Reads a file.
pub(super) fn get(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, runs: bool) -> Entry {
        Entry { path: path.to_owned(), bytes: path.as_bytes().to_vec(), runs }
    }

    #[test]
    fn an_archive_is_the_same_from_the_same_content_and_says_nothing_of_its_maker() {
        let archive = || Archive::of(&[entry("bin/b", true), entry("a", false)]).unwrap();
        assert_eq!(archive().gzip, archive().gzip);
        let tar = archive().tar;
        let mut read = tar::Archive::new(tar.as_slice());
        let headers: Vec<_> = read
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                let owner = (header.uid().unwrap(), header.gid().unwrap());
                (path, header.mode().unwrap(), header.mtime().unwrap(), owner)
            })
            .collect();
        assert_eq!(
            headers,
            [("bin/b".to_owned(), 0o755, 0, (0, 0)), ("a".to_owned(), 0o644, 0, (0, 0))]
        );
        // RFC 1952: the time is in bytes 4 to 7, the system in byte 9, 255 for none.
        assert_eq!((&archive().gzip[4..8], archive().gzip[9]), (&[0; 4][..], 255));
    }

    #[test]
    fn files_are_found_at_any_depth_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/c/d", "a", "b/a"] {
            put(&dir.path().join(path), path).unwrap();
        }
        let found = files(dir.path()).unwrap();
        assert_eq!(found, ["a", "b/a", "b/c/d"].map(PathBuf::from));
    }
}
