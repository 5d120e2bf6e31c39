//! Noise: the estimator of Immerkær, "Fast noise variance estimation", 1996, taken block by block. Its
//! operator is blind to planes and edges but not to texture, so the calmest blocks speak for the picture.

use crate::fidelity::plane::Plane;

/// Side of a block in pixels: 256 samples give a block's figure to about 6 %.
const BLOCK: usize = 16;
/// The figure that this share of blocks is under.
const CALMEST: f64 = 0.1;
/// Blocks whose mean is nearer than this to 0 or 255 are left out: clipping hides their noise.
const CLIPPED: f64 = 8.0;
/// Fewer blocks than this tell nothing.
const FEWEST: usize = 4;

/// Sigma of the noise of a luma plane 0..255, in levels, from 0. None for pictures too small or too
/// clipped to tell.
pub(super) fn sigma(luma: &Plane) -> Option<f64> {
    let (columns, rows) = (luma.width / BLOCK, luma.height / BLOCK);
    let mut sigmas = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            sigmas.extend(block_sigma(luma, column * BLOCK, row * BLOCK));
        }
    }
    if sigmas.len() < FEWEST {
        return None;
    }
    sigmas.sort_by(f64::total_cmp);
    Some(sigmas[(sigmas.len() as f64 * CALMEST) as usize])
}

/// Sigma of one block; its border pixels are neighbours only. None where it is clipped.
fn block_sigma(luma: &Plane, left: usize, top: usize) -> Option<f64> {
    let mut level = 0.0;
    let mut sum = 0.0;
    for y in top + 1..top + BLOCK - 1 {
        for x in left + 1..left + BLOCK - 1 {
            let row = |y| luma.at(x - 1, y) - 2.0 * luma.at(x, y) + luma.at(x + 1, y);
            sum += (row(y - 1) - 2.0 * row(y) + row(y + 1)).abs();
            level += luma.at(x, y);
        }
    }
    let samples = ((BLOCK - 2) * (BLOCK - 2)) as f64;
    let level = level / samples;
    if !(CLIPPED..=255.0 - CLIPPED).contains(&level) {
        return None;
    }
    // The operator multiplies sigma by 6; sqrt(pi / 2) takes mean size to sigma.
    let to_sigma = (std::f64::consts::PI / 2.0).sqrt() / 6.0;
    Some(to_sigma * sum / samples)
}
