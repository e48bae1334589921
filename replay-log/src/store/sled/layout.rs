//! The bytes of version 1: how keys and values of the trait become keys and values of sled.
//! Persisted, so every line here must be kept stable; the layout is described in the parent.

/// The version that this build writes and the only one that it reads.
pub(super) const VERSION: u32 = 1;
/// Largest value that sled gets to see, bytes.
pub(super) const CHUNK_BYTES: usize = 4096;
/// Bytes of a value that its head holds beside the header.
pub(super) const HEAD_DATA: usize = CHUNK_BYTES - HEADER;

const HEADER: usize = 9;
const META: u8 = 0x00;
/// What the sled keys of all records begin with.
pub(super) const DATA: u8 = 0x01;
/// What the sled keys of all tombstones begin with.
pub(super) const TOMBSTONE: u8 = 0x02;
const FORMAT: &[u8] = b"reprise-store";

/// Where the format record stands.
pub(super) fn format_key() -> Vec<u8> {
    [&[META], b"format".as_slice()].concat()
}

/// The format record of this version.
pub(super) fn format_value() -> Vec<u8> {
    [FORMAT, &VERSION.to_be_bytes()].concat()
}

/// The version in a format record; `None` if it is not one.
pub(super) fn format_version(value: &[u8]) -> Option<u32> {
    value.strip_prefix(FORMAT)?.try_into().ok().map(u32::from_be_bytes)
}

/// Where intent record `n` stands.
pub(super) fn intent_key(n: u32) -> Vec<u8> {
    [&[META], b"intent".as_slice(), &n.to_be_bytes()].concat()
}

/// Where the bytes of all keys and values stand (8 bytes, big endian).
pub(super) fn live_key() -> Vec<u8> {
    [&[META], b"live".as_slice()].concat()
}

/// What says that a key of the generation before is gone.
pub(super) fn tombstone_key(key: &[u8]) -> Vec<u8> {
    [&[TOMBSTONE], key].concat()
}

/// What all intent records begin with.
pub(super) fn intent_prefix() -> Vec<u8> {
    [&[META], b"intent".as_slice()].concat()
}

/// Packs keys into intent records of at most [`CHUNK_BYTES`]: each key after its length (2
/// bytes, big endian).
pub(super) fn intents<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    for key in keys {
        if records.last().is_none_or(|r| r.len() + 2 + key.len() > CHUNK_BYTES) {
            records.push(Vec::new());
        }
        if let Some(record) = records.last_mut() {
            record.extend_from_slice(&(key.len() as u16).to_be_bytes());
            record.extend_from_slice(key);
        }
    }
    records
}

/// The keys of an intent record; `None` if it is damaged.
pub(super) fn intent_keys(mut record: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    while !record.is_empty() {
        let (length, rest) = record.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        keys.push(key.to_vec());
        record = rest;
    }
    Some(keys)
}

/// What the sled keys of all logical keys that begin with `prefix` begin with: 0 becomes 0 255,
/// so that the terminator 0 0 is unique, and smaller than any continuation.
pub(super) fn key_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefix.len() + 8);
    out.push(DATA);
    for byte in prefix {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out
}

/// The chunk keys of one logical key.
pub(super) struct ChunkKeys(Vec<u8>);

impl ChunkKeys {
    /// Those of `key`.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut prefix = key_prefix(key);
        prefix.extend_from_slice(&[0, 0]);
        ChunkKeys(prefix)
    }

    /// What all of them begin with.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.0
    }

    /// The head's.
    pub(super) fn head(&self) -> Vec<u8> {
        [self.0.as_slice(), &[0; 4]].concat()
    }

    /// That of tail chunk `n` (1, 2, …) on a side.
    pub(super) fn tail(&self, side: Side, n: u32) -> Vec<u8> {
        [self.0.as_slice(), &side.index(n).to_be_bytes()].concat()
    }
}

/// The logical key and chunk index in a sled key; `None` if it is not one.
pub(super) fn parse_key(key: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (body, index) = key.strip_prefix(&[DATA])?.split_last_chunk::<4>()?;
    let mut escaped = body.strip_suffix(&[0, 0])?.iter();
    let mut logical = Vec::with_capacity(body.len());
    while let Some(byte) = escaped.next() {
        if *byte == 0 && escaped.next() != Some(&0xff) {
            return None;
        }
        logical.push(*byte);
    }
    Some((logical, u32::from_be_bytes(*index)))
}

/// One of the two places for the tail chunks of a key, so that a new value is complete before it
/// takes the place of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    /// The chunk index of tail chunk `n`.
    pub(super) fn index(self, n: u32) -> u32 {
        match self {
            Side::A => n,
            Side::B => 0x8000_0000 | n,
        }
    }
}

