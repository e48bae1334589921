//! Whether the values of a scenario make sense, by themselves and together.

mod faults;
mod keys;

use crate::{Problem, Range, Scenario};
use std::ops::RangeInclusive;

/// The promises of a verdict, as `expect.broken` names them.
pub const PROMISES: [&str; 8] =
    ["lost", "twice", "order", "stale", "silent", "noticed", "stalled", "expected"];

/// The longest load: eight days, milliseconds.
pub const DURATION_MS: u64 = 8 * 86_400_000;
/// No single time of a request or a replica is longer: ten minutes, milliseconds.
const WAIT_MS: u64 = 600_000;
const NAME_BYTES: usize = 64;
const SHOPS: u32 = 2_000;
const SESSIONS: u64 = 100_000;
const WRITES: u64 = 20_000_000;
const BODY_BYTES: u64 = 16 << 20;

/// Collects what is wrong.
#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, at: &str, what: impl Into<String>) {
        self.0.push(Problem::new(at, what));
    }

    fn unless(&mut self, right: bool, at: &str, what: impl Into<String>) {
        if !right {
            self.add(at, what);
        }
    }

    fn number(&mut self, at: &str, number: impl Into<u64>, right: RangeInclusive<u64>) {
        let number = number.into();
        let what = format!("must be from {} to {}, is {number}", right.start(), right.end());
        self.unless(right.contains(&number), at, what);
    }

    fn range(&mut self, at: &str, [least, most]: Range, right: RangeInclusive<u64>) {
        let what = format!("the least must not be more than the most, is [{least}, {most}]");
        self.unless(least <= most, at, what);
        let what = format!("must be within [{}, {}]", right.start(), right.end());
        self.unless(right.contains(&least) && right.contains(&most), at, what);
    }
}

/// Everything that does not make sense.
pub fn check(scenario: &Scenario) -> Vec<Problem> {
    let mut found = Found::default();
    whole(scenario, &mut found);
    stack(scenario, &mut found);
    load(scenario, &mut found);
    normal(scenario, &mut found);
    for (n, fault) in scenario.faults.iter().enumerate() {
        faults::check(scenario, &format!("faults[{n}]"), fault, &mut found);
    }
    expect(scenario, &mut found);
    found.0
}

fn whole(scenario: &Scenario, found: &mut Found) {
    let name = &scenario.name;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let right = (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(plain);
    let what = format!("must be 1 to {NAME_BYTES} of a-z, 0-9 and -, is \"{name}\"");
    found.unless(right, "name", what);
    found.number("duration_ms", scenario.duration_ms, 1..=DURATION_MS);
    found.number("stall_ms", scenario.stall_ms, 1_000..=3_600_000);
    found.number("detect_ms", scenario.detect_ms, 100..=60_000);
}

fn stack(scenario: &Scenario, found: &mut Found) {
    let stack = &scenario.stack;
    found.number("stack.shops", stack.shops, 1..=SHOPS.into());
    found.number("stack.gateways", stack.gateways, 1..=2_u64);
    found.number("stack.workers", stack.workers, 1..=16_u64);
    keys::log(&stack.log, found);
    keys::journal(&stack.journal, found);
}

fn load(scenario: &Scenario, found: &mut Found) {
    let load = &scenario.load;
    let shops = u64::from(scenario.stack.shops);
    found.number("load.sessions", load.sessions, 1..=SESSIONS);
    let all = u64::from(load.sessions).saturating_mul(shops);
    let what = format!("over all {shops} shops at most {SESSIONS}, are {all}");
    found.unless(all <= SESSIONS || shops < 2, "load.sessions", what);
    found.number("load.writes_per_second", load.writes_per_second, 1..=100_000);
    let seconds = scenario.duration_ms.saturating_sub(load.from_ms) / 1_000;
    let all = load.writes_per_second.saturating_mul(shops).saturating_mul(seconds);
    let what = format!("over all {shops} shops and {seconds} s at most {WRITES} writes, are {all}");
    found.unless(all <= WRITES, "load.writes_per_second", what);
    found.number("load.in_flight", load.in_flight, 1..=64);
    found.number("load.retries", load.retries, 0..=1_000);
    found.number("load.timeout_ms", load.timeout_ms, 1..=WAIT_MS);
    found.range("load.body_bytes", load.body_bytes, 0..=BODY_BYTES);
    let any = load.methods.post > 0 || load.methods.put > 0;
    found.unless(any, "load.methods", "post and put must not both be 0");
    for (at, share) in [
        ("load.aborts_per_mille", load.aborts_per_mille),
        ("load.doubles_per_mille", load.doubles_per_mille),
        ("load.keyless_per_mille", load.keyless_per_mille),
        ("load.slow_bodies_per_mille", load.slow_bodies_per_mille),
    ] {
        found.number(at, share, 0..=1_000);
    }
    let what = format!("must be before the end of the load, {} ms", scenario.duration_ms);
    found.unless(load.from_ms < scenario.duration_ms, "load.from_ms", what);
}

fn normal(scenario: &Scenario, found: &mut Found) {
    let normal = &scenario.normal;
    for (at, range) in [
        ("normal.link_us", normal.link_us),
        ("normal.local_us", normal.local_us),
        ("normal.service_us", normal.service_us),
        ("normal.sync_us", normal.sync_us),
    ] {
        found.range(at, range, 0..=60_000_000);
    }
    found.number("normal.drift_ppm", normal.drift_ppm, 0..=100_000);
}

fn expect(scenario: &Scenario, found: &mut Found) {
    let expect = &scenario.expect;
    if let Some(times) = expect.slowest_shop_times_median {
        let at = "expect.slowest_shop_times_median";
        found.unless(times >= 1.0, at, format!("must be 1 or more, is {times}"));
        found.unless(scenario.stack.shops > 1, at, "needs several shops: stack.shops is 1");
    }
    for (n, name) in expect.broken.iter().enumerate() {
        let what = format!("must be one of {}, is \"{name}\"", PROMISES.join(", "));
        let known = PROMISES.contains(&name.as_str());
        found.unless(known, &format!("expect.broken[{n}]"), what);
    }
}
