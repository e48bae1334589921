//! What is to happen, drawn from a seed: rounds of faults, and now and then fresh sites. The same
//! seed gives the same plan on every machine, however long anything takes there.

use std::fmt;
use std::ops::RangeInclusive;

use demo::relay::Mode;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use crate::stack::{Mirror, Process};

/// How long the faults of a round go on, milliseconds.
const ROUND_MS: RangeInclusive<u64> = 18_000..=28_000;
/// One round in so many begins with fresh sites.
const FRESH_IN: u32 = 5;
/// What is started again is spared for so long by the plan: its start takes a time of its own.
const START_MS: u64 = 1_500;

/// Who can be hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// A process of the stack.
    Stack(Process),
    /// The replica behind the link.
    Primary,
    /// The replica beside the clients.
    Secondary,
    /// The link between the sites.
    Link,
}

impl Victim {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Stack(Process::EdgeReprise),
        Self::Stack(Process::CloudReprise),
        Self::Stack(Process::EdgeEnvoy),
        Self::Stack(Process::CloudEnvoy),
        Self::Primary,
        Self::Secondary,
        Self::Link,
    ];

    /// As the plan calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stack(process) => process.name(),
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Link => "link",
        }
    }
}

/// Something bad, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// SIGKILL, and started again after a while; the starts before the last are killed so many
    /// milliseconds after their beginning.
    Kill {
        /// Until it is started.
        down_ms: u64,
        /// Into which starts it is killed again.
        again_ms: Vec<u64>,
    },
    /// SIGTERM, and started again after a while.
    Terminate {
        /// Until it is started.
        down_ms: u64,
    },
    /// SIGSTOP, then SIGCONT.
    Freeze {
        /// Between the two.
        for_ms: u64,
    },
    /// SIGSTOP, then SIGKILL, and started again at once.
    FreezeAndKill {
        /// Between the two.
        for_ms: u64,
    },
    /// The link is cut and comes back, once or several times.
    Cut {
        /// How.
        mode: Mode,
        /// How long it is cut, and how long it is there before the next cut.
        times_ms: Vec<(u64, u64)>,
    },
    /// All connections over the link are reset.
    Reset,
}

impl Harm {
    /// How long it takes, without what a start takes on this machine.
    fn length_ms(&self) -> u64 {
        match self {
            Self::Kill { down_ms, again_ms } => down_ms + again_ms.iter().sum::<u64>() + START_MS,
            Self::Terminate { down_ms } => down_ms + START_MS,
            Self::Freeze { for_ms } => *for_ms,
            Self::FreezeAndKill { for_ms } => for_ms + START_MS,
            Self::Cut { times_ms, .. } => times_ms.iter().map(|(down, up)| down + up).sum(),
            Self::Reset => 0,
        }
    }

    /// How many SIGKILLs it is.
    pub fn kills(&self) -> u64 {
        match self {
            Self::Kill { again_ms, .. } => 1 + again_ms.len() as u64,
            Self::FreezeAndKill { .. } => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { down_ms, again_ms } => {
                write!(f, "kill -9, started after {down_ms} ms")?;
                again_ms.iter().try_for_each(|ms| write!(f, ", killed {ms} ms into its start"))
            }
            Self::Terminate { down_ms } => write!(f, "SIGTERM, started after {down_ms} ms"),
            Self::Freeze { for_ms } => write!(f, "SIGSTOP for {for_ms} ms"),
            Self::FreezeAndKill { for_ms } => write!(f, "SIGSTOP, kill -9 after {for_ms} ms"),
            Self::Cut { mode, times_ms } => {
                write!(f, "{mode:?} for")?;
                for (n, (down, up)) in times_ms.iter().enumerate() {
                    let after = if n + 1 < times_ms.len() {
                        format!(" ms, {up} ms up,")
                    } else {
                        " ms".to_owned()
                    };
                    write!(f, " {down}{after}")?;
                }
                Ok(())
            }
            Self::Reset => f.write_str("all connections reset"),
        }
    }
}

/// A fault of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When, milliseconds from the beginning of the round. Later, if the victim still suffers
    /// from the fault before.
    pub at_ms: u64,
    /// Whom.
    pub victim: Victim,
    /// What.
    pub harm: Harm,
}

/// How sites are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Who brings writes to the other replica.
    pub mirror: Mirror,
    /// How many writes a session has under way at once.
    pub in_flight: u32,
    /// Whether clients speak HTTP/2.
    pub http2: bool,
    /// How long a till takes for a request.
    pub till_ms: u64,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = if self.http2 { "HTTP/2" } else { "HTTP/1.1" };
        let Self { mirror, in_flight, till_ms, .. } = self;
        write!(
            f,
            "mirror {}, {in_flight} in flight, {http}, tills take {till_ms} ms",
            mirror.name()
        )
    }
}

