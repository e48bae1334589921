//! Messages of the log and the journal into the filter, between requests, answers and time.

use crate::frames;
use crate::headers::lines;
use crate::host::Host;
use crate::plugin_config::{self, GATEWAY, GUARD};
use filter_core::config::Config;
use filter_core::effects::{Effect, Exchange};
use filter_core::gateway::Gateway;
use filter_core::guard::Guard;
use filter_core::ports::Cx;
use prost::Message as _;
use protocol::pb::{self, gateway_response, guard_response};
use std::collections::{BTreeSet, VecDeque};

/// Step kinds. Those of an exchange begin with its number.
const MESSAGE: u8 = 0;
const REQUEST: u8 = 1;
const BODY: u8 = 2;
const TRAILERS: u8 = 3;
const RESPONSE: u8 = 4;
const DONE: u8 = 5;
const TIME: u8 = 6;
const CLOSED: u8 = 7;
const CALL_ENDED: u8 = 8;
const KINDS: u8 = 9;

/// Exchanges at once.
const EXCHANGES: u8 = 8;
/// Of an exchange's first byte: there is no more to come.
const END: u8 = 0x80;

enum Role {
    Gateway(Gateway),
    Guard(Guard),
}

macro_rules! each {
    ($self:expr, $role:ident => $call:expr) => {
        match $self {
            Role::Gateway($role) => $call,
            Role::Guard($role) => $call,
        }
    };
}

struct Worker {
    role: Role,
    host: Host,
    stream: u32,
    dispatched: VecDeque<u64>,
    /// Exchanges that were answered; the host takes one answer for each.
    replied: BTreeSet<Exchange>,
}

/// Hands each step to a gateway and to a guard.
pub fn run(bytes: &[u8]) {
    for config in [GATEWAY, GUARD] {
        let role = match plugin_config::read(config.as_bytes()) {
            Ok(Config::Gateway(config)) => Role::Gateway(Gateway::new(*config)),
            Ok(Config::Guard(config)) => Role::Guard(Guard::new(*config)),
            Err(problems) => panic!("the configuration is refused: {problems:?}"),
        };
        let (host, dispatched) = (Host::default(), VecDeque::new());
        let mut worker = Worker { role, host, stream: 0, dispatched, replied: BTreeSet::new() };
        for (kind, payload) in frames::read(bytes) {
            worker.step(kind % KINDS, payload);
        }
        (0..EXCHANGES).for_each(|exchange| worker.done(u32::from(exchange)));
        assert_eq!(each!(&worker.role, role => role.exchanges()), 0);
    }
}

impl Worker {
    fn step(&mut self, kind: u8, payload: &[u8]) {
        let (first, rest) = payload.split_first().unwrap_or((&0, &[]));
        let (exchange, end) = (u32::from(first % EXCHANGES), first & END != 0);
        let stream = self.stream;
        match kind {
            MESSAGE => {
                self.event(|role, cx| each!(role, r => r.stream_message(cx, stream, payload)));
            }
            REQUEST => {
                self.done(exchange);
                let headers = lines(rest);
                self.event(|role, cx| {
                    each!(role, r => drop(r.request_headers(cx, exchange, headers, end)));
                });
            }
            BODY => self.event(|role, cx| {
                let body = || rest.to_vec();
                each!(role, r => drop(r.request_body(cx, exchange, rest.len(), end, body)));
            }),
            TRAILERS => self.event(|role, cx| {
                each!(role, r => drop(r.request_trailers(cx, exchange, || rest.to_vec())));
            }),
            RESPONSE => {
                let headers = lines(rest);
                self.event(|role, cx| {
                    each!(role, r => drop(r.response_headers(cx, exchange, &headers)));
                });
            }
            DONE => self.done(exchange),
            TIME => {
                let ms = payload.iter().map(|byte| u64::from(*byte) * 8).sum::<u64>();
                self.host.now.mono_ms += ms;
                self.host.now.wall_ms += ms;
                self.event(|role, cx| each!(role, r => r.tick(cx)));
            }
            CLOSED => self.event(|role, cx| each!(role, r => r.stream_closed(cx, stream))),
            _ => {
                if let Some(token) = self.dispatched.pop_front() {
                    let headers = lines(payload);
                    self.event(|role, cx| {
                        if let Role::Guard(guard) = role {
                            guard.call_ended(cx, token, headers, b"ok".to_vec());
                        }
                    });
                }
            }
        }
    }

    fn done(&mut self, exchange: Exchange) {
        self.event(|role, cx| each!(role, r => r.done(cx, exchange)));
        self.replied.remove(&exchange);
    }

    fn event(&mut self, event: impl FnOnce(&mut Role, &mut Cx<'_>)) {
        let ((), effects) = self.host.event(|cx| event(&mut self.role, cx));
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::OpenStream => {
                    self.stream += 1;
                    let stream = self.stream;
                    let ((), effects) = self
                        .host
                        .event(|cx| each!(&mut self.role, r => r.stream_opened(cx, stream)));
                    self.carry_out(effects);
                }
                Effect::Dispatch(call) => {
                    self.dispatched.push_back(call.token);
                    let sent = call.token % 5 != 4;
                    let ((), effects) = self.host.event(|cx| {
                        if let Role::Guard(guard) = &mut self.role {
                            guard.dispatched(cx, call.token, sent);
                        }
                    });
                    self.carry_out(effects);
                }
                Effect::Reply(exchange, _) => {
                    assert!(self.replied.insert(exchange), "a second answer to {exchange}");
                }
                Effect::Resume(exchange) => {
                    assert!(!self.replied.contains(&exchange), "{exchange} goes on, answered");
                }
                _ => {}
            }
        }
    }
}

