//! The real filter in the simulator's VM.

#[path = "vm/plugin.rs"]
mod plugin;
#[path = "vm/speed.rs"]
mod speed;

use host_sim::vm::{Action, Answer, Callback, Filter, Level, LoadError, Shared, Why};
use plugin::{GATEWAY, GUARD, Plugin, filter, post, stamped, start};
use prost::Message as _;
use protocol::pb::{self, gateway_request, guard_request};

#[test]
fn the_filter_is_known_by_its_digest() {
    let digest = filter().sha256();
    assert_eq!(digest.len(), 64);
    assert!(digest.bytes().all(|c| c.is_ascii_hexdigit()));
}

#[test]
fn gateway_and_guard_start_and_ask_for_ticks() {
    for configuration in [GATEWAY, GUARD] {
        let plugin = Plugin::new(configuration);
        assert_eq!(plugin.vm.tick_period_ms(), 20);
        assert_eq!(plugin.vm.metrics().len(), 22);
        assert!(plugin.vm.metrics().values().all(|n| *n == 0));
    }
}

#[test]
fn a_bad_configuration_is_refused_with_its_problems_in_the_log() {
    let bad = r#"{"role":"guard","service":"shop","replica":"third","journal":{}}"#;
    let error = start(bad, Shared::default()).err().expect("it started");
    assert!(matches!(error.why, Why::Refused), "{error}");
    let lines: Vec<_> = error.log.iter().map(|line| (line.level, line.text.as_str())).collect();
    let prefix = "wasm log reprise-plugin reprise-root: plugin configuration: ";
    let wanted = [
        "replica: expected one of primary, secondary, found \"third\"",
        "journal.cluster: is required",
        "service_cluster: is required",
    ];
    assert_eq!(lines.len(), wanted.len(), "{error}");
    for wanted in wanted {
        let line = format!("{prefix}{wanted}");
        assert!(lines.contains(&(Level::Error, line.as_str())), "{line} not in {error}");
    }
}

#[test]
fn an_unnumbered_write_is_refused_by_a_guard_and_goes_nowhere() {
    let mut guard = Plugin::new(GUARD);
    let context = guard.open();
    assert_eq!(guard.head(context, &post("s", "id"), true), Answer::Pause);
    let actions = guard.vm.take_actions();
    let [Action::Reply { context: of, status: 400, body, .. }] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(*of, context);
    assert!(String::from_utf8_lossy(body).contains("it carries no stamp"));
    assert_eq!(guard.vm.metrics()["reprise.guard_unnumbered"], 1);
}

#[test]
fn a_refusal_waits_for_the_end_of_the_body_and_drops_what_has_come() {
    let mut guard = Plugin::new(GUARD);
    let context = guard.open();
    assert_eq!(guard.head(context, &post("s", "id"), false), Answer::Pause);
    assert_eq!(guard.body(context, b"some", false), Answer::Pause);
    assert_eq!(guard.vm.take_actions(), []);
    assert_eq!(guard.vm.context(context).unwrap().request_body, b"");
    guard.body(context, b"more", true);
    assert!(matches!(guard.vm.take_actions()[..], [Action::Reply { status: 400, .. }]));
}

#[test]
fn a_gateway_holds_a_write_opens_its_stream_at_the_next_tick_and_says_hello() {
    let mut gateway = Plugin::new(GATEWAY);
    let context = gateway.open();
    assert_eq!(gateway.head(context, &post("s", "id"), true), Answer::Pause);
    assert_eq!(gateway.vm.take_actions(), []);
    gateway.tick();
    let actions = gateway.vm.take_actions();
    let [
        Action::OpenStream { token, owner: 1, cluster, service, method },
        Action::Send { stream, message, end: false },
    ] = actions.as_slice()
    else {
        panic!("{actions:?}");
    };
    assert_eq!((cluster.as_str(), method.as_str()), ("replay-log", "Gateway"));
    assert_eq!(service, "reprise.replaylog.v1.ReplayLog");
    assert_eq!(stream, token);
    let hello = pb::GatewayRequest::decode(message.as_slice()).unwrap().kind;
    let Some(gateway_request::Kind::Hello(hello)) = hello else { panic!("{hello:?}") };
    assert_eq!((hello.service.as_str(), hello.gateway.len()), ("shop", 16));
}

