//! The tasks of this repository as a library: the stack that `demo` and the end-to-end tests
//! run on real Envoys, the tools it needs, and the checks of `test`, `ci` and `tidy`.
//!
//! Starts processes and reads clocks; decides nothing about replication.
#![allow(
    clippy::disallowed_methods,
    reason = "processes are awaited and steps are timed by the real clock"
)]

// So that `demo` may say `xtask::` here as the tests do.
extern crate self as xtask;

pub mod chaos;
pub mod checks;
pub mod cli;
pub mod demo;
pub mod dist;
pub mod faults;
pub mod fuzz;
pub mod mutants;
pub mod repo;
pub mod sim;
pub mod stack;
pub mod tidy;
pub mod tools;
pub mod up;
pub mod walkthrough;
