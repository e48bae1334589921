//! Numbers, links and positions: what makes order checkable.

use crate::ids::Id;
use crate::pb;
use crate::text;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The number of a write within its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    /// The epoch; a later epoch comes after all of an earlier one.
    pub epoch: u64,
    /// 1, 2, 3 … without gaps inside the epoch; 0 stands before the first.
    pub seq: u64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl Number {
    pub(crate) fn parse(s: &str) -> Option<Number> {
        let (epoch, seq) = s.split_once('.')?;
        Some(Number { epoch: text::decimal(epoch)?, seq: text::decimal(seq)? })
    }
}

/// The link of a write: H(link of its predecessor, id), so that two histories which share a
/// link share everything before it. First 16 bytes of SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub [u8; 16]);

impl Link {
    /// The link before the first write of an epoch that follows from nothing.
    pub const START: Link = Link([0; 16]);

    /// The link of the write with this id that follows `self`.
    pub fn next(self, id: &Id) -> Link {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(id.as_str().as_bytes());
        let digest = hash.finalize();
        let mut link = [0; 16];
        link.copy_from_slice(&digest[..16]);
        Link(link)
    }

    /// From wire bytes; `None` unless there are 16.
    pub fn from_wire(b: &[u8]) -> Option<Link> {
        b.try_into().ok().map(Link)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

/// Where a session stands: its last number and that number's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The last number.
    pub number: Number,
    /// Its link.
    pub link: Link,
}

impl Position {
    /// From a message; `None` if its link has a wrong size.
    pub fn from_wire(p: &pb::Position) -> Option<Position> {
        Some(Position {
            number: Number { epoch: p.epoch, seq: p.seq },
            link: Link::from_wire(&p.link)?,
        })
    }

    /// As a message.
    pub fn to_wire(self) -> pb::Position {
        pb::Position { epoch: self.number.epoch, seq: self.number.seq, link: self.link.0.to_vec() }
    }

    /// Reads the text form; `None` if it is not one.
    pub fn parse(s: &str) -> Option<Position> {
        let (number, link) = s.rsplit_once('.')?;
        Some(Position { number: Number::parse(number)?, link: Link(text::unhex(link)?) })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.link)
    }
}

/// First 8 bytes of SHA-256 over a response body; equal bodies have equal digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 8]);

impl Digest {
    /// The digest of a body.
    pub fn of(body: &[u8]) -> Digest {
        let full = Sha256::digest(body);
        let mut digest = [0; 8];
        digest.copy_from_slice(&full[..8]);
        Digest(digest)
    }

    /// Reads the text form; `None` if it is not one.
    pub fn parse(s: &str) -> Option<Digest> {
        text::unhex(s).map(Digest)
    }

    /// From wire bytes; anything but 8 bytes is the zero digest.
    pub fn from_wire(b: &[u8]) -> Digest {
        b.try_into().map(Digest).unwrap_or_default()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}
