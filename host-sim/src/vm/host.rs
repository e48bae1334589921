//! What the host side of one VM knows.

use super::{Action, Clock, ContextData, LogLine, ROOT, Shared, VmConfig, words::Level};
use crate::rng::Rng;
use crate::wire::Headers;
use std::collections::{BTreeMap, BTreeSet};
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
    pub(super) clusters: Rc<BTreeSet<String>>,
    pub(super) contexts: BTreeMap<u32, ContextData>,
    pub(super) running: Running,
    /// The context whose callback runs.
    pub(super) current: u32,
    /// The context that stands in for it; 0: none.
    pub(super) effective: u32,
    /// The filter answered an exchange itself, so that "continue" means nothing now.
    pub(super) replied: bool,
    pub(super) streams: Tokens,
    pub(super) calls: Tokens,
    pub(super) call_response: Option<(Headers, Vec<u8>)>,
    pub(super) grpc_message: Vec<u8>,
    pub(super) actions: Vec<Action>,
    /// Counters by name and value; the id of one says its place here.
    pub(super) metrics: Vec<(String, u64)>,
    pub(super) tick_ms: u64,
    pub(super) trace: Option<Vec<String>>,
}

/// Tokens under way. Envoy numbers those of calls and of streams apart, by their last two bits.
pub(super) struct Tokens {
    last: u32,
    open: BTreeSet<u32>,
}

/// What lies between two tokens of a kind.
const TOKEN_STEP: u32 = 4;

impl Tokens {
    fn new(kind: u32) -> Tokens {
        Tokens { last: kind, open: BTreeSet::new() }
    }

    /// A new token.
    pub(super) fn open(&mut self) -> u32 {
        self.last = self.last.wrapping_add(TOKEN_STEP);
        self.open.insert(self.last);
        self.last
    }

    /// Whether a token could be one of these.
    pub(super) fn is_kind(&self, token: u32) -> bool {
        token % TOKEN_STEP == self.last % TOKEN_STEP
    }

    pub(super) fn is_open(&self, token: u32) -> bool {
        self.open.contains(&token)
    }

    /// Forgets a token; false if it was none.
    pub(super) fn close(&mut self, token: u32) -> bool {
        self.open.remove(&token)
    }
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
            streams: Tokens::new(2),
            calls: Tokens::new(0),
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
