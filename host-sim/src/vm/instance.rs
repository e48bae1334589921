//! One VM: starting it, calling it.

use super::callbacks;
use super::exports::Exports;
use super::filter::Filter;
use super::host::{Host, Running};
use super::words::{Action, Answer, Callback, LogLine};
use super::{ContextData, ROOT, Shared};
use crate::rng::Rng;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use thiserror::Error;
use wasmtime::{Store, Trap};

/// The time of a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds of a clock that never jumps.
    pub mono_ns: u64,
    /// Unix nanoseconds.
    pub wall_ns: u64,
}

/// What a VM is started with.
pub struct VmConfig<'a> {
    /// The plugin's name.
    pub name: &'a str,
    /// Its `root_id`.
    pub root_id: &'a str,
    /// Its configuration.
    pub configuration: &'a str,
    /// The data of its `vm_id`.
    pub shared: Shared,
    /// Where its randomness comes from.
    pub rng: Rng,
    /// The clusters that Envoy knows, and whether there is anybody in them.
    pub clusters: Rc<BTreeMap<String, bool>>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
}

/// The filter panicked, and its VM is dead. What it had asked for before stands in
/// [`Vm::take_actions`].
#[derive(Debug, Error)]
pub struct Panic {
    /// What it wrote to the log in this callback.
    pub log: Vec<LogLine>,
    /// What stopped it.
    pub trap: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        write!(f, "the filter panicked: {}", self.trap)
    }
}

/// Why a VM did not start.
#[derive(Debug)]
pub enum Why {
    /// The filter said no.
    Refused,
    /// The filter panicked, or could not be set up at all.
    Panic(String),
}

/// A VM did not start.
#[derive(Debug, Error)]
pub struct StartError {
    /// What the filter wrote to the log.
    pub log: Vec<LogLine>,
    /// Why.
    pub why: Why,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        match &self.why {
            Why::Refused => write!(f, "the filter refuses its configuration"),
            Why::Panic(trap) => write!(f, "the filter panicked: {trap}"),
        }
    }
}

/// One plugin on one worker thread.
pub struct Vm {
    store: Store<Host>,
    exports: Exports,
    next_context: u32,
    /// It panicked.
    dead: bool,
}

impl Vm {
    /// Makes a VM and its root context, and configures the plugin.
    pub fn start(filter: &Filter, config: VmConfig<'_>, clock: Clock) -> Result<Vm, StartError> {
        let mut store = Store::new(filter.instance().module().engine(), Host::new(config, clock));
        let exports = filter
            .instance()
            .instantiate(&mut store)
            .and_then(|instance| Exports::find(&instance, &mut store));
        let mut vm = match exports {
            Ok(exports) => Vm { store, exports, next_context: ROOT + 1, dead: false },
            Err(e) => return Err(StartError { log: Vec::new(), why: Why::Panic(trap(&e)) }),
        };
        let why = match vm.configure() {
            Ok(true) => return Ok(vm),
            Ok(false) => Why::Refused,
            Err(e) => Why::Panic(trap(&e)),
        };
        Err(StartError { log: vm.take_log(0), why })
    }

    fn configure(&mut self) -> wasmtime::Result<bool> {
        let Vm { store, exports, .. } = self;
        exports.initialize.call(&mut *store, ())?;
        store.data_mut().current = ROOT;
        exports.context_create.call(&mut *store, (ROOT, 0))?;
        if exports.vm_start.call(&mut *store, (ROOT, 0))? == 0 {
            return Ok(false);
        }
        let host = store.data_mut();
        host.running = Running::Configure;
        let size = host.configuration.len() as u32;
        let configured = exports.configure.call(&mut *store, (ROOT, size))?;
        store.data_mut().running = Running::Other;
        Ok(configured != 0)
    }

    /// A context for a new exchange.
    pub fn new_context(&mut self, clock: Clock) -> Result<u32, Panic> {
        let id = self.next_context;
        self.next_context = id.wrapping_add(1);
        self.store.data_mut().contexts.insert(id, ContextData::default());
        self.run(clock, ROOT, |vm| {
            vm.exports.context_create.call(&mut vm.store, (id, ROOT)).map(|()| Answer::Nothing)
        })?;
        Ok(id)
    }

    /// Calls the filter.
    pub fn call(&mut self, clock: Clock, callback: Callback) -> Result<Answer, Panic> {
        let context = callback.context();
        self.run(clock, context, |vm| callbacks::run(&mut vm.store, &vm.exports, callback))
    }

    /// Runs one callback.
    fn run(
        &mut self,
        clock: Clock,
        context: u32,
        run: impl FnOnce(&mut Vm) -> wasmtime::Result<Answer>,
    ) -> Result<Answer, Panic> {
        if self.dead {
            return Err(Panic { log: Vec::new(), trap: "the VM is dead already".into() });
        }
        let host = self.store.data_mut();
        host.clock = clock;
        host.current = context;
        host.effective = 0;
        host.replied = false;
        let before = host.actions.len();
        run(self).map_err(|e| {
            self.dead = true;
            Panic { log: self.take_log(before), trap: trap(&e) }
        })
    }

    /// What the filter has asked for since this was last called, in order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.store.data_mut().actions)
    }

    /// Takes the log lines out of the actions from this one on.
    fn take_log(&mut self, from: usize) -> Vec<LogLine> {
        let actions = &mut self.store.data_mut().actions;
        let tail = actions.split_off(from.min(actions.len()));
        let mut log = Vec::new();
        for action in tail {
            match action {
                Action::Log(line) => log.push(line),
                other => actions.push(other),
            }
        }
        log
    }

    /// What there is of an exchange.
    pub fn context(&mut self, id: u32) -> Option<&mut ContextData> {
        self.store.data_mut().contexts.get_mut(&id)
    }

    /// How often the filter wants a tick, milliseconds; 0: never.
    pub fn tick_period_ms(&self) -> u64 {
        self.store.data().tick_ms
    }

    /// Whether host calls are noted.
    pub fn set_trace(&mut self, on: bool) {
        self.store.data_mut().trace = on.then(Vec::new);
    }

    /// The host calls since this was last called, a line each.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.store.data_mut().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The filter's counters.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let mut metrics = BTreeMap::new();
        for (name, value) in &self.store.data().metrics {
            *metrics.entry(name.clone()).or_default() += value;
        }
        metrics
    }

    /// How many gRPC streams Envoy keeps for this VM: one that has ended stays until the filter
    /// gives it up.
    pub fn open_streams(&self) -> usize {
        self.store.data().streams.kept()
    }
}

/// What stopped the filter, without the addresses of a stripped file.
fn trap(e: &wasmtime::Error) -> String {
    match e.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => format!("{e:#}"),
    }
}
