//! What is to happen, drawn from a seed: rounds of faults, and now and then fresh sites. The same
//! seed gives the same plan on every machine, however long anything takes there.

mod draw;

use std::fmt;

use demo::relay::Mode;

use crate::stack::{Mirror, Process};

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

/// How a process ends at a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncEnd {
    /// The sync fails, and so does each after it: the process must end by itself.
    Fails,
    /// SIGKILL before the sync.
    DeathBefore,
    /// SIGKILL after it.
    DeathAfter,
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
    /// At a sync soon, the disk fails or the process is killed; started again after a while.
    AtSync {
        /// Which of the two.
        end: SyncEnd,
        /// At the how manieth sync from now.
        nth: u64,
        /// Until it is started.
        down_ms: u64,
    },
    /// Every sync takes longer.
    SlowDisk {
        /// By so much.
        sync_ms: u64,
        /// For how long.
        for_ms: u64,
    },
    /// The site's wall clock is set to so much ahead of the real one, and stays there.
    Clock {
        /// May be behind it.
        ahead_ms: i64,
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
            Self::Freeze { for_ms } | Self::SlowDisk { for_ms, .. } => *for_ms,
            Self::AtSync { down_ms, .. } => down_ms + START_MS,
            Self::FreezeAndKill { for_ms } => for_ms + START_MS,
            Self::Cut { times_ms, .. } => times_ms.iter().map(|(down, up)| down + up).sum(),
            Self::Clock { .. } | Self::Reset => 0,
        }
    }

    /// How many SIGKILLs it is.
    pub fn kills(&self) -> u64 {
        match self {
            Self::Kill { again_ms, .. } => 1 + again_ms.len() as u64,
            Self::FreezeAndKill { .. } => 1,
            Self::AtSync { end, .. } => u64::from(*end != SyncEnd::Fails),
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
            Self::AtSync { end, nth, down_ms } => {
                let end = match end {
                    SyncEnd::Fails => "EIO",
                    SyncEnd::DeathBefore => "kill -9 before",
                    SyncEnd::DeathAfter => "kill -9 after",
                };
                write!(f, "{end} sync {nth} from now, started after {down_ms} ms")
            }
            Self::SlowDisk { sync_ms, for_ms } => {
                write!(f, "syncs take {sync_ms} ms longer for {for_ms} ms")
            }
            Self::Clock { ahead_ms } => write!(f, "its clock is {ahead_ms} ms ahead from now on"),
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

#[cfg(test)]
mod tests;
