//! The simulated Envoy does what the table of host calls says, which was measured on the real one
//! (`tests/tests/host_calls.rs`).

#[path = "../../tests/host-calls/cases.rs"]
#[allow(dead_code, reason = "what the table says of itself")]
mod cases;
#[path = "host_calls/client.rs"]
mod client;
#[path = "host_calls/grpc.rs"]
mod grpc;
#[path = "host_calls/probed.rs"]
mod probed;
#[path = "host_calls/service.rs"]
mod service;

use probed::Probed;
use std::fmt::Write as _;

#[test]
fn the_simulated_envoy_does_what_the_table_of_host_calls_says() {
    let cases = cases::read(include_str!("../../tests/host-calls/cases.yaml")).unwrap();
    let mut probed = Probed::start();
    let mut wrong = String::new();
    for case in &cases {
        let here = probed.run(case);
        if !here.is_empty() {
            let _ = write!(wrong, "{} ({})\n{here}", case.name, case.shows);
        }
    }
    assert!(wrong.is_empty(), "the simulated Envoy does not do what the table says:\n{wrong}");
}
