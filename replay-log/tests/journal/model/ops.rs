//! What can happen to the journal.

use super::{GUARDS, REPORT_MS, SESSIONS};
use crate::rig::{RUN_TIMEOUT_MS, WAIT_MS};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::pb::outcome::Kind;

#[derive(Clone, Debug)]
pub enum Op {
    /// `ahead` counts from one before the next write.
    Begin {
        guard: usize,
        ahead: usize,
        delivery: bool,
        redo: bool,
        noop: bool,
        bad: bool,
    },
    /// Of something that the guard was granted.
    Outcome {
        guard: usize,
        pick: usize,
        kind: Kind,
    },
    Resolve {
        redo: bool,
    },
}

#[derive(Clone, Debug)]
pub enum Step {
    /// One op for each of the sessions, then a commit or the end of the process.
    Batch {
        ops: Vec<Op>,
        dies: bool,
    },
    Tick {
        ms: u64,
    },
    Close {
        guard: usize,
    },
    /// The guard has used only some of its grants.
    Hello {
        guard: usize,
        used: u8,
    },
    Restart,
}

pub fn op() -> impl Strategy<Value = Op> {
    let begin = (0..GUARDS, 0..4usize, any::<[bool; 3]>(), 0..12u8).prop_map(
        |(guard, ahead, [delivery, redo, _], rare)| Op::Begin {
            guard,
            ahead,
            delivery,
            redo,
            noop: rare == 0,
            bad: rare == 1,
        },
    );
    let kind = prop_oneof![4 => Just(Kind::Ran), 1 => Just(Kind::NotRun), 1 => Just(Kind::InDoubt)];
    let outcome = (0..GUARDS, any::<usize>(), kind).prop_map(|(guard, pick, kind)| Op::Outcome {
        guard,
        pick,
        kind,
    });
    prop_oneof![
        8 => begin,
        8 => outcome,
        1 => any::<bool>().prop_map(|redo| Op::Resolve { redo }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (vec(op(), 1..=SESSIONS), 0..16u8).prop_map(|(ops, n)| Step::Batch { ops, dies: n == 0 }),
        3 => prop_oneof![Just(WAIT_MS), Just(RUN_TIMEOUT_MS + REPORT_MS), 1..1500u64].prop_map(|ms| Step::Tick { ms }),
        1 => (0..GUARDS).prop_map(|guard| Step::Close { guard }),
        3 => (0..GUARDS, any::<u8>()).prop_map(|(guard, used)| Step::Hello { guard, used }),
        1 => Just(Step::Restart),
    ]
}
