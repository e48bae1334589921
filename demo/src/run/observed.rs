//! What is observed of a run, and what follows from it.

use std::collections::BTreeMap;

use super::{Errors, Moment, Noted, Replay, Sample, Times};
use crate::{
    check::Verdict,
    load::{Kind, Op, Outcome, Record},
    stats::Summary,
};

/// The part of a run in which a request was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connected,
    Cut,
    Healed,
}

impl Times {
    /// A request belongs to the cut if any part of it was under way then.
    fn phase(&self, op: &Op) -> Phase {
        if op.start_us >= self.heal_ms * 1000 {
            Phase::Healed
        } else if op.end_us() >= self.cut_ms * 1000 {
            Phase::Cut
        } else {
            Phase::Connected
        }
    }
}

/// What is brought together.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What the clients noted.
    pub record: Record,
    /// What the judge found.
    pub verdict: Verdict,
    /// What was done to the link.
    pub times: Times,
    /// The time within which a cut is to be detected.
    pub detect_ms: u64,
    /// What the log's page said; nothing of a bare Envoy.
    pub samples: Vec<Sample>,
    /// What the log's page noted; nothing of a bare Envoy.
    pub noted: Vec<Noted>,
    /// Whether everything came to rest in the time given.
    pub drained: bool,
}

impl Observed {
    pub(super) fn writes(&self, phase: Phase) -> Summary {
        let writes = self.record.ops.iter().filter(|op| op.kind == Kind::Write);
        let of_phase = writes.filter(|op| self.times.phase(op) == phase);
        Summary::of(of_phase.map(|op| op.latency_us))
    }

    pub(super) fn errors(&self) -> Errors {
        let mut errors = Errors::default();
        let detection = self.times.cut_ms..self.times.cut_ms + self.detect_ms;
        for op in self.record.ops.iter().filter(|op| op.outcome != Outcome::Ok) {
            match op.kind {
                Kind::Write => errors.writes += 1,
                Kind::Read => errors.reads += 1,
            }
            // A request that was on its way when the link went counts as sent at that moment.
            let caught =
                op.start_us / 1000 < detection.start && op.end_us() / 1000 >= detection.start;
            let within = caught || detection.contains(&(op.start_us / 1000));
            errors.outside_detection += u64::from(!within);
            let kind = op.error.clone().unwrap_or_else(|| op.status.to_string());
            *errors.kinds.entry(kind).or_default() += 1;
        }
        errors
    }

    /// The first event of that kind at or after `from_ms`, if it is of the primary.
    fn primary(&self, kind: &str, from_ms: u64) -> Option<u64> {
        let of_primary = |noted: &&Noted| {
            noted.kind == kind
                && noted.at_ms >= from_ms
                && noted.replica.as_deref() == Some("primary")
        };
        self.noted.iter().find(of_primary).map(|noted| noted.at_ms)
    }

    /// When the primary had run everything that it missed: the log says so; or its page shows
    /// that nothing waits, or that no session is served by the secondary any more. Under load
    /// the last comes first, since new writes are always on their way.
    fn drained(&self) -> Option<u64> {
        let heal = self.times.heal_ms;
        let since = || self.samples.iter().filter(|sample| sample.at_ms >= heal);
        let empty = since().find(|sample| sample.backlog_primary == 0).map(|sample| sample.at_ms);
        let were_pinned = self
            .samples
            .iter()
            .any(|sample| sample.at_ms >= self.times.cut_ms && sample.pinned > 0);
        let unpinned = since().find(|sample| were_pinned && sample.pinned == 0).map(|sample| {
            let back = |noted: &&Noted| {
                noted.kind == "handed_back" && (heal..=sample.at_ms).contains(&noted.at_ms)
            };
            self.noted.iter().rfind(back).map_or(sample.at_ms, |noted| noted.at_ms)
        });
        [self.primary("drained", heal), empty, unpinned].into_iter().flatten().min()
    }

    pub(super) fn replay(&self) -> Option<Replay> {
        let heal = self.times.heal_ms;
        let drained = self.drained()?;
        let back = self.primary("back", heal).filter(|back| *back <= drained).unwrap_or(heal);
        let before = self.samples.iter().rfind(|sample| sample.at_ms <= heal)?;
        let after = self.samples.iter().find(|sample| sample.at_ms >= drained)?;
        let writes = after.delivered_primary.saturating_sub(before.delivered_primary);
        Some(Replay {
            writes,
            notice_ms: back - heal,
            drain_ms: drained - heal,
            per_second: writes * 1000 / (drained - back).max(1),
        })
    }

    pub(super) fn moments(&self, replay: Option<&Replay>) -> Vec<Moment> {
        let Times { cut_ms, heal_ms, stop_ms, .. } = self.times;
        let mut moments = Vec::new();
        let mut add = |at_ms: Option<u64>, what, detail: String| {
            moments.extend(at_ms.map(|at_ms| Moment { at_ms, what, detail }));
        };
        let after = |at: u64, from: u64| crate::format::duration_ms(at.saturating_sub(from));
        add(Some(cut_ms), "cut", "the link to the primary fails".to_owned());
        let away = self.primary("away", cut_ms);
        add(
            away,
            "detected",
            away.map(|at| after(at, cut_ms)).unwrap_or_default() + " after the cut",
        );
        let (first, all) = self.failed_over();
        add(first, "first answer", "the first write sent after the cut is acknowledged".to_owned());
        add(
            all,
            "failed over",
            format!(
                "{} after the cut every session has been served again",
                after(all.unwrap_or(0), cut_ms)
            ),
        );
        add(Some(heal_ms), "healed", "the link is there again".to_owned());
        let back = self.primary("back", heal_ms);
        add(
            back,
            "noticed",
            back.map(|at| after(at, heal_ms)).unwrap_or_default() + " after the healing",
        );
        let drained = replay.map(|replay| heal_ms + replay.drain_ms);
        let writes = replay.map_or(0, |replay| replay.writes);
        add(
            drained,
            "drained",
            format!("{} writes brought to the primary", crate::format::count(writes)),
        );
        let handed: Vec<u64> = self
            .noted
            .iter()
            .filter(|n| n.kind == "handed_back" && n.at_ms >= heal_ms)
            .map(|n| n.at_ms)
            .collect();
        add(
            handed.last().copied(),
            "handed back",
            format!("the last of {} hand-backs", handed.len()),
        );
        add(Some(stop_ms), "clients stop", String::new());
        moments.sort_by_key(|moment| moment.at_ms);
        moments
    }

    /// When the first write sent after the cut was acknowledged, and when every session had one.
    fn failed_over(&self) -> (Option<u64>, Option<u64>) {
        let mut first: BTreeMap<u32, Option<u64>> = BTreeMap::new();
        for op in self.record.ops.iter().filter(|op| op.kind == Kind::Write) {
            let entry = first.entry(op.session).or_default();
            if op.outcome == Outcome::Ok && op.start_us >= self.times.cut_ms * 1000 {
                let end = op.end_us() / 1000;
                *entry = Some(entry.map_or(end, |earlier| earlier.min(end)));
            }
        }
        let all: Option<Vec<u64>> = first.values().copied().collect();
        let earliest = first.values().flatten().min().copied();
        (earliest, all.and_then(|all| all.into_iter().max()))
    }
}
