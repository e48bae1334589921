//! A whole plan from a seed: a stack, a load, a network and what breaks in it.
//!
//! Plans are drawn as a swarm: each seed switches whole families of faults on or off and draws
//! how wild each of them is, because most bugs need a few kinds of faults often rather than
//! every kind now and then. All that is drawn stands in the scenario, so it can be saved,
//! changed by hand and shrunk. The parts have random streams of their own.

mod faults;
mod seed;

#[cfg(test)]
mod tests;

pub use self::seed::seed_of;

use crate::rng::Rng;
use scenario::{Expect, Load, Methods, Mirror, Normal, Range, Scenario, Stack, What};
use serde_json::{Map, Value};

/// How many writes a plan asks for at most, over all its shops.
const WRITES: u64 = 300;

/// The plan of a seed.
pub fn draw(seed: u64) -> Scenario {
    let mut rng = Rng::named(seed, "draw");
    let detect_ms = one_of(&mut rng, [400, 1_000, 1_000, 2_000]);
    let duration_ms = rng.between([30, 100]) * 100;
    let mood = faults::Mood::draw(&mut Rng::named(seed, "draw mood"));
    let as_shipped = mood.only_the_link();
    let stack = stack(&mut Rng::named(seed, "draw stack"), as_shipped);
    let load =
        load(&mut Rng::named(seed, "draw load"), &stack, [detect_ms, duration_ms], as_shipped);
    let normal = normal(&mut Rng::named(seed, "draw normal"), detect_ms, as_shipped);
    let mut rng = Rng::named(seed, "draw faults");
    let faults = faults::draw(&mut rng, mood, &stack, detect_ms, duration_ms);
    Scenario {
        name: format!("seed-{seed}"),
        about: String::new(),
        seed,
        duration_ms,
        stall_ms: 30_000,
        detect_ms,
        stack,
        load,
        normal,
        faults,
        expect: Expect::default(),
    }
}

/// The family of a fault, as summaries name it.
pub fn family(what: &What) -> &'static str {
    match what {
        What::Link(_) => "link",
        What::Flap(_) => "flap",
        What::Reset => "reset",
        What::Delay(_) => "delay",
        What::Crash(_) => "crash",
        What::Restart(_) => "restart",
        What::Pause(_) => "pause",
        What::Panic(_) => "panic",
        What::Reload => "reload",
        What::Service(_) => "service",
        What::Disk(_) => "disk",
        What::Clock(_) => "clock",
        What::Store(_) => "store",
    }
}

/// One of these; where something stands twice it comes twice as often.
fn one_of<T: Copy, const N: usize>(rng: &mut Rng, of: [T; N]) -> T {
    let n = rng.below(N as u64) as usize;
    of[n]
}

fn stack(rng: &mut Rng, as_shipped: bool) -> Stack {
    let mut stack = Stack {
        shops: if rng.one_in(1, 16) { 2 } else { 1 },
        gateways: if rng.one_in(1, 4) { 2 } else { 1 },
        workers: one_of(rng, [1, 1, 2, 3]),
        mirror: if rng.one_in(1, 4) { Mirror::Envoy } else { Mirror::Log },
        ..Stack::default()
    };
    // Small limits bring about in seconds what otherwise takes days.
    let mut small = |keys: &mut Map<String, Value>, key: &str, values: [u64; 3]| {
        if rng.one_in(1, 12) && !as_shipped {
            keys.insert(key.into(), one_of(rng, values).into());
        }
    };
    small(&mut stack.log, "handback_hold_ms", [0, 20, 100]);
    small(&mut stack.log, "max_bytes", [65_536, 100_000, 500_000]);
    small(&mut stack.log, "session_idle_ms", [1_000, 1_000, 1_500]);
    small(&mut stack.log, "delivery_parallel", [1, 2, 4]);
    small(&mut stack.log, "delivery_per_second", [20, 50, 200]);
    small(&mut stack.journal, "remember_bytes", [0, 2_000, 20_000]);
    small(&mut stack.guard, "run_timeout_ms", [1_600, 2_000, 2_500]);
    stack
}

fn load(rng: &mut Rng, stack: &Stack, [detect, duration]: [u64; 2], as_shipped: bool) -> Load {
    let most = (WRITES * 1_000 / duration / u64::from(stack.shops)).min(150);
    let mut now_and_then = |often: u64, per_mille: [u32; 3]| {
        if rng.one_in(1, often) { one_of(rng, per_mille) } else { 0 }
    };
    let aborts = now_and_then(4, [5, 50, 200]);
    let doubles_per_mille = now_and_then(3, [10, 100, 300]);
    let keyless_per_mille = now_and_then(4, [20, 200, 1_000]);
    let slow_bodies_per_mille = now_and_then(3, [50, 200, 1_000]);
    let patience = one_of(rng, [2 * detect, 5 * detect, 10_000, 10_000]);
    Load {
        sessions: rng.between([1, 6]) as u32,
        writes_per_second: rng.between([20.min(most), most]),
        read_every: one_of(rng, [0, 1, 3, 10]),
        in_flight: one_of(rng, [1, 1, 1, 2, 4]),
        retries: one_of(rng, [0, 1, 3, 10]),
        timeout_ms: if as_shipped { 4 * detect + 6_000 } else { patience },
        body_bytes: one_of::<Range, 6>(
            rng,
            [[64, 512], [64, 512], [0, 0], [1, 40], [500, 2_000], [10_000, 20_000]],
        ),
        methods: one_of(
            rng,
            [
                Methods { post: 1, put: 0 },
                Methods { post: 1, put: 0 },
                Methods { post: 1, put: 1 },
                Methods { post: 1, put: 4 },
                Methods { post: 0, put: 1 },
            ],
        ),
        aborts_per_mille: if as_shipped { 0 } else { aborts },
        doubles_per_mille,
        keyless_per_mille,
        slow_bodies_per_mille,
        from_ms: 0,
    }
}

fn normal(rng: &mut Rng, detect_ms: u64, as_shipped: bool) -> Normal {
    let slow = detect_ms * 1_000 / 20;
    let normal = Normal {
        link_us: one_of::<Range, 5>(
            rng,
            [[5_000, 7_000], [5_000, 7_000], [200, 400], [slow / 2, slow], [100, slow]],
        ),
        local_us: one_of::<Range, 3>(rng, [[40, 120], [40, 120], [10, 2_000]]),
        service_us: one_of::<Range, 4>(
            rng,
            [[300, 900], [300, 900], [20, 60], [500, detect_ms * 50]],
        ),
        cloud_parallel: 0,
        sync_us: one_of::<Range, 4>(rng, [[200, 900], [200, 900], [20, 60], [500, 8_000]]),
        drift_ppm: one_of(rng, [0, 20, 20, 500]),
    };
    let cloud_parallel = one_of(rng, [0, 0, 0, 4]);
    if as_shipped { normal } else { Normal { cloud_parallel, ..normal } }
}
