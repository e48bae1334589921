//! What a script can do. Each operation but `pause` is noted with what came of it.
//!
//! | operation | does |
//! |---|---|
//! | `pause` | the callback returns Pause |
//! | `get(MAP,NAME)`, `count(MAP)` | reads a header, counts the headers of `request`, `response` |
//! | `set(MAP,NAME,VALUE)`, `remove(MAP,NAME)` | changes a header |
//! | `read(START,MAX)` | reads the request's body |
//! | `replace(START,SIZE,TEXT)` | changes the request's body |
//! | `resume`, `resume-response` | lets a paused request, response go on |
//! | `reply(STATUS)`, `reply(STATUS,empty)` | answers, with the header `x-own: yes` and the body `own`, or none |
//! | `enter(CONTEXT)` | sets the effective context: `self`, `root`, `gone` (the last one that was deleted), `unknown` |
//! | `load(KEY)`, `version(KEY)` | reads shared data and its version, as the distance from the first one that the case saw, or as it is |
//! | `store(KEY,VALUE,CAS)` | writes shared data; CAS is `any`, `absent`, `last` (as read last) or `wrong` |
//! | `forget(KEY)` | removes shared data |
//! | `open(CLUSTER,METHOD)` | opens a gRPC stream |
//! | `send(TEXT)`, `finish(TEXT)`, `half-close`, `cancel` | sends on that stream, ends it |
//! | `call(CLUSTER,PATH,MS)` | makes an HTTP call with a time limit |
//! | `metric(NAME,BY)` | adds to a counter and reads it |
//! | `property(NAME)` | reads a property |
//! | `random`, `time` | whether there is randomness, a wall clock |
//! | `requests` | how many requests this VM has seen |
//! | `later(PHASE)` | runs a phase of the script at the root's next tick |
//! | `panic` | panics |

use crate::raw::{self, Buffer, Given, Map, word};
use crate::script::Op;
use crate::vm::{self, note};
use proxy_wasm::hostcalls;
use std::time::{Duration, UNIX_EPOCH};

/// A context that there never is.
const UNKNOWN: u32 = 4_000_000;
/// 2020-01-01.
const TWENTY_TWENTY: Duration = Duration::from_secs(1_577_836_800);

/// Carries out a phase of a case; says whether its callback is to return Pause.
pub fn run(case: &str, phase: &str) -> bool {
    let mut pause = false;
    for op in vm::case(case, |case| case.script.phase(phase)) {
        if op.name == "pause" {
            pause = true;
        } else {
            let outcome = one(case, &op).unwrap_or_else(|status| word(status).to_string());
            note(case, format!("{}={outcome}", op.text));
        }
    }
    pause
}

fn one(case: &str, op: &Op) -> Given<String> {
    let stream = vm::case(case, |case| case.stream).unwrap_or(0);
    let ok = |()| "ok".to_string();
    match op.name.as_str() {
        "get" => raw::header(map(op.arg(0)), op.arg(1)),
        "count" => raw::headers(map(op.arg(0))).map(|count| count.to_string()),
        "set" => raw::set_header(map(op.arg(0)), op.arg(1), Some(op.arg(2))).map(ok),
        "remove" => raw::set_header(map(op.arg(0)), op.arg(1), None).map(ok),
        "read" => raw::buffer(Buffer::Request, number(op.arg(0)), number(op.arg(1)))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "replace" => {
            raw::set_buffer(Buffer::Request, number(op.arg(0)), number(op.arg(1)), op.arg(2))
                .map(ok)
        }
        "resume" => raw::resume_request().map(ok),
        "resume-response" => raw::resume_response().map(ok),
        "reply" => {
            let body: &[u8] = if op.arg(1) == "empty" { b"" } else { b"own" };
            raw::reply(number(op.arg(0)) as u32, &[("x-own", "yes")], body).map(ok)
        }
        "enter" => raw::enter(context(case, op.arg(0))).map(ok),
        "load" => load(case, op.arg(0)),
        "version" => raw::shared(op.arg(0)).map(|(_, version)| version.to_string()),
        "store" => raw::set_shared(op.arg(0), Some(op.arg(1)), cas(case, op.arg(2))).map(ok),
        "forget" => raw::set_shared(op.arg(0), None, 0).map(ok),
        "open" => open(case, op),
        "send" => raw::send(stream, op.arg(0), false).map(ok),
        "finish" => raw::send(stream, op.arg(0), true).map(ok),
        "half-close" => raw::close(stream).map(ok),
        "cancel" => raw::cancel(stream).map(ok),
        "call" => call(case, op),
        "metric" => raw::count(raw::counter(op.arg(0))?, number(op.arg(1)) as i64)
            .map(|value| value.to_string()),
        "property" => raw::property(op.arg(0)),
        "random" => Ok(random().to_string()),
        "time" => {
            let now = hostcalls::get_current_time().ok();
            let now = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
            Ok(if now > Some(TWENTY_TWENTY) { "ok" } else { "none" }.to_string())
        }
        "requests" => Ok(vm::with(|vm| vm.requests).to_string()),
        "later" => {
            vm::with(|vm| vm.later.push((case.to_string(), op.arg(0).to_string())));
            Ok(ok(()))
        }
        "panic" => panic!("as the script says"),
        _ => Ok("no-such-operation".to_string()),
    }
}

fn map(name: &str) -> Map {
    if name == "response" { Map::Response } else { Map::Request }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or(0)
}

fn context(case: &str, name: &str) -> u32 {
    match name {
        "self" => vm::case(case, |case| case.context),
        "root" => vm::with(|vm| vm.root),
        "gone" => vm::with(|vm| vm.gone).unwrap_or(UNKNOWN),
        _ => UNKNOWN,
    }
}

fn load(case: &str, key: &str) -> Given<String> {
    let (value, version) = raw::shared(key)?;
    let first = vm::case(case, |case| {
        case.last_version = Some(version);
        *case.first_version.get_or_insert(version)
    });
    Ok(format!("{value}+{}", version.wrapping_sub(first)))
}

fn cas(case: &str, name: &str) -> u32 {
    match name {
        "absent" => u32::MAX,
        "last" => vm::case(case, |case| case.last_version).unwrap_or(0),
        "wrong" => 4_000_000,
        _ => 0,
    }
}

/// The SDK hands the callbacks to the context whose callback is running now.
fn open(case: &str, op: &Op) -> Given<String> {
    let opened = hostcalls::open_grpc_stream(op.arg(0), "probe.Probe", op.arg(1), Vec::new());
    let stream = opened.map_err(|status| status as u32)?;
    vm::with(|vm| vm.streams.insert(stream, case.to_string()));
    vm::case(case, |case| case.stream = Some(stream));
    Ok("ok".to_string())
}

fn call(case: &str, op: &Op) -> Given<String> {
    let headers = vec![
        (":method", "GET"),
        (":path", op.arg(1)),
        (":authority", "probe"),
        (":scheme", "http"),
    ];
    let timeout = Duration::from_millis(number(op.arg(2)) as u64);
    let call = hostcalls::dispatch_http_call(op.arg(0), headers, None, Vec::new(), timeout)
        .map_err(|status| status as u32)?;
    vm::with(|vm| vm.calls.insert(call, case.to_string()));
    Ok("ok".to_string())
}

fn random() -> &'static str {
    let (mut a, mut b) = ([0_u8; 16], [0_u8; 16]);
    let drawn = getrandom::fill(&mut a).and_then(|()| getrandom::fill(&mut b));
    if drawn.is_ok() && a != b { "ok" } else { "none" }
}
