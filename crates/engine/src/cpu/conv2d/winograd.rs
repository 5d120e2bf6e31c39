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

use std::ops::Range;
use std::sync::Arc;

use super::source::{Source, Window};
use super::{CHANNEL_BLOCK, CpuConv2d, ENOUGH_PIECES, Epilogue, Shape};
use crate::cpu::memory::{Buffer, Recycler};
use crate::cpu::numbers::{Bf16, F16, F32, Numbers, Stored};
use crate::cpu::simd::{Fast, Group, Kernel, LANES, Lanes, Product, Rect, Rounded, Singles, Tile};

/// Side of a tile of outputs.
const TILE: usize = 4;
/// Side of the inputs a tile needs.
const REACH: usize = TILE + 2;
/// Products a tile takes for each pair of channels.
const PLACES: usize = REACH * REACH;
/// Tiles that are transformed at a time, at most: their inputs should stay in a cache of the processor.
const TILES_AT_A_TIME: usize = 48;
/// The same for items of half the size. The products of a panel, which stay f32, are there beside them.
const SMALL_TILES_AT_A_TIME: usize = 64;
/// Rows of tiles that a piece of a wide picture takes: with fewer, the pixels around it would weigh too much.
const WIDE_ROWS: usize = 4;
/// The same of a very wide one, whose rows lie so far apart in memory that fewer of them are faster.
const VERY_WIDE_ROWS: usize = 2;
/// Columns of tiles from which a picture is very wide.
const VERY_WIDE: usize = 96;
/// Numbers of transformed weights, at most, that are made for one call where they are not kept; larger layers make a
/// few at a time, for each piece again.
const MADE: usize = 16 << 20;
/// Numbers of transformed weights from which on a layer is large, so that few tiles do not repay them. Part of the
/// arithmetic.
const LARGE: usize = 16 << 20;
/// Tiles that a piece is not cut below to have more of them: two tall register tiles.
const LEAST_TILES: usize = 28;
/// Output channels, at most, whose products are there at one time where filters are ready.
const COLUMNS_AT_A_TIME: usize = 320;
/// Input channels copied and transformed in one go.
const COPY_BLOCK: usize = 64;
/// Input channels multiplied in one go with filters that are ready, and in f32 those of a tile that lie together. Sums go on
/// where they stopped, so any multiple of the others gives the same results.
const READY_BLOCK: usize = 320;
/// The same with filters that are transformed on the way: they stay in the second-level cache. A divisor of the block
/// that weights are packed in.
const FRESH_BLOCK: usize = 64;

/// The points are 0, `±NEAR`, `±FAR` and infinity.
const NEAR: f32 = 0.75;
const FAR: f32 = 1.5;
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;
/// One over the product of a point's distances from the other finite ones, for 0 and each pair of points. They
/// belong to `G`; they are applied in the output's transform, where they cost nothing.
const AT_ZERO: f32 = 1.0 / (NEAR_2 * FAR_2);
const AT_NEAR: f32 = 1.0 / (2.0 * NEAR_2 * (NEAR_2 - FAR_2));
const AT_FAR: f32 = 1.0 / (2.0 * FAR_2 * (FAR_2 - NEAR_2));

/// Whether a convolution takes this algorithm. Part of the arithmetic: it depends on shapes alone.
///
/// Few channels do not repay the transforms of pictures, few tiles not those of weights: of 16 tiles large transformed
/// weights, four times as many numbers, take as long to read as the products that they save, and most of the memory
/// that may be spent on any.
pub(super) fn suits(shape: &Shape) -> bool {
    let [height, width] = shape.output;
    let tiles = height.div_ceil(TILE) * width.div_ceil(TILE);
    let channels = shape.inputs.min(shape.outputs);
    let least = match transformed_len(shape) > LARGE {
        true => 32,
        false => 16,
    };
    shape.kernel == [3, 3] && shape.stride == 1 && channels >= 32 && tiles >= least
}

/// Items of one panel of transformed weights.
pub(super) fn panel_len<P: Rounded>(weights: &CpuConv2d) -> usize {
    PLACES * P::items_in(weights.inputs) * weights.width
}

/// Numbers that the transformed weights of a layer take, but for what fills up its last panel.
pub(super) fn transformed_len(shape: &Shape) -> usize {
    PLACES * shape.inputs * shape.outputs
}

/// Whether so many numbers of transformed weights are made for one call where they are not kept.
pub(super) fn makes(numbers: usize) -> bool {
    numbers <= MADE
}

