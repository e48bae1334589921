//! The simulated Envoy with the probe, configured as `tests/host-calls/envoy.yaml` says.

use crate::cases::{Case, Request};
use crate::client::{Answer, Client};
use crate::grpc::Grpc;
use crate::service::Service;
use host_sim::envoy::{Cluster, Config, Envoy, Host, Listener, Match, Plugin, Retry, Route, Way};
use host_sim::kernel::{Addr, ConnId, Cx, MS, Micros, NodeId, Place, Port, SECOND, Trace, World};
use host_sim::vm::Filter;
use std::fmt::Write as _;
use std::path::PathBuf;

/// How long a trace may take to be as the table says.
const SETTLE: Micros = 3 * SECOND;
/// No answer takes longer.
const PATIENCE: Micros = 10 * SECOND;
/// Between two looks.
const LOOK_EVERY: Micros = 10 * MS;
/// From a case's request to the one beside it.
const BESIDE: Micros = 100 * MS;

/// The probe, compiled.
pub fn filter() -> Filter {
    let built = "../target/filter/host_calls_probe.wasm";
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(built);
    let file = std::env::var_os("HOST_CALLS_PROBE").map_or(built, PathBuf::from);
    assert!(
        file.is_file(),
        "there is no probe at {}: build it with\n  cargo build -p host-calls-probe \
         --profile=filter --target=wasm32-wasip1\n  cp \
         target/wasm32-wasip1/filter/host_calls_probe.wasm target/filter/",
        file.display()
    );
    Filter::load(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn cluster(name: &str, hosts: &[Addr]) -> Cluster {
    Cluster {
        name: name.to_string(),
        hosts: hosts.iter().map(|addr| Host { addr: *addr, checked: false }).collect(),
        shared: name.ends_with("grpc"),
        connect: 200 * MS,
        idle: None,
        ping: None,
    }
}

fn route(prefix: &str, cluster: &str, timeout: Micros, retry: Option<Retry>) -> Route {
    let matches = Match { prefix: prefix.into(), ..Match::default() };
    let way = Way { timeout: Some(timeout), retry, ..Way::default() };
    Route { matches, cluster: cluster.into(), way }
}

fn config(first: Addr, second: Addr, grpc: Addr, dead: Addr) -> Config {
    let plugin = Plugin {
        name: "probe".into(),
        root_id: "probe-root".into(),
        configuration: String::new(),
        stop_iteration: true,
    };
    let elsewhere = Retry {
        times: 2,
        per_try: Some(200 * MS),
        connect: true,
        reset: true,
        busy: true,
        elsewhere: true,
        wait: [MS, 10 * MS],
    };
    let here = Retry { per_try: Some(100 * MS), connect: false, elsewhere: false, ..elsewhere };
    // Envoy's own.
    let usual = 15 * SECOND;
    let mut to_second = route("/", "second", usual, None);
    to_second.matches.header = Some(("x-to".into(), "second".into()));
    let listener = Listener {
        port: Port::Clients,
        plugin: Some(plugin),
        idle: SECOND,
        routes: vec![
            route("/first", "first", 300 * MS, None),
            route("/dead", "dead", usual, None),
            route("/pair", "pair", SECOND, Some(elsewhere)),
            route("/broken", "broken", SECOND, Some(elsewhere)),
            route("/tries", "first", SECOND, Some(here)),
            route("/nowhere", "nowhere", usual, None),
            to_second,
            route("/", "first", usual, None),
        ],
        removes: Vec::new(),
    };
    let clusters = vec![
        cluster("first", &[first]),
        cluster("second", &[second]),
        cluster("dead", &[dead]),
        cluster("nowhere", &[]),
        cluster("pair", &[first, second]),
        cluster("broken", &[dead, second]),
        cluster("grpc", &[grpc]),
        cluster("dead-grpc", &[dead]),
    ];
    Config { workers: 1, listeners: vec![listener], clusters, health: None }
}

/// One Envoy with the probe, what it talks to, and who talks to it.
pub struct Probed {
    world: World,
    client: NodeId,
    door: Addr,
}

impl Probed {
    pub fn start() -> Probed {
        let mut world = World::new(1, 1, &scenario::Normal::default(), Trace::none());
        let place = Place::Edge(0);
        let at = |node, port| Addr { node, port };
        let first = world.add("first", place, Service::new("first"));
        let second = world.add("second", place, Service::new("second"));
        let grpc = world.add("grpc", place, Box::new(Grpc::default()));
        let dead = world.add("dead", place, Service::new("dead"));
        let client = world.add("client", place, Box::new(Client::default()));
        let config = config(
            at(first, Port::Service),
            at(second, Port::Service),
            at(grpc, Port::Grpc),
            at(dead, Port::Service),
        );
        let envoy = Envoy::new(config, filter(), 1).expect("a configuration");
        let envoy = world.add("envoy", place, Box::new(envoy));
        for node in [first, second, grpc, client, envoy] {
            world.start(node);
        }
        Probed { world, client, door: at(envoy, Port::Clients) }
    }

    fn pass(&mut self, time: Micros) {
        let until = self.world.now() + time;
        self.world.run_until(until);
    }

    fn with_client<R>(&mut self, act: impl FnOnce(&mut Client, &mut Cx<'_>) -> R) -> R {
        self.world.with(self.client, |actor, cx| {
            act(actor.as_any().downcast_mut().expect("the client"), cx)
        })
    }

    fn send(&mut self, name: &str, request: &Request) -> ConnId {
        let door = self.door;
        self.with_client(|client, cx| client.send(cx, door, name, request))
    }

    /// Waits for an answer.
    fn answer(&mut self, conn: ConnId) -> Answer {
        let until = self.world.now() + PATIENCE;
        loop {
            let answer = self.with_client(|client, _| client.answer(conn));
            if answer.over {
                return answer;
            }
            assert!(self.world.now() < until, "no answer");
            self.pass(MS);
        }
    }

    /// Runs a case; what is not as the table says, line by line.
    pub fn run(&mut self, case: &Case) -> String {
        self.pass(case.wait_ms * MS);
        let beside_name = format!("{}-beside", case.name);
        let first = self.send(&case.name, &case.request);
        let second = case.beside.as_ref().map(|request| {
            self.pass(BESIDE);
            self.send(&beside_name, request)
        });
        let first = self.answer(first);
        let second = second.map(|second| self.answer(second));
        let mut wrong = String::new();
        differ(&mut wrong, "status", &case.status, &first.status);
        let took = first.took / MS;
        if let Some([least, most]) = case.took_ms.filter(|[a, b]| !(a..=b).contains(&&took)) {
            differ(&mut wrong, "took_ms", &[least, most], &[took; 2]);
        }
        if let Some(answer) = &case.answer {
            differ(
                &mut wrong,
                "answer",
                answer,
                &String::from_utf8_lossy(&first.body).into_owned(),
            );
        }
        let beside = second.and_then(|answer| answer.status);
        differ(&mut wrong, "beside_status", &case.beside_status, &beside);
        for (what, name, trace) in
            [("trace", &case.name, &case.trace), ("beside_trace", &beside_name, &case.beside_trace)]
        {
            if let Some(trace) = trace {
                differ(&mut wrong, what, trace, &self.trace(name, trace));
            }
        }
        wrong
    }

    /// The trace of a case once it is as expected, or as it is after some time.
    fn trace(&mut self, name: &str, expected: &str) -> String {
        let until = self.world.now() + SETTLE;
        let door = self.door;
        loop {
            let asked = self.with_client(|client, cx| client.ask(cx, door, name));
            let trace = String::from_utf8_lossy(&self.answer(asked).body).into_owned();
            if trace == expected || self.world.now() > until {
                return trace;
            }
            self.pass(LOOK_EVERY);
        }
    }
}

fn differ<T: PartialEq + std::fmt::Debug>(out: &mut String, what: &str, expected: &T, seen: &T) {
    if expected != seen {
        let _ = writeln!(out, "  {what}\n    expected {expected:?}\n    seen     {seen:?}");
    }
}
