//! From YAML and back, with every problem at once.

use crate::{Scenario, shape, tree, valid};
use std::fmt;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, if it was read from one.
    pub line: Option<u64>,
    /// The path of the key, as `faults[2].what`; empty for the whole file.
    pub at: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Problem {
    /// A problem of a key.
    pub(crate) fn new(at: impl Into<String>, what: impl Into<String>) -> Problem {
        Problem { line: None, at: at.into(), what: what.into() }
    }
}

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Problem { line, at, what }) in self.0.iter().enumerate() {
            let begin = if n == 0 { "" } else { "\n" };
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let colon = if at.is_empty() { "" } else { ": " };
            write!(f, "{begin}{line}{at}{colon}{what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Reads a scenario. `Err` holds all that is wrong with it, in the order of the file.
pub fn read(yaml: &str) -> Result<Scenario, Problems> {
    let file = tree::read(yaml).map_err(|problem| Problems(vec![problem]))?;
    let (scenario, mut problems) = shape::fit(&file.value);
    if let Some(scenario) = &scenario {
        // What could not be read is already reported, and stands there as something else.
        let known: Vec<String> = problems.iter().map(|problem| problem.at.clone()).collect();
        let unread = |at: &str| known.iter().any(|k| shape::unit(k) == shape::unit(at));
        problems.extend(valid::check(scenario).into_iter().filter(|p| !unread(&p.at)));
    }
    for problem in &mut problems {
        problem.line = file.line(&problem.at);
    }
    problems.sort_by_key(|problem| problem.line);
    match scenario {
        Some(scenario) if problems.is_empty() => Ok(scenario),
        _ => Err(Problems(problems)),
    }
}

/// Whether everything in a scenario fits together, wherever it comes from.
pub fn validate(scenario: &Scenario) -> Result<(), Problems> {
    let problems = valid::check(scenario);
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// Writes a scenario.
pub fn to_yaml(scenario: &Scenario) -> String {
    serde_saphyr::to_string(scenario).unwrap_or_else(|error| format!("# {error}\n"))
}