/// Numbers that one thread needs at a time for the transformed inputs of its piece and their products.
pub(super) fn piece_len(shape: &Shape) -> usize {
    let cut = Cut::of::<Singles>(shape.output);
    let tiles = cut.down.min(shape.output[0].div_ceil(TILE)) * cut.across;
    let layout = Spectra::of::<Singles>(shape.inputs, tiles);
    layout.items() + layout.products(COLUMNS_AT_A_TIME.min(shape.outputs))
}

/// How transformed inputs lie: `[part of the channels][place][tile]`.
#[derive(Debug, Clone, Copy)]
struct Spectra {
    inputs: usize,
    /// Channels of a part, and how many parts there are.
    channels: usize,
    parts: usize,
    tiles: usize,
    /// Items from tile to tile.
    pitch: usize,
}

impl Spectra {
    fn of<P: Product>(inputs: usize, tiles: usize) -> Self {
        let channels = match P::DEPTH {
            1 => READY_BLOCK.min(inputs),
            _ => inputs,
        };
        Self {
            inputs,
            channels,
            parts: inputs.div_ceil(channels),
            tiles,
            pitch: P::stride(channels),
        }
    }

    /// Items from place to place.
    fn place(self) -> usize {
        self.tiles * self.pitch
    }

    fn items(self) -> usize {
        self.parts * PLACES * self.place()
    }

    /// Products with one panel.
    fn products(self, width: usize) -> usize {
        PLACES * self.tiles * width
    }

    /// Where a channel of a tile is at a place.
    fn at<P: Product>(self, place: usize, tile: usize, channel: usize) -> usize {
        let (part, within) = (channel / self.channels, channel % self.channels);
        (part * PLACES + place) * self.place() + tile * self.pitch + within / P::DEPTH
    }
}

/// How the tiles of a picture are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Rows of tiles a piece takes.
    down: usize,
    /// Columns of tiles that are transformed at a time.
    across: usize,
}

impl Cut {
    /// Of a picture of `[height, width]` pixels.
    pub(super) fn of<P: Product>([height, width]: [usize; 2]) -> Self {
        let (down, across) = (height.div_ceil(TILE), width.div_ceil(TILE));
        let tiles = match P::DEPTH {
            1 => TILES_AT_A_TIME,
            _ => SMALL_TILES_AT_A_TIME,
        };
        // Rather smaller pieces than some of the channels each, for which inputs would be transformed again; where threads are
        // many, that as well.
        let enough = down
            .div_ceil(ENOUGH_PIECES)
            .max(LEAST_TILES.div_ceil(across));
        let wide = match across {
            VERY_WIDE.. => VERY_WIDE_ROWS,
            _ => WIDE_ROWS,
        };
        let down = enough.min((tiles / across).max(wide));
        let strips = (down * across).div_ceil(tiles);
        Self {
            down,
            across: across.div_ceil(strips),
        }
    }

    /// Output rows a piece takes.
    pub(super) fn rows(self) -> usize {
        TILE * self.down
    }
}

/// Transforms weights: `G g Gᵀ` but for the constants of `G`. `packed` starts at a channel of a block of `pitch`
/// channels, `[ky][kx][channel][width]`; `out` at the same channel of `[place][channel][width]` with `out_pitch`
/// channels.
#[inline(always)]
fn transform_filters<L: Lanes>(
    lanes: L,
    packed: impl Stored,
    pitch: usize,
    depth: usize,
    out: &mut [f32],
    out_pitch: usize,
) {
    for at in (0..depth * L::WIDTH).step_by(LANES) {
        let mut columns = [[lanes.splat(0.0); REACH]; 3];
        for (kx, column) in columns.iter_mut().enumerate() {
            let tap = |ky: usize| packed.group(lanes, (ky * 3 + kx) * pitch * L::WIDTH + at);
            *column = spread(lanes, [tap(0), tap(1), tap(2)]);
        }
        for y in 0..REACH {
            let row = spread(lanes, [columns[0][y], columns[1][y], columns[2][y]]);
            for (x, &value) in row.iter().enumerate() {
                let place = &mut out[(y * REACH + x) * out_pitch * L::WIDTH + at..][..LANES];
                lanes.store_part(value, place);
            }
        }
    }
}

