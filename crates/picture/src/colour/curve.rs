//! Tone curves of ICC profiles and of sRGB, evaluated in f64 with `libm`.

use moxcms::ToneReprCurve;

/// The value of `curve` at `x` in 0..1; usually in 0..1 too.
pub(super) fn evaluate(curve: &ToneReprCurve, x: f64) -> f64 {
    match curve {
        ToneReprCurve::Lut(table) => match table.as_slice() {
            [] => x,
            [gamma] => libm::pow(x, f64::from(*gamma) / 256.0),
            table => interpolate(table.len(), x, |i| f64::from(table[i]) / 65_535.0),
        },
        ToneReprCurve::Parametric(values) => parametric(values, x),
    }
}

/// ICC's five parametric curves, told apart by their number of values: g; a, b; c; d; e, f.
fn parametric(values: &[f32], x: f64) -> f64 {
    let value = |i: usize| f64::from(values.get(i).copied().unwrap_or(0.0));
    let (g, a, b, c, d) = (value(0), value(1), value(2), value(3), value(4));
    // A negative base has no power; profiles never mean one.
    let power = || libm::pow((a * x + b).max(0.0), g);
    match values.len() {
        0 => x,
        1 => libm::pow(x, g),
        3 if x >= -b / a => power(),
        3 => 0.0,
        4 if x >= -b / a => power() + c,
        4 => c,
        5 if x >= d => power(),
        5 => c * x,
        _ if x >= d => power() + value(5),
        _ => c * x + value(6),
    }
}

/// Linear between the `length` values of `at`, spread evenly over 0..1.
pub(super) fn interpolate(length: usize, x: f64, at: impl Fn(usize) -> f64) -> f64 {
    let place = x.clamp(0.0, 1.0) * (length - 1) as f64;
    let low = (place as usize).min(length - 1);
    let high = (low + 1).min(length - 1);
    let share = place - low as f64;
    at(low) * (1.0 - share) + at(high) * share
}

/// sRGB's encoding: linear 0..1 to 0..1.
pub(super) fn srgb_encode(linear: f64) -> f64 {
    if linear <= 0.003_130_8 {
        return 12.92 * linear;
    }
    1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055
}
