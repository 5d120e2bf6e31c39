//! Direct convolution: packed weights, a bordered copy of the input in cache, register tiles.
//!
//! The output is cut into pieces of image rows (and of channels where rows are few). A piece copies
//! the input rows it needs, a block of channels at a time, into a zero-bordered scratch; the copy
//! applies normalisation, activation and enlargement on the way. Then every tile of output pixels
//! is one [`Tile`]. The sum of one output runs over channel blocks, kernel rows, kernel columns and
//! channels in a block, whatever the pieces.

use super::linear::{check_bias, check_sizes, finish_row};
use super::math::activate;
use super::simd::{Kernel, LANES, Lanes, Level, ROWS_MAX, Rect, TILE_MAX, Tile};
use crate::{Activation, Error, Padding, Tensor};

/// Input channels summed in one go. Part of the arithmetic: do not change it lightly.
pub(super) const CHANNEL_BLOCK: usize = 256;

/// Packed weights of one convolution: `[panel][channel block][ky][kx][channel][width]`.
#[derive(Debug)]
pub struct CpuConv2d {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: [usize; 2],
    width: usize,
    numbers: Vec<f32>,
    /// `[panels * width]`.
    bias: Vec<f32>,
}

impl CpuConv2d {
    pub(super) fn pack(
        weight: &Tensor,
        bias: Option<&Tensor>,
        level: Level,
    ) -> Result<Self, Error> {
        let &[outputs, inputs, kh, kw] = weight.shape() else {
            return Err(Error::shape(
                "conv2d weight",
                weight.shape(),
                "[O, I, kh, kw]",
            ));
        };
        if !(1..=7).contains(&kh) || !(1..=7).contains(&kw) {
            let expected = "[O, I, kh, kw] with kh and kw 1 to 7";
            return Err(Error::shape("conv2d weight", weight.shape(), expected));
        }
        check_sizes("conv2d weight", weight)?;
        check_bias("conv2d bias", bias, outputs)?;
        let width = level.run(super::linear::TileWidth);
        let panels = outputs.div_ceil(width);
        let mut numbers = Vec::with_capacity(panels * width * inputs * kh * kw);
        let taps = kh * kw;
        for panel in 0..panels {
            for block in (0..inputs).step_by(CHANNEL_BLOCK) {
                for tap in 0..taps {
                    for i in block..(block + CHANNEL_BLOCK).min(inputs) {
                        numbers.extend((panel * width..(panel + 1) * width).map(|o| {
                            let at = (o * inputs + i) * taps + tap;
                            if o < outputs { weight.data()[at] } else { 0.0 }
                        }));
                    }
                }
            }
        }
        let mut padded = vec![0.0; panels * width];
        if let Some(bias) = bias {
            padded[..outputs].copy_from_slice(bias.data());
        }
        Ok(Self {
            inputs,
            outputs,
            kernel: [kh, kw],
            width,
            numbers,
            bias: padded,
        })
    }

    /// Output channels a piece takes when the channels are split.
    pub(super) fn columns_per_piece(&self) -> usize {
        2 * self.width
    }

    /// The weights of one panel for the channels from `block` on.
    fn panel(&self, panel: usize, block: usize) -> &[f32] {
        let taps = self.kernel[0] * self.kernel[1];
        let start = (panel * self.inputs + block) * taps * self.width;
        let depth = CHANNEL_BLOCK.min(self.inputs - block);
        &self.numbers[start..start + depth * taps * self.width]
    }
}

/// Scale and shift per picture and channel, `[N, C]` each, and what follows.
#[derive(Clone, Copy)]
pub(super) struct Prologue<'a> {
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) activation: Option<Activation>,
}

/// Sizes of one convolution call.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    /// Input as stored, `[h, w]`.
    pub(super) stored: [usize; 2],
    /// Input as convolved: enlarged, not yet padded.
    pub(super) enlarged: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) padding: Padding,
    pub(super) stride: usize,
}

impl Geometry {
    /// Output rows a piece takes: its bordered input should stay in a cache of about this size.
    pub(super) fn rows_per_piece(&self, weights: &CpuConv2d) -> usize {
        const SCRATCH_BYTES: usize = 256 << 10;
        let depth = weights.inputs.min(CHANNEL_BLOCK);
        let row_bytes = self.bordered_width() * depth * size_of::<f32>();
        (SCRATCH_BYTES / row_bytes / self.stride).clamp(1, self.output[0])
    }

    fn bordered_width(&self) -> usize {
        self.enlarged[1] + self.padding.left + self.padding.right
    }
}

/// One rectangle of a convolution's output: rows of one picture, some of its channels.
pub(super) struct ConvPiece<'a> {
    /// `[N, h, w, I]` as stored.
    pub(super) input: &'a [f32],
    pub(super) weights: &'a CpuConv2d,
    pub(super) geometry: Geometry,
    pub(super) prologue: Option<Prologue<'a>>,
    /// `[N, O]`.
    pub(super) channel_bias: Option<&'a [f32]>,
    pub(super) activation: Option<Activation>,
    /// `[N, H', W', O]`.
    pub(super) residual: Option<&'a [f32]>,
    /// Rows are pixels of whole image rows of one picture; columns start at a panel.
    pub(super) out: Rect<'a>,
}

impl Kernel for ConvPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let geometry = self.geometry;
        let [height, width] = geometry.output;
        let picture = self.out.rows.start / (height * width);
        let first_row = self.out.rows.start / width % height;
        let rows = self.out.rows.len() / width;
        let mut scratch = Vec::new();
        for block in (0..self.weights.inputs).step_by(CHANNEL_BLOCK) {
            self.fill(lanes, &mut scratch, picture, first_row, rows, block);
            self.convolve(lanes, &scratch, picture, rows, block);
        }
    }
}

