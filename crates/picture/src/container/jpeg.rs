//! JPEG markers: finds the segments and the true end of the first picture in a file.

pub(crate) const START: [u8; 3] = [0xFF, 0xD8, 0xFF];
pub(crate) const APP0: u8 = 0xE0;
pub(crate) const APP1: u8 = 0xE1;
pub(crate) const APP2: u8 = 0xE2;
pub(crate) const START_OF_SCAN: u8 = 0xDA;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;

/// Calls `visit` with each segment's marker, its payload and where the next byte stands, up to the end of
/// the first picture. `visit` answers false to stop early.
///
/// Returns where the walk ended: just behind the end-of-image marker, or `None` where the bytes ran out
/// before it. What follows the end (gain maps, second pictures, padding) is never looked at.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(u8, &'a [u8], usize) -> bool,
) -> Option<usize> {
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at)?;
        match marker {
            END_OF_IMAGE => return Some(at),
            // Markers without a payload.
            0x00 | 0x01 | 0xD0..=0xD7 | START_OF_IMAGE => continue,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let payload = bytes.get(at + 2..at + length.max(2))?;
        at += length.max(2);
        if !visit(marker, payload, at) {
            return Some(at);
        }
    }
}

/// The next marker at or behind `at`; moves `at` behind it. Bytes of entropy-coded data and stray bytes
/// between segments are passed over, since neither can hold a marker.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let skip = bytes.get(*at..)?.iter().position(|&byte| byte == 0xFF)?;
        *at += skip;
        let fill = bytes[*at..].iter().position(|&byte| byte != 0xFF)?;
        *at += fill + 1;
        let marker = bytes[*at - 1];
        if marker != 0x00 && !(0xD0..=0xD7).contains(&marker) {
            return Some(marker);
        }
    }
}

/// A segment: marker, length, payload. The payload's length is the caller's to check.
pub(crate) fn push_segment(out: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    out.extend_from_slice(&[0xFF, marker]);
    out.extend_from_slice(&((payload.len() + 2) as u16).to_be_bytes());
    out.extend_from_slice(payload);
}

/// The longest payload of a segment: its 16-bit length counts itself.
pub(crate) const MAX_PAYLOAD: usize = 65_533;
