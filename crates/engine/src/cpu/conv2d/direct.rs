//! Direct convolution: packed weights, a bordered copy of the input in cache, register tiles.
//!
//! The output is cut into pieces of image rows (and of channels where rows are few). A piece copies
//! the input rows it needs, a block of channels at a time; then every tile of output pixels is one
//! [`Tile`]. The sum of one output runs over channel blocks, kernel rows, kernel columns and
//! channels in a block, whatever the pieces.

use std::sync::Arc;

use super::source::{Source, Window};
use super::{CHANNEL_BLOCK, CpuConv2d, Epilogue, Geometry};
use crate::cpu::memory::Recycler;
use crate::cpu::simd::{
    Factors, Fast, Kernel, Lanes, Left, LeftRoom, ROWS_MAX, Ranges, Rect, Spread, TILE_MAX, Tile,
};

/// Output rows a piece takes. The bordered input of a piece should stay in a cache; every piece copies its own, and reads the
/// weights of its channels.
pub(super) fn rows_per_piece<P: Factors>(geometry: &Geometry, weights: &CpuConv2d) -> usize {
    const SCRATCH_BYTES: usize = 256 << 10;
    // Products of bytes are so fast that copies count, and weights so small that they are read from far.
    const MEASURED_BYTES: usize = 768 << 10;
    let bytes = if P::MEASURED {
        MEASURED_BYTES
    } else {
        SCRATCH_BYTES
    };
    let depth = weights.inputs.min(CHANNEL_BLOCK);
    let row_bytes = geometry.bordered_width() * depth * size_of::<f32>();
    let height = geometry.output[0];
    let most = (bytes / row_bytes / geometry.stride).clamp(1, height);
    // All of much the same height, but where that would change what is measured together.
    match P::MEASURED {
        true => most,
        false => height.div_ceil(height.div_ceil(most)),
    }
}

/// One rectangle of a convolution's output: rows of one picture, some of its channels.
pub(super) struct DirectPiece<'a, P: Factors> {
    pub(super) source: Source<'a>,
    pub(super) weights: &'a CpuConv2d,
    /// All panels, of a product that measures.
    pub(super) ready: Option<&'a [P::Item]>,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Rows are pixels of whole image rows of one picture; columns start at a panel.
    pub(super) out: Rect<'a>,
}

impl<P: Factors> Kernel for DirectPiece<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let geometry = self.source.geometry;
        let (picture, first, rows) = geometry.place(&self.out.rows());
        let start = first * geometry.stride;
        let window = Window {
            picture,
            rows: start..start + (rows - 1) * geometry.stride + self.weights.kernel[0],
            columns: 0..geometry.bordered_width(),
        };
        let inputs = self.weights.inputs;
        let pixels = window.rows.len() * window.columns.len();
        let depth = CHANNEL_BLOCK.min(inputs);
        let spread = match self.weights.kernel {
            [1, 1] => Spread::Row,
            _ => Spread::All,
        };
        let measured = if P::MEASURED { pixels } else { 0 };
        let mut scratch = self.memory.take(pixels * P::laid(depth));
        let mut rounded = self.memory.take(P::left_len(pixels, depth));
        let mut ranges = self.memory.take(2 * measured);
        let [room, panel] = match self.ready {
            Some(_) => [0; 2],
            None => [
                self.weights.room(depth),
                self.weights.panel_items::<P>(depth),
            ],
        };
        let [mut room, mut panel] = [room, panel].map(|len| self.memory.take(len));
        for block in (0..inputs).step_by(CHANNEL_BLOCK) {
            let end = (block + CHANNEL_BLOCK).min(inputs);
            let pitch = P::laid(end - block);
            let scratch = &mut scratch.as_mut_slice()[..pixels * pitch];
            self.source.copy(lanes, &window, block..end, pitch, scratch);
            let left = LeftRoom {
                items: P::items(rounded.as_mut_slice()),
                ranges: ranges.as_mut_slice(),
            };
            let input = P::left(lanes, scratch, end - block, spread, left);
            let rooms = Rooms {
                numbers: room.as_mut_slice(),
                items: P::items(panel.as_mut_slice()),
            };
            self.convolve(lanes, input, rooms, picture, rows, block);
        }
    }
}

/// Where a panel is widened, and where it is rounded.
pub(super) struct Rooms<'a, T> {
    pub(super) numbers: &'a mut [f32],
    pub(super) items: &'a mut [T],
}

