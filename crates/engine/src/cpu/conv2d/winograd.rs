//! 3x3 convolution in tiles of 4x4 output pixels: F(4x4, 3x3) of Winograd's minimal filtering
//! (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks").
//!
//! A tile needs 36 products for each pair of channels instead of 144. A piece transforms the 6x6
//! inputs of its tiles, multiplies them with the transformed weights (36 matrix products over
//! channels, in ascending order) and transforms back, a panel of output channels at a time.
//!
//! The transforms interpolate at the points 0, ±3/4, ±3/2 and infinity. The usual 0, ±1, ±2 and
//! infinity cost twice the rounding error in the root mean square and four times in the largest
//! (measured over 128 channels of noise); these are exact in f32 all the same. How the error follows
//! from the points: Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd
//! Convolution for Deep Neural Networks".

use std::sync::Arc;

use super::source::{Source, Window};
use super::{CpuConv2d, Epilogue, Shape};
use crate::cpu::memory::Recycler;
use crate::cpu::simd::{Group, Kernel, LANES, Lanes, Rect, Tile};

/// Side of a tile of outputs.
const TILE: usize = 4;
/// Side of the inputs a tile needs.
const REACH: usize = TILE + 2;
/// Products a tile takes for each pair of channels.
const PLACES: usize = REACH * REACH;
/// Tiles a piece aims at: its transformed inputs should stay in a cache of the processor.
const TILES_PER_PIECE: usize = 48;
/// Input channels copied and transformed in one go.
const COPY_BLOCK: usize = 64;
/// Input channels multiplied in one go. Sums go on where they stopped, so any number gives the
/// same results.
const PRODUCT_BLOCK: usize = 256;

/// The points are 0, `±NEAR`, `±FAR` and infinity.
const NEAR: f32 = 0.75;
const FAR: f32 = 1.5;
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;

/// Whether a convolution takes this algorithm. Part of the arithmetic: it depends on shapes alone.
///
/// Few channels do not repay the transforms, few tiles do not repay reading 4 times the weights.
pub(super) fn suits(shape: &Shape) -> bool {
    let [height, width] = shape.output;
    let tiles = height.div_ceil(TILE) * width.div_ceil(TILE);
    let channels = shape.inputs.min(shape.outputs);
    shape.kernel == [3, 3] && shape.stride == 1 && channels >= 32 && tiles >= 16
}

/// Numbers that the transformed weights of a layer take, but for what fills up its last panel.
pub(super) fn transformed_len(shape: &Shape) -> usize {
    PLACES * shape.inputs * shape.outputs
}

/// Numbers that one thread needs at a time for the transformed inputs of its piece.
pub(super) fn spectra_len(shape: &Shape) -> usize {
    let [height, width] = shape.output;
    let rows = rows_per_piece(width).min(height.next_multiple_of(TILE));
    PLACES * (rows / TILE) * width.div_ceil(TILE) * shape.inputs
}

/// Output rows a piece takes of a picture `width` pixels wide.
pub(super) fn rows_per_piece(width: usize) -> usize {
    let across = width.div_ceil(TILE);
    TILE * (TILES_PER_PIECE / across).max(1)
}

/// Size of one panel of transformed weights, `[place][channel][width]`.
pub(super) fn panel_len(weights: &CpuConv2d) -> usize {
    PLACES * weights.inputs * weights.width
}

/// Transforms the weights of one panel: `G g Gᵀ` for each pair of channels, in f64.
pub(super) fn transform_weights(weights: &CpuConv2d, panel: usize, out: &mut [f32]) {
    let (inputs, width) = (weights.inputs, weights.width);
    for block in (0..inputs).step_by(super::CHANNEL_BLOCK) {
        let packed = weights.panel(panel, block);
        let depth = packed.len() / 9 / width;
        for i in 0..depth {
            for column in 0..width {
                let tap = |ky: usize, kx: usize| {
                    f64::from(packed[((ky * 3 + kx) * depth + i) * width + column])
                };
                let rows = [0, 1, 2].map(|kx| spread([tap(0, kx), tap(1, kx), tap(2, kx)]));
                for y in 0..REACH {
                    let row = spread([rows[0][y], rows[1][y], rows[2][y]]);
                    for (x, &value) in row.iter().enumerate() {
                        let at = ((y * REACH + x) * inputs + block + i) * width + column;
                        out[at] = value as f32;
                    }
                }
            }
        }
    }
}

/// `G g`: the filter's polynomial at the points, over the product of each point's distances from
/// the other ones.
fn spread([a, b, c]: [f64; 3]) -> [f64; REACH] {
    let (near, far) = (f64::from(NEAR), f64::from(FAR));
    let (near_2, far_2) = (near * near, far * far);
    let at = |point: f64| a + point * (b + point * c);
    let near_by = 2.0 * near_2 * (near_2 - far_2);
    let far_by = 2.0 * far_2 * (far_2 - near_2);
    [
        a / (near_2 * far_2),
        at(near) / near_by,
        at(-near) / near_by,
        at(far) / far_by,
        at(-far) / far_by,
        c,
    ]
}

