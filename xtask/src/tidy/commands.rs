//! The commands that exist: `cargo xtask …` from its own definition, `reprise …` from its
//! source, since a program's crate cannot be linked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::CommandFactory;

use super::Tree;
use crate::cli::Cli;

/// Programs, their subcommands, and the long options of each.
#[derive(Debug, Default)]
pub(super) struct Commands {
    programs: BTreeMap<&'static str, BTreeMap<String, Options>>,
}

/// The long options of a subcommand; for `reprise` those of all its subcommands.
type Options = BTreeSet<String>;

pub(super) const XTASK: &str = "cargo xtask";
pub(super) const REPRISE: &str = "reprise";

impl Commands {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        let mut sources = String::new();
        for path in tree.with_extension(&["rs"]) {
            if path.starts_with("replay-service/src/") {
                sources += &tree.text(path)?;
            }
        }
        Ok(Self { programs: BTreeMap::from([(XTASK, of_xtask()), (REPRISE, of_source(&sources))]) })
    }

    /// What is wrong with calling `program` with these words.
    pub(super) fn problem(&self, program: &str, words: &[&str]) -> Option<String> {
        let subcommands = self.programs.get(program)?;
        let (name, rest) = words.split_first()?;
        if name.starts_with(['-', '<', '…', '[']) || name.chars().all(|c| !c.is_lowercase()) {
            return None; // a placeholder, or an option of the program itself
        }
        let Some(options) = subcommands.get(*name) else {
            return Some(format!("`{program}` has no command `{name}`"));
        };
        rest.iter().find_map(|word| {
            let word = word.trim_matches(['[', ']', '(', ')', ',']);
            let option = word.strip_prefix("--")?.split('=').next()?;
            let known = option.is_empty() || option == "help" || options.contains(option);
            (!known).then(|| format!("`{program} {name}` has no option `--{option}`"))
        })
    }
}

fn of_xtask() -> BTreeMap<String, Options> {
    let mut command = Cli::command();
    command.build();
    let options = |sub: &clap::Command| {
        let longs = sub.get_arguments().filter_map(clap::Arg::get_long);
        longs.map(str::to_owned).collect()
    };
    command.get_subcommands().map(|sub| (sub.get_name().to_owned(), options(sub))).collect()
}

/// The variants of the enum that derives `Subcommand`, and every `#[arg(long)]` field.
fn of_source(source: &str) -> BTreeMap<String, Options> {
    let mut options = Options::new();
    let mut lines = source.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("#[arg(") && line.contains("long") {
            let field = lines.clone().find(|next| {
                !next.starts_with(['#', '/', ')']) && next.contains(": ") && !next.contains("= ")
            });
            options.extend(field.and_then(|field| {
                let name = field.split(':').next()?;
                Some(name.trim_start_matches("pub ").trim().replace('_', "-"))
            }));
        }
    }
    let names = source
        .split("Subcommand")
        .filter_map(|after| {
            let (attribute, rest) = after.split_once("enum ")?;
            // Only what the derive itself stands on.
            (attribute.starts_with([')', ',']) && attribute.len() < 400).then_some(rest)
        })
        .flat_map(variants);
    names.map(|name| (name, options.clone())).collect()
}

/// The names of an enum's variants, as clap writes them.
fn variants(rest: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for line in rest.lines() {
        let line = line.trim();
        if depth == 1 && line.starts_with(|c: char| c.is_ascii_uppercase()) {
            let name: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            names.push(kebab(&name));
        }
        if line.starts_with("//") {
            continue;
        }
        depth += line.matches('{').count();
        depth = depth.saturating_sub(line.matches('}').count());
        if depth == 0 {
            break;
        }
    }
    names
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SOURCE: &str = r#"
use clap::{Parser, Subcommand};
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve {things}.
    Serve {
        /// The file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    Status(StatusArgs),
    CheckAll,
}
#[derive(Args)]
struct StatusArgs {
    #[arg(long)]
    pub json: bool,
    #[arg(
        long,
        default_value = "x"
    )]
    admin_port: SocketAddr,
}
fn main() {}
"#;

    pub(crate) fn sample() -> Commands {
        Commands { programs: BTreeMap::from([(XTASK, of_xtask()), (REPRISE, of_source(SOURCE))]) }
    }

    #[test]
    fn the_commands_of_a_source_are_its_subcommands_in_kebab_case() {
        let found = of_source(SOURCE);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["check-all", "serve", "status"]);
        assert!(found["serve"].contains("config"), "{found:?}");
        assert!(found["serve"].contains("json"), "{found:?}");
    }

    #[test]
    fn known_calls_pass_and_unknown_ones_are_named() {
        let commands = sample();
        let problem = |program, call: &str| {
            commands.problem(program, &call.split_whitespace().collect::<Vec<_>>())
        };
        assert_eq!(problem(XTASK, "up --primary HOST:PORT [--mirror log]"), None);
        assert_eq!(problem(XTASK, "tidy"), None);
        assert_eq!(problem(XTASK, "--help"), None);
        assert_eq!(problem(XTASK, "TASK"), None);
        assert_eq!(problem(REPRISE, "serve --config=FILE"), None);
        assert!(problem(XTASK, "upp").unwrap().contains("`upp`"));
        assert!(problem(XTASK, "up --primry x").unwrap().contains("--primry"));
        assert!(problem(REPRISE, "restore").unwrap().contains("restore"));
    }
}