impl<P: Factors> DirectPiece<'_, P> {
    /// Adds the channels of `input` to the output and, with the last of them, finishes it.
    #[inline(always)]
    fn convolve<L: Lanes>(
        &mut self,
        lanes: L,
        input: Left<'_, P::Item>,
        mut rooms: Rooms<'_, P::Item>,
        picture: usize,
        rows: usize,
        block: usize,
    ) {
        let channels = CHANNEL_BLOCK.min(self.weights.inputs - block);
        let depth = P::items_in(channels);
        let apart = P::stride(channels);
        let bordered = self.source.geometry.bordered_width();
        let [kh, kw] = self.weights.kernel;
        let mut positions = [0; 49];
        for ky in 0..kh {
            for kx in 0..kw {
                positions[ky * kw + kx] = (ky * bordered + kx) * apart;
            }
        }
        let positions = &positions[..kh * kw];
        let width = self.source.geometry.output[1];
        let stride = self.source.geometry.stride;
        // With stride 1 the bordered rows follow each other at the pitch of the tile, so tiles run
        // across row ends (their last `kw - 1` pixels are dropped); otherwise each row by itself.
        let (runs, length, pitch) = if stride == 1 {
            (1, (rows - 1) * bordered + width, bordered)
        } else {
            (rows, width, width)
        };
        for col in self.out.cols().step_by(L::WIDTH) {
            let (weights, ready) = (self.weights, self.ready);
            let panel = weights.items::<P, L>(lanes, col / L::WIDTH, block, ready, &mut rooms);
            for run in 0..runs {
                for first in (0..length).step_by(L::ROWS) {
                    let count = L::ROWS.min(length - first);
                    let pixel = (run * bordered + first) * stride;
                    let tile = Tile {
                        rows: count,
                        a: &input.items[pixel * apart..],
                        stride: stride * apart,
                        positions,
                        depth,
                        panel,
                        pitch: L::WIDTH,
                        fresh: false,
                    };
                    let ranges = input.ranges.from(pixel, stride);
                    self.tile(
                        lanes,
                        (&tile, ranges),
                        run * pitch + first,
                        pitch,
                        picture,
                        col,
                        block,
                    );
                }
            }
        }
    }

    /// One tile: starts from the bias or from the sums of earlier channels, and stores. Pixel `r` of
    /// the tile is column `(first + r) % pitch` of the piece's row `(first + r) / pitch`.
    #[inline(always)]
    fn tile<L: Lanes>(
        &mut self,
        lanes: L,
        (tile, ranges): (&Tile<'_, P::Item>, Ranges<'_>),
        first: usize,
        pitch: usize,
        picture: usize,
        col: usize,
        block: usize,
    ) {
        let width = self.source.geometry.output[1];
        let outputs = self.weights.outputs;
        let start = self.out.rows().start;
        let offset = col - self.out.cols().start;
        let used = L::WIDTH.min(self.out.cols().end - col);
        let mut pixels = [None; ROWS_MAX];
        let (mut y, mut x) = (first / pitch, first % pitch);
        for pixel in &mut pixels[..tile.rows] {
            *pixel = (x < width).then_some(start + y * width + x);
            x += 1;
            if x == pitch {
                (y, x) = (y + 1, 0);
            }
        }
        let mut sums = [0.0; TILE_MAX];
        for (row, &pixel) in sums.chunks_exact_mut(L::WIDTH).zip(&pixels[..tile.rows]) {
            if block == 0 {
                row.copy_from_slice(&self.weights.bias[col..col + L::WIDTH]);
            } else if let Some(pixel) = pixel {
                row[..used].copy_from_slice(&self.out.row(pixel)[offset..][..used]);
            }
        }
        P::multiply(lanes, tile, ranges, &mut sums);
        let last = block + CHANNEL_BLOCK >= self.weights.inputs;
        for (row, &pixel) in sums.chunks_exact(L::WIDTH).zip(&pixels[..tile.rows]) {
            let Some(pixel) = pixel else { continue };
            let out = &mut self.out.row(pixel)[offset..][..used];
            if last {
                let at = [picture, pixel, col];
                self.epilogue.finish(lanes, row, at, outputs, out);
            } else {
                out.copy_from_slice(&row[..used]);
            }
        }
    }
}
