//! The guard's word: what the guard before a replica says of a request.
//!
//! Text form, version 1: `v=1;replica=R;verdict=V` and, where they apply, `number=E.N`,
//! `status=S`, `digest=H`, `at=E.N.L`, `journal=H`, `unseeded`.

use crate::ids::Incarnation;
use crate::number::{Digest, Number, Position};
use crate::replica::Replica;
use crate::text;
use std::fmt;

/// What a guard did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The write ran now.
    Ran,
    /// The write ran now and opened an epoch that does not follow from the last one.
    Forced,
    /// The write had run; this is its remembered response.
    Remembered,
    /// The write had run; its response is forgotten.
    Forgotten,
    /// The write is running.
    Running,
    /// What precedes the write has not run.
    Gap,
    /// The write, or what precedes it, is in doubt.
    InDoubt,
    /// The number is known with another id, or the link does not fit: not run.
    Conflict,
    /// The guard knows a higher epoch: not run.
    StaleEpoch,
    /// Not run for another reason; it may be tried again.
    NotRun,
    /// The read was let through.
    Read,
    /// The replica has not run what the read must see.
    StaleRead,
    /// Guard and journal are there.
    Ready,
}

const VERDICTS: [(Verdict, &str); 13] = [
    (Verdict::Ran, "ran"),
    (Verdict::Forced, "forced"),
    (Verdict::Remembered, "remembered"),
    (Verdict::Forgotten, "forgotten"),
    (Verdict::Running, "running"),
    (Verdict::Gap, "gap"),
    (Verdict::InDoubt, "in-doubt"),
    (Verdict::Conflict, "conflict"),
    (Verdict::StaleEpoch, "stale-epoch"),
    (Verdict::NotRun, "not-run"),
    (Verdict::Read, "read"),
    (Verdict::StaleRead, "stale-read"),
    (Verdict::Ready, "ready"),
];

impl Verdict {
    /// Its text form.
    pub fn name(self) -> &'static str {
        VERDICTS.iter().find(|(v, _)| *v == self).map_or("", |(_, n)| n)
    }

    /// Whether it says that the write has run at the replica.
    pub fn has_run(self) -> bool {
        matches!(self, Verdict::Ran | Verdict::Forced | Verdict::Remembered | Verdict::Forgotten)
    }
}

/// A guard's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Whose guard speaks.
    pub replica: Replica,
    /// What it did.
    pub verdict: Verdict,
    /// The write it speaks of.
    pub number: Option<Number>,
    /// The status with which the write ran; 0 if it did not or nobody knows.
    pub status: u16,
    /// The digest of the response body.
    pub digest: Digest,
    /// Where the replica stands in the session.
    pub at: Option<Position>,
    /// The incarnation of the replica's journal.
    pub journal: Incarnation,
    /// The journal came in place of one that is lost, and runs nothing until it is seeded.
    pub unseeded: bool,
}

impl Word {
    /// A word that says nothing but the verdict.
    pub fn new(replica: Replica, verdict: Verdict) -> Word {
        Word {
            replica,
            verdict,
            number: None,
            status: 0,
            digest: Digest::default(),
            at: None,
            journal: Incarnation::UNKNOWN,
            unseeded: false,
        }
    }

    /// Reads the text form; `None` if it is not one.
    pub fn parse(s: &str) -> Option<Word> {
        let pairs = text::pairs(s)?;
        let get = |key: &str| text::get(&pairs, key);
        let verdict = get("verdict")?;
        Some(Word {
            replica: get("replica")?.parse().ok()?,
            verdict: VERDICTS.iter().find(|(_, n)| *n == verdict)?.0,
            number: match get("number") {
                None => None,
                Some(v) => Some(Number::parse(v)?),
            },
            status: match get("status") {
                None => 0,
                Some(v) => v.parse().ok()?,
            },
            digest: match get("digest") {
                None => Digest::default(),
                Some(v) => Digest(text::unhex(v)?),
            },
            at: match get("at") {
                None => None,
                Some(v) => Some(Position::parse(v)?),
            },
            journal: match get("journal") {
                None => Incarnation::UNKNOWN,
                Some(v) => Incarnation(text::unhex(v)?),
            },
            unseeded: get("unseeded").is_some(),
        })
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=1;replica={};verdict={}", self.replica, self.verdict.name())?;
        if let Some(number) = self.number {
            write!(f, ";number={number}")?;
        }
        if self.status != 0 {
            write!(f, ";status={};digest={}", self.status, self.digest)?;
        }
        if let Some(at) = &self.at {
            write!(f, ";at={at}")?;
        }
        if self.journal.is_known() {
            write!(f, ";journal={}", self.journal)?;
        }
        if self.unseeded {
            f.write_str(";unseeded")?;
        }
        Ok(())
    }
}