/// `Bᵀ d`: row `i` holds the coefficients of the product of `x - p` over the points but the `i`-th.
#[inline(always)]
fn transform_input<L: Lanes>(lanes: L, d: [L::V; REACH]) -> [L::V; REACH] {
    let by = |value| lanes.splat(value);
    let ends = |low, middle, high| {
        let rest = lanes.fma(middle, by(-(NEAR_2 + FAR_2)), high);
        lanes.fma(low, by(NEAR_2 * FAR_2), rest)
    };
    let near = lanes.fma(d[2], by(-FAR_2), d[4]);
    let near_slope = lanes.fma(d[1], by(-FAR_2), d[3]);
    let far = lanes.fma(d[2], by(-NEAR_2), d[4]);
    let far_slope = lanes.fma(d[1], by(-NEAR_2), d[3]);
    [
        ends(d[0], d[2], d[4]),
        lanes.fma(near_slope, by(NEAR), near),
        lanes.fma(near_slope, by(-NEAR), near),
        lanes.fma(far_slope, by(FAR), far),
        lanes.fma(far_slope, by(-FAR), far),
        ends(d[1], d[3], d[5]),
    ]
}

/// `Aᵀ m`: row `k` holds the `k`-th powers of the points.
#[inline(always)]
fn transform_output<L: Lanes>(lanes: L, m: [L::V; REACH]) -> [L::V; TILE] {
    let (near, near_slope) = (lanes.add(m[1], m[2]), lanes.sub(m[1], m[2]));
    let (far, far_slope) = (lanes.add(m[3], m[4]), lanes.sub(m[3], m[4]));
    let weigh = |near, far, near_by, far_by| {
        let far = lanes.mul(far, lanes.splat(far_by));
        lanes.fma(near, lanes.splat(near_by), far)
    };
    [
        lanes.add(lanes.add(m[0], near), far),
        weigh(near_slope, far_slope, NEAR, FAR),
        weigh(near, far, NEAR_2, FAR_2),
        lanes.add(
            weigh(near_slope, far_slope, NEAR * NEAR_2, FAR * FAR_2),
            m[5],
        ),
    ]
}

/// One rectangle of a convolution's output: rows of tiles of one picture, some of its channels.
pub(super) struct WinogradPiece<'a> {
    pub(super) source: Source<'a>,
    pub(super) weights: &'a CpuConv2d,
    /// `[panel][place][channel][width]`.
    pub(super) transformed: &'a [f32],
    pub(super) epilogue: Epilogue<'a>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Rows are pixels of whole image rows of one picture, the first of them the first of a row of
    /// tiles; columns start at a panel.
    pub(super) out: Rect<'a>,
}

impl Kernel for WinogradPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let (picture, first, rows) = self.source.geometry.place(&self.out.rows());
        let across = self.source.geometry.output[1].div_ceil(TILE);
        let down = rows.div_ceil(TILE);
        let inputs = self.weights.inputs;
        let window = Window {
            picture,
            rows: first..first + down * TILE + 2,
            width: across * TILE + 2,
        };
        let tiles = down * across;
        let mut spectra = self.memory.take(PLACES * tiles * inputs);
        let spectra = spectra.as_mut_slice();
        let pixels = window.rows.len() * window.width;
        let mut scratch = self.memory.take(pixels * COPY_BLOCK.min(inputs));
        for block in (0..inputs).step_by(COPY_BLOCK) {
            let end = (block + COPY_BLOCK).min(inputs);
            let scratch = &mut scratch.as_mut_slice()[..pixels * (end - block)];
            self.source.copy(lanes, &window, block..end, scratch);
            for tile in 0..tiles {
                let corner = tile / across * TILE * window.width + tile % across * TILE;
                let from = &scratch[corner * (end - block)..];
                let to = &mut spectra[tile * inputs + block..];
                analyse(lanes, from, window.width, end - block, to, tiles * inputs);
            }
        }
        let mut products = self.memory.take(PLACES * tiles * L::WIDTH);
        let products = products.as_mut_slice();
        for col in self.out.cols().step_by(L::WIDTH) {
            self.multiply(lanes, spectra, tiles, col / L::WIDTH, products);
            for tile in 0..tiles {
                for offset in (0..L::WIDTH).step_by(LANES) {
                    let products = &products[tile * L::WIDTH + offset..];
                    let sums = synthesise(lanes, products, tiles * L::WIDTH);
                    let corner = [tile / across * TILE, tile % across * TILE];
                    self.store(lanes, &sums, picture, corner, col + offset);
                }
            }
        }
    }
}

