//! The shape of the sources: no file too long, nothing left for later, nothing in the wasm that
//! can panic.

use anyhow::Result;

use super::Tree;

/// Lines of the longest Rust file.
const LONGEST: usize = 800;

/// Put together here so that this file does not find itself.
const LEFT_FOR_LATER: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("unimplemented", "!"),
    concat!("todo", "!"),
];

/// The crates of which nothing may panic, since a panic loses a worker's VM.
const NEVER_PANIC: [&str; 2] = ["filter", "filter-core"];
const PANICS: [&str; 4] =
    ["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing"];

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in tree.with_extension(&["rs", "proto", "yaml", "toml", "sh"]) {
        let text = tree.text(path)?;
        problems.extend(left_for_later(path, &text));
        if path.ends_with(".rs") {
            problems.extend(too_long(path, &text));
        }
        if NEVER_PANIC.iter().any(|name| path.starts_with(&format!("{name}/src/"))) {
            problems.extend(allowed_panics(path, &text));
        }
    }
    for name in NEVER_PANIC {
        let path = format!("{name}/src/lib.rs");
        problems.extend(undenied_panics(&path, &tree.text(&path)?));
    }
    Ok(problems)
}

fn left_for_later(path: &str, text: &str) -> Vec<String> {
    let found = |(index, line): (usize, &str)| {
        let word = LEFT_FOR_LATER.into_iter().find(|word| line.contains(word))?;
        Some(format!("{path}:{}: {word}", index + 1))
    };
    text.lines().enumerate().filter_map(found).collect()
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let generated = text.lines().take(5).any(|line| line.contains("@generated"));
    (lines > LONGEST && !generated).then(|| format!("{path} has {lines} lines, over {LONGEST}"))
}

/// Panics allowed outside of tests.
fn allowed_panics(path: &str, text: &str) -> Vec<String> {
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    let found = |(index, line): (usize, &str)| {
        let allows = line.contains("allow(") || line.contains("expect(");
        let lint = PANICS.into_iter().find(|lint| line.contains(lint))?;
        let allowed = allows && !line.contains("cfg_attr(test");
        allowed.then(|| format!("{path}:{}: allows {lint}", index + 1))
    };
    match is_test {
        true => Vec::new(),
        false => shipped.lines().enumerate().filter_map(found).collect(),
    }
}

/// Lints that a crate's root does not deny.
fn undenied_panics(path: &str, text: &str) -> Vec<String> {
    let denied: String = text
        .split("#![")
        .skip(1)
        .filter_map(|rest| rest.split(']').next())
        .filter(|attribute| attribute.contains("deny(") || attribute.contains("forbid("))
        .collect();
    PANICS
        .into_iter()
        .filter(|lint| !denied.contains(lint))
        .map(|lint| format!("{path} does not deny {lint}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_for_later_is_found_with_its_line() {
        let text = format!("fine\n// {}: the rest\n", LEFT_FOR_LATER[0]);
        assert_eq!(left_for_later("a.rs", &text), ["a.rs:2: TO".to_owned() + "DO"]);
        assert!(left_for_later("a.rs", "a method that does it all").is_empty());
    }

    #[test]
    fn a_long_file_is_too_long_unless_generated() {
        let long = "//\n".repeat(LONGEST + 1);
        assert!(too_long("a.rs", &long).is_some());
        assert!(too_long("a.rs", &format!("// This file is @generated\n{long}")).is_none());
        assert!(too_long("a.rs", &"//\n".repeat(LONGEST)).is_none());
    }

    #[test]
    fn a_root_must_deny_every_way_to_panic() {
        let all = "#![deny(\n  clippy::unwrap_used,\n clippy::expect_used)]\n\
                   #![cfg_attr(not(test), deny(clippy::panic, clippy::indexing_slicing))]\n";
        assert!(undenied_panics("lib.rs", all).is_empty());
        assert_eq!(undenied_panics("lib.rs", "#![allow(clippy::panic)]").len(), 4);
    }

    #[test]
    fn panics_may_be_allowed_in_tests_only() {
        let shipped = "#[allow(clippy::unwrap_used)]\nfn f() {}\n";
        assert_eq!(allowed_panics("filter/src/a.rs", shipped).len(), 1);
        let tests = "fn f() {}\n#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests {}\n";
        assert!(allowed_panics("filter/src/a.rs", tests).is_empty());
        assert!(allowed_panics("filter/src/a_tests.rs", shipped).is_empty());
        let for_tests = "#![cfg_attr(test, allow(clippy::unwrap_used))]\n";
        assert!(allowed_panics("filter/src/lib.rs", for_tests).is_empty());
        assert!(allowed_panics("filter/src/lib.rs", "#![deny(clippy::panic)]").is_empty());
    }
}
