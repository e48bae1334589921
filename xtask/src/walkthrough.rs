//! The walk-throughs under `docs/`: which of their commands a test runs.
//!
//! A block of ```` ```sh ```` is run as it stands, unless its first line is
//! `# not run here: REASON`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::repo;

const NOT_RUN: &str = "# not run here:";

/// The blocks of a document that are to be run, one after the other.
pub fn script(document: &str) -> Result<String> {
    let path = repo::root().join(document);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let run = blocks(&text).into_iter().filter(|(_, block)| !block.starts_with(NOT_RUN));
    Ok(run.map(|(_, block)| block).collect())
}

/// Every block of shell commands, with the number of its first line.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        match line.trim_end() {
            "```sh" => {
                inside = true;
                found.push((index + 2, String::new()));
            }
            "```" => inside = false,
            line if inside => {
                if let Some((_, block)) = found.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            _ => {}
        }
    }
    found
}

/// Marks that say no reason or stand where they mark nothing.
pub(crate) fn wrong_marks(text: &str) -> Vec<(usize, String)> {
    let firsts: Vec<usize> = blocks(text).into_iter().map(|(line, _)| line).collect();
    let wrong = |(index, line): (usize, &str)| {
        let reason = line.strip_prefix(NOT_RUN)?;
        let number = index + 1;
        if !firsts.contains(&number) {
            return Some((
                number,
                format!("`{NOT_RUN}` marks nothing: it is not the first line of a block of sh"),
            ));
        }
        reason.trim().is_empty().then(|| (number, format!("`{NOT_RUN}` needs a reason")))
    };
    text.lines().enumerate().filter_map(wrong).collect()
}

/// Whether a path is that of a walk-through, which a test must name and run.
pub(crate) fn is_walkthrough(path: &str) -> bool {
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.starts_with("docs/") && name.starts_with("walkthrough-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n```sh\none\ntwo\n```\n```sh\n# not run here: needs a cluster\nthree\n```\n\
                        ```text\n# not run here: x\n```\n```sh\nfour\n# not run here: late\n```\n\
                        ```sh\n# not run here:\n```\n";

    #[test]
    fn blocks_are_told_from_those_that_are_not_run() {
        let found = blocks(TEXT);
        let firsts: Vec<_> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(firsts, [3, 7, 14, 18]);
        assert_eq!(found[0].1, "one\ntwo\n");
    }

    #[test]
    fn a_mark_stands_first_and_has_a_reason() {
        let wrong: Vec<_> = wrong_marks(TEXT).into_iter().map(|(line, _)| line).collect();
        assert_eq!(wrong, [11, 15, 18]);
    }
}
