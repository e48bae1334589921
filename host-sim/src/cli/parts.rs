//! What the commands need of the rest of the simulator.

use scenario::Scenario;

pub fn seed_of(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no seed"))
}

pub fn draw(_seed: u64) -> Scenario {
    unimplemented!("crate::draw::draw")
}
