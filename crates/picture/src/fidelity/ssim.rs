//! Multi-scale structural similarity: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for
//! image quality assessment", 2003, with the constants of that paper.

use super::plane::{Plane, gaussian};

/// Exponents of the scales, finest first.
const EXPONENTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Side of the window in pixels and its sigma.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// (0.01 · 255)² and (0.03 · 255)²: keep quotients steady where means or variances vanish.
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

/// MS-SSIM of two luma planes 0..255 of one size, 0 to 1.
///
/// Where the shorter side doesn't hold the window on all five scales (under 176 pixels) the coarsest
/// scales are left out and the exponents of the others are scaled to a sum of 1.
pub(super) fn ms_ssim(one: &Plane, other: &Plane) -> f64 {
    let scales = scales(one.width.min(one.height));
    let exponents = &EXPONENTS[..scales];
    let share = match scales == EXPONENTS.len() {
        // The paper's add up to 1.0001, and stay as they are.
        true => 1.0,
        false => 1.0 / exponents.iter().sum::<f64>(),
    };
    let mut planes = (one.clone(), other.clone());
    let mut product = 1.0;
    for (scale, exponent) in exponents.iter().enumerate() {
        let last = scale + 1 == scales;
        let (luminance, structure) = terms(&planes.0, &planes.1);
        let term = if last { luminance } else { structure };
        // Wang's root of a negative number is not one: anticorrelated scales are simply unlike.
        product *= libm::pow(term.max(0.0), exponent * share);
        if !last {
            planes = (planes.0.half(), planes.1.half());
        }
    }
    product.min(1.0)
}

fn scales(shorter: usize) -> usize {
    let holds = |scale: &usize| shorter >> scale >= WINDOW;
    (0..EXPONENTS.len()).filter(holds).count().max(1)
}

/// Means of the whole SSIM and of its contrast and structure part.
fn terms(one: &Plane, other: &Plane) -> (f64, f64) {
    let across = gaussian(WINDOW.min(one.width), SIGMA);
    let down = gaussian(WINDOW.min(one.height), SIGMA);
    let blur = |plane: &Plane| plane.filter_inside(&across, &down);
    let mean = (blur(one), blur(other));
    let square = (
        blur(&one.zip(one, |a, b| a * b)),
        blur(&other.zip(other, |a, b| a * b)),
    );
    let cross = blur(&one.zip(other, |a, b| a * b));
    let mut whole = mean.0.clone();
    let mut structure = mean.0.clone();
    for i in 0..whole.values.len() {
        let (a, b) = (mean.0.values[i], mean.1.values[i]);
        let variances = square.0.values[i] - a * a + square.1.values[i] - b * b;
        let covariance = cross.values[i] - a * b;
        let cs = (2.0 * covariance + C2) / (variances + C2);
        structure.values[i] = cs;
        whole.values[i] = cs * (2.0 * a * b + C1) / (a * a + b * b + C1);
    }
    (whole.mean(), structure.mean())
}
