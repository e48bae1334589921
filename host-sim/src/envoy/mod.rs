//! Envoy as measured (`docs/host-sim.md` says what is not here): listeners, the filter's VMs on
//! every worker, the router with its retries, connection pools, health checks, gRPC streams and
//! calls of the filter.
//!
//! One event is handled at a time, on one worker; the network's delays give the workers their
//! interleaving. What a VM asks for during a callback is carried out when the callback returns,
//! as Envoy does.

mod call;
mod config;
mod downstream;
mod exchange;
mod health;
mod plugin;
mod router;
mod upstream;

pub use self::config::{Cluster, Config, Hosts, Role, Route, Times, route};

use self::exchange::Exchange;
use self::health::Health;
use self::plugin::Plugin;
use self::upstream::Upstream;
use crate::kernel::{Actor, ConnId, Cx, Event, NetEvent, Port, Timer};
use crate::vm::{Clock, Filter, Shared};
use crate::wire::StreamNo;
use std::any::Any;
use std::collections::BTreeMap;

/// What an Envoy reminds itself of.
mod timer {
    /// A plugin's tick: worker and role, life.
    pub const TICK: u16 = 1;
    /// One attempt: exchange, attempt.
    pub const PER_TRY: u16 = 2;
    /// The whole exchange.
    pub const ROUTE: u16 = 3;
    /// The wait before another attempt: exchange, attempt.
    pub const BACKOFF: u16 = 4;
    /// Nothing moves: exchange.
    pub const IDLE: u16 = 5;
    /// A connection does not come about.
    pub const CONNECT: u16 = 6;
    /// A call of the filter: call.
    pub const CALL: u16 = 7;
    /// The next health check, or the outcome of one.
    pub const HEALTH: u16 = 8;
    /// Pings of the connections to the other site.
    pub const PING: u16 = 9;
    /// What the filter wanted failed at once: stream or call.
    pub const FAILED: u16 = 10;
    /// Drained: an old root context.
    pub const DRAINED: u16 = 11;
}

/// An accepted connection.
struct Down {
    worker: usize,
    port: Port,
    streams: BTreeMap<StreamNo, u64>,
}

/// One Envoy process.
pub struct Envoy {
    config: Config,
    filter: Filter,
    /// Seed of the VMs' entropy.
    seed: u64,
    lives: u64,
    next: u64,
    shared: BTreeMap<Role, Shared>,
    plugins: BTreeMap<(usize, Role), Plugin>,
    down: BTreeMap<ConnId, Down>,
    exchanges: BTreeMap<u64, Exchange>,
    upstream: Upstream,
    /// The filter's streams and calls under way, by our own number.
    asked: BTreeMap<u64, call::Asked>,
    health: Health,
    next_worker: usize,
}

impl Envoy {
    /// An Envoy that is down.
    pub fn new(config: Config, filter: Filter, seed: u64) -> Envoy {
        Envoy {
            config,
            filter,
            seed,
            lives: 0,
            next: 0,
            shared: BTreeMap::new(),
            plugins: BTreeMap::new(),
            down: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            upstream: Upstream::default(),
            asked: BTreeMap::new(),
            health: Health::default(),
            next_worker: 0,
        }
    }

    /// The filter's counters, summed over all workers.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let mut sum = BTreeMap::new();
        for (name, value) in self.plugins.values().flat_map(Plugin::metrics) {
            *sum.entry(name).or_insert(0) += value;
        }
        sum
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn forget(&mut self) {
        self.shared.clear();
        self.plugins.clear();
        self.down.clear();
        self.exchanges.clear();
        self.upstream = Upstream::default();
        self.asked.clear();
        self.health = Health::default();
    }
}

fn clock(cx: &Cx<'_>) -> Clock {
    Clock { mono_ns: cx.now().saturating_mul(1_000), wall_ns: cx.wall_ns() }
}

impl Actor for Envoy {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.forget();
        self.lives += 1;
        for role in self.roles() {
            self.shared.insert(role, Shared::default());
            for worker in 0..self.config.workers {
                self.plugins.insert((worker, role), Plugin::default());
                self.start_vm(cx, worker, role);
            }
        }
        self.start_health(cx);
    }

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Timer(timer) => self.timer(cx, timer),
            Event::Net(conn, NetEvent::Opened(port)) => {
                let worker = self.next_worker % self.config.workers;
                self.next_worker += 1;
                self.down.insert(conn, Down { worker, port, streams: BTreeMap::new() });
            }
            Event::Net(conn, event) if self.down.contains_key(&conn) => {
                self.from_downstream(cx, conn, event);
            }
            Event::Net(conn, event) => self.from_upstream(cx, conn, event),
            Event::Fault(scenario::What::Panic(which)) => {
                let role = match which {
                    scenario::Plugin::Gateway => Role::Gateway,
                    _ => Role::Guard,
                };
                let worker = cx.rng().below(self.config.workers as u64);
                let worker = usize::try_from(worker).unwrap_or(0);
                self.panic(cx, worker, role, "planned");
            }
            Event::Fault(scenario::What::Reload) => self.reload(cx),
            Event::Fault(_) => {}
        }
    }

    fn crash(&mut self, _: &mut Cx<'_>) {
        self.forget();
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Envoy {
    fn timer(&mut self, cx: &mut Cx<'_>, Timer { kind, a, b }: Timer) {
        match kind {
            timer::TICK => self.tick(cx, a, b),
            timer::PER_TRY => self.attempt_timed_out(cx, a, b),
            timer::ROUTE => self.route_timed_out(cx, a),
            timer::BACKOFF => self.try_again(cx, a, b),
            timer::IDLE => self.look_whether_idle(cx, a),
            timer::CONNECT => self.connect_timed_out(cx, ConnId(a)),
            timer::CALL => self.call_timed_out(cx, a),
            timer::HEALTH => self.health_turn(cx, a),
            timer::PING => self.ping(cx),
            timer::FAILED => self.failed_at_once(cx, a),
            timer::DRAINED => self.drained(cx, a, b),
            _ => {}
        }
    }
}
