//! Opening a sled store: lock, format, and what a crash has left over.

use super::generation::Generation;
use super::generations::Generations;
use super::layout::{self, ChunkKeys, VERSION};
use super::{CACHE_BYTES, Failed, LIMITS, SledStore, pointer};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often the lock is tried.
const LOCK_ATTEMPTS: u32 = 50;
/// How long to wait between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Stands in a directory whose first opening has not come to its end.
const UNFINISHED: &str = "unfinished";

/// Opens or creates the store; the error is for people.
pub(super) fn open(dir: &Path) -> Result<SledStore, String> {
    if dir.join("fjall").exists() {
        return Err(
            "it holds a store of fjall: say so in the configuration, or move it away".into()
        );
    }
    let pointer = pointer::read(dir)?;
    let number = pointer.current;
    let (current, leftovers) = generation(&pointer::path(dir, number), number == 0)?;
    let old = match pointer.old {
        true => Some(generation(&pointer::path(dir, number - 1), false)?.0),
        false => None,
    };
    // Now that we have its lock.
    pointer::remove_unnamed(dir, pointer)
        .map_err(|e| format!("removing an old generation: {e}"))?;
    let live = current.db.get(layout::live_key()).map_err(|e| e.to_string())?;
    let live = match live.and_then(|bytes| bytes.as_ref().try_into().ok()) {
        Some(bytes) => u64::from_be_bytes(bytes),
        None => Generations::count(&current)?,
    };
    let to_sweep = number > 0;
    let dir = dir.to_path_buf();
    let generations = Generations {
        dir: dir.clone(),
        number,
        current,
        old,
        live,
        to_sweep,
        moved: None,
        next: Vec::new(),
    };
    let shared = Arc::new(Mutex::new(Some(generations)));
    Ok(SledStore { shared, path: dir, leftovers, limits: LIMITS, failed: None })
}

/// A new, empty generation to follow those that are there.
pub(super) fn next(generations: &Generations) -> Result<Generation, Failed> {
    let path = pointer::path(&generations.dir, generations.number + 1);
    // One that was begun and never named.
    if path.exists() {
        fs::remove_dir_all(&path)
            .map_err(|e| Failed::Fatal(format!("removing {}: {e}", path.display())))?;
    }
    let new = generation(&path, true).map_err(Failed::Fatal)?.0;
    #[cfg(test)]
    let new = Generation { life: generations.current.life.clone(), ..new };
    Ok(new)
}

/// Opens one generation, and makes it if it is not there and may be new. Also says how many
/// incomplete values were removed.
fn generation(path: &Path, may_be_new: bool) -> Result<(Generation, usize), String> {
    let fresh = !path.join("db").exists();
    if fresh && !may_be_new {
        return Err(format!("the generation {} is gone", path.display()));
    }
    fs::create_dir_all(path).map_err(|e| format!("creating the directory: {e}"))?;
    let unfinished = path.join(UNFINISHED);
    if fresh {
        let made = File::create(&unfinished).and_then(|file| file.sync_all());
        made.map_err(|e| format!("creating {}: {e}", unfinished.display()))?;
    }
    let db = open_sled(path)?;
    let file = File::open(path.join("db")).map_err(|e| format!("opening the file db: {e}"))?;
    let generation = Generation {
        db,
        file: Arc::new(file),
        path: path.to_path_buf(),
        #[cfg(test)]
        life: Default::default(),
    };
    let formatted = check_format(&generation)?;
    if fresh || formatted || unfinished.exists() {
        generation.sync().map_err(Failed::cause)?;
        let finish = || {
            sync_directory(path)?;
            if unfinished.exists() {
                fs::remove_file(&unfinished)?;
            }
            File::open(path)?.sync_all()
        };
        finish().map_err(|e: io::Error| format!("syncing the directory: {e}"))?;
    }
    let leftovers = remove_leftovers(&generation)?;
    if leftovers > 0 {
        generation.sync().map_err(Failed::cause)?;
    }
    Ok((generation, leftovers))
}

