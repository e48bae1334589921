//! The two replicas of a service.

use std::fmt;
use std::str::FromStr;

/// One of the two replicas of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Replica {
    /// The one more likely to be cut off, usually in the cloud.
    Primary,
    /// The one beside the clients, usually at the edge.
    Secondary,
}

impl Replica {
    /// Both, the primary first.
    pub const BOTH: [Replica; 2] = [Replica::Primary, Replica::Secondary];

    /// `primary` or `secondary`.
    pub const fn name(self) -> &'static str {
        match self {
            Replica::Primary => "primary",
            Replica::Secondary => "secondary",
        }
    }

    /// The other one.
    pub const fn other(self) -> Replica {
        match self {
            Replica::Primary => Replica::Secondary,
            Replica::Secondary => Replica::Primary,
        }
    }

    /// 0 for the primary, 1 for the secondary.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Replica {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        match s {
            "primary" => Ok(Replica::Primary),
            "secondary" => Ok(Replica::Secondary),
            _ => Err(()),
        }
    }
}