impl ConvPiece<'_> {
    /// Copies the input rows under output rows `first_row..first_row + rows`, channels from
    /// `block` on, into `scratch` `[rows', bordered width, depth]`.
    #[inline(always)]
    fn fill<L: Lanes>(
        &self,
        lanes: L,
        scratch: &mut Vec<f32>,
        picture: usize,
        first_row: usize,
        rows: usize,
        block: usize,
    ) {
        let Geometry {
            stored,
            enlarged,
            padding,
            stride,
            ..
        } = self.geometry;
        let channels = self.weights.inputs;
        let depth = CHANNEL_BLOCK.min(channels - block);
        let bordered = self.geometry.bordered_width();
        let count = (rows - 1) * stride + self.weights.kernel[0];
        scratch.clear();
        scratch.resize(count * bordered * depth, 0.0);
        for (i, row) in scratch.chunks_exact_mut(bordered * depth).enumerate() {
            let y = first_row * stride + i;
            if y < padding.top || y - padding.top >= enlarged[0] {
                continue;
            }
            let y = (y - padding.top) * stored[0] / enlarged[0];
            let from = (picture * stored[0] + y) * stored[1];
            let inside = &mut row[padding.left * depth..][..enlarged[1] * depth];
            if depth == channels && stored[1] == enlarged[1] {
                inside.copy_from_slice(&self.input[from * channels..][..inside.len()]);
            } else {
                for (x, pixel) in inside.chunks_exact_mut(depth).enumerate() {
                    let x = x * stored[1] / enlarged[1];
                    pixel.copy_from_slice(&self.input[(from + x) * channels + block..][..depth]);
                }
            }
            if let Some(prologue) = self.prologue {
                let at = picture * channels + block;
                let (scale, shift) = (
                    &prologue.scale[at..][..depth],
                    &prologue.shift[at..][..depth],
                );
                for pixel in inside.chunks_exact_mut(depth) {
                    normalize(lanes, pixel, scale, shift, prologue.activation);
                }
            }
        }
    }

    /// Adds the channels of `scratch` to the output and, with the last of them, finishes it.
    #[inline(always)]
    fn convolve<L: Lanes>(
        &mut self,
        lanes: L,
        scratch: &[f32],
        picture: usize,
        rows: usize,
        block: usize,
    ) {
        let depth = CHANNEL_BLOCK.min(self.weights.inputs - block);
        let bordered = self.geometry.bordered_width();
        let [kh, kw] = self.weights.kernel;
        let mut positions = [0; 49];
        for ky in 0..kh {
            for kx in 0..kw {
                positions[ky * kw + kx] = (ky * bordered + kx) * depth;
            }
        }
        let positions = &positions[..kh * kw];
        let width = self.geometry.output[1];
        let stride = self.geometry.stride;
        // With stride 1 the bordered rows follow each other at the pitch of the tile, so tiles run
        // across row ends (their last `kw - 1` pixels are dropped); otherwise each row by itself.
        let (runs, length, pitch) = if stride == 1 {
            (1, (rows - 1) * bordered + width, bordered)
        } else {
            (rows, width, width)
        };
        for col in self.out.cols.clone().step_by(L::WIDTH) {
            let panel = self.weights.panel(col / L::WIDTH, block);
            for run in 0..runs {
                let a = &scratch[run * stride * bordered * depth..];
                for first in (0..length).step_by(L::ROWS) {
                    let count = L::ROWS.min(length - first);
                    let tile = Tile {
                        rows: count,
                        a: &a[first * stride * depth..],
                        stride: stride * depth,
                        positions,
                        depth,
                        panel,
                        pitch: L::WIDTH,
                        fresh: false,
                    };
                    self.tile(
                        lanes,
                        &tile,
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
        tile: &Tile<'_>,
        first: usize,
        pitch: usize,
        picture: usize,
        col: usize,
        block: usize,
    ) {
        let width = self.geometry.output[1];
        let outputs = self.weights.outputs;
        let start = self.out.rows.start;
        let offset = col - self.out.cols.start;
        let used = L::WIDTH.min(self.out.cols.end - col);
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
        lanes.multiply(tile, &mut sums);
        let last = block + CHANNEL_BLOCK >= self.weights.inputs;
        for (row, &pixel) in sums.chunks_exact(L::WIDTH).zip(&pixels[..tile.rows]) {
            let Some(pixel) = pixel else { continue };
            let out = &mut self.out.row(pixel)[offset..][..used];
            if last {
                let bias = self
                    .channel_bias
                    .map(|all| &all[picture * outputs + col..][..used]);
                let residual = self
                    .residual
                    .map(|all| &all[pixel * outputs + col..][..used]);
                finish_row(lanes, row, bias, self.activation, residual, out);
            } else {
                out.copy_from_slice(&row[..used]);
            }
        }
    }
}

/// `activation(x * scale + shift)` for the channels of one pixel.
#[inline(always)]
pub(super) fn normalize<L: Lanes>(
    lanes: L,
    pixel: &mut [f32],
    scale: &[f32],
    shift: &[f32],
    activation: Option<Activation>,
) {
    for start in (0..pixel.len()).step_by(LANES) {
        let end = (start + LANES).min(pixel.len());
        let part = &mut pixel[start..end];
        let scale = lanes.load_part(&scale[start..end]);
        let mut v = lanes.fma(
            lanes.load_part(part),
            scale,
            lanes.load_part(&shift[start..end]),
        );
        if let Some(activation) = activation {
            v = activate(lanes, v, activation);
        }
        lanes.store_part(v, part);
    }
}
