//! One run, or one request.

use super::{Exit, Run, Try, files, request, say};
use crate::kernel::Trace;
use crate::report::{self, Outcome};
use crate::{run, try_request};
use std::io::{BufWriter, Read as _, Write};
use std::path::Path;

/// Runs a scenario and shows what came of it.
pub fn run(args: &Run) -> Result<Exit, String> {
    let scenario = files::wanted(&args.what)?;
    let filter = files::filter(args.wasm.filter.as_deref())?;
    let trace = match &args.trace {
        None => Trace::none(),
        Some(only) => {
            let to: Box<dyn Write + Send> = match args.json {
                true => Box::new(BufWriter::new(std::io::stderr())),
                false => Box::new(BufWriter::new(std::io::stdout())),
            };
            Trace::to(to, Some(only.clone()).filter(|only| !only.is_empty()))
        }
    };
    let report = run::run(&filter, &scenario, trace)?;
    if let Some(file) = &args.html {
        files::write(file, &report::html(&report))?;
    }
    let outcome = report::outcome(&report);
    if args.json {
        say(&format!("{:#}\n", report::json(&report)));
    } else if !args.quiet {
        say(&report::text(&report));
    } else if outcome != Outcome::Held {
        say(&report::verdict(&report));
    }
    Ok(match outcome {
        Outcome::Held => Exit::Held,
        Outcome::Broken => Exit::Broken,
        Outcome::Stalled => Exit::Stalled,
    })
}

/// Sends one request through the filter.
pub fn try_one(args: &Try) -> Result<Exit, String> {
    let config = files::read(&args.config)?;
    let request = match &args.request {
        Some(file) => request::parse(&text(file)?)?,
        None => request::parts(&args.method, &args.path, &args.header, &args.data)?,
    };
    let filter = files::filter(args.wasm.filter.as_deref())?;
    let shown = try_request::try_request(&filter, &config, &request)?;
    say(&request::show(&request, &shown));
    Ok(Exit::Held)
}

fn text(file: &Path) -> Result<String, String> {
    if file != Path::new("-") {
        return files::read(file);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|cause| format!("cannot read standard input: {cause}"))?;
    Ok(text)
}
