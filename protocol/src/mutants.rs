//! Planted bugs: each breaks one rule on purpose, so that the simulator can be tested.
//! `cargo xtask mutants` wants every one of them found.
//!
//! Nothing of them is in a normal build: without the feature `mutants`, [`on`] is the constant
//! `false`, and whatever asks it folds away. With it, a process has at most one of them, chosen
//! once by [`select`] from what [`VARIABLE`] says.

/// The environment variable that names the planted bug of a process.
pub const VARIABLE: &str = "REPRISE_MUTANT";

macro_rules! mutants {
    ($($mutant:ident $name:literal $file:literal $about:literal)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $about] $mutant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$mutant),*];

            /// What it is called on command lines.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$mutant => $name,)* }
            }

            /// The file in which it is planted, below the root of the repository.
            pub fn file(self) -> &'static str {
                match self { $(Mutant::$mutant => $file,)* }
            }

            /// What is broken, and which promise should show it.
            pub fn about(self) -> &'static str {
                match self { $(Mutant::$mutant => $about,)* }
            }
        }
    };
}

mutants! {
    RunDuplicates "run-duplicates" "filter-core/src/guard/asking.rs"
        "The guard runs a write again that the journal says has run: twice."
    DispatchWithoutGrant "dispatch-without-grant" "filter-core/src/guard/asking.rs"
        "The guard runs a write that the journal did not grant because it runs already, comes too early or is in doubt: twice, order."
    AnswerBeforeNoted "answer-before-noted" "filter-core/src/guard/outcome.rs"
        "The guard answers before the journal has noted the outcome, and does not keep it: lost, twice."
    BreakAsNotRun "break-as-not-run" "filter-core/src/guard/outcome.rs"
        "A connection that broke under a write counts as never sent: twice."
    TimeoutAsNotRun "timeout-as-not-run" "filter-core/src/guard/outcome.rs"
        "A write that took too long or met a 502 counts as not run: twice."
    LeftAsNotRun "left-as-not-run" "filter-core/src/guard/asking.rs"
        "A write whose client has left counts as not run though it was dispatched: twice."
    ForgetRunning "forget-running" "filter-core/src/guard/link.rs"
        "The guard's hello does not name what it has dispatched, so the journal grants it again: twice."
    ReadThoughBehind "read-though-behind" "filter-core/src/guard/read.rs"
        "The guard lets every read pass, however far its replica has run: stale."

    AckOnceNumbered "ack-once-numbered" "filter-core/src/gateway/release.rs"
        "The gateway answers 200 once a write is numbered, before it ran anywhere: stale."
    SilenceAsSuccess "silence-as-success" "filter-core/src/gateway/answer.rs"
        "An answer without a guard's word counts as success, and reads are not told to see the write: stale."
    MaybeDoneAsRefused "maybe-done-as-refused" "filter-core/src/gateway/answer.rs"
        "A write that may be done is answered as refused without a trace: silent."
    NoopForKnown "noop-for-known" "filter-core/src/gateway/release.rs"
        "A repeated write goes out as a no-op though no replica has settled it: lost."
    NewIdForKey "new-id-for-key" "filter-core/src/gateway/request.rs"
        "The client's key is ignored and every try gets an id of its own: twice."
    BypassWhenSilent "bypass-when-silent" "filter-core/src/gateway/link.rs"
        "A write that the log does not answer in time goes to the primary unnumbered: lost, twice."
    ReadWithoutNumber "read-without-number" "filter-core/src/gateway/request.rs"
        "A read does not say what it must see: stale."
    SlotsThoughShared "slots-though-shared" "filter-core/src/gateway/link.rs"
        "The gateway answers for the log though another one appends too, and hears of no move: stale."

    AckBeforeSync "ack-before-sync" "replay-log/src/log/mod.rs"
        "Numbers leave before their entries are durable, which they become some time later: lost, twice."
    ReuseNumber "reuse-number" "replay-log/src/log/recover.rs"
        "The last number of each session is given out again after a restart: lost."
    StaleEpoch "stale-epoch" "replay-log/src/log/epochs.rs"
        "A session that has rested is numbered from 1 in the epoch that it had: lost, noticed."
    DropSettleMark "drop-settle-mark" "replay-log/src/log/mod.rs"
        "What replicas have settled is not written, though the entries are removed: lost, stalled."
    SkipEntry "skip-entry" "replay-log/src/log/deliver.rs"
        "Delivery goes on with the entry after the next: stalled, lost."
    ForgetEnd "forget-end" "replay-log/src/log/ends.rs"
        "A write whose gateway reported its end is never delivered to the other replica: lost."
    ForgetEndsAtRestart "forget-ends-at-restart" "replay-log/src/log/entry.rs"
        "After a restart, entries wait for ends that were reported before it: lost, stalled."
    ForgetId "forget-id" "replay-log/src/log/ends.rs"
        "The id of a settled write is forgotten, so a retry runs again: twice."
    ForgetLiveId "forget-live-id" "replay-log/src/log/append.rs"
        "The id of a write that is not settled is not recognised, so a retry gets a second number: twice."
    WithdrawReleased "withdraw-released" "replay-log/src/log/append.rs"
        "A cancel withdraws a write that another try released or that was delivered: lost, twice."
    AbandonedAsWithdrawn "abandoned-as-withdrawn" "replay-log/src/log/ends.rs"
        "A write that was released and then abandoned by its client becomes a no-op: silent, twice."
    SkipNoop "skip-noop" "replay-log/src/log/deliver.rs"
        "Withdrawn numbers are not delivered, so replicas wait for them: stalled, noticed."
    MaybeDoneAsRun "maybe-done-as-run" "replay-log/src/log/ends.rs"
        "A write that may be done counts as settled at the primary: lost."
    SilenceAsRun "silence-as-run" "replay-log/src/log/ends.rs"
        "A delivery that no guard answered counts as settled: lost."
    SettleByRoute "settle-by-route" "replay-log/src/log/ends.rs"
        "A write that the secondary ran in the primary's place counts as settled at the primary: lost."
    DropWhenOneSettled "drop-when-one-settled" "replay-log/src/log/ends.rs"
        "An entry leaves the log once one replica has settled it: lost."
    NeverProbeAgain "never-probe-again" "replay-log/src/log/deliver.rs"
        "A replica that is away is asked once and never again: stalled."
    HandBackEarly "hand-back-early" "replay-log/src/log/route.rs"
        "A session is handed back before the primary has settled what it missed, which counts as settled from then on: lost."
    ForgetHeld "forget-held" "replay-log/src/log/route.rs"
        "The first write that a hand-back held is never answered: noticed."
    LocateSettled "locate-settled" "replay-log/src/log/append.rs"
        "Reads are told of what both replicas have settled only: stale."

    GrantBeforeSync "grant-before-sync" "replay-log/src/journal/mod.rs"
        "Grants and notes leave before they are durable, which they become some time later: twice, stalled."
    GrantTwice "grant-twice" "replay-log/src/journal/session.rs"
        "A write that runs is granted again to whoever asks: twice."
    GrantOverGap "grant-over-gap" "replay-log/src/journal/session.rs"
        "A write is granted though what precedes it has not run: lost, order."
    FreshAfterRestart "fresh-after-restart" "replay-log/src/journal/record.rs"
        "What was in flight when the journal died is fresh afterwards: twice."
    OutcomeNotStored "outcome-not-stored" "replay-log/src/journal/cache.rs"
        "What ran is stored only with the next grant of its session: stalled, twice."
    ReleaseListed "release-listed" "replay-log/src/journal/guards.rs"
        "What a guard names as running when it comes back counts as not begun: twice."
    OverdueAsFresh "overdue-as-fresh" "replay-log/src/journal/outcome.rs"
        "A run that nobody reported in time counts as not begun: twice."
    DoubtAsRun "doubt-as-run" "replay-log/src/journal/outcome.rs"
        "A write in doubt is recorded as run: lost."
    RedoDoubt "redo-doubt" "replay-log/src/journal/session.rs"
        "A write in doubt is run again though its method is not idempotent: twice."
    NoopNotCounted "noop-not-counted" "replay-log/src/journal/begin.rs"
        "A no-op does not take its number, so what follows waits for ever: stalled."
    ForgetWaiter "forget-waiter" "replay-log/src/journal/begin.rs"
        "A write whose turn has come after a wait gets no answer: noticed."
    AwaitAnsweredEarly "await-answered-early" "replay-log/src/journal/begin.rs"
        "A read that must wait is told that it need not: stale."
    AnotherSessionsAnswer "another-sessions-answer" "replay-log/src/journal/remembered.rs"
        "A remembered answer is found by its place in any session, so it stands for another's write: lost."
}

