//! What this VM knows: every case that it has seen.

use crate::script::Script;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// One case.
#[derive(Debug, Default)]
pub struct Case {
    /// Its HTTP context.
    pub context: u32,
    /// What to do.
    pub script: Script,
    /// What happened.
    pub trace: Vec<String>,
    /// The gRPC stream that it opened last.
    pub stream: Option<u32>,
    /// The first version of shared data that it saw.
    pub first_version: Option<u32>,
    /// The version that it saw last.
    pub last_version: Option<u32>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Vm {
    /// The root context.
    pub root: u32,
    /// How many requests this VM has seen.
    pub requests: u32,
    /// The context that was deleted last.
    pub gone: Option<u32>,
    /// Cases by name.
    pub cases: BTreeMap<String, Case>,
    /// Which case a gRPC stream belongs to.
    pub streams: BTreeMap<u32, String>,
    /// Which case a call belongs to.
    pub calls: BTreeMap<u32, String>,
    /// Cases that wait for the next tick, and the phase to run.
    pub later: Vec<(String, String)>,
}

thread_local! {
    static VM: RefCell<Vm> = RefCell::default();
}

/// Looks at the VM, or changes it; never while a host call is under way.
pub fn with<R>(look: impl FnOnce(&mut Vm) -> R) -> R {
    VM.with(|vm| look(&mut vm.borrow_mut()))
}

/// Looks at a case, or changes it.
pub fn case<R: Default>(name: &str, look: impl FnOnce(&mut Case) -> R) -> R {
    with(|vm| vm.cases.get_mut(name).map(look)).unwrap_or_default()
}

/// Adds to a case's trace.
pub fn note(name: &str, what: impl Into<String>) {
    case(name, |case| case.trace.push(what.into()));
}
