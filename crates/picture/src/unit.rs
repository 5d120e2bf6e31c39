//! 8-bit colours to the networks' range and back. Slices only; knows nothing of tensors.

/// The networks gave a value that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value {index} of the decoded picture is NaN, expected a number around -1 to 1")]
pub struct NotANumber {
    /// Place of the first such value.
    pub index: usize,
}

/// `[H, W, 3]` u8 to f32 in −1..1: `v / 127.5 − 1`.
pub fn to_unit(rgb: &[u8]) -> Vec<f32> {
    rgb.iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect()
}

/// `[H, W, 3]` f32 around −1..1 to u8: `(x + 1) · 127.5`, rounded half to even as numpy does, then
/// clamped to 0..255. Infinities are clamped like any value beyond the ends.
///
/// Fails with [`NotANumber`] on the first NaN.
pub fn from_unit(unit: &[f32]) -> Result<Vec<u8>, NotANumber> {
    if let Some(index) = unit.iter().position(|x| x.is_nan()) {
        return Err(NotANumber { index });
    }
    // `as` saturates, which is the clamp.
    Ok(unit
        .iter()
        .map(|&x| ((x + 1.0) * 127.5).round_ties_even() as u8)
        .collect())
}
