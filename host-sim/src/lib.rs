//! Seed in, verdict out: the real filter and the real replay log in virtual time.

pub mod check;
pub mod cli;
pub mod clients;
pub mod draw;
pub mod envoy;
pub mod history;
pub mod kernel;
pub mod planted;
pub mod replica;
pub mod report;
pub mod reprise;
pub mod rng;
pub mod run;
pub mod shrink;
pub mod stack;
pub mod swarm;
pub mod try_request;
pub mod vm;
pub mod wire;
