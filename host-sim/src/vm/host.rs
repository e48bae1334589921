//! What the host side of one VM knows.

use super::tokens::{Calls, Streams};
use super::{Action, Clock, ContextData, LogLine, ROOT, Shared, VmConfig, words::Level};
use crate::rng::Rng;
use crate::wire::Headers;
use std::collections::BTreeMap;
use std::rc::Rc;
use wasmtime::{Memory, TypedFunc};

/// What runs now, where it matters for what can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    /// `proxy_on_configure`: the plugin's configuration can be read.
    Configure,
    /// `proxy_on_log`: headers can be read again.
    Log,
    /// Anything else.
    Other,
}

/// The host side of one VM.
pub(super) struct Host {
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    /// A buffer that host calls hand over from.
    pub(super) scratch: Vec<u8>,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) name: String,
    pub(super) root_id: String,
    pub(super) configuration: Vec<u8>,
    /// `NAME=VALUE` with a zero byte after it, each.
    pub(super) environment: Vec<Vec<u8>>,
    pub(super) shared: Shared,
    pub(super) clusters: Rc<BTreeMap<String, bool>>,
    pub(super) contexts: BTreeMap<u32, ContextData>,
    pub(super) running: Running,
    /// The context whose callback runs.
    pub(super) current: u32,
    /// The context that stands in for it; 0: none.
    pub(super) effective: u32,
    /// The filter answered the exchange whose callback runs, so that "continue" means nothing now.
    pub(super) replied: bool,
    pub(super) streams: Streams,
    pub(super) calls: Calls,
    pub(super) call_response: Option<(Headers, Vec<u8>)>,
    pub(super) grpc_message: Vec<u8>,
    pub(super) actions: Vec<Action>,
    /// Counters by name and value; the id of one says its place here.
    pub(super) metrics: Vec<(String, u64)>,
    pub(super) tick_ms: u64,
    pub(super) trace: Option<Vec<String>>,
}

impl Host {
    pub(super) fn new(config: VmConfig<'_>, clock: Clock) -> Host {
        let line = |(name, value): (String, String)| format!("{name}={value}\0").into_bytes();
        Host {
            memory: None,
            allocate: None,
            scratch: Vec::new(),
            clock,
            rng: config.rng,
            name: config.name.to_string(),
            root_id: config.root_id.to_string(),
            configuration: config.configuration.as_bytes().to_vec(),
            environment: config.environment.into_iter().map(line).collect(),
            shared: config.shared,
            clusters: config.clusters,
            contexts: BTreeMap::new(),
            running: Running::Other,
            current: 0,
            effective: 0,
            replied: false,
            streams: Streams::new(),
            calls: Calls::default(),
            call_response: None,
            grpc_message: Vec::new(),
            actions: Vec::new(),
            metrics: Vec::new(),
            tick_ms: 0,
            trace: None,
        }
    }

    /// Whether there is such a context. 0 is the VM's own.
    pub(super) fn knows(&self, context: u32) -> bool {
        context <= ROOT || self.contexts.contains_key(&context)
    }

    /// The context that a host call is about.
    pub(super) fn context(&self) -> u32 {
        let stands_in = self.effective != 0 && self.knows(self.effective);
        if stands_in { self.effective } else { self.current }
    }

    /// The exchange that a host call is about, if it is about one.
    pub(super) fn exchange(&mut self) -> Option<&mut ContextData> {
        let context = self.context();
        self.contexts.get_mut(&context)
    }

    pub(super) fn log(&mut self, level: Level, text: &str) {
        let mut prefix = String::from("wasm log");
        for part in [&self.name, &self.root_id] {
            if !part.is_empty() {
                prefix.push(' ');
                prefix.push_str(part);
            }
        }
        self.actions.push(Action::Log(LogLine { level, text: format!("{prefix}: {text}") }));
    }

    /// Notes a host call if anybody wants to know.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}