/// The header of a head chunk: the commit mark of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the tail chunks stand.
    pub(super) side: Side,
    /// Length of the whole value, bytes.
    pub(super) length: u32,
    /// CRC-32 of the whole value.
    pub(super) crc: u32,
}

impl Head {
    /// That of a value.
    pub(super) fn of(side: Side, value: &[u8]) -> Head {
        Head { side, length: value.len() as u32, crc: crc32fast::hash(value) }
    }

    /// The number of tail chunks.
    pub(super) fn tails(self) -> u32 {
        (self.length as usize).saturating_sub(HEAD_DATA).div_ceil(CHUNK_BYTES) as u32
    }

    /// Whether the chunk with this index belongs to the value.
    pub(super) fn names(self, index: u32) -> bool {
        index == 0 || (self.side.index(1)..=self.side.index(self.tails())).contains(&index)
    }

    /// The head chunk: side, length and CRC (big endian), then the first bytes of the value.
    pub(super) fn encode(self, value: &[u8]) -> Vec<u8> {
        let data = &value[..value.len().min(HEAD_DATA)];
        let mut out = Vec::with_capacity(HEADER + data.len());
        out.push(self.side as u8);
        out.extend_from_slice(&self.length.to_be_bytes());
        out.extend_from_slice(&self.crc.to_be_bytes());
        out.extend_from_slice(data);
        out
    }

    /// The header and the first bytes of the value; `None` if the chunk is not a head.
    pub(super) fn decode(chunk: &[u8]) -> Option<(Head, &[u8])> {
        let (side, rest) = chunk.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (crc, data) = rest.split_first_chunk::<4>()?;
        let side = match side {
            0 => Side::A,
            1 => Side::B,
            _ => return None,
        };
        let (length, crc) = (u32::from_be_bytes(*length), u32::from_be_bytes(*crc));
        (data.len() == (length as usize).min(HEAD_DATA))
            .then_some((Head { side, length, crc }, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_keys_keep_the_order_of_keys_that_are_prefixes_of_each_other() {
        let keys: [&[u8]; 8] = [b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"a\0\0", b"a\x01", b"ab"];
        let sled: Vec<_> = keys.iter().map(|k| ChunkKeys::new(k).tail(Side::B, 7)).collect();
        assert!(sled.is_sorted());
        for (key, sled) in keys.iter().zip(&sled) {
            assert_eq!(parse_key(sled), Some((key.to_vec(), 0x8000_0007)));
        }
    }

    #[test]
    fn a_prefix_selects_exactly_the_keys_that_begin_with_it() {
        let keys: [&[u8]; 6] = [b"\0", b"\0a", b"a", b"a\0", b"a\0b", b"b"];
        for prefix in keys {
            for key in keys {
                let selected = ChunkKeys::new(key).head().starts_with(&key_prefix(prefix));
                assert_eq!(selected, key.starts_with(prefix), "{prefix:?} {key:?}");
            }
        }
    }

    #[test]
    fn version_1_bytes_stay_as_they_are() {
        assert_eq!(format_key(), b"\0format");
        assert_eq!(format_value(), b"reprise-store\0\0\0\x01");
        assert_eq!(ChunkKeys::new(b"k\0").head(), b"\x01k\0\xff\0\0\0\0\0\0");
        assert_eq!(ChunkKeys::new(b"k").tail(Side::B, 2), b"\x01k\0\0\x80\0\0\x02");
        let head = Head::of(Side::B, b"abc");
        assert_eq!(head.encode(b"abc"), b"\x01\0\0\0\x03\x35\x24\x41\xc2abc");
        assert_eq!(intents([b"k".as_slice(), b"xy"].into_iter()), [b"\0\x01k\0\x02xy".to_vec()]);
    }

    #[test]
    fn a_head_with_a_wrong_size_is_refused() {
        let chunk = Head::of(Side::A, b"abc").encode(b"abc");
        assert!(Head::decode(&chunk).is_some());
        assert_eq!(Head::decode(&chunk[..chunk.len() - 1]), None);
        assert_eq!(Head::decode(&[2; 20]), None);
        assert_eq!(Head::decode(&[]), None);
    }

    #[test]
    fn intent_records_give_their_keys_back_and_stay_small() {
        let keys: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; 200]).collect();
        let records = intents(keys.iter().map(Vec::as_slice));
        assert!(records.len() > 1 && records.iter().all(|r| r.len() <= CHUNK_BYTES));
        let back: Vec<_> = records.iter().flat_map(|r| intent_keys(r).unwrap()).collect();
        assert_eq!(back, keys);
        assert_eq!(intent_keys(&[0, 9, 1]), None);
    }
}
