//! A plugin's VM with a clock, and a scripted log or journal.

use host_sim::rng::Rng;
use host_sim::vm::{Action, Answer, Callback, Clock, Filter, Shared, StartError, Vm, VmConfig};
use host_sim::wire::Headers;
use prost::Message;
use protocol::pb::{self, gateway_request, gateway_response, guard_request, guard_response};
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

pub const GATEWAY: &str = r#"{"role":"gateway","service":"shop","session":{"header":"x-session-id"},
    "replay_log":{"cluster":"replay-log","timeout_ms":1000}}"#;
pub const GUARD: &str = r#"{"role":"guard","service":"shop","replica":"primary","run_timeout_ms":2000,
    "journal":{"cluster":"journal"},"service_cluster":"replica"}"#;
pub const WORD: &str =
    "v=1;replica=primary;verdict=ran;number=1.1;status=200;digest=0011223344556677";

/// The real filter, compiled once.
pub fn filter() -> &'static Filter {
    static FILTER: OnceLock<Filter> = OnceLock::new();
    FILTER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Filter::load(&root.join("../target/filter/reprise_filter.wasm"))
            .expect("build the filter first: cargo xtask filter")
    })
}

pub fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

pub fn text(headers: &Headers, name: &str) -> String {
    host_sim::wire::text(headers, name).unwrap_or_default().to_string()
}

pub fn post<'a>(session: &'a str, id: &'a str) -> [(&'a str, &'a str); 6] {
    [
        (":method", "POST"),
        (":path", "/orders"),
        (":authority", "shop"),
        (":scheme", "http"),
        ("x-session-id", session),
        ("idempotency-key", id),
    ]
}

/// A write as a gateway hands it on.
pub fn stamped(seq: u64) -> Vec<(&'static str, &'static str)> {
    let link = "ab".repeat(16);
    let stamp = format!("v=1;kind=write;session=s;number=1.{seq};link={link};id=k{seq};time=1234");
    let mut head = post("s", "k").to_vec();
    head.push(("x-reprise-stamp", stamp.leak()));
    head
}

fn start_seeded(configuration: &str, seed: u64, shared: Shared) -> Result<Vm, StartError> {
    let clusters = ["replay-log", "journal", "replica"].map(|name| (name.to_string(), true));
    let config = VmConfig {
        name: "reprise-plugin",
        root_id: "reprise-root",
        configuration,
        shared,
        rng: Rng::named(seed, "vm"),
        clusters: Rc::new(clusters.into()),
        environment: Vec::new(),
    };
    Vm::start(filter(), config, Clock::default())
}

pub fn start(configuration: &str, shared: Shared) -> Result<Vm, StartError> {
    start_seeded(configuration, 1, shared)
}

pub struct Plugin {
    pub vm: Vm,
    pub clock: Clock,
    pub stream: u32,
}

impl Plugin {
    pub fn new(configuration: &str) -> Plugin {
        Plugin::seeded(configuration, 1, &Shared::default())
    }

    pub fn seeded(configuration: &str, seed: u64, shared: &Shared) -> Plugin {
        let vm =
            start_seeded(configuration, seed, shared.clone()).unwrap_or_else(|e| panic!("{e}"));
        let clock = Clock { mono_ns: 5_000_000_000, wall_ns: 1_700_000_000_000_000_000 };
        Plugin { vm, clock, stream: 0 }
    }

    pub fn ready_gateway() -> Plugin {
        Plugin::ready_gateway_with(&Shared::default())
    }

    pub fn ready_gateway_with(shared: &Shared) -> Plugin {
        let mut plugin = Plugin::seeded(GATEWAY, 1, shared);
        let context = plugin.open();
        plugin.head(context, &post("warm-up", "id"), true);
        plugin.close(context);
        plugin.tick();
        plugin.welcome_gateway();
        plugin.vm.take_actions();
        plugin
    }

    pub fn ready_guard() -> Plugin {
        let mut plugin = Plugin::new(GUARD);
        plugin.connect_guard();
        plugin
    }

    pub fn connect_guard(&mut self) {
        let context = self.open();
        let probe = [(":method", "GET"), (":path", "/"), ("x-reprise-stamp", "v=1;kind=probe")];
        self.head(context, &probe, true);
        self.close(context);
        self.tick();
        self.find_stream();
        let welcome = pb::GuardWelcome { version: 1, error: String::new(), journal: vec![9; 8] };
        let kind = Some(guard_response::Kind::Welcome(welcome));
        self.message(&pb::GuardResponse { kind });
        self.vm.take_actions();
    }

    pub fn welcome_gateway(&mut self) {
        self.find_stream();
        let welcome = pb::GatewayWelcome {
            version: 1,
            log: vec![7; 8],
            sole: true,
            ..pb::GatewayWelcome::default()
        };
        let kind = Some(gateway_response::Kind::Welcome(welcome));
        self.message(&pb::GatewayResponse { kind });
    }

