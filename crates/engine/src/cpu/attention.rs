//! Blocked attention: scores exist for one block of queries and keys at a time.
//!
//! Keys and values of a head are packed once. A block of queries walks the blocks of keys and keeps,
//! per query, the largest score so far, the sum of exponentials and the weighted sum of values
//! (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax").

use std::ops::Range;
use std::sync::Arc;

use super::linear::TileWidth;
use super::math::exp2;
use super::memory::{Buffer, Recycler};
use super::simd::{Fast, Group, Kernel, LANES, Lanes, ROWS_MAX, Rect, Rounded, Tile, rectangles};
use super::{CpuBackend, CpuTensor, blocks};
use crate::DeviceTensor;

/// Keys per block. Part of the arithmetic.
pub(super) const KEY_BLOCK: usize = 512;
/// Queries per block, at most: they share a block of keys and values in the second-level cache. Any number
/// gives the same results.
const QUERY_BLOCK: usize = 112;
/// Queries that a block takes of so many, where so many blocks of each picture are wanted.
pub(super) fn query_block(queries: usize, wanted: usize) -> usize {
    const LEAST: usize = QUERY_BLOCK / 2;
    let even = queries.div_ceil(wanted).next_multiple_of(ROWS_MAX);
    even.clamp(LEAST, QUERY_BLOCK)
}

/// Register tiles of queries whose scores exist at once: they stay in the first-level cache. Any
/// number gives the same results.
const TILES_AT_ONCE: usize = 1;

/// Which keys a query sees, resolved.
#[derive(Clone, Copy)]
pub(super) enum Mask<'a> {
    None,
    Causal,
    /// Per picture and key.
    Keys(&'a [bool]),
}

/// Sizes of one attention call.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) heads: usize,
    /// Numbers a head.
    pub(super) depth: usize,
}

impl Geometry {
    fn row(&self) -> usize {
        self.heads * self.depth
    }

    /// Key blocks, the last one cut to the keys that are left and rounded up to a panel.
    fn key_blocks(&self, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let keys = self.keys;
        (0..keys).step_by(KEY_BLOCK).map(move |first| {
            let count = KEY_BLOCK.min(keys - first);
            (first, count, count.next_multiple_of(width))
        })
    }

    /// Items of one head's packed keys: panels of `width` keys, `[panel][items of depth][width]`.
    fn packed_keys<P: Rounded>(&self, width: usize) -> usize {
        self.keys.div_ceil(width) * width * P::items_in(self.depth)
    }

    /// Items of one head's packed values: `[block][column panel][items of keys][width]`, where the last panel may be
    /// [`LANES`] wide.
    fn packed_values<P: Rounded>(&self, width: usize) -> usize {
        self.keys.next_multiple_of(width) / P::DEPTH * self.columns()
    }

    /// Columns of packed values.
    fn columns(&self) -> usize {
        self.depth.next_multiple_of(LANES)
    }

    /// Items of one head's packed keys and values.
    pub(super) fn packed<P: Rounded>(&self, width: usize) -> usize {
        self.packed_keys::<P>(width) + self.packed_values::<P>(width)
    }
}

impl CpuBackend {
    /// Attention of `n` pictures, once everything is checked.
    pub(super) fn attend<P: Rounded>(
        &self,
        n: usize,
        geometry: Geometry,
        [query, key, value]: [&CpuTensor; 3],
        mask: Mask<'_>,
    ) -> CpuTensor {
        let heads = geometry.heads;
        let size = geometry.packed::<P>(self.level.run(TileWidth));
        let mut packed = self.buffer(n * heads * size);
        let pieces = packed
            .as_mut_slice()
            .chunks_exact_mut(size)
            .enumerate()
            .collect();
        self.each(pieces, |(index, out): (usize, &mut [f32])| {
            let (picture, head) = (index / heads, index % heads);
            self.level.run(PackHead::<P> {
                geometry,
                key: key.data(),
                value: value.data(),
                picture,
                head,
                memory: &self.recycler,
                out: P::items(out),
            });
        });
        let (queries, width) = (geometry.queries, heads * geometry.depth);
        let mut buffer = self.buffer(n * queries * width);
        let block = query_block(queries, 2 * self.pieces_wanted());
        let rows =
            (0..n).flat_map(|picture| blocks(picture * queries..(picture + 1) * queries, block));
        let pieces = rectangles(buffer.as_mut_slice(), width, rows, width);
        self.each(pieces, |out| {
            self.level.run(AttentionPiece::<P> {
                geometry,
                query: query.data(),
                packed: P::items_of(packed.as_slice()),
                mask,
                memory: &self.recycler,
                out,
            });
        });
        CpuTensor::new(query.shape(), buffer)
    }
}