/// Transforms the weights of one panel for some channels of a block that weights are packed in; `out` and `pitch` as
/// in [`transform_filters`].
#[inline(always)]
fn transform<L: Lanes>(
    lanes: L,
    weights: &CpuConv2d,
    panel: usize,
    channels: Range<usize>,
    out: &mut [f32],
    pitch: usize,
) {
    let within = channels.start % CHANNEL_BLOCK;
    let packed = weights.place(panel, channels.start - within);
    let block = packed.len() / 9 / L::WIDTH;
    let packed = packed.start + within * L::WIDTH..packed.end;
    let depth = channels.len();
    match &weights.numbers {
        Numbers::F32(all) => transform_filters(lanes, F32(&all[packed]), block, depth, out, pitch),
        Numbers::F16(all) => transform_filters(lanes, F16(&all[packed]), block, depth, out, pitch),
        Numbers::Bf16(all) => {
            transform_filters(lanes, Bf16(&all[packed]), block, depth, out, pitch);
        }
    }
}

/// Transforms the weights of one panel: `[place][items of channels][width]`.
pub(super) struct PanelPiece<'a, P: Rounded> {
    pub(super) weights: &'a CpuConv2d,
    pub(super) panel: usize,
    pub(super) memory: &'a Arc<Recycler>,
    pub(super) out: &'a mut [P::Item],
}

impl<P: Rounded> Kernel for PanelPiece<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let inputs = self.weights.inputs;
        let depth = FRESH_BLOCK.min(inputs);
        let mut numbers = self.memory.take(PLACES * depth * L::WIDTH);
        let mut room = self.memory.take(P::room(P::items_in(depth) * L::WIDTH));
        let pitch = P::items_in(inputs) * L::WIDTH;
        for block in (0..inputs).step_by(FRESH_BLOCK) {
            let channels = block..(block + FRESH_BLOCK).min(inputs);
            let count = channels.len();
            let numbers = &mut numbers.as_mut_slice()[..PLACES * count * L::WIDTH];
            transform(lanes, self.weights, self.panel, channels, numbers, count);
            for (place, numbers) in numbers.chunks_exact(count * L::WIDTH).enumerate() {
                let items = P::columns(
                    lanes,
                    numbers,
                    [count, L::WIDTH],
                    P::items(room.as_mut_slice()),
                );
                let start = place * pitch + block / P::DEPTH * L::WIDTH;
                self.out[start..start + items.len()].copy_from_slice(items);
            }
        }
    }
}

/// `G g` but for its constants: the filter's polynomial at the points.
#[inline(always)]
fn spread<L: Lanes>(lanes: L, [a, b, c]: [L::V; 3]) -> [L::V; REACH] {
    let by = |value| lanes.splat(value);
    let near = lanes.fma(c, by(NEAR_2), a);
    let far = lanes.fma(c, by(FAR_2), a);
    [
        a,
        lanes.fma(b, by(NEAR), near),
        lanes.fma(b, by(-NEAR), near),
        lanes.fma(b, by(FAR), far),
        lanes.fma(b, by(-FAR), far),
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

/// `Aᵀ m`, with the constants of `G`: row `k` holds the `k`-th powers of the points.
#[inline(always)]
fn transform_output<L: Lanes>(lanes: L, m: [L::V; REACH]) -> [L::V; TILE] {
    let by = |value| lanes.splat(value);
    let (near, near_slope) = (lanes.add(m[1], m[2]), lanes.sub(m[1], m[2]));
    let (far, far_slope) = (lanes.add(m[3], m[4]), lanes.sub(m[3], m[4]));
    let weigh = |near, far, near_by: f32, far_by: f32| {
        let far = lanes.mul(far, by(AT_FAR * far_by));
        lanes.fma(near, by(AT_NEAR * near_by), far)
    };
    [
        lanes.fma(m[0], by(AT_ZERO), weigh(near, far, 1.0, 1.0)),
        weigh(near_slope, far_slope, NEAR, FAR),
        weigh(near, far, NEAR_2, FAR_2),
        lanes.add(
            weigh(near_slope, far_slope, NEAR * NEAR_2, FAR * FAR_2),
            m[5],
        ),
    ]
}

/// One rectangle of a convolution's output: rows of tiles of one picture, some of its channels.
pub(super) struct WinogradPiece<'a, P: Rounded> {
    pub(super) source: Source<'a>,
    pub(super) weights: &'a CpuConv2d,
    pub(super) cut: Cut,
    /// `[panel][place][items of channels][width]`; made on the way where there are none.
    pub(super) filters: Option<&'a [P::Item]>,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Rows are pixels of whole image rows of one picture, the first of them the first of a row of
    /// tiles; columns start at a panel.
    pub(super) out: Rect<'a>,
}

impl<P: Rounded> Kernel for WinogradPiece<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let (_, _, rows) = self.source.geometry.place(&self.out.rows());
        let whole = self.source.geometry.output[1].div_ceil(TILE);
        let down = rows.div_ceil(TILE);
        let tiles = down * self.cut.across.min(whole);
        let inputs = self.weights.inputs;
        let pixels = (down * TILE + 2) * (self.cut.across * TILE + 2);
        let fresh = match self.filters {
            Some(_) => 0,
            None => PLACES * FRESH_BLOCK.min(inputs) * L::WIDTH,
        };
        let layout = Spectra::of::<P>(inputs, tiles);
        let mut room = Room {
            scratch: self.memory.take(pixels * COPY_BLOCK.min(inputs)),
            spectra: self.memory.take(layout.items()),
            products: self
                .memory
                .take(self.panels_at_a_time() * layout.products(L::WIDTH)),
            fresh: [self.memory.take(fresh), self.memory.take(P::room(fresh))],
        };
        for left in (0..whole).step_by(self.cut.across) {
            let right = (left + self.cut.across).min(whole);
            self.strip(lanes, down, left..right, &mut room);
        }
    }
}

