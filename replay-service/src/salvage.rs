//! `reprise salvage`: what can be read of a damaged store becomes a new one, that promises nothing
//! which the damage may have broken; the damaged one is kept beside it.

use crate::config::{self, Config};
use crate::start::{self, random};
use replay_log::journal;
use replay_log::log;
use replay_log::store::{FjallStore, Kind, SledStore, Store, salvage};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What was put in quarantine or lost is listed up to this many lines; the status has more.
const LISTED: usize = 20;

/// One of the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The log's.
    Log,
    /// The journal's.
    Journal,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Log => "log",
            Which::Journal => "journal",
        }
    }
}

/// Salvages the stores of a configuration that cannot be opened, or the one that is named.
pub fn run(config: &Config, only: Option<Which>) -> Result<(), String> {
    let config::Store::Disk(engine, data) = &config.store else {
        return Err("the store is `memory`: there is nothing to salvage".into());
    };
    let here = [(Which::Log, config.log.is_some()), (Which::Journal, config.journal.is_some())];
    let mut done = false;
    for (which, here) in here {
        if here && only.is_none_or(|only| only == which) {
            done = true;
            one(config, which, *engine, &data.join(which.name()))?;
        }
    }
    match done {
        true => Ok(()),
        false => Err("the configuration has no such store".into()),
    }
}

fn one(config: &Config, which: Which, engine: config::Engine, dir: &Path) -> Result<(), String> {
    let name = which.name();
    if !dir.exists() {
        return Err(format!("there is no {}", dir.display()));
    }
    let Err(damage) = start::check(config, which) else {
        println!("the {name} is sound; nothing is changed");
        return Ok(());
    };
    println!("{damage}");
    let kind = match engine {
        config::Engine::Fjall => Kind::Fjall,
        config::Engine::Sled => Kind::Sled,
    };
    let new = place(dir);
    if new.exists() {
        // Of a salvage that was cut off before its end: the damaged store is still in its place.
        std::fs::remove_dir_all(&new)
            .map_err(|cause| format!("cannot remove {}: {cause}", new.display()))?;
    }
    let outcome = salvage(kind, dir, &new).map_err(|cause| cause.to_string()).and_then(|found| {
        println!("{} records were read", found.records);
        list(&found.holes);
        let mut store: Box<dyn Store> = match kind {
            Kind::Fjall => Box::new(FjallStore::open(&new).map_err(|e| e.to_string())?),
            Kind::Sled => Box::new(SledStore::open(&new).map_err(|e| e.to_string())?),
        };
        make_safe(config, which, store.as_mut())
    });
    if let Err(cause) = outcome {
        let _ = std::fs::remove_dir_all(&new);
        return Err(format!("cannot salvage the {name}: {cause}; {} is untouched", dir.display()));
    }
    let damaged = free(dir)?;
    exchange(dir, &new, &damaged).map_err(|cause| {
        format!("cannot put {} in place of {}: {cause}", new.display(), dir.display())
    })?;
    println!("the {name} is in place; the damaged one is {}", damaged.display());
    Ok(())
}

/// Lets the engine take its promises back, and says what is left.
fn make_safe(config: &Config, which: Which, store: &mut dyn Store) -> Result<(), String> {
    let service = &config.service;
    match (which, &config.journal) {
        (Which::Log, _) => {
            let left = log::salvage::salvage(store, service, random()?);
            let left = left.map_err(|cause| cause.to_string())?;
            println!(
                "the log knows {} sessions; {} writes are delivered, {} are in quarantine, {} \
                 records were lost",
                left.sessions,
                left.entries,
                left.quarantined.len(),
                left.lost
            );
            let quarantined = left.quarantined.iter();
            let lines: Vec<_> = quarantined
                .map(|(session, number)| format!("quarantined: session {session}, {number}"))
                .collect();
            list(&lines);
            println!("each session opens a new epoch with its next write, listed as forced");
        }
        (Which::Journal, Some(section)) => {
            let left = journal::salvage::salvage(store, service, section.replica);
            let left = left.map_err(|cause| cause.to_string())?;
            println!("the journal knows {} sessions", left.sessions);
            let lines: Vec<_> =
                left.lost.iter().map(|session| format!("lost: session {session}")).collect();
            list(&lines);
            println!("what was attempted before is in doubt, never fresh");
        }
        (Which::Journal, None) => {}
    }
    Ok(())
}

fn list(lines: &[String]) {
    for line in lines.iter().take(LISTED) {
        println!("  {line}");
    }
    if lines.len() > LISTED {
        println!("  … and {} more", lines.len() - LISTED);
    }
}

/// Where the store that is to take the place of this one is made.
pub fn place(dir: &Path) -> PathBuf {
    dir.with_extension("salvaged")
}

/// The first name for the damaged store that is not taken: `DIR.damaged-N`.
fn free(dir: &Path) -> Result<PathBuf, String> {
    let mut places = (1..=1000).map(|n| dir.with_extension(format!("damaged-{n}")));
    let free = places.find(|path| !path.exists());
    free.ok_or_else(|| format!("remove what is left over beside {}", dir.display()))
}

fn exchange(dir: &Path, new: &Path, damaged: &Path) -> std::io::Result<()> {
    let sync = || File::open(dir.parent().unwrap_or(Path::new("/")))?.sync_all();
    std::fs::rename(dir, damaged)?;
    sync()?;
    std::fs::rename(new, dir)?;
    sync()
}
