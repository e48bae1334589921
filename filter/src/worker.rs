//! One plugin on one worker thread: its role, and what ties Envoy's names to the core's.

use crate::carry_out;
use crate::host::{Envoy, now};
use crate::role::Role;
use filter_core::effects::Effect;
use filter_core::metrics::Metric;
use filter_core::ports::Cx;
use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

/// Shared by the root context and its HTTP contexts.
pub struct Worker {
    /// The root context, which owns the stream and the calls.
    pub root: u32,
    role: RefCell<Role>,
    /// Envoy's token of each call under way, and the run it belongs to.
    calls: RefCell<BTreeMap<u32, u64>>,
    /// Envoy's id of each counter, by [`Metric::index`].
    metrics: Vec<Option<u32>>,
    origin: Instant,
}

impl Worker {
    pub fn new(root: u32, role: Role) -> Worker {
        let define = |m: &Metric| hostcalls::define_metric(MetricType::Counter, m.name()).ok();
        Worker {
            root,
            role: RefCell::new(role),
            calls: RefCell::default(),
            metrics: Metric::ALL.iter().map(define).collect(),
            origin: Instant::now(),
        }
    }

    /// Hands one event to the role and carries out what it asks for. `here` is the context whose
    /// callback is running.
    pub fn event<R>(
        &self,
        here: u32,
        event: impl FnOnce(&mut Role, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let (result, effects) = self.decide(event)?;
        if !effects.is_empty() {
            carry_out::all(self, here, effects);
        }
        Some(result)
    }

    /// Hands one event to the role and gives its effects.
    pub fn decide<R>(
        &self,
        event: impl FnOnce(&mut Role, &mut Cx<'_>) -> R,
    ) -> Option<(R, Vec<Effect>)> {
        let Ok(mut role) = self.role.try_borrow_mut() else {
            log::error!("an event inside an event; Envoy should never do that");
            return None;
        };
        let mut effects = Vec::new();
        let mut cx = Cx { now: now(self.origin), ports: &Envoy, effects: &mut effects };
        let result = event(&mut role, &mut cx);
        Some((result, effects))
    }

    /// The cluster, service and method of the role's stream.
    pub fn stream_target(&self) -> Option<(String, &'static str, &'static str)> {
        let role = self.role.try_borrow().ok()?;
        let (cluster, service, method) = role.stream_target();
        Some((cluster.to_string(), service, method))
    }

    pub fn call_begins(&self, call: u32, token: u64) {
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.insert(call, token);
        }
    }

    /// The run of a call that has ended.
    pub fn call_ends(&self, call: u32) -> Option<u64> {
        self.calls.try_borrow_mut().ok()?.remove(&call)
    }

    pub fn count(&self, metric: Metric, by: u64) {
        if let Some(Some(id)) = self.metrics.get(metric.index()) {
            let _ = hostcalls::increment_metric(*id, i64::try_from(by).unwrap_or(i64::MAX));
        }
    }
}