/// Packs the keys and values of one head of one picture.
pub(super) struct PackHead<'a, P: Rounded> {
    pub(super) geometry: Geometry,
    /// `[N, T, heads * depth]`.
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) picture: usize,
    pub(super) head: usize,
    pub(super) memory: &'a Arc<Recycler>,
    /// [`Geometry::packed`] items.
    pub(super) out: &'a mut [P::Item],
}

impl<P: Rounded> Kernel for PackHead<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let geometry = self.geometry;
        let (depth, width) = (geometry.depth, L::WIDTH);
        let start =
            |t: usize| (self.picture * geometry.keys + t) * geometry.row() + self.head * depth;
        let (keys, values) = self.out.split_at_mut(geometry.packed_keys::<P>(width));
        let columns = geometry.columns();
        // Of values; a rest that is no panel is a narrow one.
        let panelled = columns / width * width;
        let deepest = KEY_BLOCK.next_multiple_of(width) * columns;
        let mut numbers = self.memory.take(deepest);
        let numbers = numbers.as_mut_slice();
        let mut room = self.memory.take(P::room(deepest));
        let room = P::items(room.as_mut_slice());
        let packed = width * P::items_in(depth);
        for (panel, out) in keys.chunks_exact_mut(packed).enumerate() {
            let first = panel * width;
            let numbers = &mut numbers[..width * depth];
            numbers.fill(0.0);
            for t in 0..width.min(geometry.keys - first) {
                let row = &self.key[start(first + t)..][..depth];
                for (numbers, &number) in numbers.chunks_exact_mut(width).zip(row) {
                    numbers[t] = number;
                }
            }
            out.copy_from_slice(P::columns(lanes, numbers, [depth, width], room));
        }
        for (first, count, padded) in geometry.key_blocks(width) {
            let numbers = &mut numbers[..padded * columns];
            numbers.fill(0.0);
            for t in 0..count {
                let row = &self.value[start(first + t)..][..depth];
                for (panel, part) in row.chunks(width).enumerate() {
                    let width = width.min(columns - panel * width);
                    let panel = panel * padded * L::WIDTH;
                    numbers[panel + t * width..][..part.len()].copy_from_slice(part);
                }
            }
            let block = &mut values[first / P::DEPTH * columns..][..padded / P::DEPTH * columns];
            let (wide, narrow) = block.split_at_mut(padded / P::DEPTH * panelled);
            let (wide_numbers, narrow_numbers) = numbers.split_at(padded * panelled);
            wide.copy_from_slice(P::columns(lanes, wide_numbers, [padded, width], room));
            narrow.copy_from_slice(P::columns(lanes, narrow_numbers, [padded, LANES], room));
        }
    }
}

/// All heads of a block of queries of one picture.
pub(super) struct AttentionPiece<'a, P: Rounded> {
    pub(super) geometry: Geometry,
    /// `[N, S, heads * depth]`.
    pub(super) query: &'a [f32],
    /// `[N, heads, packed]`.
    pub(super) packed: &'a [P::Item],
    pub(super) mask: Mask<'a>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Rows are queries of one picture, at most [`QUERY_BLOCK`].
    pub(super) out: Rect<'a>,
}

impl<P: Rounded> Kernel for AttentionPiece<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let columns = self.geometry.columns();
        let scores = TILES_AT_ONCE * L::ROWS * P::laid(KEY_BLOCK.next_multiple_of(L::WIDTH));
        let query = QUERY_BLOCK * P::laid(self.geometry.depth);
        let items = QUERY_BLOCK * P::items_in(self.geometry.depth);
        let mut scratch = Scratch {
            query: vec![0.0; query],
            query_room: self.memory.take(P::room(items)),
            scores: vec![0.0; scores],
            scores_room: self.memory.take(P::room(scores / P::DEPTH)),
            sums: vec![0.0; QUERY_BLOCK * columns],
            columns,
            largest: [0.0; QUERY_BLOCK],
            totals: [0.0; QUERY_BLOCK],
        };
        for head in 0..self.geometry.heads {
            self.head(lanes, head, &mut scratch);
        }
    }
}

