//! The trace: one line for everything that happens, if somebody wants it.

use super::Micros;
use std::io::Write;

/// Where trace lines go.
#[derive(Default)]
pub struct Trace {
    to: Option<Box<dyn Write + Send>>,
    /// Only what names this.
    only: Option<String>,
    /// A line and those indented below it, which are shown together or not at all.
    block: String,
}

impl Trace {
    /// Nowhere.
    pub fn none() -> Trace {
        Trace::default()
    }

    /// Everything to `to`; or only the lines that contain `only`, each with what is indented
    /// below it and belongs to it.
    pub fn to(to: Box<dyn Write + Send>, only: Option<String>) -> Trace {
        Trace { to: Some(to), only, block: String::new() }
    }

    /// Whether anybody reads it.
    pub fn on(&self) -> bool {
        self.to.is_some()
    }

    /// Writes a line: the time, who, what.
    pub fn line(&mut self, at: Micros, who: &str, what: &str) {
        if !self.on() {
            return;
        }
        if !what.starts_with("  ") {
            self.flush();
        }
        let (seconds, rest) = (at / 1_000_000, at % 1_000_000);
        self.block.push_str(&format!("{seconds:>6}.{rest:06} {who:<16} {what}\n"));
    }

    fn flush(&mut self) {
        if let Some(to) = &mut self.to
            && self.only.as_ref().is_none_or(|only| self.block.contains(only.as_str()))
        {
            // A reader that has gone away is no fault of the run.
            let _ = to.write_all(self.block.as_bytes());
        }
        self.block.clear();
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.flush();
        if let Some(to) = &mut self.to {
            let _ = to.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl Write for Sheet {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_asked_for_is_shown_with_what_belongs_to_it() {
        let sheet = Sheet::default();
        let mut trace = Trace::to(Box::new(sheet.clone()), Some("s1-5".into()));
        trace.line(1, "a", "callback");
        trace.line(1, "a", "    sends s1-5");
        trace.line(1, "a", "    more of it");
        trace.line(2, "a", "another");
        trace.line(2, "a", "    sends s1-6");
        drop(trace);
        let text = String::from_utf8(sheet.0.lock().expect("no panic").clone()).expect("text");
        let whats: Vec<&str> = text.lines().filter_map(|line| line.get(31..)).collect();
        assert_eq!(whats, ["callback", "    sends s1-5", "    more of it"]);
    }
}
