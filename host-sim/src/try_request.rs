//! One request through the filter, by hand: on a stack of its own, with a service that answers
//! everything, and with every callback and host call written down.

use crate::kernel::{Actor, Addr, ConnId, Cx, Event, NetEvent, NodeId, Place, Port, SECOND, Trace};
use crate::stack::{self, WARM};
use crate::vm::Filter;
use crate::wire::{self, Frame, Headers, StreamNo};
use scenario::Scenario;
use serde_json::{Map, Value};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// A request as a person writes it down.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Header fields.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Every callback and host call on its way, with times from when it was sent.
    pub trace: Vec<String>,
    /// Its head as each service got it: the replica's name, and the head.
    pub at_services: Vec<(String, Headers)>,
    /// The answer's head; none if none came in time.
    pub answer: Option<Headers>,
    /// The answer's body.
    pub body: Vec<u8>,
    /// How long it took, microseconds.
    pub took_us: u64,
}

/// So long is waited for an answer, and for what follows from the request.
const PATIENCE: u64 = 20 * SECOND;

type Seen = Rc<RefCell<Shown>>;

/// Sends a request through the filter with this plugin configuration: to the gateway's listener,
/// or straight to the guard's, as its `role` says. The error is what Envoy would log.
pub fn try_request(
    filter: &Filter,
    configuration: &str,
    request: &Request,
) -> Result<Shown, String> {
    stack::configure(filter, "reprise", configuration)?;
    let keys: Map<String, Value> =
        serde_json::from_str(configuration).map_err(|error| error.to_string())?;
    let says = |key: &str, value: &str| keys.get(key).and_then(Value::as_str) == Some(value);
    let guard = says("role", "guard");
    let primary = guard && says("replica", "primary");
    let scenario = scenario_of(keys, guard);
    let lines = Lines::default();
    let trace = Trace::to(Box::new(lines.clone()), None);
    let (mut world, shops) = stack::build(filter, &scenario, scenario.seed, trace)?;
    let shop = shops.first().ok_or("there is no shop")?;
    let seen = Seen::default();
    for (name, node) in [("primary", shop.primary), ("secondary", shop.secondary)] {
        world.replace(node, Box::new(Service { name, seen: seen.clone(), heads: BTreeMap::new() }));
    }
    for node in shop.processes() {
        world.start(node);
    }
    world.run_until(WARM);
    lines.clear();
    let port = if guard { Port::Guard } else { Port::Clients };
    let node = if primary { shop.cloud_envoy } else { shop.edge_envoy };
    let to = Addr { node, port };
    let hand = Hand { to, request: request.clone(), seen: seen.clone(), began_us: WARM };
    let hand: NodeId = world.add("client", Place::Edge(0), Box::new(hand));
    world.start(hand);
    world.run_until(WARM + PATIENCE);
    drop(world);
    let mut shown = seen.take();
    shown.trace = lines.take();
    Ok(shown)
}

fn scenario_of(mut keys: Map<String, Value>, guard: bool) -> Scenario {
    // Each guard keeps the replica that it stands before.
    keys.remove("replica");
    let load = scenario::Load {
        sessions: 1,
        writes_per_second: 1,
        read_every: 0,
        in_flight: 1,
        retries: 0,
        timeout_ms: 10_000,
        body_bytes: [0, 0],
        methods: scenario::Methods::default(),
        aborts_per_mille: 0,
        doubles_per_mille: 0,
        keyless_per_mille: 0,
        slow_bodies_per_mille: 0,
        from_ms: 0,
    };
    let mut stack = scenario::Stack::default();
    if guard {
        stack.guard = keys
    } else {
        stack.gateway = keys
    }
    Scenario {
        name: "try".to_string(),
        about: String::new(),
        seed: 1,
        duration_ms: 1,
        stall_ms: 1,
        detect_ms: 1_000,
        stack,
        load,
        normal: scenario::Normal::default(),
        faults: Vec::new(),
        expect: scenario::Expect::default(),
    }
}

/// Sends the request and takes the answer.
struct Hand {
    to: Addr,
    request: Request,
    seen: Seen,
    began_us: u64,
}

impl Actor for Hand {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.began_us = cx.now();
        cx.connect(self.to);
    }

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        let Event::Net(conn, event) = event else { return };
        match event {
            NetEvent::Connected => {
                let pseudo =
                    |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
                let mut headers = vec![
                    pseudo(":method", &self.request.method),
                    pseudo(":path", &self.request.path),
                    pseudo(":scheme", "http"),
                ];
                if wire::get(&self.request.headers, ":authority").is_none() {
                    headers.push(pseudo(":authority", "service"));
                }
                headers.extend(self.request.headers.iter().cloned());
                let body = self.request.body.clone();
                let end = body.is_empty();
                cx.send(conn, 1, Frame::Head { headers, body: Vec::new(), end });
                if !end {
                    cx.send(conn, 1, Frame::Data { bytes: body, end: true });
                }
            }
            NetEvent::Frame(_, Frame::Head { headers, body, .. }) => {
                let mut seen = self.seen.borrow_mut();
                seen.answer = Some(headers);
                seen.body = body;
                seen.took_us = cx.now() - self.began_us;
            }
            NetEvent::Frame(_, Frame::Data { bytes, .. }) => {
                self.seen.borrow_mut().body.extend_from_slice(&bytes);
            }
            _ => {}
        }
    }

    fn crash(&mut self, _: &mut Cx<'_>) {}

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// A service that answers everything with 200, and shows what it got.
struct Service {
    name: &'static str,
    seen: Seen,
    heads: BTreeMap<(ConnId, StreamNo), Headers>,
}

impl Service {
    fn got(&mut self, cx: &mut Cx<'_>, conn: ConnId, stream: StreamNo, headers: Headers) {
        if wire::text(&headers, ":path") != Some("/healthz") {
            self.seen.borrow_mut().at_services.push((self.name.to_string(), headers));
        }
        let text = |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
        let headers = vec![text(":status", "200"), text("content-type", "text/plain")];
        let body = b"the service's answer\n".to_vec();
        cx.send(conn, stream, Frame::Head { headers, body, end: true });
    }
}

impl Actor for Service {
    fn start(&mut self, _: &mut Cx<'_>) {}

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        let Event::Net(conn, NetEvent::Frame(stream, frame)) = event else { return };
        match frame {
            Frame::Head { headers, end: true, .. } => self.got(cx, conn, stream, headers),
            Frame::Head { headers, .. } => {
                self.heads.insert((conn, stream), headers);
            }
            Frame::Data { end: true, .. } => {
                if let Some(headers) = self.heads.remove(&(conn, stream)) {
                    self.got(cx, conn, stream, headers);
                }
            }
            _ => {}
        }
    }

    fn crash(&mut self, _: &mut Cx<'_>) {}

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The lines of a trace, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).lines().map(str::to_string).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
