//! A list of steps in one input: `kind u8, length u16 little endian, so many bytes`, again and
//! again. What is cut off counts as far as it goes.

/// The steps of an input.
pub fn read(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, low, high], rest) = bytes.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        bytes = rest;
        Some((kind, payload))
    })
}

/// An input of these steps.
pub fn write<P: AsRef<[u8]>>(steps: impl IntoIterator<Item = (u8, P)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, payload) in steps {
        let payload = payload.as_ref();
        bytes.push(kind);
        bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes
}