/// What a strip is computed in.
struct Room {
    /// Pixels that are copied.
    scratch: Buffer,
    /// Transformed inputs.
    spectra: Buffer,
    /// Of a few panels: `[panel][place][tile][width]`.
    products: Buffer,
    /// Filters that are not kept, and rounded ones.
    fresh: [Buffer; 2],
}

impl<P: Rounded> WinogradPiece<'_, P> {
    /// Computes some columns of tiles of all rows.
    #[inline(always)]
    fn strip<L: Lanes>(&mut self, lanes: L, down: usize, columns: Range<usize>, room: &mut Room) {
        let (picture, first, _) = self.source.geometry.place(&self.out.rows());
        let across = columns.len();
        let inputs = self.weights.inputs;
        let left = columns.start * TILE;
        let window = Window {
            picture,
            rows: first..first + down * TILE + 2,
            columns: left..left + across * TILE + 2,
        };
        let (tiles, width) = (down * across, window.columns.len());
        let layout = Spectra::of::<P>(inputs, tiles);
        let spectra = P::items(room.spectra.as_mut_slice());
        let spectra = &mut spectra[..layout.items()];
        let pixels = window.rows.len() * width;
        for block in (0..inputs).step_by(COPY_BLOCK) {
            let end = (block + COPY_BLOCK).min(inputs);
            let scratch = &mut room.scratch.as_mut_slice()[..pixels * (end - block)];
            self.source
                .copy(lanes, &window, block..end, end - block, scratch);
            for tile in 0..tiles {
                let corner = tile / across * TILE * width + tile % across * TILE;
                let from = &scratch[corner * (end - block)..];
                let to = &mut spectra[layout.at::<P>(0, tile, block)..];
                analyse::<P, L>(lanes, from, width, end - block, to, layout.place());
            }
        }
        let products = room.products.as_mut_slice();
        let cols = self.out.cols();
        let few = self.panels_at_a_time() * L::WIDTH;
        for first in cols.clone().step_by(few) {
            let some = first..(first + few).min(cols.end);
            let panels = some.start / L::WIDTH..some.end.div_ceil(L::WIDTH);
            match self.filters {
                Some(filters) => {
                    multiply::<P, L>(lanes, (spectra, layout), filters, panels, products)
                }
                None => {
                    let all = products.chunks_exact_mut(layout.products(L::WIDTH));
                    for (panel, products) in panels.zip(all) {
                        self.multiply_fresh(
                            lanes,
                            (spectra, layout),
                            panel,
                            &mut room.fresh,
                            products,
                        );
                    }
                }
            }
            let all = products.chunks_exact(layout.products(L::WIDTH));
            for (col, products) in some.step_by(L::WIDTH).zip(all) {
                for tile in 0..tiles {
                    for offset in (0..L::WIDTH).step_by(LANES) {
                        let products = &products[tile * L::WIDTH + offset..];
                        let sums = synthesise(lanes, products, tiles * L::WIDTH);
                        let corner = [tile / across * TILE, left + tile % across * TILE];
                        self.store(lanes, &sums, picture, corner, col + offset);
                    }
                }
            }
        }
    }

    /// Panels whose products are there at one time.
    fn panels_at_a_time(&self) -> usize {
        let panels = self.out.cols().len().div_ceil(self.weights.width);
        match self.filters {
            Some(_) => panels.min(COLUMNS_AT_A_TIME / self.weights.width),
            None => 1,
        }
    }
}

