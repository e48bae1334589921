//! What compilers and lints do not check: the edges between crates, the shape of the sources,
//! the chain of timeouts, and that the documentation names only what exists
//! and only what a test shows.

mod commands;
mod docs;
mod edges;
mod shown;
mod sources;
mod times;
mod walkthroughs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::repo;

/// Checks everything and lists every problem. An error if there is any.
pub fn run() -> Result<()> {
    let tree = Tree::read(repo::root())?;
    let mut problems = edges::check()?;
    problems.extend(sources::check(&tree)?);
    problems.extend(docs::check(&tree)?);
    problems.extend(shown::check(&tree)?);
    problems.extend(times::check(&tree)?);
    problems.extend(walkthroughs::check(&tree)?);
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    match problems.len() {
        0 => Ok(()),
        many => bail!("{many} problem{}", if many == 1 { "" } else { "s" }),
    }
}

/// Every file and directory of the repository, but for what is built and git's own.
#[derive(Debug)]
struct Tree {
    root: PathBuf,
    /// Relative to the root, with `/` between, sorted.
    paths: Vec<String>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(dir) = open.pop() {
            let entries =
                std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                let name = entry.file_name();
                if name == ".git" || (dir == root && name == "target") {
                    continue;
                }
                if let Ok(relative) = path.strip_prefix(root) {
                    paths.push(relative.to_string_lossy().into_owned());
                }
                if entry.file_type()?.is_dir() {
                    open.push(path);
                }
            }
        }
        paths.sort();
        Ok(Self { root: root.to_owned(), paths })
    }

    /// Files with one of these extensions.
    fn with_extension<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.paths.iter().map(String::as_str).filter(|path| {
            let extension = path.rsplit_once('.').map(|(_, extension)| extension);
            extension.is_some_and(|extension| extensions.contains(&extension))
        })
    }

    fn text(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("read {path}"))
    }

    /// Whether there is something at this path, or at a path that ends so.
    fn has(&self, wanted: &str) -> bool {
        let wanted = wanted.trim_end_matches('/');
        self.paths.iter().any(|path| {
            path.strip_suffix(wanted)
                .is_some_and(|before| before.is_empty() || before.ends_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_whole_paths_and_their_ends_but_nothing_built() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/src/deep.rs", "target/x.rs", ".git/y.rs", "README.md"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let tree = Tree::read(dir.path()).unwrap();
        for there in ["a/src/deep.rs", "src/deep.rs", "deep.rs", "a/src/", "README.md"] {
            assert!(tree.has(there), "{there}");
        }
        for missing in ["eep.rs", "x.rs", "y.rs", "b/src/deep.rs"] {
            assert!(!tree.has(missing), "{missing}");
        }
        let rust: Vec<_> = tree.with_extension(&["rs"]).collect();
        assert_eq!(rust, ["a/src/deep.rs"]);
    }
}
