//! What breaks, when, and for how long.

use serde::{Deserialize, Serialize};

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins.
    pub at_ms: u64,
    /// How long it lasts; until the end of the load where this is absent. What happens in a
    /// moment (a panic, a reset, a step of a clock) has no duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// At which shop, from 0; at all of them where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shop: Option<u32>,
    /// What breaks.
    pub what: What,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The link between edge and cloud.
    Link(Cut),
    /// The link goes up and down.
    Flap(Flap),
    /// Every connection over the link is reset once.
    Reset,
    /// Every frame over the link takes longer, by up to so many milliseconds each.
    Delay(u64),
    /// A process is killed, and started again after `for_ms`.
    Crash(Process),
    /// A process stops in good order, and is started again after `for_ms`.
    Restart(Process),
    /// A process hears and says nothing (SIGSTOP).
    Pause(Process),
    /// The filter's VM on one worker panics.
    Panic(Plugin),
    /// The edge's Envoy gets its listeners anew (LDS), with the same plugins.
    Reload,
    /// A replica misbehaves.
    Service(ServiceFault),
    /// A site's disk.
    Disk(DiskFault),
    /// A site's wall clock.
    Clock(Clock),
    /// A store is found in an older state, or empty, at the next start of its process.
    Store(Old),
}

/// How a link is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Connections are refused and reset.
    Refuse,
    /// Nothing passes, and nothing that was sent meanwhile ever arrives.
    Hole,
    /// Nothing passes; what was sent meanwhile arrives afterwards where the connection lives.
    Stall,
    /// Requests arrive at the cloud, answers do not come back.
    Mute,
    /// Nothing arrives at the cloud, its answers come back.
    Deaf,
}

/// A link that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// How it is broken while it is down.
    pub cut: Cut,
    /// How long it is down, each time between the two.
    pub down_ms: crate::Range,
    /// How long it is up, each time between the two.
    pub up_ms: crate::Range,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// The Envoy of the clients and of the secondary's guard.
    EdgeEnvoy,
    /// The second gateway Envoy, where `stack.gateways` is 2.
    EdgeGateway,
    /// The Envoy of the primary's guard.
    CloudEnvoy,
    /// The replay log and the secondary's journal.
    EdgeReprise,
    /// The primary's journal.
    CloudReprise,
    /// The primary replica.
    Primary,
    /// The secondary replica.
    Secondary,
}

/// One of the filter's plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plugin {
    /// Meets clients.
    Gateway,
    /// Before the secondary.
    SecondaryGuard,
    /// Before the primary.
    PrimaryGuard,
}

/// One of the two sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Site {
    /// Where clients and the secondary are.
    Edge,
    /// Where the primary is.
    Cloud,
}

/// A replica that misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFault {
    /// Which.
    pub replica: ReplicaFault,
    /// How.
    pub how: Break,
}

/// A replica, in a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaFault {
    /// P.
    Primary,
    /// S.
    Secondary,
}

/// How a replica misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// It answers 503 and runs nothing.
    Busy,
    /// It answers 429 and runs nothing.
    TooMany,
    /// Every request takes so many milliseconds more.
    Slow(u64),
    /// It closes the connection before it runs a request, one in so many.
    BreakBefore(u32),
    /// It runs a request and closes the connection before its answer, one in so many.
    BreakAfter(u32),
}

/// Something wrong with a site's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFault {
    /// Where.
    pub site: Site,
    /// What.
    pub how: Disk,
}

/// How a disk misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disk {
    /// Every sync takes so many milliseconds.
    Slow(u64),
    /// Every sync fails.
    Fails,
    /// Nothing more can be written.
    Full,
}

/// A wall clock that does not go on evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whose.
    pub site: Site,
    /// By how much it jumps, milliseconds, ahead or back.
    pub step_ms: i64,
}

/// A store that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Old {
    /// Whose: [`Process::EdgeReprise`] (the log) or [`Process::CloudReprise`] (P's journal).
    pub of: Process,
    /// How many milliseconds ago it was as it is found; absent: it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}
