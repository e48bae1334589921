//! Session keys, write ids and incarnations: values that cannot be built out of their limits.

use crate::limits;
use std::fmt;
use thiserror::Error;

/// Why a session key or a write id was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidId {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It is longer than its limit.
    #[error("is {bytes} bytes long, the limit is {limit}")]
    TooLong {
        /// Its length, bytes.
        bytes: usize,
        /// The most allowed, bytes.
        limit: usize,
    },
    /// It holds something other than visible ASCII or inner spaces.
    #[error("holds a character that is not printable ASCII at byte {at}")]
    NotPrintable {
        /// Offset of the first such byte.
        at: usize,
    },
}

fn check(s: &str, limit: usize) -> Result<(), InvalidId> {
    if s.is_empty() {
        return Err(InvalidId::Empty);
    }
    if s.len() > limit {
        return Err(InvalidId::TooLong { bytes: s.len(), limit });
    }
    match s.bytes().position(|b| !(0x20..0x7f).contains(&b)) {
        Some(at) => Err(InvalidId::NotPrintable { at }),
        None => Ok(()),
    }
}

/// The key of a session: 1 to [`limits::SESSION_KEY_BYTES`] bytes of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(String);

impl SessionKey {
    /// Checks and wraps a key.
    pub fn new(s: impl Into<String>) -> Result<Self, InvalidId> {
        let s = s.into();
        check(&s, limits::SESSION_KEY_BYTES)?;
        Ok(SessionKey(s))
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a write, the client's `Idempotency-Key` or minted: 1 to [`limits::ID_BYTES`] bytes
/// of printable ASCII. It counts within its session only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    /// Checks and wraps an id.
    pub fn new(s: impl Into<String>) -> Result<Self, InvalidId> {
        let s = s.into();
        check(&s, limits::ID_BYTES)?;
        Ok(Id(s))
    }

    /// An id made of 128 random bits, as 32 hexadecimal digits.
    pub fn mint(random: [u8; 16]) -> Self {
        Id(crate::text::hex(&random))
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one life of a store (log or journal) or of a process: 8 random bytes. Zero means
/// unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 8]);

impl Incarnation {
    /// Nothing is known.
    pub const UNKNOWN: Incarnation = Incarnation([0; 8]);

    /// Whether it names something.
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    /// Reads the text form; `None` if it is not one.
    pub fn parse(s: &str) -> Option<Self> {
        crate::text::unhex(s).map(Incarnation)
    }

    /// From wire bytes; anything but 8 bytes is unknown.
    pub fn from_wire(b: &[u8]) -> Self {
        b.try_into().map(Incarnation).unwrap_or_default()
    }

    /// For the wire: empty when unknown.
    pub fn to_wire(self) -> Vec<u8> {
        if self.is_known() { self.0.to_vec() } else { Vec::new() }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::hex(&self.0))
    }
}
