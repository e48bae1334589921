//! The counters, all of them. Envoy shows each as `wasmcustom.reprise.NAME`.

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Gateway: headers of ours that a client sent and that were removed.
    HeadersRemoved,
    /// Gateway: writes that the log numbered and that were released.
    Appended,
    /// Gateway: requests answered with a problem that leaves no trace.
    Refused,
    /// Gateway: writes whose client was told that the result is not known yet.
    MaybeDone,
    /// Gateway: writes whose client left before their answer.
    Abandoned,
    /// Gateway: repeated writes answered with the remembered response.
    Remembered,
    /// Gateway: repeated writes answered with the status alone.
    Forgotten,
    /// Both: held requests whose deadline passed.
    HeldTimeouts,
    /// Gateway: reads for which the log was asked where their session stands.
    ReadsLocated,
    /// Guard: writes that ran.
    GuardRan,
    /// Guard: duplicates that were answered without running.
    GuardDuplicates,
    /// Guard: writes turned back because what precedes them has not run.
    GuardGap,
    /// Guard: writes of which nobody knows whether they ran.
    GuardInDoubt,
    /// Guard: writes without a number, refused.
    GuardUnnumbered,
    /// Guard: writes that opened an epoch which follows from nothing.
    GuardForced,
    /// Guard: writes not run because another one has their number.
    GuardConflict,
    /// Guard: writes of an epoch that is over, not run.
    GuardStaleEpoch,
    /// Guard: writes turned back because the journal is not seeded.
    GuardUnseeded,
    /// Guard: reads refused because their replica has not run what they must see.
    GuardStaleReads,
    /// Both: sessions that fell out of the slot table.
    TableEvictions,
    /// Both: replies to requests that are no longer held.
    LateReplies,
    /// Both: streams that were opened.
    StreamsOpened,
}

impl Metric {
    /// Every counter, in the order of its index.
    pub const ALL: [Metric; 22] = [
        Metric::HeadersRemoved,
        Metric::Appended,
        Metric::Refused,
        Metric::MaybeDone,
        Metric::Abandoned,
        Metric::Remembered,
        Metric::Forgotten,
        Metric::HeldTimeouts,
        Metric::ReadsLocated,
        Metric::GuardRan,
        Metric::GuardDuplicates,
        Metric::GuardGap,
        Metric::GuardInDoubt,
        Metric::GuardUnnumbered,
        Metric::GuardForced,
        Metric::GuardConflict,
        Metric::GuardStaleEpoch,
        Metric::GuardUnseeded,
        Metric::GuardStaleReads,
        Metric::TableEvictions,
        Metric::LateReplies,
        Metric::StreamsOpened,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::HeadersRemoved => "reprise.headers_removed",
            Metric::Appended => "reprise.appended",
            Metric::Refused => "reprise.refused",
            Metric::MaybeDone => "reprise.maybe_done",
            Metric::Abandoned => "reprise.abandoned",
            Metric::Remembered => "reprise.remembered",
            Metric::Forgotten => "reprise.forgotten",
            Metric::HeldTimeouts => "reprise.held_timeouts",
            Metric::ReadsLocated => "reprise.reads_located",
            Metric::GuardRan => "reprise.guard_ran",
            Metric::GuardDuplicates => "reprise.guard_duplicates",
            Metric::GuardGap => "reprise.guard_gap",
            Metric::GuardInDoubt => "reprise.guard_in_doubt",
            Metric::GuardUnnumbered => "reprise.guard_unnumbered",
            Metric::GuardForced => "reprise.guard_forced",
            Metric::GuardConflict => "reprise.guard_conflict",
            Metric::GuardStaleEpoch => "reprise.guard_stale_epoch",
            Metric::GuardUnseeded => "reprise.guard_unseeded",
            Metric::GuardStaleReads => "reprise.guard_stale_reads",
            Metric::TableEvictions => "reprise.table_evictions",
            Metric::LateReplies => "reprise.late_replies",
            Metric::StreamsOpened => "reprise.streams_opened",
        }
    }

    /// Its place in [`Metric::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_documentation_lists_exactly_these_counters() {
        let prefix = "| `wasmcustom.";
        let listed = include_str!("../../docs/metrics.md").lines();
        let listed: Vec<_> =
            listed.filter_map(|line| line.strip_prefix(prefix)?.split('`').next()).collect();
        assert_eq!(listed, Metric::ALL.map(Metric::name));
    }

    #[test]
    fn every_counter_stands_at_its_index_and_names_differ() {
        for (i, m) in Metric::ALL.iter().enumerate() {
            assert_eq!(m.index(), i);
        }
        let names: std::collections::BTreeSet<_> = Metric::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }
}
