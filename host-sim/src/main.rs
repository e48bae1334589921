//! `host-sim`: see `host-sim --help`.

fn main() -> std::process::ExitCode {
    if let Err(problem) = host_sim::planted::plant() {
        eprintln!("{problem}");
        return std::process::ExitCode::from(2);
    }
    host_sim::cli::main()
}
