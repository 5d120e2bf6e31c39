//! Direct convolution to a few channels: pixels in lanes, since so few channels would leave most of them empty.
//!
//! The arithmetic is that of [`super::direct`], sum by sum.

use std::sync::Arc;

use super::source::{Source, Window};
use super::{CHANNEL_BLOCK, CpuConv2d, Epilogue, Shape};
use crate::cpu::memory::Recycler;
use crate::cpu::simd::{Group, Kernel, LANES, Lanes, Rect};

/// Most channels that are few.
const FEW: usize = 4;
/// Lane groups of pixels that are summed at once.
const GROUPS: usize = 2;
/// Pixels that are summed at once.
const STEP: usize = GROUPS * LANES;
/// Output rows a piece takes: enough for the rows around them not to weigh much.
pub(super) const ROWS_PER_PIECE: usize = 4;

/// Whether a convolution of this shape is computed this way.
pub(super) fn suits(shape: &Shape) -> bool {
    shape.outputs <= FEW && shape.stride == 1 && shape.output[1] >= STEP
}

/// Rows of one picture, all of their channels.
pub(super) struct FewPiece<'a> {
    pub(super) source: Source<'a>,
    pub(super) weights: &'a CpuConv2d,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Pixels of whole image rows of one picture, and all channels.
    pub(super) out: Rect<'a>,
}

impl Kernel for FewPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let geometry = self.source.geometry;
        let (picture, first, rows) = geometry.place(&self.out.rows());
        let window = Window {
            picture,
            rows: first..first + rows - 1 + self.weights.kernel[0],
            columns: 0..geometry.bordered_width(),
        };
        let inputs = self.weights.inputs;
        let pixels = window.rows.len() * window.columns.len();
        let depth = CHANNEL_BLOCK.min(inputs);
        let mut scratch = self.memory.take(pixels * depth);
        let mut turned = self.memory.take(pixels * depth);
        let mut room = self.memory.take(self.weights.room(depth));
        for block in (0..inputs).step_by(CHANNEL_BLOCK) {
            let end = (block + CHANNEL_BLOCK).min(inputs);
            let scratch = &mut scratch.as_mut_slice()[..pixels * (end - block)];
            self.source
                .copy(lanes, &window, block..end, end - block, scratch);
            let turned = &mut turned.as_mut_slice()[..scratch.len()];
            turn(scratch, end - block, turned);
            let weights = self.weights.panel(lanes, 0, block, room.as_mut_slice());
            let part = Part {
                planes: turned,
                pixels,
                weights,
                channels: end - block,
            };
            let whole = [block == 0, end == inputs];
            match self.weights.outputs {
                1 => self.convolve::<L, 1>(lanes, part, picture, rows, whole),
                2 => self.convolve::<L, 2>(lanes, part, picture, rows, whole),
                3 => self.convolve::<L, 3>(lanes, part, picture, rows, whole),
                _ => self.convolve::<L, FEW>(lanes, part, picture, rows, whole),
            }
        }
    }
}

/// A block of channels.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// `[channels][pixels]` of the bordered window.
    planes: &'a [f32],
    pixels: usize,
    /// `[ky][kx][channels][width]`.
    weights: &'a [f32],
    channels: usize,
}

/// From `[pixels][channels]` to `[channels][pixels]`.
#[inline(always)]
fn turn(rows: &[f32], channels: usize, planes: &mut [f32]) {
    let pixels = rows.len() / channels;
    // Few pixels at a time, so that what is read stays near while it is read again.
    for (index, some) in rows.chunks(LANES * channels).enumerate() {
        let count = some.len() / channels;
        for (c, plane) in planes.chunks_exact_mut(pixels).enumerate() {
            let plane = &mut plane[index * LANES..][..count];
            for (number, row) in plane.iter_mut().zip(some.chunks_exact(channels)) {
                *number = row[c];
            }
        }
    }
}

impl FewPiece<'_> {
    /// Adds a block of channels to the output, from the bias on with the first; finishes it with the last.
    #[inline(always)]
    fn convolve<L: Lanes, const O: usize>(
        &mut self,
        lanes: L,
        part: Part<'_>,
        picture: usize,
        rows: usize,
        [first, last]: [bool; 2],
    ) {
        let bordered = self.source.geometry.bordered_width();
        let [_, width] = self.source.geometry.output;
        let start = self.out.rows().start;
        for y in 0..rows {
            for ahead in (0..width).step_by(STEP) {
                // The last ones of a row are summed with some of those before them again, which are left alone.
                let x = ahead.min(width - STEP);
                let pixel = start + y * width + x;
                let mut sums = [[0.0; STEP]; O];
                for p in ahead - x..STEP {
                    let from = match first {
                        true => &self.weights.bias[..O],
                        false => self.out.row(pixel + p),
                    };
                    for (sums, &from) in sums.iter_mut().zip(from) {
                        sums[p] = from;
                    }
                }
                self.add(lanes, part, y * bordered + x, &mut sums);
                for p in ahead - x..STEP {
                    let sums = sums.each_ref().map(|sums| sums[p]);
                    let out = self.out.row(pixel + p);
                    match last {
                        true => {
                            let at = [picture, pixel + p, 0];
                            self.epilogue.finish(lanes, &sums, at, O, out);
                        }
                        false => out.copy_from_slice(&sums),
                    }
                }
            }
        }
    }

    /// Adds a block of channels to the sums of the pixels whose windows begin from `first` on.
    #[inline(always)]
    fn add<L: Lanes, const O: usize>(
        &self,
        lanes: L,
        part: Part<'_>,
        first: usize,
        sums: &mut [[f32; STEP]; O],
    ) {
        let [_, kw] = self.weights.kernel;
        let bordered = self.source.geometry.bordered_width();
        let taps = part.channels * L::WIDTH;
        let mut held = [[lanes.splat(0.0); GROUPS]; O];
        for o in 0..O {
            for g in 0..GROUPS {
                held[o][g] = lanes.load(group(&sums[o], g));
            }
        }
        for (tap, weights) in part.weights.chunks_exact(taps).enumerate() {
            let at = first + tap / kw * bordered + tap % kw;
            let planes = part.planes.chunks_exact(part.pixels);
            for (plane, weights) in planes.zip(weights.chunks_exact(L::WIDTH)) {
                let plane = &plane[at..at + STEP];
                for o in 0..O {
                    let weight = lanes.splat(weights[o]);
                    for g in 0..GROUPS {
                        let value = lanes.load(group(plane, g));
                        held[o][g] = lanes.fma(value, weight, held[o][g]);
                    }
                }
            }
        }
        for o in 0..O {
            for g in 0..GROUPS {
                let sums = sums[o][g * LANES..].first_chunk_mut();
                lanes.store(held[o][g], sums.expect("sums are lane groups long"));
            }
        }
    }
}

/// The lane group `index` of some numbers.
#[inline(always)]
fn group(numbers: &[f32], index: usize) -> &Group {
    let group = numbers[index * LANES..].first_chunk();
    group.expect("numbers are lane groups long")
}
