//! Faults as a timeline names them.

use crate::{Break, Cut, Disk, Plugin, Process, ReplicaFault, Site, What};
use std::fmt;

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Link(cut) => write!(f, "the link {cut}"),
            What::Flap(flap) => write!(f, "the link comes and goes; while down it {}", flap.cut),
            What::Reset => write!(f, "every connection over the link is reset"),
            What::Delay(ms) => write!(f, "the link delays by up to {ms} ms"),
            What::Crash(process) => write!(f, "{process} is killed"),
            What::Restart(process) => write!(f, "{process} is stopped"),
            What::Pause(process) => write!(f, "{process} is frozen"),
            What::Panic(plugin) => write!(f, "the filter panics as {plugin}"),
            What::Reload => write!(f, "the edge's Envoy gets its listeners anew"),
            What::Service(fault) => write!(f, "the {} {}", fault.replica, fault.how),
            What::Disk(fault) => write!(f, "the {}'s disk {}", fault.site, fault.how),
            What::Clock(clock) => {
                write!(f, "the {}'s clock jumps by {} ms", clock.site, clock.step_ms)
            }
            What::Store(old) => match old.age_ms {
                Some(age) => write!(f, "{}'s store is as it was {age} ms ago", old.of),
                None => write!(f, "{}'s store is empty", old.of),
            },
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cut::Refuse => "refuses connections",
            Cut::Hole => "lets nothing through",
            Cut::Stall => "holds everything",
            Cut::Mute => "swallows answers",
            Cut::Deaf => "swallows requests",
        })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Process::EdgeEnvoy => "edge-envoy",
            Process::EdgeGateway => "edge-gateway",
            Process::CloudEnvoy => "cloud-envoy",
            Process::EdgeReprise => "edge-reprise",
            Process::CloudReprise => "cloud-reprise",
            Process::Primary => "primary",
            Process::Secondary => "secondary",
        })
    }
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plugin::Gateway => "gateway",
            Plugin::SecondaryGuard => "the secondary's guard",
            Plugin::PrimaryGuard => "the primary's guard",
        })
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Site::Edge { "edge" } else { "cloud" })
    }
}

impl fmt::Display for ReplicaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == ReplicaFault::Primary { "primary" } else { "secondary" })
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Busy => write!(f, "answers 503"),
            Break::TooMany => write!(f, "answers 429"),
            Break::Slow(ms) => write!(f, "is slower by {ms} ms"),
            Break::BreakBefore(of) => write!(f, "breaks one request in {of} before it runs"),
            Break::BreakAfter(of) => write!(f, "breaks one request in {of} after it ran"),
        }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disk::Slow(ms) => write!(f, "takes {ms} ms for every sync"),
            Disk::Fails => write!(f, "fails every sync"),
            Disk::Full => write!(f, "is full"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Old, ServiceFault};

    #[test]
    fn faults_are_named_in_words() {
        let how = Break::BreakAfter(7);
        for (what, words) in [
            (What::Link(Cut::Mute), "the link swallows answers"),
            (What::Crash(Process::EdgeReprise), "edge-reprise is killed"),
            (
                What::Service(ServiceFault { replica: ReplicaFault::Primary, how }),
                "the primary breaks one request in 7 after it ran",
            ),
            (
                What::Clock(Clock { site: Site::Cloud, step_ms: -5 }),
                "the cloud's clock jumps by -5 ms",
            ),
            (
                What::Store(Old { of: Process::CloudReprise, age_ms: None }),
                "cloud-reprise's store is empty",
            ),
        ] {
            assert_eq!(what.to_string(), words);
        }
    }
}
