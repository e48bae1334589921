//! What the VM costs. `cargo nextest run --release -p host-sim --run-ignored only speed`

use crate::plugin::{self, GATEWAY, Plugin, WORD, stamped};
use host_sim::vm::{Callback, Filter};
use protocol::pb::guard_request::Kind;
use std::time::Instant;

const ROUNDS: u64 = 20_000;

#[allow(clippy::disallowed_methods, reason = "this measures")]
fn each(what: &str, rounds: u64, mut run: impl FnMut(u64)) {
    let begun = Instant::now();
    for round in 0..rounds {
        run(round + 1);
    }
    println!("{what}: {} ns", begun.elapsed().as_nanos() / u128::from(rounds));
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/filter/reprise_filter.wasm");
    each("compile", 1, |_| drop(Filter::load(wasm.as_ref())));
    let mut plugins = Vec::new();
    each("start", 1000, |_| plugins.push(Plugin::new(GATEWAY)));
    drop(plugins);

    let mut gateway = Plugin::ready_gateway();
    each("gateway tick", 10 * ROUNDS, |_| {
        gateway.pass_ms(20);
        gateway.tick();
    });
    each("gateway write", ROUNDS, |seq| {
        let context = gateway.open();
        gateway.release(context, seq);
        let word = WORD.replace("1.1", &format!("1.{seq}"));
        gateway.response(context, &[(":status", "200"), ("x-reprise-word", &word)]);
        gateway.close(context);
        gateway.pass_ms(20);
        gateway.tick();
        gateway.vm.take_actions();
    });

    let mut guard = Plugin::ready_guard();
    each("guard tick", 10 * ROUNDS, |_| {
        guard.pass_ms(20);
        guard.tick();
    });
    let stamps: Vec<_> = (1..=ROUNDS).map(stamped).collect();
    each("guard write", ROUNDS, |seq| {
        let context = guard.open();
        guard.head(context, &stamps[seq as usize - 1], false);
        guard.body(context, b"x", true);
        let Kind::Begin(begin) = guard.guard_sent() else { panic!("no begin") };
        guard.message(&plugin::begun(begin.token));
        let token = match guard.vm.take_actions()[..] {
            [host_sim::vm::Action::Call { token, .. }] => token,
            ref other => panic!("{other:?}"),
        };
        let response = Some((plugin::headers(&[(":status", "200")]), b"ok".to_vec()));
        guard.call(Callback::CallResponse { token, response });
        guard.message(&plugin::noted(begin.token, seq));
        guard.close(context);
        guard.vm.take_actions();
    });
}
