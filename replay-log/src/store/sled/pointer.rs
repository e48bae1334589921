//! Which sled directories are the store: the file `generations` of layout 2, replaced as a whole.
//!
//! A store of layout 1 has none: its sled stands in the directory itself. That is generation 0;
//! generation N stands in `gen-N`. What the file does not name is being made or being removed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "generations";
const FIRST_LINE: &str = "reprise-sled-store 2";

/// The generations of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pointer {
    /// What is written to.
    pub(super) current: u64,
    /// Whether the generation before it is still read.
    pub(super) old: bool,
}

/// Where a generation stands.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    if number == 0 { dir.to_path_buf() } else { dir.join(format!("gen-{number}")) }
}

/// What the file says; generation 0 if there is none. The error is for people.
pub(super) fn read(dir: &Path) -> Result<Pointer, String> {
    let file = dir.join(FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pointer::default()),
        Err(error) => return Err(format!("reading {}: {error}", file.display())),
    };
    parse(&text).map_err(|cause| format!("{}: {cause}", file.display()))
}

fn parse(text: &str) -> Result<Pointer, String> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first != FIRST_LINE {
        return Err(format!("it begins with \"{first}\", this build knows \"{FIRST_LINE}\" only"));
    }
    let current = lines.next().and_then(|line| line.strip_prefix("current ")?.parse().ok());
    let old = match lines.next() {
        None => Some(false),
        Some("with the one before") => Some(true),
        Some(_) => None,
    };
    match (current, old) {
        (Some(current), Some(old)) if current > 0 => Ok(Pointer { current, old }),
        _ => Err("it names no generation".to_string()),
    }
}

/// Replaces the file, durably.
pub(super) fn write(dir: &Path, pointer: Pointer) -> io::Result<()> {
    let next = dir.join("generations.next");
    let mut file = File::create(&next)?;
    let old = if pointer.old { "with the one before\n" } else { "" };
    write!(file, "{FIRST_LINE}\ncurrent {}\n{old}", pointer.current)?;
    file.sync_all()?;
    fs::rename(&next, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

/// Removes what the file does not name.
pub(super) fn remove_unnamed(dir: &Path, pointer: Pointer) -> io::Result<()> {
    let named =
        |number: u64| number == pointer.current || pointer.old && number + 1 == pointer.current;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix("gen-").and_then(|number| number.parse().ok());
        if number.is_some_and(|number: u64| !named(number)) {
            fs::remove_dir_all(entry.path())?;
        } else if !named(0) && entry.metadata()?.is_file() && is_of_generation_0(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    if !named(0) {
        remove_if_there(fs::remove_dir_all(dir.join("blobs")))?;
        // A build that knows layout 1 only would begin an empty store here.
        fs::create_dir_all(dir.join("db"))?;
    }
    Ok(())
}

fn is_of_generation_0(name: &str) -> bool {
    name == "db" || name == "conf" || name.starts_with("snap.")
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_layout_2_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        for (pointer, text) in [
            (Pointer { current: 3, old: false }, "reprise-sled-store 2\ncurrent 3\n"),
            (
                Pointer { current: 4, old: true },
                "reprise-sled-store 2\ncurrent 4\nwith the one before\n",
            ),
        ] {
            write(dir.path(), pointer).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join("generations")).unwrap(), text);
            assert_eq!(read(dir.path()), Ok(pointer));
        }
    }

    #[test]
    fn another_version_and_what_is_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("reprise-sled-store 3\ncurrent 1\n", "this build knows \"reprise-sled-store 2\""),
            ("reprise-sled-store 2\ncurrent x\n", "names no generation"),
            ("", "it begins with \"\""),
        ] {
            fs::write(dir.path().join("generations"), text).unwrap();
            let error = read(dir.path()).unwrap_err();
            assert!(error.contains(expected) && error.contains("generations: "), "{error}");
        }
    }
}