#[test]
fn a_numbered_write_goes_on_with_a_stamp_and_its_answer_loses_the_word() {
    let mut gateway = Plugin::ready_gateway();
    let context = gateway.open();
    let released = gateway.release(context, 1);
    assert_eq!(released, [Action::Continue { context, request: true }]);
    let data = gateway.vm.context(context).unwrap();
    assert!(!data.request_headers_open);
    let stamp = plugin::text(&data.request_headers, "x-reprise-stamp");
    assert!(stamp.starts_with("v=1;kind=write;session=s;number=1.1;"), "{stamp}");
    assert_eq!(plugin::text(&data.request_headers, "x-reprise-route"), "primary");

    let answer = [(":status", "200"), ("x-reprise-word", plugin::WORD)];
    assert_eq!(gateway.response(context, &answer), Answer::Continue);
    let data = gateway.vm.context(context).unwrap();
    assert_eq!(data.response_headers, plugin::headers(&[(":status", "200")]));
    gateway.close(context);
    assert!(gateway.vm.context(context).is_none());
    assert_eq!(gateway.vm.metrics()["reprise.appended"], 1);
}

#[test]
fn an_answer_without_a_word_becomes_maybe_done() {
    let mut gateway = Plugin::ready_gateway();
    let context = gateway.open();
    gateway.release(context, 1);
    assert_eq!(gateway.response(context, &[(":status", "504")]), Answer::Pause);
    assert!(matches!(gateway.vm.take_actions()[..], [Action::Reply { status: 503, .. }]));
}

#[test]
fn a_granted_write_is_called_and_answered_when_the_journal_has_noted_it() {
    let mut guard = Plugin::ready_guard();
    let context = guard.open();
    guard.head(context, &stamped(1), false);
    guard.body(context, b"x", true);
    let guard_request::Kind::Begin(begin) = guard.guard_sent() else { panic!("no begin") };
    guard.message(&plugin::begun(begin.token));
    let actions = guard.vm.take_actions();
    let [Action::Call { token, owner: 1, cluster, headers, body, timeout_ms: 2000 }] =
        actions.as_slice()
    else {
        panic!("{actions:?}");
    };
    assert_eq!((cluster.as_str(), body.as_slice()), ("replica", &b"x"[..]));
    assert_eq!(plugin::text(headers, "content-length"), "1");
    let answer = Some((plugin::headers(&[(":status", "201")]), b"made".to_vec()));
    guard.call(Callback::CallResponse { token: *token, response: answer.clone() });
    let guard_request::Kind::Outcome(outcome) = guard.guard_sent() else { panic!("no outcome") };
    assert_eq!(outcome.kind(), pb::outcome::Kind::Ran);
    guard.message(&plugin::noted(begin.token, 1));
    let actions = guard.vm.take_actions();
    let [Action::Reply { status: 201, headers, body, .. }] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(body, b"made");
    assert!(plugin::text(headers, "x-reprise-word").contains("verdict=ran;number=1.1"));

    guard.call(Callback::CallResponse { token: *token, response: answer });
    assert_eq!(guard.vm.take_actions(), [], "a call ends once");
}

#[test]
fn a_call_that_is_cut_off_leaves_the_write_in_doubt() {
    let mut guard = Plugin::ready_guard();
    let (begin, token) = guard.dispatched(1);
    guard.call(Callback::CallResponse { token, response: None });
    let guard_request::Kind::Outcome(outcome) = guard.guard_sent() else { panic!("no outcome") };
    assert_eq!((outcome.token, outcome.kind()), (begin, pb::outcome::Kind::InDoubt));
}

#[test]
fn a_call_to_an_unknown_cluster_is_not_sent() {
    let mut guard = Plugin::new(&GUARD.replace("\"replica\"}", "\"elsewhere\"}"));
    guard.connect_guard();
    let context = guard.open();
    guard.head(context, &stamped(1), true);
    let guard_request::Kind::Begin(begin) = guard.guard_sent() else { panic!("no begin") };
    guard.vm.set_trace(true);
    guard.message(&plugin::begun(begin.token));
    let guard_request::Kind::Outcome(outcome) = guard.guard_sent() else { panic!("no outcome") };
    assert_eq!(outcome.kind(), pb::outcome::Kind::NotRun);
    let trace = guard.vm.take_trace();
    let call = "proxy_http_call(\"elsewhere\", 0 B, 2000 ms, call 0) = BadArgument";
    assert!(trace.iter().any(|line| line == call), "{trace:#?}");
}

