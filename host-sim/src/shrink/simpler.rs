//! Plans that are a step simpler than a plan, the boldest step first.

use scenario::{
    Break, Clock, Disk, DiskFault, Fault, Flap, Load, Methods, Mirror, Normal, Old, Process,
    Scenario, ServiceFault, Stack, What,
};

/// What can be made simpler; faults have a function of their own.
pub const PARTS: [fn(&Scenario) -> Vec<Scenario>; 8] =
    [shops, stack, duration, sessions, rate, load, normal, times];

/// The plan after a change.
fn with(plan: &Scenario, change: impl FnOnce(&mut Scenario)) -> Scenario {
    let mut plan = plan.clone();
    change(&mut plan);
    // No store is older than the run.
    for fault in &mut plan.faults {
        if let What::Store(Old { age_ms: Some(age_ms), .. }) = &mut fault.what {
            *age_ms = (*age_ms).min(fault.at_ms);
        }
    }
    plan
}

/// Numbers between `least` and `now`: the least, then half of the way, then a step.
fn smaller(now: u64, least: u64) -> Vec<u64> {
    if now <= least {
        return Vec::new();
    }
    let mut values = vec![least, least + (now - least) / 2, now - now.div_ceil(8)];
    values.dedup();
    values
}

fn shops(plan: &Scenario) -> Vec<Scenario> {
    let least = |shops: u64| {
        with(plan, |plan| {
            plan.stack.shops = shops as u32;
            if shops == 1 {
                plan.expect.slowest_shop_times_median = None;
            }
            plan.faults.retain(|fault| fault.shop.is_none_or(|shop| u64::from(shop) < shops));
        })
    };
    let mut plans: Vec<Scenario> =
        smaller(plan.stack.shops.into(), 1).into_iter().map(least).collect();
    if plan.stack.shops == 1 {
        plans.push(with(plan, |plan| plan.faults.iter_mut().for_each(|fault| fault.shop = None)));
    }
    plans
}

fn stack(plan: &Scenario) -> Vec<Scenario> {
    let stack = |change: fn(&mut Stack)| with(plan, |plan| change(&mut plan.stack));
    let mut plans = vec![
        with(plan, |plan| {
            plan.stack = Stack { shops: plan.stack.shops, ..Stack::default() };
            without_gateway(plan);
        }),
        with(plan, |plan| {
            plan.stack.gateways = plan.stack.gateways.min(1);
            without_gateway(plan);
        }),
        stack(|stack| stack.workers = stack.workers.min(1)),
        stack(|stack| stack.workers = stack.workers.min(2)),
        stack(|stack| stack.mirror = Mirror::Log),
    ];
    type Keys = fn(&mut Stack) -> &mut serde_json::Map<String, serde_json::Value>;
    let sections: [Keys; 4] =
        [|s| &mut s.gateway, |s| &mut s.guard, |s| &mut s.log, |s| &mut s.journal];
    for section in sections {
        let keys: Vec<String> = section(&mut plan.stack.clone()).keys().cloned().collect();
        for key in keys {
            plans.push(with(plan, |plan| {
                section(&mut plan.stack).remove(&key);
            }));
        }
    }
    plans
}

/// Without the second gateway nothing can happen to it.
fn without_gateway(plan: &mut Scenario) {
    plan.faults.retain(|fault| {
        !matches!(
            fault.what,
            What::Crash(Process::EdgeGateway)
                | What::Restart(Process::EdgeGateway)
                | What::Pause(Process::EdgeGateway)
        )
    });
}

/// Shorter: to just after the last fault, then by a half, then by a tenth.
fn duration(plan: &Scenario) -> Vec<Scenario> {
    let now = plan.duration_ms;
    let last = plan.faults.iter().map(|fault| fault.at_ms + fault.for_ms.unwrap_or(0)).max();
    let values = [last.unwrap_or(0) + 200, now / 2, now - now / 10];
    let shorter = values.into_iter().filter(|ms| *ms < now && *ms >= 200);
    let shorter = shorter.map(|ms| {
        with(plan, |plan| {
            plan.duration_ms = ms;
            plan.faults.retain(|fault| fault.at_ms < ms);
            plan.load.from_ms = plan.load.from_ms.min(ms / 2);
        })
    });
    shorter.collect()
}

fn sessions(plan: &Scenario) -> Vec<Scenario> {
    let of = |sessions| with(plan, |plan| plan.load.sessions = sessions as u32);
    smaller(plan.load.sessions.into(), 1).into_iter().map(of).collect()
}

fn rate(plan: &Scenario) -> Vec<Scenario> {
    let now = plan.load.writes_per_second;
    let values = [5, now / 2, now - now / 10].into_iter().filter(|rate| *rate < now && *rate >= 5);
    values.map(|rate| with(plan, |plan| plan.load.writes_per_second = rate)).collect()
}

