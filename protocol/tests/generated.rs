//! The committed code is what `replay_log.proto` gives today.
//! To renew it after a change: `UPDATE_GENERATED=1 cargo test -p reprise-protocol --test generated`.
#![cfg(not(target_family = "wasm"))]

use std::path::Path;

#[test]
fn the_generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let service = root.join("../replay-service/src/generated");
    let descriptors = protox::compile([root.join("proto/replay_log.proto")], [root.join("proto")])
        .expect("the proto compiles");
    let name = "reprise.replaylog.v1.rs";
    let messages = out.join("messages");
    let server = out.join("server");
    for dir in [&messages, &server] {
        std::fs::create_dir_all(dir).expect("a scratch directory");
    }
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .out_dir(&messages)
        .compile_fds(descriptors.clone())
        .expect("messages generate");
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(true)
        .extern_path(".reprise.replaylog.v1", "::protocol::pb")
        .out_dir(&server)
        .compile_fds(descriptors)
        .expect("the server generates");
    for (fresh, committed) in [
        (messages.join(name), root.join("src/generated").join(name)),
        (server.join(name), service.join(name)),
    ] {
        let fresh = std::fs::read_to_string(&fresh).expect("generated");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::create_dir_all(committed.parent().expect("a directory")).expect("a directory");
            std::fs::write(&committed, &fresh).expect("written");
        }
        let kept = std::fs::read_to_string(&committed).unwrap_or_default();
        assert!(
            fresh == kept,
            "{} is not what the proto gives; run UPDATE_GENERATED=1 cargo test -p reprise-protocol --test generated",
            committed.display()
        );
    }
}
