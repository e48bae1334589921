//! `host-sim`: see `host-sim --help`.

fn main() -> std::process::ExitCode {
    host_sim::cli::main()
}