fn load(plan: &Scenario) -> Vec<Scenario> {
    let load = |change: fn(&mut Load)| with(plan, |plan| change(&mut plan.load));
    vec![
        load(|load| {
            *load = Load {
                read_every: 0,
                in_flight: 1,
                retries: 0,
                timeout_ms: 10_000,
                body_bytes: [64, 64],
                methods: Methods::default(),
                aborts_per_mille: 0,
                doubles_per_mille: 0,
                keyless_per_mille: 0,
                slow_bodies_per_mille: 0,
                from_ms: 0,
                ..*load
            }
        }),
        load(|load| load.from_ms = 0),
        load(|load| load.aborts_per_mille = 0),
        load(|load| load.doubles_per_mille = 0),
        load(|load| load.keyless_per_mille = 0),
        load(|load| load.slow_bodies_per_mille = 0),
        load(|load| load.in_flight = 1),
        load(|load| load.in_flight -= u32::from(load.in_flight > 1)),
        load(|load| load.read_every = 0),
        load(|load| load.methods = Methods::default()),
        load(|load| {
            if load.methods.put > 0 {
                load.methods = Methods { post: 0, put: 1 };
            }
        }),
        load(|load| load.retries = 0),
        load(|load| load.retries /= 2),
        load(|load| load.body_bytes = [64, 64]),
        load(|load| load.timeout_ms = 10_000),
    ]
}

fn normal(plan: &Scenario) -> Vec<Scenario> {
    let as_usual = Normal::default();
    let normal = |change: &dyn Fn(&mut Normal)| with(plan, |plan| change(&mut plan.normal));
    let narrow = |[least, most]: [u64; 2]| [least.midpoint(most); 2];
    let calm = Normal {
        link_us: narrow(as_usual.link_us),
        local_us: narrow(as_usual.local_us),
        service_us: narrow(as_usual.service_us),
        sync_us: narrow(as_usual.sync_us),
        cloud_parallel: 0,
        drift_ppm: 0,
    };
    vec![
        normal(&|normal| *normal = calm.clone()),
        normal(&|normal| normal.link_us = calm.link_us),
        normal(&|normal| normal.local_us = calm.local_us),
        normal(&|normal| normal.service_us = calm.service_us),
        normal(&|normal| normal.sync_us = calm.sync_us),
        normal(&|normal| normal.cloud_parallel = 0),
        normal(&|normal| normal.drift_ppm = 0),
    ]
}

/// Everything sooner: what happens before the first fault seldom matters.
fn times(plan: &Scenario) -> Vec<Scenario> {
    let first = plan.faults.iter().map(|fault| fault.at_ms).min().unwrap_or(0);
    let sooner = |by: u64| {
        with(plan, |plan| {
            plan.faults.iter_mut().for_each(|fault| fault.at_ms -= by);
            plan.duration_ms = plan.duration_ms.saturating_sub(by).max(200);
        })
    };
    [first.saturating_sub(100), first / 2].into_iter().filter(|by| *by >= 50).map(sooner).collect()
}

/// The plans in which this fault is a step simpler.
pub fn fault(plan: &Scenario, place: usize) -> Vec<Scenario> {
    let Some(fault) = plan.faults.get(place) else { return Vec::new() };
    let to = |simpler: Fault| {
        with(plan, |plan| {
            plan.faults.iter_mut().skip(place).take(1).for_each(|f| *f = simpler.clone())
        })
    };
    let whats = whats(&fault.what).into_iter().map(|what| Fault { what, ..fault.clone() });
    let shorter = fault.for_ms.into_iter().flat_map(fractions);
    let shorter = shorter.map(|ms| Fault { for_ms: Some(ms), ..fault.clone() });
    let round = [1_000, 100, 10].map(|unit| fault.at_ms / unit * unit).into_iter();
    let round = round.map(|at_ms| Fault { at_ms, ..fault.clone() });
    whats.chain(shorter).chain(round).map(to).collect()
}

/// A tenth and a half of a number, as long as there is something left of it.
fn fractions(now: u64) -> impl Iterator<Item = u64> {
    [now / 10, now / 2].into_iter().filter(|value| *value > 0)
}

fn whats(what: &What) -> Vec<What> {
    match *what {
        What::Flap(Flap { cut, down_ms: [down, _], up_ms: [up, _] }) => {
            vec![What::Link(cut), What::Flap(Flap { cut, down_ms: [down; 2], up_ms: [up; 2] })]
        }
        What::Delay(ms) => fractions(ms).map(What::Delay).collect(),
        What::Service(ServiceFault { replica, how }) => {
            let hows: Vec<Break> = match how {
                Break::Busy | Break::TooMany => Vec::new(),
                Break::Slow(ms) => fractions(ms).map(Break::Slow).collect(),
                Break::BreakBefore(_) => vec![Break::BreakBefore(1)],
                Break::BreakAfter(_) => vec![Break::BreakAfter(1)],
            };
            hows.into_iter().map(|how| What::Service(ServiceFault { replica, how })).collect()
        }
        What::Disk(DiskFault { site, how: Disk::Slow(ms) }) => {
            let slow = |ms| What::Disk(DiskFault { site, how: Disk::Slow(ms) });
            fractions(ms).map(slow).collect()
        }
        What::Clock(Clock { site, step_ms }) => {
            let step = |ms: u64| ms as i64 * step_ms.signum();
            let step = |ms| What::Clock(Clock { site, step_ms: step(ms) });
            fractions(step_ms.unsigned_abs()).map(step).collect()
        }
        What::Store(Old { of, age_ms: Some(_) }) => vec![What::Store(Old { of, age_ms: None })],
        _ => Vec::new(),
    }
}