/// State of one block of queries while it walks the keys of one head.
struct Scratch {
    /// `[queries, laid depth]`, and where they are rounded.
    query: Vec<f32>,
    query_room: Buffer,
    /// `[queries at once, laid keys of the block]`, and where they are rounded.
    scores: Vec<f32>,
    scores_room: Buffer,
    /// Weighted sums of values, `[queries, columns]`.
    sums: Vec<f32>,
    columns: usize,
    largest: [f32; QUERY_BLOCK],
    totals: [f32; QUERY_BLOCK],
}

impl<P: Rounded> AttentionPiece<'_, P> {
    #[inline(always)]
    fn head<L: Lanes>(&mut self, lanes: L, head: usize, scratch: &mut Scratch) {
        let geometry = self.geometry;
        let (depth, width) = (geometry.depth, L::WIDTH);
        let rows = self.out.rows();
        let picture = rows.start / geometry.queries;
        let size = geometry.packed::<P>(width);
        let packed = &self.packed[(picture * geometry.heads + head) * size..][..size];
        let (keys, values) = packed.split_at(geometry.packed_keys::<P>(width));
        scratch.sums.fill(0.0);
        scratch.largest.fill(f32::NEG_INFINITY);
        scratch.totals.fill(0.0);
        let all = self.query[rows.start * geometry.row()..].chunks(geometry.row());
        let laid = P::laid(depth);
        let own = scratch.query.chunks_exact_mut(laid).take(rows.len());
        for (query, own) in all.zip(own) {
            own[..depth].copy_from_slice(&query[head * depth..][..depth]);
        }
        P::rows(
            lanes,
            &scratch.query[..rows.len() * laid],
            depth,
            P::items(scratch.query_room.as_mut_slice()),
        );
        let items = P::items_in(depth);
        for (first, count, padded) in geometry.key_blocks(width) {
            let keys = &keys[first * items..][..padded * items];
            let values = &values[first / P::DEPTH * scratch.columns..];
            let values = &values[..padded / P::DEPTH * scratch.columns];
            for some in blocks(0..rows.len(), TILES_AT_ONCE * L::ROWS) {
                self.scores(lanes, &some, keys, padded, scratch);
                self.weigh(lanes, &some, first, count, padded, scratch);
                add_values::<P, L>(lanes, &some, values, padded, scratch);
            }
        }
        for (r, row) in rows.enumerate() {
            let out = &mut self.out.row(row)[head * depth..][..depth];
            let share = 1.0 / scratch.totals[r];
            for (out, sum) in out.iter_mut().zip(&scratch.sums[r * scratch.columns..]) {
                *out = sum * share;
            }
        }
    }

    /// `scores = query * keys` for some queries, unscaled.
    #[inline(always)]
    fn scores<L: Lanes>(
        &self,
        lanes: L,
        some: &Range<usize>,
        keys: &[P::Item],
        padded: usize,
        scratch: &mut Scratch,
    ) {
        let width = L::WIDTH;
        let items = P::items_in(self.geometry.depth);
        let stride = P::stride(self.geometry.depth);
        let laid = P::laid(padded);
        let query = P::rounded(&scratch.query, scratch.query_room.as_slice());
        for (panel, keys) in keys.chunks_exact(width * items).enumerate() {
            for first in (0..some.len()).step_by(L::ROWS) {
                let count = L::ROWS.min(some.len() - first);
                let tile = Tile {
                    rows: count,
                    a: &query[(some.start + first) * stride..],
                    stride,
                    positions: &[0],
                    depth: items,
                    panel: keys,
                    pitch: laid,
                    fresh: true,
                };
                let scores = &mut scratch.scores[first * laid + panel * width..];
                lanes.multiply::<P>(&tile, scores);
            }
        }
    }

    /// Turns the scores of a block into exponentials and brings earlier sums to the new largest
    /// score. Keys `first..first + count` are real, the rest of the block is padding.
    #[inline(always)]
    fn weigh<L: Lanes>(
        &self,
        lanes: L,
        some: &Range<usize>,
        first: usize,
        count: usize,
        padded: usize,
        scratch: &mut Scratch,
    ) {
        // Scores are kept in powers of two: `exp(x) = 2^(x log2(e))`.
        let scale = std::f32::consts::LOG2_E / (self.geometry.depth as f32).sqrt();
        let picture = self.out.rows().start / self.geometry.queries;
        let all = scratch.scores.chunks_exact_mut(P::laid(padded));
        for (scores, r) in all.zip(some.clone()) {
            let scores = &mut scores[..padded];
            let row = self.out.rows().start + r;
            let visible = match self.mask {
                Mask::None => count,
                Mask::Causal => (row % self.geometry.queries + 1)
                    .saturating_sub(first)
                    .min(count),
                Mask::Keys(keys) => {
                    let keys = &keys[picture * self.geometry.keys + first..][..count];
                    for (score, _) in scores.iter_mut().zip(keys).filter(|(_, seen)| !**seen) {
                        *score = f32::NEG_INFINITY;
                    }
                    count
                }
            };
            scores[visible..].fill(f32::NEG_INFINITY);
            let mut largest = lanes.splat(f32::NEG_INFINITY);
            for part in scores.chunks_exact(LANES) {
                largest = lanes.max(largest, lanes.load_part(part));
            }
            let mut group: Group = [0.0; LANES];
            lanes.store(largest, &mut group);
            let block = group
                .iter()
                .fold(f32::NEG_INFINITY, |a, &b| if a > b { a } else { b });
            let before = scratch.largest[r];
            let now = if block * scale > before {
                block * scale
            } else {
                before
            };
            if now == f32::NEG_INFINITY {
                scores.fill(0.0); // nothing seen yet: no key of this block counts
                continue;
            }
            scratch.totals[r] = scratch.totals[r] * fade(lanes, before - now)
                + exponentials(lanes, scores, scale, now);
            if before != now {
                let fade = lanes.splat(fade(lanes, before - now));
                let sums = &mut scratch.sums[r * scratch.columns..][..scratch.columns];
                for part in sums.chunks_exact_mut(LANES) {
                    lanes.store_part(lanes.mul(lanes.load_part(part), fade), part);
                }
            }
            scratch.largest[r] = now;
        }
    }
}

