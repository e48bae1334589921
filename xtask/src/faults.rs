//! Faults of the disk and of the clock for real processes: a library that is put under a process
//! with `LD_PRELOAD` (`tests/faults/shim.c`) and a file by which a test changes what it does while
//! the process runs.

use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A word of the control file, in the order of `enum word` in `shim.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Out: processes that were started with the library.
    Loaded,
    /// Out: syncs so far.
    Syncs,
    /// Out: writes so far, and what else changes a directory.
    Writes,
    /// Out: how often the wall clock was asked.
    Clocks,
    /// Out: how often there was no room.
    NoRoom,
    /// The process dies at the sync with this number, counted from 1.
    DieAtSync,
    /// 1: it dies after that sync and not before it.
    DieAfter,
    /// The process dies in the middle of the write with this number.
    DieAtWrite,
    /// This sync and all after it fail with EIO.
    EioAtSync,
    /// This write and all after it fail with EIO.
    EioAtWrite,
    /// From this write on the disk has no more room than is taken then.
    FullAtWrite,
    /// Bytes that there are beyond that.
    FullSlack,
    /// The most bytes that all files may take; 0: no bound.
    Capacity,
    /// Every sync takes this much longer, microseconds.
    SyncDelayUs,
    /// 1: no sync does anything.
    NoSync,
    /// Added to the wall clock, milliseconds.
    ClockMs,
}

const WORDS: usize = Word::ClockMs as usize + 1;
const WORD_BYTES: usize = size_of::<i64>();

/// The faults of the processes that were started with [`Faults::env`].
#[derive(Debug)]
pub struct Faults {
    control: File,
    path: PathBuf,
    below: PathBuf,
    library: PathBuf,
}

impl Faults {
    /// No faults yet, for the files below `dir`. The control file is put beside it.
    pub fn new(dir: &Path) -> Result<Faults> {
        fs::create_dir_all(dir)?;
        let below = dir.canonicalize()?;
        let mut path = below.clone().into_os_string();
        path.push(".faults");
        let path = PathBuf::from(path);
        fs::write(&path, [0; WORDS * WORD_BYTES])?;
        let control = File::options().read(true).write(true).open(&path)?;
        Ok(Faults { control, path, below, library: library()? })
    }

    /// The environment that puts a process under these faults.
    pub fn env(&self) -> Vec<(String, String)> {
        let pair = |name: &str, path: &Path| (name.to_string(), path.display().to_string());
        vec![
            pair("LD_PRELOAD", &self.library),
            pair("REPRISE_FAULT_DIR", &self.below),
            pair("REPRISE_FAULT_FILE", &self.path),
        ]
    }

    /// Sets a word.
    pub fn set(&self, word: Word, value: i64) -> Result<()> {
        Ok(self.control.write_all_at(&value.to_ne_bytes(), (word as usize * WORD_BYTES) as u64)?)
    }

    /// A word now.
    pub fn get(&self, word: Word) -> Result<i64> {
        let mut bytes = [0; WORD_BYTES];
        self.control.read_exact_at(&mut bytes, (word as usize * WORD_BYTES) as u64)?;
        Ok(i64::from_ne_bytes(bytes))
    }

    /// An error unless a process runs under these faults and has synced a file: without it a test
    /// would pass because nothing failed.
    pub fn in_force(&self) -> Result<()> {
        ensure!(self.get(Word::Loaded)? > 0, "{} was not loaded", self.library.display());
        ensure!(self.get(Word::Syncs)? > 0, "no sync below {} was met", self.below.display());
        Ok(())
    }
}

/// The library, built once for each build of the tests.
fn library() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

/// Tests run in processes of their own, so each builds to a name of its own and the last one's
/// stays; a build takes a tenth of a second.
fn build() -> Result<PathBuf> {
    let source = crate::repo::root().join("tests/faults/shim.c");
    let mut dir = std::env::current_exe()?;
    dir.pop();
    let library = dir.join("libreprise_faults.so");
    let own = dir.join(format!("libreprise_faults.{}.so", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
    let output = cc.arg(&own).arg(&source).args(["-ldl", "-lpthread"]).output();
    let output = output.context("run cc, the C compiler, which these tests need")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&own, &library)?;
    Ok(library)
}
