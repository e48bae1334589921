//! The faults of a scenario as a list of what to do when.

use demo::relay::Mode;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use scenario::{Cut, Fault, Flap, Process, Range, Scenario, What};

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, milliseconds from the start.
    pub at_ms: u64,
    /// What.
    pub act: Act,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The clients begin.
    Load,
    /// The last fault is over.
    Mended,
    /// A fault, by its place in the list, cuts the link.
    Cut(usize, Mode),
    /// It cuts it no longer.
    Pass(usize),
    /// All connections over the link are reset.
    Reset,
    /// A process is killed.
    Kill(Process),
    /// A process is asked to end.
    Terminate(Process),
    /// It is started again.
    Start(Process),
    /// A process is frozen.
    Freeze(Process),
    /// It goes on.
    Thaw(Process),
}

/// All steps until the end of the load, in order. What is broken then is mended by who runs them.
pub fn of(scenario: &Scenario) -> Vec<Step> {
    let mut random = Pcg64Mcg::seed_from_u64(scenario.seed);
    let mut steps = vec![Step { at_ms: scenario.load.from_ms, act: Act::Load }];
    for (n, fault) in scenario.faults.iter().enumerate() {
        steps.extend(of_fault(n, fault, scenario.duration_ms, &mut random));
    }
    let end = scenario.faults.iter().map(|fault| end_ms(fault, scenario.duration_ms)).max();
    steps.push(Step { at_ms: end.unwrap_or(0), act: Act::Mended });
    steps.sort_by_key(|step| step.at_ms);
    steps.retain(|step| step.at_ms < scenario.duration_ms);
    // The load goes on until here.
    steps.push(Step { at_ms: scenario.duration_ms, act: Act::Pass(usize::MAX) });
    steps
}

fn end_ms(fault: &Fault, duration_ms: u64) -> u64 {
    match fault.what {
        What::Reset => fault.at_ms,
        _ => fault.for_ms.map_or(duration_ms, |lasts| fault.at_ms.saturating_add(lasts)),
    }
}

fn of_fault(n: usize, fault: &Fault, duration_ms: u64, random: &mut Pcg64Mcg) -> Vec<Step> {
    let end_ms = end_ms(fault, duration_ms);
    let during = |begin, end| {
        vec![Step { at_ms: fault.at_ms, act: begin }, Step { at_ms: end_ms, act: end }]
    };
    match fault.what {
        What::Link(cut) => during(Act::Cut(n, mode(cut)), Act::Pass(n)),
        What::Flap(flap) => flapping(n, flap, fault.at_ms, end_ms.min(duration_ms), random),
        What::Reset => vec![Step { at_ms: fault.at_ms, act: Act::Reset }],
        What::Crash(process) => during(Act::Kill(process), Act::Start(process)),
        What::Restart(process) => during(Act::Terminate(process), Act::Start(process)),
        What::Pause(process) => during(Act::Freeze(process), Act::Thaw(process)),
        // Refused before anything starts.
        _ => Vec::new(),
    }
}

fn flapping(n: usize, flap: Flap, at_ms: u64, end_ms: u64, random: &mut Pcg64Mcg) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut draw = |[least, most]: Range| random.random_range(least.max(1)..=most.max(1));
    let mut now = at_ms;
    while now < end_ms {
        steps.push(Step { at_ms: now, act: Act::Cut(n, mode(flap.cut)) });
        now += draw(flap.down_ms);
        steps.push(Step { at_ms: now.min(end_ms), act: Act::Pass(n) });
        now += draw(flap.up_ms);
    }
    steps
}

fn mode(cut: Cut) -> Mode {
    match cut {
        Cut::Refuse => Mode::Refuse,
        Cut::Hole => Mode::Hole,
        Cut::Stall => Mode::Stall,
        Cut::Mute => Mode::Mute,
        Cut::Deaf => Mode::Deaf,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(faults: &str) -> Vec<(u64, Act)> {
        let load = "{sessions: 1, writes_per_second: 1, from_ms: 100}";
        let yaml = format!("name: x\nduration_ms: 9000\nload: {load}\nfaults: [{faults}]\n");
        let scenario = scenario::read(&yaml).expect("a scenario");
        of(&scenario).into_iter().map(|step| (step.at_ms, step.act)).collect()
    }

    #[test]
    fn faults_begin_and_end_in_order_around_the_load() {
        let plan = plan(
            "{at_ms: 2000, for_ms: 3000, what: {link: hole}}, \
             {at_ms: 50, for_ms: 2500, what: {crash: primary}}, {at_ms: 7000, what: {link: mute}}",
        );
        let expected = [
            (50, Act::Kill(Process::Primary)),
            (100, Act::Load),
            (2000, Act::Cut(0, Mode::Hole)),
            (2550, Act::Start(Process::Primary)),
            (5000, Act::Pass(0)),
            (7000, Act::Cut(2, Mode::Mute)),
            (9000, Act::Pass(usize::MAX)),
        ];
        assert_eq!(plan, expected);
    }

    #[test]
    fn the_end_of_the_last_fault_is_told_where_it_is_within_the_load() {
        let plan = plan("{at_ms: 2000, for_ms: 3000, what: {link: hole}}");
        assert_eq!(plan[2..4], [(5000, Act::Pass(0)), (5000, Act::Mended)]);
    }

    #[test]
    fn a_flapping_link_is_up_at_the_end_and_the_same_each_time() {
        let flap = "{at_ms: 1000, for_ms: 5000, what: {flap: {cut: refuse, down_ms: [200, 700], up_ms: [300, 900]}}}";
        let first = plan(flap);
        assert_eq!(first, plan(flap));
        let last = first.iter().rev().nth(2);
        assert!(matches!(last, Some((at, Act::Pass(0))) if *at <= 6000), "{first:?}");
        assert!(first.len() > 8, "{first:?}");
    }
}
