//! The command line.
use crate::kernel::Trace;
use std::process::ExitCode;
/// Runs it.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let filter =
        crate::vm::Filter::load(std::path::Path::new("target/filter/reprise_filter.wasm")).unwrap();
    let scenario = match scenario::read(&std::fs::read_to_string(&args[1]).unwrap()) {
        Ok(s) => s,
        Err(e) => {
            println!("{e}");
            return ExitCode::from(2);
        }
    };
    let trace = if args.len() > 2 {
        Trace::to(
            Box::new(std::io::BufWriter::new(std::fs::File::create(&args[2]).unwrap())),
            args.get(3).cloned(),
        )
    } else {
        Trace::none()
    };
    match crate::run::run(&filter, &scenario, trace) {
        Err(e) => println!("{e}"),
        Ok(r) => {
            println!(
                "ops {} runs {} events {} virtual {} ms real {} us",
                r.history.ops.len(),
                r.history.runs.len(),
                r.ended.events,
                r.ended.virtual_us / 1000,
                r.real_us
            );
            let ok =
                r.history.ops.iter().filter(|o| o.outcome == crate::history::Outcome::Ok).count();
            println!("ok {ok}");
            for o in
                r.history.ops.iter().filter(|o| o.outcome != crate::history::Outcome::Ok).take(5)
            {
                println!("{o:?}");
            }
            for n in r.history.notes.iter().take(40) {
                println!("{n:?}");
            }
            println!("{:?}", r.verdict);
            println!("{:?}", r.ended);
        }
    }
    ExitCode::SUCCESS
}
