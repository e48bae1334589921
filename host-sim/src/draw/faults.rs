//! What breaks.

use super::one_of;
use crate::rng::Rng;
use scenario::{
    Break, Clock, Cut, Disk, DiskFault, Fault, Flap, Old, Plugin, Process, ReplicaFault,
    ServiceFault, Site, Stack, What,
};

/// More faults than this tell nothing more.
const MOST: usize = 14;

/// What kind of seed it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Nothing breaks.
    Calm,
    /// One clean cut of the link.
    Cut,
    /// Nothing but the link breaks.
    Link,
    /// Some families break, now and then.
    Mixed,
    /// Most families break, often.
    Wild,
    /// A store is found old or empty, beside a few other faults.
    Store,
}

impl Mood {
    pub fn draw(rng: &mut Rng) -> Mood {
        if rng.one_in(1, 40) {
            return Mood::Store;
        }
        match rng.below(20) {
            0 => Mood::Calm,
            1 | 2 => Mood::Cut,
            3 | 4 => Mood::Link,
            5..=7 => Mood::Wild,
            _ => Mood::Mixed,
        }
    }

    /// Whether clients must hardly notice, so that everything else is as it is shipped.
    pub fn only_the_link(self) -> bool {
        matches!(self, Mood::Calm | Mood::Cut | Mood::Link)
    }
}

/// What breaks together.
#[derive(Clone, Copy, Debug)]
enum Family {
    Links,
    Flaps,
    Resets,
    Delays,
    Crashes,
    Restarts,
    Pauses,
    Panics,
    Reloads,
    Services,
    Disks,
    Clocks,
}

const FAMILIES: [Family; 12] = [
    Family::Links,
    Family::Flaps,
    Family::Resets,
    Family::Delays,
    Family::Crashes,
    Family::Restarts,
    Family::Pauses,
    Family::Panics,
    Family::Reloads,
    Family::Services,
    Family::Disks,
    Family::Clocks,
];

const OF_THE_LINK: [Family; 4] = [Family::Links, Family::Flaps, Family::Resets, Family::Delays];

/// What a fault needs to know of its plan.
struct Plan<'a> {
    stack: &'a Stack,
    mood: Mood,
    detect_ms: u64,
    duration_ms: u64,
}

