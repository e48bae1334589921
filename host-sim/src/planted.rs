//! The planted bug of this process; see [`protocol::mutants`].

use protocol::mutants::VARIABLE;

/// Plants the bug that the environment names, if it names one.
pub fn plant() -> Result<(), String> {
    match std::env::var(VARIABLE) {
        Ok(name) => select(&name).map_err(|problem| format!("{VARIABLE}: {problem}")),
        Err(_) => Ok(()),
    }
}

#[cfg(feature = "mutants")]
fn select(name: &str) -> Result<(), String> {
    protocol::mutants::select(name)
}

#[cfg(not(feature = "mutants"))]
fn select(_: &str) -> Result<(), String> {
    Err("this host-sim is built without planted bugs (--features mutants)".into())
}

/// What the filter must be told, so that it plants the same.
pub fn environment() -> Vec<(String, String)> {
    std::env::var(VARIABLE).map(|name| (VARIABLE.to_string(), name)).into_iter().collect()
}
