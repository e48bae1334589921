//! From YAML and back, with every problem at once.

use crate::Scenario;
use std::fmt;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the key, as `faults[2].what`; empty for the whole file.
    pub at: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Problem { at, what }) in self.0.iter().enumerate() {
            let line = if n == 0 { "" } else { "\n" };
            let colon = if at.is_empty() { "" } else { ": " };
            write!(f, "{line}{at}{colon}{what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Reads a scenario.
pub fn read(yaml: &str) -> Result<Scenario, Problems> {
    let scenario: Scenario = serde_saphyr::from_str(yaml)
        .map_err(|error| Problems(vec![Problem { at: String::new(), what: error.to_string() }]))?;
    Ok(scenario)
}

/// Writes a scenario.
pub fn to_yaml(scenario: &Scenario) -> String {
    serde_saphyr::to_string(scenario).unwrap_or_else(|error| format!("# {error}\n"))
}