/// What the faults of a round are mostly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Deaths, one upon the other.
    Deaths,
    /// One process dies over and over, the others seldom.
    Relapses(Victim),
    /// Everything there is.
    Everything,
    /// Processes that stand still.
    Stillness,
    /// A link that comes and goes.
    Link,
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deaths => f.write_str("deaths"),
            Self::Relapses(victim) => write!(f, "{} dies and dies", victim.name()),
            Self::Everything => f.write_str("everything"),
            Self::Stillness => f.write_str("stillness"),
            Self::Link => f.write_str("link"),
        }
    }
}

/// A round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Its number, from 1.
    pub number: u32,
    /// It begins with fresh sites of this kind.
    pub fresh: Option<Setting>,
    /// What its faults are mostly.
    pub mood: Mood,
    /// How long its faults go on.
    pub length_ms: u64,
    /// Its faults, by their times.
    pub faults: Vec<Fault>,
}

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
        let victim = draw.of(&Victim::ALL);
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

    /// The faults of one victim, in their order.
    pub fn of(&self, victim: Victim) -> Vec<Fault> {
        self.faults.iter().filter(|fault| fault.victim == victim).cloned().collect()
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}: {}, {:.1} s", self.number, self.mood, self.length_ms as f64 / 1000.0)?;
        if let Some(setting) = &self.fresh {
            write!(f, "; fresh sites: {setting}")?;
        }
        for Fault { at_ms, victim, harm } in &self.faults {
            let at = *at_ms as f64 / 1000.0;
            write!(f, "\n  {at:>6.2} s  {:<13} {harm}", victim.name())?;
        }
        Ok(())
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

    fn victim(&mut self, mood: Mood) -> Victim {
        match mood {
            Mood::Relapses(victim) if !self.one_in(5) => victim,
            Mood::Link if !self.one_in(3) => Victim::Link,
            Mood::Deaths if !self.one_in(8) => self.of(&Victim::ALL[..6]),
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

    fn cut(&mut self) -> Harm {
        let mode = self.of(&[Mode::Refuse, Mode::Hole, Mode::Stall, Mode::Mute, Mode::Deaf]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_plan_each_time_and_another_one_another() {
        let plan = |seed| (1..20).map(|number| Round::draw(seed, number)).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn over_some_rounds_everything_happens_to_everybody() {
        let rounds: Vec<_> = (1..=60).map(|number| Round::draw(1, number)).collect();
        let faults: Vec<_> = rounds.iter().flat_map(|round| &round.faults).collect();
        let happens = |victim, is: fn(&Harm) -> bool| {
            faults.iter().any(|fault| fault.victim == victim && is(&fault.harm))
        };
        for victim in Victim::ALL.into_iter().filter(|v| *v != Victim::Link) {
            assert!(happens(victim, |harm| matches!(harm, Harm::Kill { .. })), "{victim:?}");
            assert!(happens(victim, |harm| matches!(harm, Harm::Freeze { .. })), "{victim:?}");
        }
        let edge = Victim::Stack(Process::EdgeReprise);
        assert!(happens(edge, |harm| harm.kills() == 3));
        assert!(happens(edge, |harm| matches!(harm, Harm::Terminate { .. })));
        assert!(happens(Victim::Link, |harm| matches!(harm, Harm::Reset)));
        for mode in [Mode::Refuse, Mode::Hole, Mode::Stall, Mode::Mute, Mode::Deaf] {
            let cuts = |f: &&&Fault| matches!(f.harm, Harm::Cut { mode: m, .. } if m == mode);
            assert!(faults.iter().any(|fault| cuts(&fault)), "{mode:?}");
        }
        let together = faults.windows(2).any(|two| {
            two[0].at_ms == two[1].at_ms && two.iter().all(|fault| fault.harm.kills() > 0)
        });
        assert!(together, "two are killed at once");
    }

    #[test]
    fn a_victim_has_one_fault_at_a_time_and_the_first_round_is_fresh() {
        for number in 1..=60 {
            let round = Round::draw(3, number);
            assert!(number > 1 || round.fresh.is_some());
            for victim in Victim::ALL {
                for two in round.of(victim).windows(2) {
                    assert!(two[0].at_ms + two[0].harm.length_ms() <= two[1].at_ms, "{round}");
                }
            }
        }
    }

    #[test]
    fn sixty_rounds_are_more_than_five_hundred_deaths() {
        let kills =
            |number| Round::draw(1, number).faults.iter().map(|f| f.harm.kills()).sum::<u64>();
        let sum: u64 = (1..=60).map(kills).sum();
        assert!(sum > 500, "{sum}");
    }
}
