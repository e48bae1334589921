//! The stamp: what a gateway or delivery says of a request to the guard it goes to.
//!
//! Text form, version 1: `v=1;kind=write;session=S;number=E.N;link=L;id=I;time=T` and, where
//! they apply, `after=E.N.L`, `delivery`, `noop`, `again`, `ran=STATUS`, `log=H`, `primary=H`,
//! `secondary=H`;
//! or `v=1;kind=read;session=S;last=E.N`, `v=1;kind=bypass`, `v=1;kind=probe`.

use crate::ids::{Id, Incarnation, SessionKey};
use crate::number::{Link, Number, Position};
use crate::replica::Replica;
use crate::text;
use std::fmt;

/// A request's stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// A numbered write.
    Write(Box<WriteStamp>),
    /// A read of a session that must see everything up to `last`.
    Read {
        /// The session.
        session: SessionKey,
        /// The last number that the session's clients were acknowledged; zero if none.
        last: Number,
    },
    /// A request that is not replicated.
    Bypass,
    /// Delivery asks whether the guard and its journal are there; the guard answers itself.
    Probe,
}

/// The stamp of a numbered write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteStamp {
    /// The session.
    pub session: SessionKey,
    /// The number.
    pub number: Number,
    /// The link of this write.
    pub link: Link,
    /// The id of this write.
    pub id: Id,
    /// When a gateway first met it, unix milliseconds.
    pub time_ms: u64,
    /// At seq 1: the end of the predecessor epoch.
    pub after: Option<Position>,
    /// Delivered by the log.
    pub delivery: bool,
    /// Withdrawn: takes its number, runs nothing.
    pub noop: bool,
    /// It may have been attempted before.
    pub again: bool,
    /// Of a delivery: the status with which the other replica has run it, if the log knows.
    pub ran: Option<u16>,
    /// The incarnation of the log's store.
    pub log: Incarnation,
    /// The journals' incarnations that the log knew at numbering, the primary's first.
    pub journals: [Incarnation; 2],
}

impl WriteStamp {
    /// The incarnation of a replica's journal that the log knew at numbering.
    pub fn journal(&self, replica: Replica) -> Incarnation {
        match replica {
            Replica::Primary => self.journals[0],
            Replica::Secondary => self.journals[1],
        }
    }
}

impl Stamp {
    /// Reads the text form; `None` if it is not one.
    pub fn parse(s: &str) -> Option<Stamp> {
        let pairs = text::pairs(s)?;
        let get = |key: &str| text::get(&pairs, key);
        let session = || SessionKey::new(text::decode(get("session")?)?).ok();
        let incarnation = |key: &str| match get(key) {
            None => Some(Incarnation::UNKNOWN),
            Some(v) => text::unhex(v).map(Incarnation),
        };
        match get("kind")? {
            "write" => Some(Stamp::Write(Box::new(WriteStamp {
                session: session()?,
                number: Number::parse(get("number")?)?,
                link: Link(text::unhex(get("link")?)?),
                id: Id::new(text::decode(get("id")?)?).ok()?,
                time_ms: text::decimal(get("time")?)?,
                after: match get("after") {
                    None => None,
                    Some(v) => Some(Position::parse(v)?),
                },
                delivery: get("delivery").is_some(),
                noop: get("noop").is_some(),
                again: get("again").is_some(),
                ran: get("ran").and_then(|status| status.parse().ok()),
                log: incarnation("log")?,
                journals: [incarnation("primary")?, incarnation("secondary")?],
            }))),
            "read" => Some(Stamp::Read { session: session()?, last: Number::parse(get("last")?)? }),
            "bypass" => Some(Stamp::Bypass),
            "probe" => Some(Stamp::Probe),
            _ => None,
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stamp::Write(w) => w.fmt(f),
            Stamp::Read { session, last } => {
                write!(f, "v=1;kind=read;session={};last={last}", text::encode(session.as_str()))
            }
            Stamp::Bypass => f.write_str("v=1;kind=bypass"),
            Stamp::Probe => f.write_str("v=1;kind=probe"),
        }
    }
}

impl fmt::Display for WriteStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = text::encode(self.session.as_str());
        let id = text::encode(self.id.as_str());
        write!(f, "v=1;kind=write;session={session};number={};link={}", self.number, self.link)?;
        write!(f, ";id={id};time={}", self.time_ms)?;
        if let Some(after) = &self.after {
            write!(f, ";after={after}")?;
        }
        for (set, flag) in [(self.delivery, "delivery"), (self.noop, "noop"), (self.again, "again")]
        {
            if set {
                write!(f, ";{flag}")?;
            }
        }
        if let Some(status) = self.ran {
            write!(f, ";ran={status}")?;
        }
        for (incarnation, key) in
            [(self.log, "log"), (self.journals[0], "primary"), (self.journals[1], "secondary")]
        {
            if incarnation.is_known() {
                write!(f, ";{key}={incarnation}")?;
            }
        }
        Ok(())
    }
}
