//! The text form of stamps and words: `v=1;key=value;flag`, values percent-encoded.

use std::fmt::Write as _;

/// Lower-case hexadecimal.
pub(crate) fn hex(b: &[u8]) -> String {
    b.iter().fold(String::with_capacity(b.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Exactly `N` bytes of lower-case hexadecimal.
pub(crate) fn unhex<const N: usize>(s: &str) -> Option<[u8; N]> {
    let b = s.as_bytes();
    if b.len() != 2 * N || !b.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut out = [0; N];
    for (o, pair) in out.iter_mut().zip(s.as_bytes().chunks_exact(2)) {
        *o = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// A decimal number in its one canonical form.
pub(crate) fn decimal(s: &str) -> Option<u64> {
    let n: u64 = s.parse().ok()?;
    (n.to_string() == s).then_some(n)
}

/// Percent-encodes what would break the format.
pub(crate) fn encode(s: &str) -> String {
    s.bytes().fold(String::with_capacity(s.len()), |mut out, b| {
        if b.is_ascii_graphic() && !matches!(b, b'%' | b';' | b'=') {
            out.push(b as char);
        } else {
            let _ = write!(out, "%{b:02x}");
        }
        out
    })
}

/// The inverse of [`encode`].
pub(crate) fn decode(s: &str) -> Option<String> {
    let mut out = Vec::with_capacity(s.len());
    let mut b = s.bytes();
    while let Some(c) = b.next() {
        if c == b'%' {
            let pair = [b.next()?, b.next()?];
            let [byte] = unhex::<1>(std::str::from_utf8(&pair).ok()?)?;
            out.push(byte);
        } else {
            out.push(c);
        }
    }
    String::from_utf8(out).ok()
}

/// The pairs of a text, in order; a bare word is a flag with an empty value. `None` unless it
/// begins with `v=1`, or if a key comes twice.
pub(crate) fn pairs(s: &str) -> Option<Vec<(&str, &str)>> {
    let mut parts = s.split(';');
    if parts.next()? != "v=1" {
        return None;
    }
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(12);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if pairs.iter().any(|(k, _)| *k == key) {
            return None;
        }
        pairs.push((key, value));
    }
    Some(pairs)
}

/// The value of a key among pairs.
pub(crate) fn get<'a>(pairs: &[(&'a str, &'a str)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
}