/// Transforms the `depth` channels of one tile's inputs. `from` starts at the tile's first pixel
/// in rows of `width` pixels; `to` is its place in the first of the spectra, `pitch` apart.
#[inline(always)]
fn analyse<L: Lanes>(
    lanes: L,
    from: &[f32],
    width: usize,
    depth: usize,
    to: &mut [f32],
    pitch: usize,
) {
    for channel in (0..depth).step_by(LANES) {
        let used = LANES.min(depth - channel);
        let mut columns = [[lanes.splat(0.0); REACH]; REACH];
        for x in 0..REACH {
            let mut inputs = [lanes.splat(0.0); REACH];
            for (y, input) in inputs.iter_mut().enumerate() {
                let at = (y * width + x) * depth + channel;
                *input = lanes.load_part(&from[at..at + used]);
            }
            let column = transform_input(lanes, inputs);
            for y in 0..REACH {
                columns[y][x] = column[y];
            }
        }
        for (y, &column) in columns.iter().enumerate() {
            let row = transform_input(lanes, column);
            for (x, &value) in row.iter().enumerate() {
                let at = (y * REACH + x) * pitch + channel;
                lanes.store_part(value, &mut to[at..at + used]);
            }
        }
    }
}

/// Transforms one lane group of a tile's products, `pitch` apart, to its output pixels.
#[inline(always)]
fn synthesise<L: Lanes>(lanes: L, products: &[f32], pitch: usize) -> [[Group; TILE]; TILE] {
    let mut columns = [[lanes.splat(0.0); REACH]; TILE];
    for x in 0..REACH {
        let mut inputs = [lanes.splat(0.0); REACH];
        for (y, input) in inputs.iter_mut().enumerate() {
            let at = (y * REACH + x) * pitch;
            *input = lanes.load_part(&products[at..at + LANES]);
        }
        let column = transform_output(lanes, inputs);
        for y in 0..TILE {
            columns[y][x] = column[y];
        }
    }
    let mut sums = [[[0.0; LANES]; TILE]; TILE];
    for y in 0..TILE {
        let row = transform_output(lanes, columns[y]);
        for x in 0..TILE {
            lanes.store(row[x], &mut sums[y][x]);
        }
    }
    sums
}

impl WinogradPiece<'_> {
    /// The products of all tiles with one panel: `[place][tile][width]`.
    #[inline(always)]
    fn multiply<L: Lanes>(
        &self,
        lanes: L,
        spectra: &[f32],
        tiles: usize,
        panel: usize,
        products: &mut [f32],
    ) {
        let inputs = self.weights.inputs;
        let len = panel_len(self.weights);
        let panel = &self.transformed[panel * len..][..len];
        for (place, panel) in panel.chunks_exact(inputs * L::WIDTH).enumerate() {
            let spectrum = &spectra[place * tiles * inputs..][..tiles * inputs];
            let products = &mut products[place * tiles * L::WIDTH..][..tiles * L::WIDTH];
            for block in (0..inputs).step_by(PRODUCT_BLOCK) {
                let depth = PRODUCT_BLOCK.min(inputs - block);
                for first in (0..tiles).step_by(L::ROWS) {
                    let tile = Tile {
                        rows: L::ROWS.min(tiles - first),
                        a: &spectrum[first * inputs + block..],
                        stride: inputs,
                        positions: &[0],
                        depth,
                        panel: &panel[block * L::WIDTH..],
                        pitch: L::WIDTH,
                        fresh: block == 0,
                    };
                    lanes.multiply(&tile, &mut products[first * L::WIDTH..]);
                }
            }
        }
    }

    /// Finishes one lane group of a tile's pixels, as far as they are inside the picture. `corner`
    /// is the tile's first pixel in the piece.
    #[inline(always)]
    fn store<L: Lanes>(
        &mut self,
        lanes: L,
        sums: &[[Group; TILE]; TILE],
        picture: usize,
        [top, left]: [usize; 2],
        col: usize,
    ) {
        if col >= self.out.cols().end {
            return;
        }
        let [_, width] = self.source.geometry.output;
        let outputs = self.weights.outputs;
        let used = LANES.min(self.out.cols().end - col);
        let offset = col - self.out.cols().start;
        let bias = lanes.load_part(&self.weights.bias[col..col + LANES]);
        for (y, row) in sums.iter().enumerate() {
            for (x, sums) in row.iter().enumerate().take(width - left.min(width)) {
                let pixel = self.out.rows().start + (top + y) * width + left + x;
                if pixel >= self.out.rows().end {
                    return;
                }
                let mut group = [0.0; LANES];
                lanes.store(lanes.add(lanes.load(sums), bias), &mut group);
                let out = &mut self.out.row(pixel)[offset..][..used];
                let at = [picture, pixel, col];
                self.epilogue.finish(lanes, &group, at, outputs, out);
            }
        }
    }
}
