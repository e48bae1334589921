//! A table with a column "shown by" names tests: each must be there.
//!
//! In that column, what stands in backticks is the name of a test function, or the path of a
//! scenario (which the other check of paths looks at). A row without any is a claim that nothing
//! shows.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Tree;

const COLUMN: &str = "shown by";

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut tests = BTreeSet::new();
    for path in tree.with_extension(&["rs"]) {
        tests.extend(functions(&tree.text(path)?).map(str::to_owned));
    }
    let mut problems = Vec::new();
    for path in tree.with_extension(&["md"]) {
        for (line, problem) in wrong(&tree.text(path)?, &tests) {
            problems.push(format!("{path}:{line}: {problem}"));
        }
    }
    Ok(problems)
}

/// The names of the functions in a source file, and of those that a macro makes of `name => path;`.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let line = line.trim();
        if let Some((name, path)) = line.split_once(" => ")
            && path.starts_with("super::")
            && path.ends_with(';')
        {
            return Some(name);
        }
        let (before, rest) = line.split_once("fn ")?;
        let declared = before.split_whitespace().all(|word| matches!(word, "async" | "pub"));
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        declared.then(|| &rest[..end])
    })
}

fn wrong(text: &str, tests: &BTreeSet<String>) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    let mut column = None;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            column = None;
            continue;
        };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let Some(at) = column else {
            column = cells.iter().position(|cell| *cell == COLUMN);
            continue;
        };
        let cell = cells.get(at).copied().unwrap_or_default();
        if cell.starts_with("---") {
            continue;
        }
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            problems.push((index + 1, "a row that no test shows".to_owned()));
        }
        let missing = named.iter().filter(|name| !name.contains('/') && !tests.contains(**name));
        problems.extend(missing.map(|name| (index + 1, format!("there is no test `{name}`"))));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_declarations() {
        let source = "fn a() {}\n    async fn b_2(sites) {\npub fn c<T>() {}\n// not fn d()\ncall(fn e)\n\
                      \x20   made => super::body;\n    arm => other(),";
        assert_eq!(functions(source).collect::<Vec<_>>(), ["a", "b_2", "c", "made"]);
    }

    #[test]
    fn a_row_must_name_a_test_that_is_there() {
        let tests = BTreeSet::from(["it_holds".to_owned()]);
        let text = "| fault | shown by |\n|---|---|\n| x | `it_holds`, `a/b.yaml` |\n| y | `gone` |\n\
                    | z | hope |\n\n| other | table |\n|---|---|\n| no | names |\n";
        let problems = wrong(text, &tests);
        assert_eq!(
            problems,
            [(4, "there is no test `gone`".to_owned()), (5, "a row that no test shows".to_owned())]
        );
    }
}
