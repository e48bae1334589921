//! `reprise`: the process that keeps the replay log of a service and the journal of its site's
//! replica.
//!
//! It owns sockets, clocks, entropy, threads and files; what is done with them is decided by
//! the engines in `replay-log`. One thread owns each engine ([`engine`]); gRPC streams
//! ([`grpc`]), deliveries ([`delivery`]), the admin page ([`admin`]) and that of the probes
//! ([`probes`]) talk to it by messages.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is where the time comes from, and nothing here is simulated"
)]

mod admin;
mod cli;
mod client;
mod clock;
mod config;
mod delivery;
mod engine;
mod grpc;
mod logging;
mod machines;
mod metrics;
mod probes;
mod request;
mod salvage;
mod seed;
mod serve;
mod start;
mod status;
mod streams;

fn main() -> std::process::ExitCode {
    cli::run()
}
