//! Reads the Containerfile and says what must not be in an image of ours.

use std::path::Path;

use super::oci::{ENTRYPOINT, USER};

/// What is wrong with a Containerfile, whose context is `context`, for these machines.
pub(super) fn problems(text: &str, context: &Path, architectures: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut user = None;
    let mut entrypoint = None;
    let mut laid = Vec::new();
    for line in text.lines().map(str::trim) {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        match instruction {
            "" | "#" | "ARG" | "ENV" => {}
            comment if comment.starts_with('#') => {}
            "FROM" if rest == "${BASE}" => {}
            "USER" => user = Some(rest),
            "ENTRYPOINT" => entrypoint = Some(rest),
            "COPY" => {
                let words: Vec<_> = rest.split_whitespace().collect();
                let [source, to] = words[..] else {
                    problems.push(format!("`{line}`: expected one source and one place"));
                    continue;
                };
                laid.push(to);
                for architecture in architectures {
                    let source = source.replace("${TARGETARCH}", architecture);
                    if !context.join(&source).is_file() {
                        problems.push(format!("`{line}`: there is no {source}"));
                    }
                }
            }
            _ => problems.push(format!("`{line}`: the image is a base and a program, no more")),
        }
    }
    if !text.lines().any(|line| line == "ARG BASE=scratch") {
        problems.push("the base must be scratch unless told otherwise".to_owned());
    }
    if user != Some(USER) {
        problems.push(format!("USER must be {USER}, found {user:?}"));
    }
    if laid != [ENTRYPOINT] || entrypoint != Some(format!("[\"{ENTRYPOINT}\"]").as_str()) {
        problems.push(format!("only {ENTRYPOINT} is to be there, and to be run as it is"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::bytes::put;
    use super::*;

    const OURS: &str = include_str!("../../../Containerfile");

    fn found(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("linux/amd64/reprise"), "").unwrap();
        problems(text, dir.path(), &["amd64"]).join("; ")
    }

    #[test]
    fn ours_is_a_program_that_is_not_root() {
        assert_eq!(found(OURS), "");
        let dir = tempfile::tempdir().unwrap();
        let nothing_there = problems(OURS, dir.path(), &["amd64", "arm64"]).join("; ");
        for architecture in ["amd64", "arm64"] {
            let expected = format!("there is no linux/{architecture}/reprise");
            assert!(nothing_there.contains(&expected), "{nothing_there}");
        }
    }

    #[test]
    fn a_shell_root_or_another_program_is_named() {
        for (from, to, expected) in [
            ("USER 65532:65532", "USER root", "USER must be 65532:65532"),
            ("USER 65532:65532", "USER 0:0", "USER must be 65532:65532"),
            ("USER 65532:65532", "", "USER must be 65532:65532, found None"),
            ("ENV ", "RUN apt-get update\nENV ", "a base and a program, no more"),
            ("ENV ", "ADD x.tar /\nENV ", "a base and a program, no more"),
            ("ENV ", "COPY LICENSE /LICENSE\nENV ", "there is no LICENSE"),
            ("ENTRYPOINT [\"/usr", "ENTRYPOINT [\"/bin/sh\", \"/usr", "to be run as it is"),
            ("ARG BASE=scratch", "ARG BASE=debian", "the base must be scratch"),
        ] {
            let text = OURS.replacen(from, to, 1);
            assert_ne!(text, OURS, "{from}");
            let found = found(&text);
            assert!(found.contains(expected), "{to}: {found}");
        }
    }
}
