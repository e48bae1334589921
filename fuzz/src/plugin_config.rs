//! The plugin configuration: read, or refused with every problem.

use filter_core::config::{self, Config};
use filter_core::gateway::Gateway;
use filter_core::guard::Guard;

/// A gateway's with everything in it.
pub const GATEWAY: &str = r#"{"role":"gateway","service":"${SHOP}","session":{"header":"x-session"},
"id":{"header":"idempotency-key"},"replay_log":{"cluster":"reprise","timeout_ms":2000},
"limits":{"body_bytes":1024,"sessions":64},"routes":[{"match":"POST /pay","when_cut":"refuse"},
{"match":"/telemetry","replicate":false}],"strict":false}"#;

/// A guard's.
pub const GUARD: &str = r#"{"role":"guard","service":"shop","replica":"primary",
"service_cluster":"service","journal":{"cluster":"reprise"},"limits":{"body_bytes":1024},
"in_doubt":{"default":"hold","routes":[{"match":"PUT /x","policy":"redo"}]}}"#;

/// Reads a configuration where variables with short names are set.
pub fn read(bytes: &[u8]) -> Result<Config, Vec<String>> {
    config::parse(bytes, |name| (name.len() < 6).then(|| name.to_lowercase()))
}

/// Reads a configuration and, if it is one, begins its role.
pub fn run(bytes: &[u8]) {
    match read(bytes) {
        Ok(Config::Gateway(config)) => drop(Gateway::new(*config)),
        Ok(Config::Guard(config)) => drop(Guard::new(*config)),
        Err(problems) => assert!(!problems.is_empty(), "refused without a problem"),
    }
}

/// Both roles, and each place where a session can be named.
pub fn seeds() -> Vec<Vec<u8>> {
    let sessions = [r#"{"cookie":"sid"}"#, r#"{"jwt_claim":"azp"}"#, r#"{"path":"^/s/([^/]+)"}"#];
    let others = sessions.map(|place| GATEWAY.replace(r#"{"header":"x-session"}"#, place));
    let all = others.into_iter().chain([GATEWAY.to_string(), GUARD.to_string()]);
    all.map(String::into_bytes).collect()
}