fn from_log(kind: gateway_response::Kind) -> (u8, Vec<u8>) {
    (MESSAGE, pb::GatewayResponse { kind: Some(kind) }.encode_to_vec())
}

fn from_journal(kind: guard_response::Kind) -> (u8, Vec<u8>) {
    (MESSAGE, pb::GuardResponse { kind: Some(kind) }.encode_to_vec())
}

fn exchange(kind: u8, first: u8, text: &str) -> (u8, Vec<u8>) {
    (kind, [&[first], text.as_bytes()].concat())
}

/// Writes and reads from their beginning to their end, at a gateway and at a guard.
pub fn seeds() -> Vec<Vec<u8>> {
    let post = ":method: POST\n:path: /x\nx-session: s\nidempotency-key: a";
    let get = ":method: GET\n:path: /x\nx-session: s";
    let link = "00112233445566778899aabbccddeeff";
    let stamp = |kind: &str| format!(":method: PUT\n:path: /x\nx-reprise-stamp: v=1;{kind}");
    let write =
        |seq: u64| stamp(&format!("kind=write;session=s;number=7.{seq};link={link};id=a;time=5"));
    let numbered = pb::Numbered { epoch: 7, seq: 1, link: vec![1; 16], ..Default::default() };
    let outcome = Some(pb::appended::Outcome::Numbered(numbered));
    let refused = pb::Refused { reason: 1, detail: "full".into(), retry_after_ms: 5 };
    let refused = Some(pb::appended::Outcome::Refused(refused));
    let at = Some(pb::Position { epoch: 7, seq: 1, link: vec![1; 16] });
    let welcome = pb::GatewayWelcome {
        version: protocol::VERSION,
        log: vec![1; 8],
        sole: true,
        ..Default::default()
    };
    let guard_welcome =
        pb::GuardWelcome { version: protocol::VERSION, journal: vec![1; 8], ..Default::default() };
    let begun = |token, verdict: pb::begun::Verdict| pb::Begun {
        token,
        verdict: verdict.into(),
        at: at.clone(),
        ..Default::default()
    };
    let moved = pb::Moved { session: "s".into(), route: pb::Route::Secondary.into() };
    let located = pb::Located { token: 2, last: at.clone(), route: 0 };
    let awaited = pb::Awaited { token: 2, ran: true, at: at.clone() };
    use gateway_response::Kind as G;
    use guard_response::Kind as J;
    vec![
        frames::write([
            exchange(REQUEST, 1, post),
            exchange(BODY, 1 | END, "body"),
            (TIME, vec![3]),
            from_log(G::Welcome(welcome)),
            from_log(G::Appended(pb::Appended { token: 0, outcome })),
            exchange(
                RESPONSE,
                1,
                &format!(
                    ":status: 200\nx-reprise-word: v=1;replica=secondary;verdict=ran;number=7.1;status=200;digest=0101010101010101;at=7.1.{link}"
                ),
            ),
            exchange(DONE, 1, ""),
            exchange(REQUEST, 2 | END, post),
            from_log(G::Appended(pb::Appended { token: 1, outcome: refused })),
            exchange(REQUEST, 3 | END, get),
            from_log(G::Located(located)),
            exchange(
                RESPONSE,
                3,
                ":status: 503\nx-reprise-word: v=1;replica=primary;verdict=stale-read",
            ),
            from_log(G::Moved(moved)),
            exchange(REQUEST, 4 | END, post),
            (CLOSED, vec![]),
            (TIME, vec![250; 2]),
        ]),
        frames::write([
            exchange(REQUEST, 1, &write(1)),
            exchange(BODY, 1 | END, "body"),
            (TIME, vec![3]),
            from_journal(J::Welcome(guard_welcome)),
            from_journal(J::Begun(begun(0, pb::begun::Verdict::Run))),
            (CALL_ENDED, b":status: 200\na: b".to_vec()),
            from_journal(J::Noted(pb::Noted { token: 0, at: at.clone() })),
            exchange(REQUEST, 2 | END, &write(2)),
            from_journal(J::Begun(begun(1, pb::begun::Verdict::Gap))),
            exchange(
                REQUEST,
                3 | END,
                &stamp("kind=read;session=s;last=7.9").replace("PUT", "GET"),
            ),
            from_journal(J::Awaited(awaited)),
            exchange(REQUEST, 4 | END, &stamp("kind=probe")),
            exchange(REQUEST, 5 | END, &write(2)),
            from_journal(J::Begun(begun(3, pb::begun::Verdict::Run))),
            exchange(DONE, 5, ""),
            (CALL_ENDED, b":status: 503".to_vec()),
            (CLOSED, vec![]),
            (TIME, vec![250; 2]),
        ]),
    ]
}
