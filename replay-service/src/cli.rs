//! The command line, and what each command's exit code says: 0 done, 1 failed, 2 wrong usage or
//! configuration, 4 the store failed.

use crate::{client, config, logging, salvage, seed, serve, size, status};
use clap::{Parser, Subcommand};
use http::Method;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code for wrong usage or a wrong configuration.
const EXIT_USAGE: u8 = 2;

/// Keeps the replay log of a service and the journal of its site's replica.
#[derive(Parser)]
#[command(name = "reprise", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT
    Serve {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file and do nothing else
    ///
    /// The stores are not opened: `salvage` tells whether they are sound, and `status` whether a
    /// replica waits for `seed`.
    Check {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show how a running reprise is doing
    Status {
        /// Print the JSON of GET /status
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// Decide about a write in doubt at the replica of that reprise
    Resolve {
        /// The session
        #[arg(long)]
        session: String,
        /// The number, as status shows it
        #[arg(long, value_name = "EPOCH.SEQ")]
        number: String,
        #[command(flatten)]
        action: Action,
        #[command(flatten)]
        admin: Admin,
    },
    /// Print where every session stands at the replica of that reprise, to seed the other one
    ///
    /// Its guard must be stopped and its backlog 0. See docs/seeding.md.
    Positions {
        #[command(flatten)]
        admin: Admin,
    },
    /// Make a journal that came in place of a lost one ready to run writes; reprise must not run
    ///
    /// See docs/seeding.md.
    Seed {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        source: Source,
    },
    /// Say what a site needs to get over an outage, and how long it takes to catch up
    ///
    /// See docs/sizing.md.
    Size(size::Size),
    /// Put what can be read of a damaged store in its place; reprise must not run
    ///
    /// The damaged one is kept beside it. Nothing is delivered around what is missing, and what may
    /// have been attempted is in doubt.
    Salvage {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Only this store; without it, whichever cannot be opened
        #[arg(long, value_enum)]
        store: Option<salvage::Which>,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The other replica's positions (`-`: standard input); this replica has been given its data
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The replica still has its own data: what was attempted before is in doubt
    #[arg(long)]
    as_it_is: bool,
}

#[derive(clap::Args)]
struct Admin {
    /// Its admin address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7401")]
    admin: String,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Action {
    /// It did not run: run it when it comes next
    #[arg(long)]
    redo: bool,
    /// It ran, or shall not: count it as run
    #[arg(long)]
    skip: bool,
}

/// Runs the command of this process's arguments.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { config } => with_config(&config, serve::run),
        Command::Check { config } => with_config(&config, |_| {
            println!("{} is valid", config.display());
            Ok(())
        }),
        Command::Status { json, admin } => exit(show_status(json, &admin.admin)),
        Command::Resolve { session, number, action, admin } => {
            let action = if action.redo { "redo" } else { "skip" };
            let body = json!({"session": session, "number": number, "action": action});
            exit(resolve(&admin.admin, body.to_string()))
        }
        Command::Positions { admin } => exit(seed::print(&admin.admin)),
        Command::Seed { config, source } => with_config(&config, |config| match source.from {
            Some(from) => seed::seed(&config, &from),
            None => seed::adopt(&config),
        }),
        Command::Size(size) => {
            size::show(&size);
            ExitCode::SUCCESS
        }
        Command::Salvage { config, store } => {
            with_config(&config, |config| salvage::run(&config, store))
        }
    }
}

fn with_config(
    file: &Path,
    command: impl FnOnce(config::Config) -> Result<(), String>,
) -> ExitCode {
    match config::load(file) {
        Ok(config) => exit(command(config)),
        Err(problems) => {
            let count = problems.len();
            let s = if count == 1 { "" } else { "s" };
            eprintln!("{}: {count} problem{s} in the configuration", file.display());
            for problem in problems {
                eprintln!("  {problem}");
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn exit(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            logging::error(&what, &[]);
            ExitCode::FAILURE
        }
    }
}

fn show_status(as_json: bool, admin: &str) -> Result<(), String> {
    let (code, body) = client::ask(admin, Method::GET, "/status", String::new())?;
    if code != 200 {
        return Err(format!("{admin} answered {code}: {body}"));
    }
    if as_json {
        println!("{body}");
        return Ok(());
    }
    let value = serde_json::from_str(&body).map_err(|cause| {
        format!("{admin} answered what is not a status ({cause}); is it reprise's admin address?")
    })?;
    print!("{}", status::text::render(&value));
    Ok(())
}

fn resolve(admin: &str, body: String) -> Result<(), String> {
    let (code, body) = client::ask(admin, Method::POST, "/resolve", body)?;
    let value: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let detail = value["detail"].as_str().unwrap_or(&body);
    if code != 200 {
        return Err(format!("{admin} refused: {detail}"));
    }
    println!("{detail}");
    Ok(())
}
