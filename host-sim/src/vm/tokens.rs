//! What names the filter's calls and streams. Envoy numbers the two apart, by their last two bits.

use std::collections::{BTreeMap, BTreeSet};

/// What lies between two tokens of a kind.
const STEP: u32 = 4;

/// HTTP calls under way.
#[derive(Default)]
pub(super) struct Calls {
    last: u32,
    open: BTreeSet<u32>,
}

impl Calls {
    /// A new token.
    pub(super) fn open(&mut self) -> u32 {
        self.last = self.last.wrapping_add(STEP);
        self.open.insert(self.last);
        self.last
    }

    /// Forgets a token; false if it was none.
    pub(super) fn close(&mut self, token: u32) -> bool {
        self.open.remove(&token)
    }
}

/// A gRPC stream as Envoy keeps it for the filter.
struct Stream {
    /// The context that opened it, and the only one that can use it.
    owner: u32,
    /// The filter has closed its end.
    half_closed: bool,
    /// It is over. Envoy keeps what it had of it until the filter cancels it, or closes its end.
    over: bool,
}

/// gRPC streams.
pub(super) struct Streams {
    last: u32,
    all: BTreeMap<u32, Stream>,
}

impl Streams {
    pub(super) fn new() -> Streams {
        Streams { last: 2, all: BTreeMap::new() }
    }

    /// A new token.
    pub(super) fn open(&mut self, owner: u32) -> u32 {
        self.last = self.last.wrapping_add(STEP);
        self.all.insert(self.last, Stream { owner, half_closed: false, over: false });
        self.last
    }

    /// Whether a token could be one of these.
    pub(super) fn is_kind(&self, token: u32) -> bool {
        token % STEP == self.last % STEP
    }

    /// Whether anything is still heard of a stream.
    pub(super) fn lives(&self, token: u32) -> bool {
        self.all.get(&token).is_some_and(|stream| !stream.over)
    }

    /// Whether what a context sends on a stream goes out; none if it has no such stream.
    pub(super) fn sends(&self, token: u32, context: u32) -> Option<bool> {
        let stream = self.all.get(&token).filter(|stream| stream.owner == context)?;
        Some(!stream.over && !stream.half_closed)
    }

    /// A context closes its end; whether the other side is to hear of it.
    pub(super) fn half_close(&mut self, token: u32, context: u32) -> Option<bool> {
        let sends = self.sends(token, context)?;
        match self.all.get_mut(&token) {
            Some(stream) if !stream.over => stream.half_closed = true,
            _ => drop(self.all.remove(&token)),
        }
        Some(sends)
    }

    /// A context gives a stream up; none if it has no such stream.
    pub(super) fn cancel(&mut self, token: u32, context: u32) -> Option<()> {
        self.sends(token, context)?;
        self.all.remove(&token).map(drop)
    }

    /// A stream is over, and the filter has heard of it.
    pub(super) fn end(&mut self, token: u32) {
        match self.all.get_mut(&token) {
            Some(stream) if !stream.half_closed => stream.over = true,
            _ => drop(self.all.remove(&token)),
        }
    }

    /// How many streams Envoy keeps, those that are over included.
    pub(super) fn kept(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_over_is_kept_until_it_is_cancelled_or_closed() {
        let mut streams = Streams::new();
        let (one, two) = (streams.open(1), streams.open(1));
        for stream in [one, two] {
            streams.end(stream);
            assert_eq!(streams.sends(stream, 1), Some(false));
            assert!(!streams.lives(stream));
        }
        assert_eq!(streams.kept(), 2);
        assert_eq!(streams.cancel(one, 1), Some(()));
        assert_eq!(streams.half_close(two, 1), Some(false));
        assert_eq!((streams.kept(), streams.cancel(one, 1)), (0, None));
    }

    #[test]
    fn a_stream_that_was_half_closed_goes_when_it_is_over() {
        let mut streams = Streams::new();
        let stream = streams.open(1);
        assert_eq!(streams.half_close(stream, 1), Some(true));
        assert!(streams.lives(stream));
        assert_eq!(streams.sends(stream, 1), Some(false));
        streams.end(stream);
        assert_eq!(streams.kept(), 0);
    }

    #[test]
    fn a_stream_is_its_owners_alone() {
        let mut streams = Streams::new();
        let stream = streams.open(1);
        assert_eq!((streams.sends(stream, 2), streams.cancel(stream, 2)), (None, None));
        assert_eq!(streams.sends(stream, 1), Some(true));
    }
}
