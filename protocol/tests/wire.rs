//! The bytes of every message, as version 1 has them: a build must go on reading and writing them.
#![cfg(not(target_family = "wasm"))]

use prost::Message;
use protocol::pb;
use protocol::pb::{gateway_request, gateway_response, guard_request, guard_response};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn position() -> Option<pb::Position> {
    Some(pb::Position { epoch: 5, seq: 6, link: vec![7; 16] })
}

fn header() -> pb::Header {
    pb::Header { name: "n".into(), value: vec![1, 255] }
}

fn end() -> pb::End {
    pb::End {
        session: "s".into(),
        epoch: 5,
        seq: 6,
        kind: pb::end::Kind::MaybeDone.into(),
        word: "w".into(),
        token: 9,
        route: pb::Route::Secondary.into(),
    }
}

/// Every message that a gateway or a guard sends, each field set.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let gateway = |name, kind| {
        let message = pb::GatewayRequest { kind: Some(kind), ends: vec![] };
        (name, message.encode_to_vec())
    };
    let guard = |name, kind| (name, pb::GuardRequest { kind: Some(kind) }.encode_to_vec());
    vec![
        gateway(
            "gateway hello",
            gateway_request::Kind::Hello(pb::GatewayHello {
                version: 1,
                service: "s".into(),
                gateway: vec![1, 2],
            }),
        ),
        gateway(
            "append",
            gateway_request::Kind::Append(pb::Append {
                token: 1,
                session: "s".into(),
                id: "i".into(),
                method: "POST".into(),
                path: "/p".into(),
                headers: vec![header()],
                body: vec![2, 3],
                received_ms: 4,
                refuse_when_cut: true,
            }),
        ),
        gateway(
            "cancel",
            gateway_request::Kind::Cancel(pb::Cancel {
                token: 1,
                session: "s".into(),
                id: "i".into(),
            }),
        ),
        gateway(
            "locate",
            gateway_request::Kind::Locate(pb::Locate { token: 1, session: "s".into() }),
        ),
        ("ends", pb::GatewayRequest { kind: None, ends: vec![end()] }.encode_to_vec()),
        guard(
            "guard hello",
            guard_request::Kind::Hello(pb::GuardHello {
                version: 1,
                service: "s".into(),
                replica: "primary".into(),
                owner: vec![1],
                running: vec![pb::Running { session: "s".into(), epoch: 5, seq: 6 }],
                gap_wait_ms: 800,
            }),
        ),
        guard(
            "begin",
            guard_request::Kind::Begin(pb::Begin {
                token: 1,
                session: "s".into(),
                epoch: 5,
                seq: 6,
                link: vec![7; 16],
                id: "i".into(),
                after: position(),
                method: "PUT".into(),
                delivery: true,
                noop: true,
                again: true,
                journal: vec![8; 8],
                log: vec![9; 8],
                in_doubt: pb::InDoubtPolicy::Redo.into(),
                run_timeout_ms: 10,
                wait_ms: 11,
                path: "/p".into(),
            }),
        ),
        guard(
            "outcome",
            guard_request::Kind::Outcome(pb::Outcome {
                token: 1,
                session: "s".into(),
                epoch: 5,
                seq: 6,
                kind: pb::outcome::Kind::InDoubt.into(),
                status: 201,
                digest: vec![4; 8],
                response: Some(pb::Response {
                    status: 201,
                    headers: vec![header()],
                    body: vec![3],
                }),
            }),
        ),
        guard(
            "await run",
            guard_request::Kind::AwaitRun(pb::AwaitRun {
                token: 1,
                session: "s".into(),
                epoch: 5,
                seq: 6,
                wait_ms: 7,
            }),
        ),
        guard("leave", guard_request::Kind::Leave(pb::Leave { token: 1 })),
    ]
}

/// Every message that the log or a journal sends, each field set.
fn responses() -> Vec<(&'static str, Vec<u8>)> {
    let gateway = |name, kind| (name, pb::GatewayResponse { kind: Some(kind) }.encode_to_vec());
    let guard = |name, kind| (name, pb::GuardResponse { kind: Some(kind) }.encode_to_vec());
    let appended = |outcome| {
        let appended = pb::Appended { token: 1, outcome: Some(outcome) };
        gateway_response::Kind::Appended(appended)
    };
    vec![
        gateway(
            "gateway welcome",
            gateway_response::Kind::Welcome(pb::GatewayWelcome {
                version: 1,
                error: "e".into(),
                log: vec![2; 8],
                sole: true,
                mirror_cluster: "c".into(),
            }),
        ),
        gateway(
            "numbered",
            appended(pb::appended::Outcome::Numbered(pb::Numbered {
                epoch: 5,
                seq: 6,
                link: vec![7; 16],
                after: position(),
                route: pb::Route::Primary.into(),
                known: true,
                status: 201,
                received_ms: 8,
                primary_journal: vec![9; 8],
                secondary_journal: vec![10; 8],
                settled: true,
            })),
        ),
        gateway(
            "refused",
            appended(pb::appended::Outcome::Refused(pb::Refused {
                reason: pb::refused::Reason::Superseded.into(),
                detail: "d".into(),
                retry_after_ms: 2,
            })),
        ),
        gateway(
            "located",
            gateway_response::Kind::Located(pb::Located {
                token: 1,
                last: position(),
                route: pb::Route::Secondary.into(),
            }),
        ),
        gateway(
            "moved",
            gateway_response::Kind::Moved(pb::Moved {
                session: "s".into(),
                route: pb::Route::Secondary.into(),
            }),
        ),
        guard(
            "guard welcome",
            guard_response::Kind::Welcome(pb::GuardWelcome {
                version: 1,
                error: "e".into(),
                journal: vec![2; 8],
            }),
        ),
        guard(
            "begun",
            guard_response::Kind::Begun(pb::Begun {
                token: 1,
                verdict: pb::begun::Verdict::NotRun.into(),
                at: position(),
                status: 201,
                digest: vec![4; 8],
                response: Some(pb::Response { status: 201, headers: vec![], body: vec![] }),
                forced: true,
                unseeded: true,
            }),
        ),
        guard("noted", guard_response::Kind::Noted(pb::Noted { token: 1, at: position() })),
        guard(
            "awaited",
            guard_response::Kind::Awaited(pb::Awaited { token: 1, ran: true, at: position() }),
        ),
    ]
}

#[test]
fn every_message_has_the_bytes_of_version_1() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire-1.txt");
    let messages = requests().into_iter().chain(responses());
    let now: String = messages.map(|(name, bytes)| format!("{name}: {}\n", hex(&bytes))).collect();
    if std::env::var_os("KEEP_FORMATS").is_some() {
        std::fs::write(file, &now).expect("writes the file");
    }
    let kept = std::fs::read_to_string(file).expect("the kept file");
    assert!(now == kept, "written is\n{now}kept is\n{kept}");
}
