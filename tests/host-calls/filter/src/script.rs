//! Scripts: `PHASE: OP OP(ARG,ARG); PHASE: OP`. A phase is a callback; see [`crate::ops`] for the
//! operations.

use std::collections::BTreeMap;

/// What to do in each phase.
#[derive(Clone, Debug, Default)]
pub struct Script(BTreeMap<String, Vec<Op>>);

/// One operation.
#[derive(Clone, Debug)]
pub struct Op {
    /// As it is written.
    pub text: String,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Op {
    /// An argument; empty if it is not there.
    pub fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }
}

impl Script {
    /// Reads a script. Whatever is written, something is read: a wrong name shows in the trace.
    pub fn read(text: &str) -> Script {
        let mut phases = BTreeMap::new();
        for part in text.split(';') {
            if let Some((phase, ops)) = part.split_once(": ") {
                let ops = ops.split_whitespace().map(op).collect();
                phases.insert(phase.trim().to_string(), ops);
            }
        }
        Script(phases)
    }

    /// The operations of a phase.
    pub fn phase(&self, name: &str) -> Vec<Op> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

fn op(text: &str) -> Op {
    let (name, args) = text.strip_suffix(')').and_then(|t| t.split_once('(')).unwrap_or((text, ""));
    let args = args.split(',').filter(|arg| !arg.is_empty()).map(str::to_string).collect();
    Op { text: text.to_string(), name: name.to_string(), args }
}
