//! The hash chain over the writes of one session: each link is SHA-256 over the previous link
//! and the write, so that a lost, doubled or swapped write changes every link after it.

use std::fmt;

use sha2::{Digest, Sha256};

/// The chain after some writes; [`Chain::default`] stands before the first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain([u8; 32]);

impl Chain {
    /// The chain after one more write. Each part carries its length, so that no two different
    /// writes look alike.
    #[must_use]
    pub fn next(&self, method: &str, path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Reads what [`fmt::Display`] wrote: 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(writes: &[&str]) -> Chain {
        writes
            .iter()
            .fold(Chain::default(), |chain, body| chain.next("POST", "/items", body.as_bytes()))
    }

    #[test]
    fn the_same_writes_give_the_same_chain() {
        assert_eq!(over(&["a", "b", "c"]), over(&["a", "b", "c"]));
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_write_each_change_the_chain() {
        let right = over(&["a", "b", "c"]);
        for wrong in
            [&["a", "c"][..], &["a", "b"], &["b", "c"], &["a", "b", "b", "c"], &["b", "a", "c"]]
        {
            assert_ne!(over(wrong), right, "{wrong:?}");
        }
    }

    #[test]
    fn moving_a_byte_between_the_parts_changes_the_chain() {
        let start = Chain::default();
        let right = start.next("POST", "/a", b"bc");
        assert_ne!(start.next("POST", "/ab", b"c"), right);
        assert_ne!(start.next("POS", "T/a", b"bc"), right);
        assert_ne!(start.next("PUT", "/a", b"bc"), right);
    }

    #[test]
    fn hex_goes_round_and_refuses_other_text() {
        let chain = over(&["a"]);
        assert_eq!(Chain::from_hex(&chain.to_string()), Some(chain));
        assert_eq!(Chain::from_hex("00"), None);
        assert_eq!(Chain::from_hex(&"G".repeat(64)), None);
    }
}
