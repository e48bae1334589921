//! Opening a fjall store: lock, format, what a crash has torn, and what is damaged.

use super::{FjallStore, check};
use ::fjall::{Database, Keyspace, KeyspaceCreateOptions};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the file `format` holds: the version that this build writes and the only one it reads.
const FORMAT: &str = "reprise-store fjall 1\n";
const FORMAT_NAME: &str = "reprise-store fjall ";
/// Block cache, bytes.
const CACHE_BYTES: u64 = 32 << 20;
/// The most that journals of memtables not yet written out take, bytes.
const JOURNAL_BYTES: u64 = 128 << 20;
/// fjall is not to write memtables out by itself; [`super::pace`] does.
const NEVER: u64 = 1 << 40;
/// How often the lock is tried.
const LOCK_ATTEMPTS: u32 = 50;
/// How long to wait between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Where fjall's files are.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("fjall")
}

/// Opens or creates the store; the error is for people.
pub(super) fn open(dir: &Path) -> Result<FjallStore, String> {
    fs::create_dir_all(dir).map_err(|e| format!("creating the directory: {e}"))?;
    if dir.join("conf").exists() && dir.join("db").exists() {
        return Err("it holds a store of sled: say so in the configuration, or move it away".into());
    }
    let lock = lock(dir)?;
    let files = database(dir);
    if !files.try_exists().map_err(|e| e.to_string())? {
        create(dir, &files)?;
    }
    check_format(&files)?;
    let torn = check::check(&files)?;
    let (db, records) =
        open_fjall(&files).map_err(|cause| format!("{cause}{}", check::tables(&files)))?;
    let path = dir.to_path_buf();
    Ok(FjallStore {
        db,
        records,
        path,
        torn,
        reclaiming: None,
        deleted: 0,
        failed: None,
        _lock: lock,
    })
}

/// The lock of a process that is just dying is waited for.
fn lock(dir: &Path) -> Result<File, String> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| format!("opening the file lock: {e}"))?;
    let mut attempts_left = LOCK_ATTEMPTS;
    loop {
        attempts_left -= 1;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if attempts_left > 0 => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err("it is in use, by another process or twice by this one".to_string());
            }
            Err(TryLockError::Error(e)) => return Err(format!("locking the file lock: {e}")),
        }
    }
}

/// Creates an empty database beside its place and puts it there whole, because a crash in the
/// middle of its creation leaves one that fjall does not open again.
fn create(dir: &Path, files: &Path) -> Result<(), String> {
    let step = |e: io::Error| format!("creating the store: {e}");
    let unfinished = dir.join("fjall.new");
    if unfinished.try_exists().map_err(step)? {
        fs::remove_dir_all(&unfinished).map_err(step)?;
    }
    drop(open_fjall(&unfinished)?);
    let mut format = File::create_new(unfinished.join("format")).map_err(step)?;
    format.write_all(FORMAT.as_bytes()).map_err(step)?;
    format.sync_all().map_err(step)?;
    sync_all(&unfinished).map_err(step)?;
    fs::rename(&unfinished, files).map_err(step)?;
    let parent = dir.parent().filter(|parent| *parent != Path::new(""));
    for dir in [dir, parent.unwrap_or(Path::new("."))] {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(step)?;
    }
    Ok(())
}

fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => sync_all(&entry.path())?,
            false => File::open(entry.path())?.sync_all()?,
        }
    }
    File::open(dir)?.sync_all()
}

fn check_format(files: &Path) -> Result<(), String> {
    let path = files.join("format");
    let found = fs::read(&path).map_err(|e| format!("reading {}: {e}", path.display()))?;
    let found = String::from_utf8_lossy(&found);
    if found == FORMAT {
        return Ok(());
    }
    let version = found.strip_prefix(FORMAT_NAME).map(str::trim_end);
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(version) => Err(format!(
            "it has format version {version}, this build knows version 1 only. Nothing was changed"
        )),
        None => Err(format!(
            "{} does not say that this is a store of Reprise's. Nothing was changed",
            path.display()
        )),
    }
}

/// fjall panics at some damage that it meets.
pub(super) fn open_fjall(files: &Path) -> Result<(Database, Keyspace), String> {
    let open = || {
        let db = Database::builder(files)
            .worker_threads(1)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(NEVER);
        let records = db.keyspace("records", options)?;
        Ok::<_, ::fjall::Error>((db, records))
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|e| format!("opening the files in {}: {e}", files.display())),
        Err(panic) => Err(format!("opening the files in {}: {}", files.display(), said(&*panic))),
    }
}

/// What a panic said.
pub(super) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("fjall gave up: {}", text.unwrap_or("it did not say why"))
}