#[cfg(not(feature = "mutants"))]
mod selected {
    /// Whether this bug is planted in this process: never, in a build without them.
    #[inline(always)]
    pub const fn on(_: super::Mutant) -> bool {
        false
    }
}

#[cfg(feature = "mutants")]
mod selected {
    use super::Mutant;
    use std::sync::OnceLock;

    static SELECTED: OnceLock<Mutant> = OnceLock::new();

    /// Whether this bug is planted in this process.
    pub fn on(mutant: Mutant) -> bool {
        SELECTED.get() == Some(&mutant)
    }

    /// Plants a bug in this process for the rest of its life. `Err` says why not.
    pub fn select(name: &str) -> Result<(), String> {
        let found = Mutant::ALL.iter().find(|mutant| mutant.name() == name);
        let mutant = *found.ok_or_else(|| format!("no planted bug is called \"{name}\""))?;
        match *SELECTED.get_or_init(|| mutant) {
            selected if selected == mutant => Ok(()),
            other => Err(format!("{} is planted already", other.name())),
        }
    }
}

pub use selected::on;
#[cfg(feature = "mutants")]
pub use selected::select;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_planted_bug_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        assert_eq!(names.len(), Mutant::ALL.len());
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(plain)));
    }

    #[test]
    fn no_bug_is_planted_unless_one_is_selected() {
        assert!(!Mutant::ALL.iter().any(|mutant| on(*mutant)));
    }
}