    fn find_stream(&mut self) {
        let actions = self.vm.take_actions();
        let opened = actions.iter().find_map(|action| match action {
            Action::OpenStream { token, .. } => Some(*token),
            _ => None,
        });
        self.stream = opened.unwrap_or_else(|| panic!("no stream in {actions:?}"));
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.clock.mono_ns += ms * 1_000_000;
        self.clock.wall_ns += ms * 1_000_000;
    }

    pub fn call(&mut self, callback: Callback) -> Answer {
        self.vm.call(self.clock, callback).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn tick(&mut self) {
        self.call(Callback::Tick);
    }

    pub fn message(&mut self, message: &impl Message) {
        let message = message.encode_to_vec();
        self.call(Callback::GrpcMessage { token: self.stream, message });
    }

    pub fn open(&mut self) -> u32 {
        self.vm.new_context(self.clock).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn head(&mut self, context: u32, head: &[(&str, &str)], end: bool) -> Answer {
        self.vm.context(context).unwrap().request_headers = headers(head);
        self.call(Callback::RequestHeaders { context, end })
    }

    pub fn body(&mut self, context: u32, bytes: &[u8], end: bool) -> Answer {
        let data = self.vm.context(context).unwrap();
        data.request_body.extend_from_slice(bytes);
        let size = data.request_body.len();
        self.call(Callback::RequestBody { context, size, end })
    }

    pub fn response(&mut self, context: u32, head: &[(&str, &str)]) -> Answer {
        self.vm.context(context).unwrap().response_headers = headers(head);
        self.call(Callback::ResponseHeaders { context, end: true })
    }

    pub fn close(&mut self, context: u32) {
        self.call(Callback::Log { context });
        assert_eq!(self.call(Callback::Done { context }), Answer::Done(true));
        self.call(Callback::Delete { context });
    }

    /// Sends a write to the log and lets it be numbered; gives what the gateway then does.
    pub fn release(&mut self, context: u32, seq: u64) -> Vec<Action> {
        self.head(context, &post("s", &format!("id-{seq}")), false);
        self.body(context, b"x", true);
        let gateway_request::Kind::Append(append) = self.gateway_sent() else {
            panic!("no append");
        };
        self.message(&numbered(append.token, seq));
        self.vm.take_actions()
    }

    /// Lets a write run as far as to its call; gives the tokens of its begin and of its call.
    pub fn dispatched(&mut self, seq: u64) -> (u64, u32) {
        let context = self.open();
        self.head(context, &stamped(seq), true);
        let guard_request::Kind::Begin(begin) = self.guard_sent() else { panic!("no begin") };
        self.message(&begun(begin.token));
        match self.vm.take_actions()[..] {
            [Action::Call { token, .. }] => (begin.token, token),
            ref other => panic!("{other:?}"),
        }
    }

    fn sent<M: Message + Default>(&mut self) -> M {
        match self.vm.take_actions().as_slice() {
            [Action::Send { message, .. }] => M::decode(message.as_slice()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The one message that a gateway has sent.
    pub fn gateway_sent(&mut self) -> gateway_request::Kind {
        self.sent::<pb::GatewayRequest>().kind.unwrap()
    }

    /// The one message that a guard has sent.
    pub fn guard_sent(&mut self) -> guard_request::Kind {
        self.sent::<pb::GuardRequest>().kind.unwrap()
    }
}

pub fn numbered(token: u64, seq: u64) -> pb::GatewayResponse {
    let numbered = pb::Numbered {
        epoch: 1,
        seq,
        link: vec![seq as u8; 16],
        route: pb::Route::Primary.into(),
        received_ms: 1234,
        ..pb::Numbered::default()
    };
    let outcome = Some(pb::appended::Outcome::Numbered(numbered));
    let kind = Some(gateway_response::Kind::Appended(pb::Appended { token, outcome }));
    pb::GatewayResponse { kind }
}

pub fn located(token: u64) -> pb::GatewayResponse {
    let route = pb::Route::Primary.into();
    let kind = Some(gateway_response::Kind::Located(pb::Located { token, last: None, route }));
    pb::GatewayResponse { kind }
}

pub fn begun(token: u64) -> pb::GuardResponse {
    let verdict = pb::begun::Verdict::Run.into();
    let begun = pb::Begun { token, verdict, ..pb::Begun::default() };
    pb::GuardResponse { kind: Some(guard_response::Kind::Begun(begun)) }
}

pub fn noted(token: u64, seq: u64) -> pb::GuardResponse {
    let at = Some(pb::Position { epoch: 1, seq, link: vec![5; 16] });
    pb::GuardResponse { kind: Some(guard_response::Kind::Noted(pb::Noted { token, at })) }
}
