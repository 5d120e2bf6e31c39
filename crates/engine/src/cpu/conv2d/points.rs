//! Convolution of single pixels (kernels of 1x1): a linear layer whose rows are normalised, activated and enlarged on the
//! way. What direct convolution computes, to the bit, but with all channels of a pixel summed in one go.

use std::sync::Arc;

use super::source::{Source, Window};
use super::{CpuConv2d, Epilogue, Geometry, Shape};
use crate::cpu::linear::{Panel, Rows, product};
use crate::cpu::memory::Recycler;
use crate::cpu::simd::{Factors, Kernel, Lanes, Left, Product, Ranges, Rect, Singles, TILE_MAX};

/// Whether a convolution is cut this way.
pub(super) fn suits(shape: &Shape) -> bool {
    shape.kernel == [1, 1] && shape.stride == 1
}

/// Image rows that a piece takes: enough pixels that its weights are not read too often.
pub(super) fn rows_per_piece(geometry: &Geometry) -> usize {
    const PIXELS: usize = 84;
    let [height, width] = geometry.output;
    PIXELS.div_ceil(width).min(height)
}

/// One rectangle of a convolution's output: rows of one picture, some of its channels.
pub(super) struct PointsPiece<'a> {
    pub(super) source: Source<'a>,
    pub(super) weights: &'a CpuConv2d,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Rows are pixels of whole image rows of one picture; columns start at a panel.
    pub(super) out: Rect<'a>,
}

impl Kernel for PointsPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let weights = self.weights;
        let (picture, first, rows) = self.source.geometry.place(&self.out.rows());
        let window = Window {
            picture,
            rows: first..first + rows,
            columns: 0..self.source.geometry.bordered_width(),
        };
        let pixels = rows * window.columns.len();
        let block = Singles::block(weights.inputs);
        let blocks = weights.inputs / block;
        let laid = Singles::laid(block);
        let mut scratch = self.memory.take(blocks * pixels * laid);
        let parts =
            scratch.as_mut_slice()[..blocks * pixels * laid].chunks_exact_mut(pixels * laid);
        for (index, part) in parts.enumerate() {
            let channels = index * block..(index + 1) * block;
            self.source.copy(lanes, &window, channels, laid, part);
        }
        let left = Left {
            items: scratch.as_slice(),
            ranges: Ranges { all: &[], every: 0 },
        };
        let len = weights.inputs * L::WIDTH;
        let mut room = self.memory.take(weights.numbers.room(len));
        let mut sums = [0.0; TILE_MAX];
        let cols = self.out.cols();
        for col in cols.clone().step_by(L::WIDTH) {
            let start = col / L::WIDTH * len;
            let numbers = weights
                .numbers
                .read(lanes, start..start + len, room.as_mut_slice());
            let panel: Panel<'_, Singles> = Panel {
                items: numbers,
                bias: &weights.bias[col..col + L::WIDTH],
            };
            let used = L::WIDTH.min(cols.end - col);
            for first in (0..pixels).step_by(L::ROWS) {
                let some = Rows {
                    first,
                    count: L::ROWS.min(pixels - first),
                    all: pixels,
                    block,
                    blocks,
                };
                product(lanes, panel, some, left, &mut sums);
                for (r, sums) in sums.chunks_exact(L::WIDTH).take(some.count).enumerate() {
                    let pixel = self.out.rows().start + first + r;
                    let out = &mut self.out.row(pixel)[col - cols.start..][..used];
                    let at = [picture, pixel, col];
                    self.epilogue.finish(lanes, sums, at, weights.outputs, out);
                }
            }
        }
    }
}
