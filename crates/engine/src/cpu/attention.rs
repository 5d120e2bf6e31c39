//! Blocked attention: scores exist for one block of queries and keys at a time.
//!
//! Keys and values of a head are packed once. A block of queries walks the blocks of keys and keeps,
//! per query, the largest score so far, the sum of exponentials and the weighted sum of values
//! (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax").

use std::ops::Range;

use super::blocks;
use super::math::exp2;
use super::simd::{Group, Kernel, LANES, Lanes, Rect, Tile};

/// Keys per block. Part of the arithmetic.
pub(super) const KEY_BLOCK: usize = 512;
/// Queries per block: they share a block of keys and values in the second-level cache. Any number
/// gives the same results.
pub(super) const QUERY_BLOCK: usize = 56;
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

    /// Size of one head's packed keys: panels of `width` keys, `[panel][depth][width]`.
    fn packed_keys(&self, width: usize) -> usize {
        self.keys.div_ceil(width) * width * self.depth
    }

    /// Size of one head's packed values: `[block][column panel][key][width]`.
    fn packed_values(&self, width: usize) -> usize {
        self.keys.next_multiple_of(width) * self.depth.next_multiple_of(width)
    }

    /// Size of one head's packed keys and values.
    pub(super) fn packed(&self, width: usize) -> usize {
        self.packed_keys(width) + self.packed_values(width)
    }
}

/// Packs the keys and values of one head of one picture.
pub(super) struct PackHead<'a> {
    pub(super) geometry: Geometry,
    /// `[N, T, heads * depth]`.
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) picture: usize,
    pub(super) head: usize,
    /// [`Geometry::packed`] numbers.
    pub(super) out: &'a mut [f32],
}

impl Kernel for PackHead<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let geometry = self.geometry;
        let (depth, width) = (geometry.depth, L::WIDTH);
        let start =
            |t: usize| (self.picture * geometry.keys + t) * geometry.row() + self.head * depth;
        let (keys, values) = self.out.split_at_mut(geometry.packed_keys(width));
        keys.fill(0.0);
        values.fill(0.0);
        for t in 0..geometry.keys {
            let panel = &mut keys[t / width * width * depth..];
            for (k, &number) in self.key[start(t)..][..depth].iter().enumerate() {
                panel[k * width + t % width] = number;
            }
        }
        let columns = depth.next_multiple_of(width);
        for (first, count, padded) in geometry.key_blocks(width) {
            let block = &mut values[first * columns..][..padded * columns];
            for t in 0..count {
                let row = &self.value[start(first + t)..][..depth];
                for (panel, part) in row.chunks(width).enumerate() {
                    block[(panel * padded + t) * width..][..part.len()].copy_from_slice(part);
                }
            }
        }
    }
}

/// All heads of a block of queries of one picture.
pub(super) struct AttentionPiece<'a> {
    pub(super) geometry: Geometry,
    /// `[N, S, heads * depth]`.
    pub(super) query: &'a [f32],
    /// `[N, heads, packed]`.
    pub(super) packed: &'a [f32],
    pub(super) mask: Mask<'a>,
    /// Rows are queries of one picture, at most [`QUERY_BLOCK`].
    pub(super) out: Rect<'a>,
}

impl Kernel for AttentionPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let columns = self.geometry.depth.next_multiple_of(L::WIDTH);
        let mut scratch = Scratch {
            scores: vec![0.0; TILES_AT_ONCE * L::ROWS * KEY_BLOCK.next_multiple_of(L::WIDTH)],
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
    /// `[queries at once, padded keys of the block]`.
    scores: Vec<f32>,
    /// Weighted sums of values, `[queries, columns]`.
    sums: Vec<f32>,
    columns: usize,
    largest: [f32; QUERY_BLOCK],
    totals: [f32; QUERY_BLOCK],
}

impl AttentionPiece<'_> {
    #[inline(always)]
    fn head<L: Lanes>(&mut self, lanes: L, head: usize, scratch: &mut Scratch) {
        let geometry = self.geometry;
        let (depth, width) = (geometry.depth, L::WIDTH);
        let rows = self.out.rows();
        let picture = rows.start / geometry.queries;
        let size = geometry.packed(width);
        let packed = &self.packed[(picture * geometry.heads + head) * size..][..size];
        let (keys, values) = packed.split_at(geometry.packed_keys(width));
        scratch.sums.fill(0.0);
        scratch.largest.fill(f32::NEG_INFINITY);
        scratch.totals.fill(0.0);
        let query = &self.query[rows.start * geometry.row() + head * depth..];
        for (first, count, padded) in geometry.key_blocks(width) {
            let keys = &keys[first * depth..][..padded * depth];
            let values = &values[first * scratch.columns..][..padded * scratch.columns];
            for some in blocks(0..rows.len(), TILES_AT_ONCE * L::ROWS) {
                let query = &query[some.start * geometry.row()..];
                self.scores(lanes, query, some.len(), keys, padded, scratch);
                self.weigh(lanes, &some, first, count, padded, scratch);
                add_values(lanes, &some, values, padded, scratch);
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
        query: &[f32],
        rows: usize,
        keys: &[f32],
        padded: usize,
        scratch: &mut Scratch,
    ) {
        let (depth, width) = (self.geometry.depth, L::WIDTH);
        let row = self.geometry.row();
        for (panel, keys) in keys.chunks_exact(width * depth).enumerate() {
            for first in (0..rows).step_by(L::ROWS) {
                let count = L::ROWS.min(rows - first);
                let tile = Tile {
                    rows: count,
                    a: &query[first * row..],
                    stride: row,
                    positions: &[0],
                    depth,
                    panel: keys,
                    pitch: padded,
                    fresh: true,
                };
                lanes.multiply(&tile, &mut scratch.scores[first * padded + panel * width..]);
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
        for (scores, r) in scratch.scores.chunks_exact_mut(padded).zip(some.clone()) {
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
fn add_values<L: Lanes>(
    lanes: L,
    some: &Range<usize>,
    values: &[f32],
    padded: usize,
    scratch: &mut Scratch,
) {
    let (columns, width) = (scratch.columns, L::WIDTH);
    for (panel, values) in values.chunks_exact(padded * width).enumerate() {
        for first in (0..some.len()).step_by(L::ROWS) {
            let count = L::ROWS.min(some.len() - first);
            let tile = Tile {
                rows: count,
                a: &scratch.scores[first * padded..],
                stride: padded,
                positions: &[0],
                depth: padded,
                panel: values,
                pitch: columns,
                fresh: false,
            };
            let sums = (some.start + first) * columns + panel * width;
            lanes.multiply(&tile, &mut scratch.sums[sums..]);
        }
    }
}