/// Transforms the `depth` channels of one tile's inputs. `from` starts at the tile's first pixel
/// in rows of `width` pixels; `to` is its place in the first of the spectra, `pitch` apart.
#[inline(always)]
fn analyse<P: Rounded, L: Lanes>(
    lanes: L,
    from: &[f32],
    width: usize,
    depth: usize,
    to: &mut [P::Item],
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
                let at = (y * REACH + x) * pitch + channel / P::DEPTH;
                P::put(lanes, value, used, &mut to[at..]);
            }
        }
    }
}

/// The products of all tiles with a few panels, whose filters are ready, `[panel][place][tile][width]`. Places come first: so
/// transformed inputs are read once for all of the panels, and what is read from far are filters alone.
#[inline(always)]
fn multiply<P: Rounded, L: Lanes>(
    lanes: L,
    (spectra, layout): (&[P::Item], Spectra),
    filters: &[P::Item],
    panels: Range<usize>,
    products: &mut [f32],
) {
    let inputs = layout.inputs;
    let row = P::items_in(inputs) * L::WIDTH;
    for place in 0..PLACES {
        for (index, panel) in panels.clone().enumerate() {
            let filters = &filters[(panel * PLACES + place) * row..][..row];
            let start = index * layout.products(L::WIDTH) + place * layout.tiles * L::WIDTH;
            let products = &mut products[start..][..layout.tiles * L::WIDTH];
            for block in (0..inputs).step_by(READY_BLOCK) {
                let channels = READY_BLOCK.min(inputs - block);
                let filters = &filters[block / P::DEPTH * L::WIDTH..];
                let filters = &filters[..P::items_in(channels) * L::WIDTH];
                let spectrum = (spectra, layout, [place, block]);
                multiply_place::<P, L>(lanes, spectrum, filters, products);
            }
        }
    }
}

/// Adds the products of all tiles at a place, from a channel on, with filters of it, `[items of channels][width]`.
#[inline(always)]
fn multiply_place<P: Rounded, L: Lanes>(
    lanes: L,
    (spectra, layout, [place, channel]): (&[P::Item], Spectra, [usize; 2]),
    filters: &[P::Item],
    products: &mut [f32],
) {
    for first in (0..layout.tiles).step_by(L::ROWS) {
        let tile = Tile {
            rows: L::ROWS.min(layout.tiles - first),
            a: &spectra[layout.at::<P>(place, first, channel)..],
            stride: layout.pitch,
            positions: &[0],
            depth: filters.len() / L::WIDTH,
            panel: filters,
            pitch: L::WIDTH,
            fresh: channel == 0,
        };
        lanes.multiply::<P>(&tile, &mut products[first * L::WIDTH..]);
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

impl<P: Rounded> WinogradPiece<'_, P> {
    /// The products of all tiles with one panel, `[place][tile][width]`, whose filters are not kept; `fresh` is room for them.
    #[inline(always)]
    fn multiply_fresh<L: Lanes>(
        &self,
        lanes: L,
        (spectra, layout): (&[P::Item], Spectra),
        panel: usize,
        fresh: &mut [Buffer; 2],
        products: &mut [f32],
    ) {
        let inputs = self.weights.inputs;
        for block in (0..inputs).step_by(FRESH_BLOCK) {
            let channels = FRESH_BLOCK.min(inputs - block);
            let depth = P::items_in(channels);
            let [numbers, rounded] = &mut *fresh;
            let numbers = &mut numbers.as_mut_slice()[..PLACES * channels * L::WIDTH];
            let all = block..block + channels;
            transform(lanes, self.weights, panel, all, numbers, channels);
            let rounded = P::items(rounded.as_mut_slice());
            let filters = P::columns(lanes, numbers, [channels, L::WIDTH], rounded);
            let filters = filters.chunks_exact(depth * L::WIDTH);
            let products = products.chunks_exact_mut(layout.tiles * L::WIDTH);
            for (place, (filters, products)) in filters.zip(products).enumerate() {
                let spectrum = (spectra, layout, [place, block]);
                multiply_place::<P, L>(lanes, spectrum, filters, products);
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
