//! `host-sim`: see `host-sim --help`.

/// A run is many small allocations; this one takes a tenth less time over them all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    if let Err(problem) = host_sim::planted::plant() {
        eprintln!("{problem}");
        return std::process::ExitCode::from(2);
    }
    host_sim::cli::main()
}
