//! Every path and every command that the documentation names must exist.
//!
//! In prose, what stands in backticks is looked at, and the targets of links; in code blocks,
//! only commands are. A backticked word is a path if it has a slash or an extension of ours and
//! consists of nothing else that a path does not have: `target/` (built), absolute paths (URLs of
//! a service) and words without a small letter (`HTTP/2`, `TCP/IP`) are left alone.

use anyhow::Result;

use super::Tree;
use super::commands::{Commands, REPRISE, XTASK};

const EXTENSIONS: [&str; 11] =
    ["rs", "toml", "yaml", "yml", "proto", "md", "sh", "py", "html", "wasm", "lock"];
const MEDIA_TYPES: [&str; 5] = ["application/", "text/", "image/", "multipart/", "message/"];

/// Something that a document says exists.
#[derive(Debug, PartialEq, Eq)]
enum Claim<'a> {
    Path(&'a str),
    Command(&'static str, Vec<&'a str>),
}

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let commands = Commands::read(tree)?;
    let mut problems = Vec::new();
    for path in tree.with_extension(&["md"]) {
        if path.contains('/') && !path.starts_with("docs/") && !path.ends_with("README.md") {
            continue;
        }
        let text = tree.text(path)?;
        for (line, claim) in claims(&text) {
            if let Some(problem) = problem(tree, &commands, path, &claim) {
                problems.push(format!("{path}:{line}: {problem}"));
            }
        }
    }
    Ok(problems)
}

fn problem(tree: &Tree, commands: &Commands, document: &str, claim: &Claim) -> Option<String> {
    match claim {
        Claim::Command(program, words) => commands.problem(program, words),
        Claim::Path(path) => {
            let beside = std::path::Path::new(document).parent()?.join(path);
            let there = tree.has(path.trim_start_matches("./")) || tree.root.join(beside).exists();
            (!there).then(|| format!("there is no `{path}`"))
        }
    }
}

/// What a document claims, with the number of the line.
fn claims(text: &str) -> Vec<(usize, Claim<'_>)> {
    let mut out = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            out.extend(commands(line).map(|claim| (number, claim)));
        } else {
            for span in line.split('`').skip(1).step_by(2) {
                out.extend(commands(span).map(|claim| (number, claim)));
                out.extend(path(span).map(|path| (number, Claim::Path(path))));
            }
            out.extend(links(line).map(|path| (number, Claim::Path(path))));
        }
    }
    out
}

/// The commands in a line: it may call several, joined as a shell joins them.
fn commands(line: &str) -> impl Iterator<Item = Claim<'_>> {
    let line = line.split(" #").next().unwrap_or_default();
    line.split(['|', '&', ';', '>']).filter_map(|part| {
        let mut words = part
            .split_whitespace()
            .filter(|word| *word != "\\")
            .skip_while(|word| *word == "$" || word.contains('=') && !word.starts_with('-'))
            .peekable();
        let first = words.next()?;
        if first == "cargo" && words.next_if_eq(&"xtask").is_some() {
            return Some(Claim::Command(XTASK, words.collect()));
        }
        let ours = first == REPRISE || first.ends_with("/reprise");
        ours.then(|| Claim::Command(REPRISE, words.collect()))
    })
}

/// The path in a backticked word, if it is one.
fn path(span: &str) -> Option<&str> {
    let letters = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let extension = span.rsplit_once('.').map(|(_, extension)| extension);
    let ours = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
    let is_path = span.chars().all(letters)
        && (span.contains('/') || ours)
        && !span.starts_with(['/', '-'])
        && !span.starts_with("target/")
        && !MEDIA_TYPES.iter().any(|kind| span.starts_with(kind))
        && !span.contains("//")
        && (span.contains('/') || !span.starts_with('.'))
        && span.split('/').next()?.contains(|c: char| c.is_ascii_lowercase());
    is_path.then_some(span)
}

/// The local targets of the links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        let local = !target.is_empty() && !target.contains(':') && !target.starts_with("target/");
        local.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::super::commands::tests::sample;
    use super::*;

    fn paths(text: &str) -> Vec<&str> {
        let path = |(_, claim)| match claim {
            Claim::Path(path) => Some(path),
            Claim::Command(..) => None,
        };
        claims(text).into_iter().filter_map(path).collect()
    }

    #[test]
    fn paths_are_found_in_backticks_and_links() {
        let text = "See `protocol/src/limits.rs`, `Cargo.toml` and [how](docs/how.md#part).\n\
                    `.ci/run` runs it; `filter/` is the wasm.";
        assert_eq!(
            paths(text),
            ["protocol/src/limits.rs", "Cargo.toml", "docs/how.md", ".ci/run", "filter/"]
        );
    }

    #[test]
    fn what_only_looks_like_a_path_is_left_alone() {
        let text = "`GET /status` `/healthz` `HTTP/1.1` `TCP/IP` `application/json` `text/plain` \
                    `target/demo/report.html` `127.0.0.1:80/x` `a::b` `<dir>/x.rs` `http://a/b` \
                    `E.S` `1.40.0` `--config` `.wasm` plain/prose.rs [web](https://x/y.md)";
        assert_eq!(paths(text), [""; 0]);
    }

    #[test]
    fn commands_are_found_in_prose_and_in_code_blocks() {
        let text = "Run `cargo xtask demo --cut hole`, see `reprise status --json`.\n\
                    ```sh\n$ A=b cargo xtask up --primary x && target/release/reprise serve\n\
                    cargo build -p reprise-filter  # then cargo xtask nothing\n`not/a/path.rs`\n```\n";
        let commands: Vec<String> = claims(text)
            .into_iter()
            .map(|(line, claim)| match claim {
                Claim::Command(program, words) => format!("{line} {program} {}", words.join(" ")),
                Claim::Path(path) => format!("{line} path {path}"),
            })
            .collect();
        assert_eq!(
            commands,
            [
                "1 cargo xtask demo --cut hole",
                "1 reprise status --json",
                "3 cargo xtask up --primary x",
                "3 reprise serve",
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_named_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("docs")).unwrap();
        std::fs::write(dir.path().join("docs/here.md"), "").unwrap();
        let tree = Tree::read(dir.path()).unwrap();
        let wrong = |document: &str, text: &str| {
            let claims = claims(text);
            let found =
                claims.iter().filter_map(|(_, claim)| problem(&tree, &sample(), document, claim));
            found.collect::<Vec<_>>()
        };
        assert_eq!(wrong("README.md", "`docs/here.md` [x](docs/here.md)"), [""; 0]);
        assert_eq!(wrong("docs/a.md", "[x](here.md) [y](../docs/here.md)"), [""; 0]);
        assert_eq!(wrong("README.md", "`docs/gone.md`"), ["there is no `docs/gone.md`"]);
        assert_eq!(wrong("README.md", "`cargo xtask dance`").len(), 1);
    }
}
