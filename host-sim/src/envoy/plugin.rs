//! A plugin on a worker: its VM, started anew after a panic (FAIL_RELOAD), and its root contexts.

use super::{Envoy, clock, shown, timer};
use crate::kernel::{Cx, Micros, Timer};
use crate::rng::Rng;
use crate::vm::{Action, Answer, Callback, Vm, VmConfig};
use std::collections::BTreeMap;

/// How long an old root context lives on after its listener was replaced.
const DRAIN: Micros = 5_000_000;

/// One VM with its root context. After an LDS reload the old one goes on until it is drained.
pub(super) struct Life {
    pub vm: Vm,
    /// Exchanges by their context.
    pub contexts: BTreeMap<u32, u64>,
}

/// A plugin on a worker.
#[derive(Default)]
pub(super) struct Worker {
    pub lives: BTreeMap<u64, Life>,
    /// Who serves new exchanges; none after a panic.
    pub current: Option<u64>,
    /// When a VM was started last.
    pub loaded_us: Micros,
    /// Not before this is a VM started again.
    pub again_us: Micros,
}

/// After a panic a VM is started by the first request that finds the last start so long ago.
const RELOAD: [Micros; 2] = [1_000_000, 1_500_000];

/// Names a root context: worker, listener, life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Root {
    pub worker: usize,
    pub listener: usize,
    pub life: u64,
}

impl Root {
    fn code(self) -> u64 {
        (self.worker as u64) << 8 | self.listener as u64
    }

    fn decode(code: u64, life: u64) -> Root {
        let number = |n| usize::try_from(n).unwrap_or(0);
        Root { worker: number(code >> 8), listener: number(code & 0xff), life }
    }
}

impl Worker {
    pub(super) fn metrics(&self) -> impl Iterator<Item = (String, u64)> {
        self.lives.values().flat_map(|life| life.vm.metrics())
    }
}

impl Envoy {
    fn plugin_name(&self, root: Root) -> &str {
        self.table.plugin(root.listener).map_or("", |plugin| &plugin.name)
    }

    /// Starts a VM and makes it the current one. A configuration that the filter refuses keeps
    /// Envoy from starting; that is found before a run begins.
    pub(super) fn start_vm(&mut self, cx: &mut Cx<'_>, worker: usize, listener: usize) -> bool {
        let life = self.number();
        let Some(plugin) = self.table.plugin(listener) else { return false };
        let entropy = format!("{} {} {worker} {} {life}", cx.name(), self.lives, plugin.name);
        let config = VmConfig {
            name: &plugin.name,
            root_id: &plugin.root_id,
            configuration: &plugin.configuration,
            shared: self.shared.entry(listener).or_default().clone(),
            rng: Rng::named(self.seed, &entropy),
            clusters: self.table.inhabited.clone(),
            environment: crate::planted::environment(),
        };
        let mut vm = match Vm::start(&self.filter, config, clock(cx)) {
            Ok(vm) => vm,
            Err(error) => {
                cx.trace(&format!("{} does not start: {error}", plugin.name));
                return false;
            }
        };
        vm.set_trace(cx.tracing());
        let period = vm.tick_period_ms().max(1) * 1_000;
        let Some(plugin) = self.plugins.get_mut(&(worker, listener)) else { return false };
        plugin.lives.insert(life, Life { vm, contexts: BTreeMap::new() });
        plugin.current = Some(life);
        plugin.loaded_us = cx.now();
        let root = Root { worker, listener, life };
        let first = cx.rng().below(period);
        cx.after(first, Timer { kind: timer::TICK, a: root.code(), b: life });
        true
    }

    /// The root context that serves a new exchange, with a fresh VM if the last one panicked.
    pub(super) fn serving(
        &mut self,
        cx: &mut Cx<'_>,
        worker: usize,
        listener: usize,
    ) -> Option<Root> {
        let plugin = self.plugins.get(&(worker, listener))?;
        if plugin.current.is_none()
            && (cx.now() < plugin.again_us || !self.start_vm(cx, worker, listener))
        {
            return None;
        }
        let life = self.plugins.get(&(worker, listener))?.current?;
        Some(Root { worker, listener, life })
    }

    pub(super) fn life(&mut self, root: Root) -> Option<&mut Life> {
        self.plugins.get_mut(&(root.worker, root.listener))?.lives.get_mut(&root.life)
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_>, code: u64, life: u64) {
        let root = Root::decode(code, life);
        let Some(period) = self.life(root).map(|life| life.vm.tick_period_ms()) else { return };
        self.call(cx, root, Callback::Tick);
        cx.after(period.max(1) * 1_000, Timer { kind: timer::TICK, a: code, b: life });
    }

