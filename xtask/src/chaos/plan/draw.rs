//! How a plan is drawn.

use std::ops::RangeInclusive;

use demo::relay::Mode;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::{Fault, Harm, Mood, Round, START_MS, Setting, SyncEnd, Victim};
use crate::stack::{Mirror, Process};

/// How long the faults of a round go on, milliseconds.
const ROUND_MS: RangeInclusive<u64> = 18_000..=28_000;
/// The farthest that a clock is set.
const DAY_MS: u64 = 86_400_000;
/// One round in so many begins with fresh sites.
const FRESH_IN: u32 = 5;

impl Round {
    /// The round of that number, from 1, of a seed.
    pub fn draw(seed: u64, number: u32) -> Self {
        let mut draw = Draw(Pcg64Mcg::seed_from_u64(seed.rotate_left(32) ^ u64::from(number)));
        let fresh = (number == 1 || draw.one_in(FRESH_IN)).then(|| Setting {
            mirror: draw.of(&[Mirror::Log, Mirror::Log, Mirror::Envoy]),
            in_flight: draw.of(&[1, 1, 3]),
            http2: draw.one_in(3),
            till_ms: draw.of(&[0, 2, 15]),
        });
        let victim = draw.process();
        let mood = draw.of(&[
            Mood::Deaths,
            Mood::Deaths,
            Mood::Relapses(victim),
            Mood::Everything,
            Mood::Stillness,
            Mood::Link,
        ]);
        let length_ms = draw.within(ROUND_MS);
        let faults = draw.faults(mood, length_ms);
        Self { number, fresh, mood, length_ms, faults }
    }
}

/// What draws.
struct Draw(Pcg64Mcg);

impl Draw {
    fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// Short far more often than long, so that both are met: even over the orders of magnitude.
    fn log_within(&mut self, least: u64, most: u64) -> u64 {
        let (least, most) = ((least as f64).ln(), (most as f64).ln());
        self.0.random_range(least..=most).exp().round() as u64
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.0.random_range(0..many) == 0
    }

    fn of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.0.random_range(0..choice.len())]
    }

    /// Moments one after the other; at each of them one victim is hurt, or two or three at once.
    fn faults(&mut self, mood: Mood, length_ms: u64) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut free_ms = [0; Victim::ALL.len()];
        let mut now = self.within(300..=2_000);
        while now < length_ms {
            let at_once = self.of(&[1, 1, 1, 1, 2, 2, 3]);
            for _ in 0..at_once {
                let victim = self.victim(mood);
                let place = Victim::ALL.iter().position(|v| *v == victim).unwrap_or(0);
                if free_ms[place] <= now {
                    let harm = self.harm(mood, victim);
                    free_ms[place] = now + harm.length_ms();
                    if free_ms[place] <= length_ms + START_MS {
                        faults.push(Fault { at_ms: now, victim, harm });
                    }
                }
            }
            now += match mood {
                Mood::Relapses(_) => self.log_within(100, 1_500),
                Mood::Deaths => self.log_within(100, 2_500),
                Mood::Everything => self.log_within(100, 4_000),
                Mood::Stillness | Mood::Link => self.log_within(300, 5_000),
            };
        }
        faults
    }

    fn process(&mut self) -> Victim {
        loop {
            let victim = self.of(&Victim::ALL);
            if victim != Victim::Link {
                return victim;
            }
        }
    }

    fn victim(&mut self, mood: Mood) -> Victim {
        match mood {
            Mood::Relapses(victim) if !self.one_in(5) => victim,
            Mood::Link if !self.one_in(3) => Victim::Link,
            Mood::Deaths if !self.one_in(8) => self.process(),
            _ => self.of(&Victim::ALL),
        }
    }

    fn harm(&mut self, mood: Mood, victim: Victim) -> Harm {
        if victim == Victim::Link {
            return self.cut();
        }
        let (kill, rest) = match mood {
            Mood::Deaths | Mood::Relapses(_) => (9, 1),
            Mood::Everything => (2, 2),
            Mood::Stillness | Mood::Link => (1, 5),
        };
        let of_stack = matches!(victim, Victim::Stack(_));
        let stores = matches!(victim, Victim::Stack(Process::EdgeReprise | Process::CloudReprise));
        if stores && self.one_in(3) {
            return self.of_disk_or_clock();
        }
        if self.within(1..=kill + rest) <= kill {
            let down_ms = self.log_within(1, 2_500);
            let starts = if of_stack { self.of(&[0, 0, 0, 1, 1, 2]) } else { 0 };
            return Harm::Kill {
                down_ms,
                again_ms: (0..starts).map(|_| self.log_within(2, 600)).collect(),
            };
        }
        let for_ms = self.log_within(100, 8_000);
        match self.within(0..=5) {
            // A till knows no order in which to end: it would be a death like any other.
            0 | 1 if of_stack => Harm::Terminate { down_ms: self.log_within(1, 2_500) },
            2 => Harm::FreezeAndKill { for_ms },
            _ => Harm::Freeze { for_ms },
        }
    }

    fn of_disk_or_clock(&mut self) -> Harm {
        match self.within(0..=5) {
            0 => Harm::SlowDisk {
                sync_ms: self.log_within(5, 200),
                for_ms: self.log_within(300, 6_000),
            },
            1 => {
                let ahead_ms = self.log_within(1_000, DAY_MS).cast_signed();
                Harm::Clock { ahead_ms: self.of(&[ahead_ms, -ahead_ms, 0]) }
            }
            _ => Harm::AtSync {
                end: self.of(&[SyncEnd::Fails, SyncEnd::DeathBefore, SyncEnd::DeathAfter]),
                nth: self.log_within(1, 50),
                down_ms: self.log_within(1, 2_500),
            },
        }
    }

    fn cut(&mut self) -> Harm {
        let slow = Mode::Slow(u32::try_from(self.log_within(5_000, 200_000)).unwrap_or(u32::MAX));
        let mode = self.of(&[Mode::Refuse, Mode::Hole, Mode::Stall, Mode::Mute, Mode::Deaf, slow]);
        match self.within(0..=5) {
            0 => Harm::Reset,
            1 | 2 => {
                let times = self.within(3..=12);
                let times_ms =
                    (0..times).map(|_| (self.log_within(50, 2_000), self.log_within(50, 2_000)));
                Harm::Cut { mode, times_ms: times_ms.collect() }
            }
            _ => Harm::Cut { mode, times_ms: vec![(self.log_within(100, 10_000), 0)] },
        }
    }
}
