//! The trace: one line for everything that happens, if somebody wants it.

use super::Micros;
use std::io::Write;

/// Where trace lines go.
#[derive(Default)]
pub struct Trace {
    to: Option<Box<dyn Write + Send>>,
    /// Only lines that contain this.
    only: Option<String>,
}

impl Trace {
    /// Nowhere.
    pub fn none() -> Trace {
        Trace::default()
    }

    /// Everything to `to`, or only the lines that contain `only`.
    pub fn to(to: Box<dyn Write + Send>, only: Option<String>) -> Trace {
        Trace { to: Some(to), only }
    }

    /// Whether anybody reads it.
    pub fn on(&self) -> bool {
        self.to.is_some()
    }

    /// Writes a line: the time, who, what.
    pub fn line(&mut self, at: Micros, who: &str, what: &str) {
        let Some(to) = &mut self.to else { return };
        let line = format!("{:>6}.{:06} {who:<16} {what}\n", at / 1_000_000, at % 1_000_000);
        if self.only.as_ref().is_none_or(|only| line.contains(only.as_str())) {
            // A reader that has gone away is no fault of the run.
            let _ = to.write_all(line.as_bytes());
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some(to) = &mut self.to {
            let _ = to.flush();
        }
    }
}