    /// A callback, and then what the VM asked for during it. As in Envoy, exchanges go on and are
    /// answered last, for that runs callbacks of their own.
    pub(super) fn call(
        &mut self,
        cx: &mut Cx<'_>,
        root: Root,
        callback: Callback,
    ) -> Option<Answer> {
        let now = clock(cx);
        let tick = matches!(callback, Callback::Tick);
        let label = cx.tracing().then(|| shown::callback(self.plugin_name(root), &callback));
        let context = callback.context();
        let life = self.life(root)?;
        let about = label.as_ref().and_then(|_| shown::id(life.vm.context(context)?));
        let answer = life.vm.call(now, callback);
        let actions = life.vm.take_actions();
        if let Some(label) = label {
            let lines = self.life(root).map(|life| life.vm.take_trace()).unwrap_or_default();
            if !tick || !actions.is_empty() || answer.is_err() {
                let name = self.plugin_name(root);
                let about = about.map(|id| format!(" of {id}")).unwrap_or_default();
                cx.trace(&format!("{name}/{} {label}{about} ⇒ {answer:?}", root.worker));
                for line in lines {
                    cx.trace(&format!("    {line}"));
                }
                for action in &actions {
                    if let Action::Send { message, .. } = action
                        && let Some(says) = shown::sent(name, message)
                    {
                        cx.trace(&format!("    sends {says}"));
                    }
                }
            }
        }
        let mut last = Vec::new();
        for action in actions {
            match action {
                Action::Continue { .. } | Action::Reply { .. } => last.push(action),
                _ => self.act(cx, root, action),
            }
        }
        for action in last {
            self.act(cx, root, action);
        }
        match answer {
            Ok(answer) => Some(answer),
            Err(panic) => {
                self.panic(cx, root.worker, root.listener, &panic.to_string());
                None
            }
        }
    }

    fn act(&mut self, cx: &mut Cx<'_>, root: Root, action: Action) {
        match action {
            Action::Continue { context, request } => {
                if let Some(exchange) = self.exchange_of(root, context) {
                    if request {
                        self.resume_request(cx, exchange);
                    } else {
                        self.resume_response(cx, exchange);
                    }
                }
            }
            Action::Reply { context, status, headers, body } => {
                if let Some(exchange) = self.exchange_of(root, context) {
                    self.filter_reply(cx, exchange, status, headers, body);
                }
            }
            Action::OpenStream { token, cluster, service, method, .. } => {
                self.open_stream(cx, root, token, &cluster, &service, &method);
            }
            Action::Send { stream, message, end } => {
                self.send_message(cx, root, stream, message, end);
            }
            Action::CloseStream { stream } => {
                self.send_message(cx, root, stream, Vec::new(), true);
            }
            Action::CancelStream { stream } => self.close_stream(cx, root, stream),
            Action::Call { token, cluster, headers, body, timeout_ms, .. } => {
                self.begin_call(cx, root, token, &cluster, headers, body, timeout_ms);
            }
            Action::Log(line) => {
                if cx.tracing() {
                    cx.trace(&line.to_string());
                }
            }
        }
    }

    fn exchange_of(&mut self, root: Root, context: u32) -> Option<u64> {
        self.life(root)?.contexts.get(&context).copied()
    }

    /// A VM is gone with everything that it held. Its exchanges hang until something moves on
    /// them or a timer of Envoy ends them; its streams and calls end with it.
    pub(super) fn panic(&mut self, cx: &mut Cx<'_>, worker: usize, listener: usize, why: &str) {
        let Some(plugin) = self.plugins.get_mut(&(worker, listener)) else { return };
        if plugin.current.is_none() {
            return;
        }
        plugin.current = None;
        plugin.again_us = plugin.loaded_us + cx.rng().between(RELOAD);
        let lives: Vec<u64> = plugin.lives.keys().copied().collect();
        plugin.lives.clear();
        let name = self.table.plugin(listener).map_or("", |plugin| &plugin.name);
        cx.note(None, "panic", format!("{} {name}, worker {worker}: {why}", cx.name()));
        if cx.tracing() {
            cx.trace(&format!("{name}/{worker} panics: {why}"));
        }
        for life in lives {
            self.drop_asked(cx, Root { worker, listener, life });
        }
    }

    /// New listeners with the same plugins: new root contexts, while the old ones drain.
    pub(super) fn reload(&mut self, cx: &mut Cx<'_>) {
        let old: Vec<Root> = self
            .plugins
            .iter()
            .filter_map(|((worker, listener), plugin)| {
                let root = |life| Root { worker: *worker, listener: *listener, life };
                plugin.current.map(root)
            })
            .collect();
        for root in old {
            if self.start_vm(cx, root.worker, root.listener) {
                cx.after(DRAIN, Timer { kind: timer::DRAINED, a: root.code(), b: root.life });
            }
        }
    }

    pub(super) fn drained(&mut self, cx: &mut Cx<'_>, code: u64, life: u64) {
        let root = Root::decode(code, life);
        let waits = self.life(root).is_some_and(|life| !life.contexts.is_empty());
        if waits {
            return cx.after(DRAIN, Timer { kind: timer::DRAINED, a: code, b: life });
        }
        if let Some(plugin) = self.plugins.get_mut(&(root.worker, root.listener))
            && plugin.lives.remove(&life).is_some()
        {
            self.drop_asked(cx, root);
        }
    }
}
