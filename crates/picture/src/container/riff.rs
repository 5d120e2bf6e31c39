//! RIFF chunks, as WebP files are made of.

/// True where the bytes begin like a WebP file.
pub(crate) fn is_webp(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WEBP"
}

/// The whole file's length as its header claims it.
pub(crate) fn claimed_length(bytes: &[u8]) -> Option<u64> {
    let length = bytes.get(4..)?.first_chunk::<4>()?;
    Some(u64::from(u32::from_le_bytes(*length)) + 8)
}

/// Kind and payload of the chunks behind the header, up to the last whole one.
pub(crate) fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let kind = *rest.first_chunk::<4>()?;
        let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk::<4>()?) as usize;
        let payload = rest.get(8..)?.get(..length)?;
        // Chunks start at even places.
        rest = rest.get(8 + length + (length & 1)..).unwrap_or_default();
        Some((kind, payload))
    })
}
