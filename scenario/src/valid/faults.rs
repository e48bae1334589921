//! One fault.

use super::{Found, WAIT_MS};
use crate::{Break, Clock, Disk, Fault, Flap, Old, Process, Scenario, What};

/// The farthest step of a clock: ten years, milliseconds.
const STEP_MS: u64 = 10 * 365 * 86_400_000;

pub fn check(scenario: &Scenario, at: &str, fault: &Fault, found: &mut Found) {
    let within = format!("must be before the end of the load, {} ms", scenario.duration_ms);
    found.unless(fault.at_ms < scenario.duration_ms, &format!("{at}.at_ms"), within);
    let for_ms = format!("{at}.for_ms");
    if let Some(name) = moment(&fault.what) {
        let what = format!("{name} happens in a moment: leave for_ms out");
        found.unless(fault.for_ms.is_none(), &for_ms, what);
    } else {
        let what = "must be 1 or more; leave it out for the rest of the load";
        found.unless(fault.for_ms != Some(0), &for_ms, what);
    }
    let shops = scenario.stack.shops;
    let shop = format!("must be below stack.shops, {shops}: the first shop is 0");
    found.unless(fault.shop.is_none_or(|n| n < shops), &format!("{at}.shop"), shop);
    what(scenario, fault, &format!("{at}.what"), found);
}

/// The name of what has no duration.
fn moment(what: &What) -> Option<&'static str> {
    match what {
        What::Reset => Some("reset"),
        What::Panic(_) => Some("panic"),
        What::Reload => Some("reload"),
        What::Clock(_) => Some("clock"),
        What::Store(_) => Some("store"),
        _ => None,
    }
}

fn what(scenario: &Scenario, fault: &Fault, at: &str, found: &mut Found) {
    match &fault.what {
        What::Link(_) | What::Reset | What::Panic(_) | What::Reload => {}
        What::Flap(Flap { cut: _, down_ms, up_ms }) => {
            found.range(&format!("{at}.flap.down_ms"), *down_ms, 1..=super::DURATION_MS);
            found.range(&format!("{at}.flap.up_ms"), *up_ms, 1..=super::DURATION_MS);
        }
        What::Delay(ms) => found.number(&format!("{at}.delay"), *ms, 1..=WAIT_MS),
        What::Crash(process) | What::Restart(process) | What::Pause(process) => {
            let there = *process != Process::EdgeGateway || scenario.stack.gateways > 1;
            found.unless(there, at, "there is an edge-gateway only with stack.gateways: 2");
        }
        What::Service(service) => match service.how {
            Break::Busy | Break::TooMany => {}
            Break::Slow(ms) => {
                found.number(&format!("{at}.service.how.slow"), ms, 1..=WAIT_MS);
            }
            Break::BreakBefore(of) | Break::BreakAfter(of) => {
                found.number(&format!("{at}.service.how"), of, 1..=1_000_000);
            }
        },
        What::Disk(disk) => {
            if let Disk::Slow(ms) = disk.how {
                found.number(&format!("{at}.disk.how.slow"), ms, 1..=WAIT_MS);
            }
        }
        What::Clock(Clock { site: _, step_ms }) => {
            let far = step_ms.unsigned_abs();
            let what = format!("must be a step of 1 ms to ten years, is {step_ms}");
            found.unless((1..=STEP_MS).contains(&far), &format!("{at}.clock.step_ms"), what);
        }
        What::Store(Old { of, age_ms }) => {
            let kept = matches!(of, Process::EdgeReprise | Process::CloudReprise);
            let what = "must be edge-reprise or cloud-reprise: the others keep no store of ours";
            found.unless(kept, &format!("{at}.store.of"), what);
            let what = format!("must not be older than the run at that time, {}", fault.at_ms);
            let right = age_ms.is_none_or(|age| age <= fault.at_ms);
            found.unless(right, &format!("{at}.store.age_ms"), what);
        }
    }
}
