//! PNG chunks: kind and payload of each, in order.

pub(crate) const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// One chunk.
pub(crate) struct Chunk<'a> {
    pub(crate) kind: [u8; 4],
    pub(crate) payload: &'a [u8],
}

/// The chunks behind the signature, up to the last whole one.
pub(crate) fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
        let kind = *rest.get(4..)?.first_chunk::<4>()?;
        let payload = rest.get(8..)?.get(..length)?;
        rest = rest.get(8 + length + 4..)?; // 4 bytes of checksum
        Some(Chunk { kind, payload })
    })
}
