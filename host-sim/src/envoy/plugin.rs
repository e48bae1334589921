//! A plugin on a worker: its VM, started anew after a panic (FAIL_RELOAD), and its root contexts.

use super::config::Role;
use super::{Envoy, clock, timer};
use crate::kernel::{Cx, Micros, Timer};
use crate::rng::Rng;
use crate::vm::{Action, Answer, Callback, Vm, VmConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

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
pub(super) struct Plugin {
    pub lives: BTreeMap<u64, Life>,
    /// Who serves new exchanges; none after a panic.
    pub current: Option<u64>,
    /// Not before this is a VM started again.
    pub again_us: Micros,
}

/// Names a root context: worker, role, life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Root {
    pub worker: usize,
    pub role: Role,
    pub life: u64,
}

impl Root {
    fn code(self) -> u64 {
        (self.worker as u64) << 1 | u64::from(self.role == Role::Guard)
    }

    fn decode(code: u64, life: u64) -> Root {
        let role = if code & 1 == 1 { Role::Guard } else { Role::Gateway };
        Root { worker: usize::try_from(code >> 1).unwrap_or(0), role, life }
    }
}

impl Plugin {
    pub(super) fn metrics(&self) -> impl Iterator<Item = (String, u64)> {
        self.lives.values().flat_map(|life| life.vm.metrics())
    }
}

impl Envoy {
    /// The roles that this Envoy has plugins for.
    pub(super) fn roles(&self) -> Vec<Role> {
        let gateway = self.config.gateway.as_ref().map(|_| Role::Gateway);
        let guard = self.config.guard.as_ref().map(|_| Role::Guard);
        [gateway, guard].into_iter().flatten().collect()
    }

    /// Starts a VM and makes it the current one. A configuration that the filter refuses keeps
    /// Envoy from starting; that is found before a run begins.
    pub(super) fn start_vm(&mut self, cx: &mut Cx<'_>, worker: usize, role: Role) -> bool {
        let life = self.number();
        let configuration = match role {
            Role::Gateway => self.config.gateway.clone(),
            Role::Guard => self.config.guard.clone(),
        };
        let entropy = format!("{} {} {worker} {role:?} {life}", cx.name(), self.lives);
        let hosts = &self.config.hosts;
        let known = super::Cluster::ALL.into_iter().filter(|c| !c.hosts(hosts).is_empty());
        let clusters: BTreeSet<String> = known.map(|c| c.name().to_string()).collect();
        let config = VmConfig {
            name: role.plugin(),
            root_id: role.plugin(),
            configuration: configuration.as_deref().unwrap_or_default(),
            shared: self.shared.entry(role).or_default().clone(),
            rng: Rng::named(self.seed, &entropy),
            clusters: Rc::new(clusters),
            environment: crate::stack::environment(),
        };
        let mut vm = match Vm::start(&self.filter, config, clock(cx)) {
            Ok(vm) => vm,
            Err(error) => {
                cx.trace(&format!("{role:?} does not start: {error}"));
                return false;
            }
        };
        vm.set_trace(cx.tracing());
        let period = vm.tick_period_ms().max(1) * 1_000;
        let Some(plugin) = self.plugins.get_mut(&(worker, role)) else { return false };
        plugin.lives.insert(life, Life { vm, contexts: BTreeMap::new() });
        plugin.current = Some(life);
        let root = Root { worker, role, life };
        let first = cx.rng().below(period);
        cx.after(first, Timer { kind: timer::TICK, a: root.code(), b: life });
        true
    }

    /// The root context that serves a new exchange, with a fresh VM if the last one panicked.
    pub(super) fn serving(&mut self, cx: &mut Cx<'_>, worker: usize, role: Role) -> Option<Root> {
        let plugin = self.plugins.get(&(worker, role))?;
        if plugin.current.is_none()
            && (cx.now() < plugin.again_us || !self.start_vm(cx, worker, role))
        {
            return None;
        }
        let life = self.plugins.get(&(worker, role))?.current?;
        Some(Root { worker, role, life })
    }

