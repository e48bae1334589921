//! Every walk-through is run by a test, but for the blocks that say why they are not.

use anyhow::Result;

use super::Tree;
use crate::walkthrough::{is_walkthrough, wrong_marks};

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut tests = String::new();
    for path in tree.with_extension(&["rs"]).filter(|path| path.contains("/tests/")) {
        tests += &tree.text(path)?;
    }
    let mut problems = Vec::new();
    for path in tree.with_extension(&["md"]).filter(|path| path.starts_with("docs/")) {
        for (line, problem) in wrong_marks(&tree.text(path)?) {
            problems.push(format!("{path}:{line}: {problem}"));
        }
        if is_walkthrough(path) && !tests.contains(&format!("\"{path}\"")) {
            problems.push(format!("{path}: no test runs its commands"));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walkthrough_that_no_test_names_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("docs/walkthrough-a.md", "```sh\ntrue\n```\n"),
            ("docs/walkthrough-b.md", "# not run here: nothing\n"),
            ("x/tests/a.rs", "const A: &str = \"docs/walkthrough-a.md\";"),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let problems = check(&Tree::read(dir.path()).unwrap()).unwrap();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with("docs/walkthrough-b.md")));
    }
}
