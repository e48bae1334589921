//! What a scenario asks of the stack and of the clients, and what of it cannot be had here.

use anyhow::{Context as _, Result};
use demo::load::LoadOptions;
use scenario::{Expect, Load, Mirror, Process, Scenario, What};
use serde_json::{Map, Value};
use std::time::Duration;
use xtask::stack::{self, StackOptions};

/// What the real arm cannot do, line by line.
pub fn cannot(scenario: &Scenario) -> Vec<String> {
    let Scenario { stack, load, expect, faults, .. } = scenario;
    let mut cannot = Vec::new();
    let mut refuse = |asked: bool, what: &str| {
        if asked {
            cannot.push(what.to_string());
        }
    };
    refuse(stack.shops != 1, "stack.shops: there is one edge");
    refuse(stack.gateways != 1, "stack.gateways: there is one Envoy at the edge");
    refuse(load.methods.put > 0, "load.methods.put: the clients only POST");
    refuse(load.aborts_per_mille > 0, "load.aborts_per_mille: the clients wait for their answers");
    refuse(load.doubles_per_mille > 0, "load.doubles_per_mille: the clients send once");
    refuse(load.slow_bodies_per_mille > 0, "load.slow_bodies_per_mille: bodies go out whole");
    refuse(load.keyless_per_mille > 0, "load.keyless_per_mille: the clients always send a key");
    let Expect { cloud_per_second, slowest_shop_times_median, broken, .. } = expect;
    refuse(cloud_per_second.is_some(), "expect.cloud_per_second: the tills keep no times");
    refuse(slowest_shop_times_median.is_some(), "expect.slowest_shop_times_median: one shop");
    refuse(!broken.is_empty(), "expect.broken: what runs here is not broken on purpose");
    for (n, fault) in faults.iter().enumerate() {
        if let Some(why) = cannot_break(&fault.what) {
            cannot.push(format!("faults[{n}]: {why}"));
        }
    }
    cannot
}

fn cannot_break(what: &What) -> Option<&'static str> {
    match what {
        What::Link(_) | What::Flap(_) | What::Reset => None,
        What::Crash(Process::EdgeGateway)
        | What::Restart(Process::EdgeGateway)
        | What::Pause(Process::EdgeGateway) => Some("there is one Envoy at the edge"),
        What::Crash(_) => None,
        What::Restart(Process::Primary | Process::Secondary) => {
            Some("a till knows no good order in which to stop: let it crash")
        }
        What::Pause(Process::Primary | Process::Secondary) => Some("a till cannot be frozen"),
        What::Restart(_) | What::Pause(_) => None,
        What::Delay(_) => Some("the link has the speed that it has"),
        What::Panic(_) => Some("the filter does not panic when it is told to"),
        What::Reload => Some("Envoy's listeners come from its file"),
        What::Service(_) => Some("the tills misbehave by the path of a request only"),
        What::Disk(_) | What::Clock(_) | What::Store(_) => {
            Some("the machine's disk and clock are left alone")
        }
    }
}

/// Sets what the scenario asks of the stack.
pub fn stack(scenario: &Scenario, options: &mut StackOptions) -> Result<()> {
    let stack = &scenario.stack;
    options.detect_ms = scenario.detect_ms;
    options.workers = stack.workers;
    options.mirror = match stack.mirror {
        Mirror::Log => stack::Mirror::Log,
        Mirror::Envoy => stack::Mirror::Envoy,
    };
    options.gateway_extra.extend(stack.gateway.clone());
    options.guard_extra.extend(stack.guard.clone());
    options.log_extra.extend(table(&stack.log).context("stack.log")?);
    options.journal_extra.extend(table(&stack.journal).context("stack.journal")?);
    Ok(())
}

fn table(keys: &Map<String, Value>) -> Result<toml::Table> {
    Ok(toml::Table::try_from(keys)?)
}

/// What the scenario asks of the clients. Bodies have the size between the least and the most.
pub fn load(load: &Load, options: LoadOptions) -> Result<LoadOptions> {
    let [least, most] = load.body_bytes;
    Ok(LoadOptions {
        sessions: load.sessions,
        writes_per_second: u32::try_from(load.writes_per_second)?,
        in_flight: load.in_flight,
        read_every: load.read_every,
        retries: load.retries,
        timeout: Duration::from_millis(load.timeout_ms),
        body_bytes: usize::try_from(least.midpoint(most))?,
        ..options
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(faults: &str, more: &str) -> Scenario {
        let yaml = format!(
            "name: x\nduration_ms: 9000\nload: {{sessions: 1, writes_per_second: 1}}\nfaults: [{faults}]\n{more}"
        );
        scenario::read(&yaml).expect("a scenario")
    }

    #[test]
    fn what_can_be_done_is_not_refused() {
        let all = "{at_ms: 1, what: {link: hole}}, {at_ms: 1, what: {pause: edge-envoy}}, \
                   {at_ms: 1, what: {crash: primary}}, {at_ms: 1, what: reset}";
        let stack = "stack: {workers: 2, mirror: envoy, log: {takeover_ms: 300}}";
        assert_eq!(cannot(&read(all, stack)), [""; 0]);
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let clock = "{at_ms: 1, what: {clock: {site: edge, step_ms: 5}}}";
        let refused = cannot(&read(clock, "stack: {shops: 2}"));
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].starts_with("stack.shops: "), "{refused:?}");
        assert!(refused[1].starts_with("faults[0]: "), "{refused:?}");
    }
}