/// `2^x` of one number, zero for minus infinity.
#[inline(always)]
fn fade<L: Lanes>(lanes: L, x: f32) -> f32 {
    if x == f32::NEG_INFINITY {
        return 0.0;
    }
    let mut group = [0.0; LANES];
    lanes.store(exp2(lanes, lanes.splat(x)), &mut group);
    group[0]
}

/// Replaces scores by `2^(score * scale - largest)` and gives their sum.
#[inline(always)]
fn exponentials<L: Lanes>(lanes: L, scores: &mut [f32], scale: f32, largest: f32) -> f32 {
    let (scale, largest) = (lanes.splat(scale), lanes.splat(-largest));
    let mut sum = lanes.splat(0.0);
    for part in scores.chunks_exact_mut(LANES) {
        let e = exp2(lanes, lanes.fma(lanes.load_part(part), scale, largest));
        sum = lanes.add(sum, e);
        lanes.store_part(e, part);
    }
    lanes.sum(sum)
}

/// `sums += exponentials * values` for some queries and one block of keys.
#[inline(always)]
fn add_values<P: Rounded, L: Lanes>(
    lanes: L,
    some: &Range<usize>,
    values: &[P::Item],
    padded: usize,
    scratch: &mut Scratch,
) {
    let (columns, width) = (scratch.columns, L::WIDTH);
    let scores = &scratch.scores[..some.len() * P::laid(padded)];
    let room = P::items(scratch.scores_room.as_mut_slice());
    let scores = P::rows(lanes, scores, padded, room);
    let (items, stride) = (padded / P::DEPTH, P::stride(padded));
    for (panel, values) in values.chunks(items * width).enumerate() {
        let narrow = values.len() < items * width;
        for first in (0..some.len()).step_by(L::ROWS) {
            let count = L::ROWS.min(some.len() - first);
            let tile = Tile {
                rows: count,
                a: &scores[first * stride..],
                stride,
                positions: &[0],
                depth: items,
                panel: values,
                pitch: columns,
                fresh: false,
            };
            let sums = (some.start + first) * columns + panel * width;
            let sums = &mut scratch.sums[sums..];
            match narrow {
                true => lanes.multiply_narrow::<P>(&tile, sums),
                false => lanes.multiply::<P>(&tile, sums),
            }
        }
    }
}