pub fn draw(
    rng: &mut Rng,
    mood: Mood,
    stack: &Stack,
    detect_ms: u64,
    duration_ms: u64,
) -> Vec<Fault> {
    let plan = Plan { stack, mood, detect_ms, duration_ms };
    let mut faults = Vec::new();
    match mood {
        Mood::Calm => {}
        Mood::Cut => faults.push(plan.cut(rng)),
        Mood::Link => {
            while faults.is_empty() {
                plan.swarm(rng, &mut faults, &OF_THE_LINK, [1, 2], [1, 3]);
            }
        }
        Mood::Mixed => plan.swarm(rng, &mut faults, &FAMILIES, [1, 3], [1, 3]),
        Mood::Wild => plan.swarm(rng, &mut faults, &FAMILIES, [2, 3], [1, 5]),
        Mood::Store => plan.swarm(rng, &mut faults, &FAMILIES, [1, 5], [1, 2]),
    }
    while faults.len() > MOST {
        let victim = rng.below(faults.len() as u64) as usize;
        faults.remove(victim);
    }
    if mood == Mood::Store {
        plan.store(rng, &mut faults);
    }
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

impl Plan<'_> {
    /// Switches each family on, `on` times out of so many, and draws that many faults of it.
    fn swarm(
        &self,
        rng: &mut Rng,
        faults: &mut Vec<Fault>,
        families: &[Family],
        on: [u64; 2],
        often: [u64; 2],
    ) {
        for family in families {
            if rng.one_in(on[0], on[1]) {
                for _ in 0..rng.between(often) {
                    faults.push(self.fault(rng, *family));
                }
            }
        }
    }

    fn fault(&self, rng: &mut Rng, family: Family) -> Fault {
        let d = self.detect_ms;
        let (what, lasts) = match family {
            Family::Links => return self.cut(rng),
            Family::Flaps => (self.flap(rng), Some([d, 5 * d])),
            Family::Resets => (What::Reset, None),
            Family::Delays => (self.delay(rng), Some([d / 4, 4 * d])),
            Family::Crashes => (What::Crash(self.process(rng)), Some(self.away(rng))),
            Family::Restarts => (What::Restart(self.process(rng)), Some(self.away(rng))),
            Family::Pauses => (What::Pause(self.process(rng)), Some([10, 3 * d])),
            Family::Panics => (What::Panic(plugin(rng)), None),
            Family::Reloads => (What::Reload, None),
            Family::Services => (What::Service(self.service(rng)), Some([100, 3 * d])),
            Family::Disks => return self.disk(rng),
            Family::Clocks => (What::Clock(clock(rng)), None),
        };
        let for_ms = lasts.map(|lasts| rng.between(lasts));
        Fault { at_ms: self.moment(rng), for_ms, shop: self.shop(rng), what }
    }

    /// Sometime while clients send.
    fn moment(&self, rng: &mut Rng) -> u64 {
        rng.between([50, self.duration_ms - 50])
    }

    /// At one shop, or at all of them.
    fn shop(&self, rng: &mut Rng) -> Option<u32> {
        let one = self.stack.shops > 1 && !rng.one_in(1, 3);
        one.then(|| rng.below(u64::from(self.stack.shops)) as u32)
    }

    fn cut(&self, rng: &mut Rng) -> Fault {
        let d = self.detect_ms;
        let lasts = one_of(rng, [[d / 10, d], [d, 3 * d], [3 * d, 6 * d]]);
        let for_ms = if rng.one_in(1, 8) { None } else { Some(rng.between(lasts)) };
        let what = What::Link(kind_of_cut(rng));
        Fault { at_ms: self.moment(rng), for_ms, shop: self.shop(rng), what }
    }

    fn flap(&self, rng: &mut Rng) -> What {
        let d = self.detect_ms;
        let times = [[10, d / 8], [d / 8, d / 2], [d / 2, 2 * d]];
        let (down_ms, up_ms) = (one_of(rng, times), one_of(rng, times));
        What::Flap(Flap { cut: kind_of_cut(rng), down_ms, up_ms })
    }

    fn delay(&self, rng: &mut Rng) -> What {
        let d = self.detect_ms;
        let most = if self.mood == Mood::Wild { 2 * d } else { d / 4 };
        What::Delay(rng.between([1, most]))
    }

    fn process(&self, rng: &mut Rng) -> Process {
        let gateway =
            if self.stack.gateways > 1 { Process::EdgeGateway } else { Process::EdgeEnvoy };
        one_of(
            rng,
            [
                Process::EdgeEnvoy,
                gateway,
                Process::CloudEnvoy,
                Process::EdgeReprise,
                Process::EdgeReprise,
                Process::CloudReprise,
                Process::Primary,
                Process::Secondary,
            ],
        )
    }

    /// How long a process is away, between the two.
    fn away(&self, rng: &mut Rng) -> [u64; 2] {
        let d = self.detect_ms;
        one_of(rng, [[1, 20], [20, 200], [20, 200], [200, 2 * d]])
    }

    fn service(&self, rng: &mut Rng) -> ServiceFault {
        let how = match rng.below(5) {
            0 => Break::Busy,
            1 => Break::TooMany,
            2 => Break::Slow(rng.between([10, 2 * self.detect_ms])),
            3 => Break::BreakBefore(rng.between([2, 20]) as u32),
            _ => Break::BreakAfter(rng.between([2, 20]) as u32),
        };
        ServiceFault { replica: one_of(rng, [ReplicaFault::Primary, ReplicaFault::Secondary]), how }
    }

    fn disk(&self, rng: &mut Rng) -> Fault {
        let (how, lasts) = match rng.below(4) {
            0 | 1 => (Disk::Slow(rng.between([5, self.detect_ms])), [100, 3_000]),
            2 => (Disk::Fails, [10, 400]),
            _ => (Disk::Full, [10, 1_000]),
        };
        let what = What::Disk(DiskFault { site: one_of(rng, [Site::Edge, Site::Cloud]), how });
        let for_ms = Some(rng.between(lasts));
        Fault { at_ms: self.moment(rng), for_ms, shop: self.shop(rng), what }
    }

    /// One store only: with the log's and a journal's gone, nobody knows what ran. Its process is
    /// killed a moment later, or the loss would never be found.
    fn store(&self, rng: &mut Rng, faults: &mut Vec<Fault>) {
        let of = one_of(rng, [Process::EdgeReprise, Process::CloudReprise]);
        let age_ms = (!rng.one_in(1, 3)).then(|| rng.between([50, 3_000]));
        let (at_ms, shop) = (rng.between([500, self.duration_ms - 500]), self.shop(rng));
        let lost = What::Store(Old { of, age_ms });
        faults.push(Fault { at_ms, for_ms: None, shop, what: lost });
        let (at_ms, for_ms) = (at_ms + rng.between([1, 200]), Some(rng.between([20, 800])));
        faults.push(Fault { at_ms, for_ms, shop, what: What::Crash(of) });
    }
}

fn kind_of_cut(rng: &mut Rng) -> Cut {
    one_of(rng, [Cut::Refuse, Cut::Hole, Cut::Hole, Cut::Stall, Cut::Mute, Cut::Mute, Cut::Deaf])
}

fn plugin(rng: &mut Rng) -> Plugin {
    one_of(rng, [Plugin::Gateway, Plugin::SecondaryGuard, Plugin::PrimaryGuard])
}

/// A step; never as far as ids are remembered, after which a retry is a new write.
fn clock(rng: &mut Rng) -> Clock {
    let far = one_of(rng, [20, 2_000, 60_000, 3_600_000]);
    let step_ms = rng.between([1, far]) as i64;
    let step_ms = if rng.one_in(1, 2) { -step_ms } else { step_ms };
    Clock { site: one_of(rng, [Site::Edge, Site::Cloud]), step_ms }
}
