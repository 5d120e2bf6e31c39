//! Group and layer normalisation.

use super::simd::{Kernel, LANES, Lanes, Rect};

/// Scale and shift per channel.
#[derive(Debug, Clone)]
pub struct CpuNorm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Pixels whose moments are taken in one go. Part of the arithmetic.
pub(super) const MOMENT_BLOCK: usize = 32;

/// Mean and squared deviation of each channel over one block of pixels.
pub(super) struct Moments<'a> {
    /// `[pixels, C]`, at most [`MOMENT_BLOCK`] pixels.
    pub(super) input: &'a [f32],
    pub(super) channels: usize,
    /// `[2, C]`: means, then sums of squared deviations from them.
    pub(super) out: &'a mut [f32],
}

impl Kernel for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let channels = self.channels;
        let pixels = self.input.len() / channels;
        let share = lanes.splat(1.0 / pixels as f32);
        let (means, deviations) = self.out.split_at_mut(channels);
        for start in (0..channels).step_by(LANES) {
            let end = (start + LANES).min(channels);
            let mut sum = lanes.splat(0.0);
            for pixel in self.input.chunks_exact(channels) {
                sum = lanes.add(sum, lanes.load_part(&pixel[start..end]));
            }
            let mean = lanes.mul(sum, share);
            let mut squares = lanes.splat(0.0);
            for pixel in self.input.chunks_exact(channels) {
                let off = lanes.sub(lanes.load_part(&pixel[start..end]), mean);
                squares = lanes.fma(off, off, squares);
            }
            lanes.store_part(mean, &mut means[start..end]);
            lanes.store_part(squares, &mut deviations[start..end]);
        }
    }
}

/// Mean and variance of one group from the [`Moments`] of its channels, joined in f64 in the order
/// of blocks and channels (Chan, Golub, LeVeque 1983: pairwise update of moments).
pub(super) fn join_moments(
    blocks: &[f32],
    pixels: usize,
    channels: usize,
    group: std::ops::Range<usize>,
) -> (f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (index, block) in blocks.chunks_exact(2 * channels).enumerate() {
        let more = MOMENT_BLOCK.min(pixels - index * MOMENT_BLOCK) as f64;
        for c in group.clone() {
            let off = f64::from(block[c]) - mean;
            let total = count + more;
            mean += off * more / total;
            squares += f64::from(block[channels + c]) + off * off * count * more / total;
            count = total;
        }
    }
    (mean, squares / count)
}

/// Layer normalisation of some rows.
pub(super) struct LayerNormPiece<'a> {
    /// `[rows, C]`.
    pub(super) input: &'a [f32],
    pub(super) norm: &'a CpuNorm,
    pub(super) eps: f32,
    pub(super) out: Rect<'a>,
}

impl Kernel for LayerNormPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let channels = self.norm.weight.len();
        for index in self.out.rows() {
            let row = &self.input[index * channels..][..channels];
            let mut sum = lanes.splat(0.0);
            for part in row.chunks(LANES) {
                sum = lanes.add(sum, lanes.load_part(part));
            }
            let mean = lanes.sum(sum) / channels as f32;
            let mut squares = lanes.splat(0.0);
            for part in row.chunks(LANES) {
                // Lanes beyond the row hold the mean, so that they add nothing.
                let off = lanes.sub(load_or(lanes, part, mean), lanes.splat(mean));
                squares = lanes.fma(off, off, squares);
            }
            let variance = lanes.sum(squares) / channels as f32;
            let factor = 1.0 / (variance + self.eps).sqrt();
            let out = self.out.row(index);
            for start in (0..channels).step_by(LANES) {
                let end = (start + LANES).min(channels);
                let off = lanes.sub(lanes.load_part(&row[start..end]), lanes.splat(mean));
                let v = lanes.fma(
                    lanes.mul(off, lanes.splat(factor)),
                    lanes.load_part(&self.norm.weight[start..end]),
                    lanes.load_part(&self.norm.bias[start..end]),
                );
                lanes.store_part(v, &mut out[start..end]);
            }
        }
    }
}

#[inline(always)]
fn load_or<L: Lanes>(lanes: L, part: &[f32], fill: f32) -> L::V {
    if part.len() == LANES {
        return lanes.load_part(part);
    }
    let mut group = [fill; LANES];
    group[..part.len()].copy_from_slice(part);
    lanes.load(&group)
}
