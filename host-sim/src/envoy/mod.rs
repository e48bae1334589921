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
mod response;
mod router;
mod shipped;
mod shown;
mod table;
mod upstream;

pub use self::config::{
    Cluster, Config, HealthCheck, Host, Listener, Match, Ping, Plugin, Retry, Route, Way,
};
pub use self::shipped::{CloudHosts, EdgeHosts, Role};

use self::exchange::Exchange;
use self::health::{Health, Pinged};
use self::plugin::Worker;
use self::table::Table;
use self::upstream::Upstream;
use crate::kernel::{Actor, ConnId, Cx, Event, NetEvent, Timer};
use crate::vm::{Clock, Filter, Shared};
use crate::wire::StreamNo;
use std::any::Any;
use std::collections::BTreeMap;

/// What an Envoy reminds itself of.
mod timer {
    /// A plugin's tick: worker and listener, life.
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
    /// Pings of the connections to a host.
    pub const PING: u16 = 9;
    /// Drained: an old root context.
    pub const DRAINED: u16 = 10;
}

/// An accepted connection.
struct Down {
    worker: usize,
    listener: usize,
    streams: BTreeMap<StreamNo, u64>,
}

/// One Envoy process.
pub struct Envoy {
    table: Table,
    filter: Filter,
    /// Seed of the VMs' entropy.
    seed: u64,
    lives: u64,
    next: u64,
    /// By listener.
    shared: BTreeMap<usize, Shared>,
    /// By worker and listener.
    plugins: BTreeMap<(usize, usize), Worker>,
    down: BTreeMap<ConnId, Down>,
    exchanges: BTreeMap<u64, Exchange>,
    upstream: Upstream,
    /// The filter's streams and calls under way, by our own number.
    asked: BTreeMap<u64, call::Asked>,
    health: Health,
    pinged: Vec<Pinged>,
    next_worker: usize,
}

impl Envoy {
    /// An Envoy that is down. The error is what is wrong with its configuration.
    pub fn new(config: Config, filter: Filter, seed: u64) -> Result<Envoy, String> {
        Ok(Envoy {
            table: Table::new(config)?,
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
            pinged: Vec::new(),
            next_worker: 0,
        })
    }

    /// The filter's counters, summed over all workers.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let mut sum = BTreeMap::new();
        for (name, value) in self.plugins.values().flat_map(Worker::metrics) {
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
        self.pinged.clear();
    }
}

fn clock(cx: &Cx<'_>) -> Clock {
    Clock { mono_ns: cx.now().saturating_mul(1_000), wall_ns: cx.wall_ns() }
}

impl Actor for Envoy {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.forget();
        self.lives += 1;
        for listener in self.table.filtered() {
            self.shared.insert(listener, Shared::default());
            for worker in 0..self.table.config().workers {
                self.plugins.insert((worker, listener), Worker::default());
                self.start_vm(cx, worker, listener);
            }
        }
        self.start_health(cx);
    }

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Timer(timer) => self.timer(cx, timer),
            Event::Net(conn, NetEvent::Opened(port)) => {
                let Some(listener) = self.table.listener(port) else { return cx.close(conn) };
                let worker = self.next_worker % self.table.config().workers;
                self.next_worker += 1;
                self.down.insert(conn, Down { worker, listener, streams: BTreeMap::new() });
            }
            Event::Net(conn, event) if self.down.contains_key(&conn) => {
                self.hear_downstream(cx, conn, event);
            }
            Event::Net(conn, event) => self.hear_upstream(cx, conn, event),
            Event::Fault(scenario::What::Panic(which)) => {
                let role = match which {
                    scenario::Plugin::Gateway => Role::Gateway,
                    _ => Role::Guard,
                };
                let worker = cx.rng().below(self.table.config().workers as u64);
                let worker = usize::try_from(worker).unwrap_or(0);
                let named = |at: &usize| {
                    self.table.plugin(*at).is_some_and(|plugin| plugin.name == role.plugin())
                };
                if let Some(listener) = self.table.filtered().into_iter().find(named) {
                    self.panic(cx, worker, listener, "planned");
                }
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
            timer::PING => self.ping(cx, a),
            timer::DRAINED => self.drained(cx, a, b),
            _ => {}
        }
    }
}
