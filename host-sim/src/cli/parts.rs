//! What the commands need of the rest of the simulator.

use crate::kernel::Trace;
use crate::run::Report;
use crate::vm::Filter;
use scenario::Scenario;

pub fn seed_of(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no seed"))
}

pub fn draw(_seed: u64) -> Scenario {
    unimplemented!("crate::draw::draw")
}

pub fn run(_filter: &Filter, _scenario: &Scenario, _trace: Trace) -> Result<Report, String> {
    Err("crate::run::run".into())
}