    pub(super) fn life(&mut self, root: Root) -> Option<&mut Life> {
        self.plugins.get_mut(&(root.worker, root.role))?.lives.get_mut(&root.life)
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_>, code: u64, life: u64) {
        let root = Root::decode(code, life);
        let Some(period) = self.life(root).map(|life| life.vm.tick_period_ms()) else { return };
        self.call(cx, root, Callback::Tick);
        cx.after(period.max(1) * 1_000, Timer { kind: timer::TICK, a: code, b: life });
    }

    /// A callback, and then what the VM asked for during it.
    pub(super) fn call(
        &mut self,
        cx: &mut Cx<'_>,
        root: Root,
        callback: Callback,
    ) -> Option<Answer> {
        let now = clock(cx);
        let tick = matches!(callback, Callback::Tick);
        let label = (cx.tracing() && !tick).then(|| format!("{callback:?}"));
        let life = self.life(root)?;
        let answer = life.vm.call(now, callback);
        let actions = life.vm.take_actions();
        if let Some(label) = label {
            let host_calls = self.life(root).map(|life| life.vm.take_trace()).unwrap_or_default();
            cx.trace(&format!("{:?}/{} {label} ⇒ {answer:?}", root.role, root.worker));
            for line in host_calls {
                cx.trace(&format!("    {line}"));
            }
        } else if tick && cx.tracing() {
            let lines = self.life(root).map(|life| life.vm.take_trace()).unwrap_or_default();
            if !actions.is_empty() {
                cx.trace(&format!("{:?}/{} Tick", root.role, root.worker));
                for line in lines {
                    cx.trace(&format!("    {line}"));
                }
            }
        }
        for action in actions {
            self.act(cx, root, action);
        }
        match answer {
            Ok(answer) => Some(answer),
            Err(panic) => {
                self.panic(cx, root.worker, root.role, &panic.to_string());
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
            Action::Send { stream, message, .. } => self.send_message(cx, root, stream, message),
            Action::CancelStream { stream } => self.close_stream(cx, root, stream),
            Action::Call { token, cluster, headers, body, timeout_ms, .. } => {
                self.begin_call(cx, root, token, &cluster, headers, body, timeout_ms);
            }
            Action::Log(line) => {
                if cx.tracing() {
                    cx.trace(&line.to_string());
                }
            }
            // Half-closed: nobody here does that, and the other side would not mind.
            Action::CloseStream { .. } => {}
        }
    }

    fn exchange_of(&mut self, root: Root, context: u32) -> Option<u64> {
        self.life(root)?.contexts.get(&context).copied()
    }

    /// A VM is gone with everything that it held. Its exchanges hang until a timer of Envoy ends
    /// them; its streams and calls end with it.
    pub(super) fn panic(&mut self, cx: &mut Cx<'_>, worker: usize, role: Role, why: &str) {
        let again_us = cx.now() + self.config.times.reload;
        let Some(plugin) = self.plugins.get_mut(&(worker, role)) else { return };
        if plugin.current.is_none() {
            return;
        }
        plugin.current = None;
        plugin.again_us = again_us;
        let lives: Vec<u64> = plugin.lives.keys().copied().collect();
        plugin.lives.clear();
        cx.note(None, "panic", format!("{} {role:?}, worker {worker}: {why}", cx.name()));
        if cx.tracing() {
            cx.trace(&format!("{role:?}/{worker} panics: {why}"));
        }
        for life in lives {
            self.drop_asked(cx, Root { worker, role, life });
        }
    }

    /// New listeners with the same plugins: new root contexts, while the old ones drain.
    pub(super) fn reload(&mut self, cx: &mut Cx<'_>) {
        let old: Vec<Root> = self
            .plugins
            .iter()
            .filter_map(|((worker, role), plugin)| {
                plugin.current.map(|life| Root { worker: *worker, role: *role, life })
            })
            .collect();
        for root in old {
            if self.start_vm(cx, root.worker, root.role) {
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
        if let Some(plugin) = self.plugins.get_mut(&(root.worker, root.role))
            && plugin.lives.remove(&life).is_some()
        {
            self.drop_asked(cx, root);
        }
    }
}