#[test]
fn a_stream_to_an_unknown_cluster_is_not_opened_and_is_tried_again_later() {
    let mut gateway = Plugin::new(&GATEWAY.replace("replay-log", "elsewhere"));
    let context = gateway.open();
    gateway.head(context, &post("s", "id"), true);
    gateway.vm.set_trace(true);
    gateway.tick();
    let actions = gateway.vm.take_actions();
    let [Action::Log(line)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(line.level, Level::Warn);
    assert!(
        line.text.ends_with(
            "no stream to the replay log: it cannot be opened; is its cluster known and healthy?"
        ),
        "{line}"
    );
    let trace = gateway.vm.take_trace();
    assert!(trace.iter().any(|line| line.ends_with("ParseFailure")), "{trace:#?}");
}

#[test]
fn a_closed_stream_is_opened_again_under_another_token() {
    let mut gateway = Plugin::ready_gateway();
    let first = gateway.stream;
    gateway.call(Callback::GrpcClose { token: first, status: 14 });
    gateway.vm.take_actions();
    gateway.call(Callback::GrpcClose { token: first, status: 14 });
    assert_eq!(gateway.vm.take_actions(), [], "a stream closes once");
    gateway.pass_ms(1000);
    gateway.tick();
    let actions = gateway.vm.take_actions();
    let [Action::OpenStream { token, .. }, Action::Send { .. }] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_ne!(*token, first);
}

#[test]
fn a_stream_that_has_ended_is_given_back_to_envoy() {
    let mut gateway = Plugin::ready_gateway();
    assert_eq!(gateway.vm.open_streams(), 1);
    gateway.call(Callback::GrpcClose { token: gateway.stream, status: 14 });
    assert_eq!(gateway.vm.open_streams(), 0);
}

#[test]
fn a_read_is_answered_from_shared_data_by_any_worker_of_the_envoy() {
    let shared = Shared::default();
    let mut first = Plugin::ready_gateway_with(&shared);
    let mut second = Plugin::ready_gateway_with(&shared);
    let get = [(":method", "GET"), (":path", "/"), (":authority", "shop"), ("x-session-id", "s")];
    let context = first.open();
    assert_eq!(first.head(context, &get, true), Answer::Pause);
    let gateway_request::Kind::Locate(locate) = first.gateway_sent() else { panic!("no locate") };
    first.message(&plugin::located(locate.token));
    assert_eq!(first.vm.take_actions(), [Action::Continue { context, request: true }]);
    assert!(shared.keys() > 0);
    let context = second.open();
    assert_eq!(second.head(context, &get, true), Answer::Continue);
    assert!(!second.vm.context(context).unwrap().request_headers_open);
}

#[test]
fn the_same_seed_sends_the_same_bytes_and_another_seed_others() {
    let run = |seed| {
        let mut gateway = Plugin::seeded(GATEWAY, seed, &Shared::default());
        let context = gateway.open();
        gateway.head(context, &[&post("s", "id")[..5]].concat(), true);
        gateway.tick();
        gateway.welcome_gateway();
        gateway.vm.take_actions()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_panic_is_told_with_the_filters_last_words_and_kills_the_vm() {
    let mut gateway = Plugin::new(GATEWAY);
    let callback = Callback::RequestHeaders { context: 77, end: true };
    let panic = gateway.vm.call(gateway.clock, callback).unwrap_err();
    let [line] = panic.log.as_slice() else { panic!("{panic}") };
    assert_eq!(line.level, Level::Critical);
    assert!(line.text.contains("invalid context_id"), "{line}");
    assert!(panic.trap.contains("unreachable"), "{panic}");
    assert!(gateway.vm.call(gateway.clock, Callback::Tick).is_err());
}

/// `(module (type (func (param i32))) (import ...)*)`, by hand.
fn importing(imports: &[(&str, &str)]) -> Vec<u8> {
    let name = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut section = vec![imports.len() as u8];
    for (module, field) in imports {
        section.extend([name(module), name(field), vec![0, 0]].concat());
    }
    let types = [1, 0x60, 1, 0x7f, 0];
    [&b"\0asm\x01\0\0\0\x01\x05"[..], &types, &[2, section.len() as u8], &section].concat()
}

#[test]
fn a_filter_that_imports_what_there_is_not_is_refused_with_every_name() {
    let module = importing(&[("env", "proxy_brew"), ("env", "proxy_done"), ("wasi", "sip")]);
    let error = Filter::from_bytes(&module).err().expect("it loaded");
    assert!(
        matches!(&error, LoadError::Imports(names) if names == &["env.proxy_brew", "wasi.sip"])
    );
    assert!(error.to_string().contains("env.proxy_brew, wasi.sip"), "{error}");
}

#[test]
fn a_filter_without_callbacks_is_refused_with_their_names() {
    let error = Filter::from_bytes(b"\0asm\x01\0\0\0").err().expect("it loaded");
    for name in ["memory", "_initialize", "proxy_on_tick", "proxy_on_grpc_receive"] {
        assert!(matches!(&error, LoadError::Exports(names) if names.iter().any(|n| n == name)));
    }
    assert!(matches!(Filter::from_bytes(b"no wasm"), Err(LoadError::Compile(_))));
}