/// Opens sled itself. The lock of a store that was dropped a moment ago, or whose process is just
/// dying, is waited for: sled's own threads let it go a little later. What a death in the middle
/// of a snapshot has left, which sled would stumble over for ever, is removed.
fn open_sled(dir: &Path) -> Result<::sled::Db, String> {
    let config = ::sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let mut attempts_left = LOCK_ATTEMPTS;
    loop {
        let error = match config.open() {
            Ok(db) => return Ok(db),
            Err(error) => error.to_string(),
        };
        // Only who had the lock hears of corruption, so nobody else is writing these files.
        if error.contains("corrupted data")
            && (remove_unfinished_snapshots(dir)? || begin_again(dir)?)
        {
            continue;
        }
        let locked = error.contains("could not acquire lock");
        attempts_left -= 1;
        match locked {
            true if attempts_left > 0 => std::thread::sleep(LOCK_PAUSE),
            true => {
                return Err(format!(
                    "it is in use, by another process or twice by this one ({error})"
                ));
            }
            false => return Err(error),
        }
    }
}

/// A first opening that a crash cut off, of which sled cannot make anything: there is nothing in
/// it yet. True if this is one and it was removed.
fn begin_again(dir: &Path) -> Result<bool, String> {
    if !dir.join(UNFINISHED).exists() {
        return Ok(false);
    }
    let remove = || {
        let mut found = false;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_file() && !path.ends_with(UNFINISHED) {
                fs::remove_file(path)?;
                found = true;
            }
        }
        io::Result::Ok(found)
    };
    remove().map_err(|e| format!("removing a store that was never finished: {e}"))
}

/// sled writes a snapshot to `snap.N.generating` and renames it, but takes one that was not
/// finished for its newest when it opens. A snapshot only spares reading the log. True if there
/// was one.
fn remove_unfinished_snapshots(dir: &Path) -> Result<bool, String> {
    let remove = || {
        let mut found = false;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "generating") {
                fs::remove_file(path)?;
                found = true;
            }
        }
        io::Result::Ok(found)
    };
    remove().map_err(|e| format!("removing an unfinished snapshot: {e}"))
}

/// Writes the format record of an empty store, checks that of any other. True if it was written.
fn check_format(store: &Generation) -> Result<bool, String> {
    let key = layout::format_key();
    let found = store.db.get(&key).map_err(|e| e.to_string())?;
    match found.as_deref().map(layout::format_version) {
        Some(Some(VERSION)) => Ok(false),
        Some(Some(other)) => {
            Err(format!("it has format version {other}, this build knows version {VERSION} only"))
        }
        None if store.db.is_empty() => {
            store.insert(key, &layout::format_value()).map_err(Failed::cause).map(|()| true)
        }
        Some(None) | None => Err("it holds data, but is no store of Reprise".to_string()),
    }
}

/// Syncs what sled created beside `db`, the directory, and the directory above it.
fn sync_directory(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Looks at the keys of the intent records and removes tail chunks that no head names.
fn remove_leftovers(store: &Generation) -> Result<usize, String> {
    let mut keys = BTreeSet::new();
    for record in store.db.scan_prefix(layout::intent_prefix()).values() {
        let record = record.map_err(|e| e.to_string())?;
        keys.extend(layout::intent_keys(&record).ok_or("an intent record is damaged")?);
    }
    let mut leftovers = 0;
    for key in keys {
        let chunks = ChunkKeys::new(&key);
        let head = store.head(&chunks).map_err(Failed::cause)?;
        let named = |index: u32| head.is_some_and(|head| head.names(index));
        let mut stale = Vec::new();
        for sled_key in store.db.scan_prefix(chunks.prefix()).keys() {
            let sled_key = sled_key.map_err(|e| e.to_string())?;
            if layout::parse_key(&sled_key).is_some_and(|(_, index)| !named(index)) {
                stale.push(sled_key);
            }
        }
        leftovers += usize::from(!stale.is_empty());
        for sled_key in stale {
            store.remove(sled_key).map_err(Failed::cause)?;
        }
    }
    Ok(leftovers)
}
