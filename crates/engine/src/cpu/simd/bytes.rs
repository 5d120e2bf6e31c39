//! Factors of 8 bits: activations as 0 to 255 steps with a zero among them, weights as -127 to 127 times a scale for each output.
//!
//! A product is `step * scale * (sum(q * w) - zero * sum(w))`. The sums of integers are exact, so that their order says
//! nothing; what is f32 around them is done in one order at every level.

use super::factors::{Factors, Left, LeftRoom, Ranges, Ready, Spread};
use super::product::{Product, words, words_mut};
use super::{Fast, Group, LANES, Lanes, TILE_MAX, Tile, pitch};

/// Words of four bytes; see [`Lanes::dot_bytes`]. The sums are integers in the bits of f32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes;

/// Steps between the least and the largest activation: one less than there could be, since both may be rounded away from
/// the zero between them.
const STEPS: f32 = 254.0;
/// The largest weight in size.
const LARGEST: f32 = 127.0;
/// Inputs of a linear layer that share what they are measured by, at most where they can be cut evenly.
const BLOCK: usize = 640;
/// Numbers that differ by less than this are one number.
const NOTHING: f32 = 1e-30;

impl Bytes {
    /// Whether sums over so many numbers are sure to be integers of 32 bits.
    pub(crate) fn can_sum(numbers: usize) -> bool {
        numbers <= 1 << 16
    }
}

impl Product for Bytes {
    type Item = u32;
    const DEPTH: usize = 4;
    const FAST: Fast = Fast::Int8;

    #[inline(always)]
    fn stride(depth: usize) -> usize {
        pitch(Self::items_in(depth))
    }
    #[inline(always)]
    fn splat<L: Lanes>(lanes: L, item: u32) -> L::V {
        lanes.splat_word(item)
    }
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[u32; LANES]) -> L::V {
        lanes.load_words(from)
    }
    #[inline(always)]
    fn step<L: Lanes>(lanes: L, a: L::V, b: L::V, c: L::V) -> L::V {
        lanes.dot_bytes(a, b, c)
    }
    #[inline(always)]
    fn items(numbers: &mut [f32]) -> &mut [u32] {
        words_mut(numbers)
    }
    #[inline(always)]
    fn items_of(numbers: &[f32]) -> &[u32] {
        words(numbers)
    }
}

/// What activations are measured by.
#[derive(Clone, Copy)]
struct Range {
    /// What zero becomes, an integer.
    zero: f32,
    /// Distance of two steps; 0 where all numbers are zero.
    step: f32,
}

impl Range {
    /// Of `numbers` and zero. With a number among them that is not finite the step is NaN, and so is every product.
    #[inline(always)]
    fn of<L: Lanes>(lanes: L, numbers: &[f32]) -> Self {
        let zero = lanes.splat(0.0);
        let (mut low, mut high, mut wrong) = (zero, zero, zero);
        for part in numbers.chunks(LANES) {
            let v = lanes.load_part(part);
            low = lanes.min(low, v);
            high = lanes.max(high, v);
            wrong = lanes.fma(v, zero, wrong);
        }
        let (mut lows, mut highs) = ([0.0; LANES], [0.0; LANES]);
        lanes.store(low, &mut lows);
        lanes.store(high, &mut highs);
        let least = lows.into_iter().fold(0.0, f32::min);
        let step = (highs.into_iter().fold(0.0, f32::max) - least) / STEPS;
        let wrong = lanes.sum(wrong);
        if step > NOTHING && wrong == 0.0 && step < f32::INFINITY {
            let zero = (-least / step).round_ties_even();
            return Self { zero, step };
        }
        Self {
            zero: 0.0,
            step: if wrong == 0.0 && step <= NOTHING {
                0.0
            } else {
                f32::NAN
            },
        }
    }

    /// Writes a row as bytes, four to an item; the last one is filled up with anything.
    #[inline(always)]
    fn write<L: Lanes>(self, lanes: L, row: &[f32], items: &mut [u32]) {
        let by = lanes.splat(if self.step > 0.0 {
            1.0 / self.step
        } else {
            0.0
        });
        let zero = lanes.splat(self.zero);
        for (part, items) in row.chunks(LANES).zip(items.chunks_mut(LANES / 4)) {
            let steps = lanes.round(lanes.fma(lanes.load_part(part), by, zero));
            match items.first_chunk_mut() {
                Some(items) => lanes.store_bytes(steps, items),
                None => {
                    let mut some = [0; LANES / 4];
                    lanes.store_bytes(steps, &mut some);
                    items.copy_from_slice(&some[..items.len()]);
                }
            }
        }
    }
}

impl Factors for Bytes {
    const MEASURED: bool = true;
    const READY: Ready = Ready::Kept;

    /// The largest divisor of no more than [`BLOCK`] that fills items; all of them where there is none.
    fn block(inputs: usize) -> usize {
        let fits = |block: &usize| inputs.is_multiple_of(*block);
        let blocks = (1..=BLOCK / Self::DEPTH).rev();
        let blocks = blocks.map(|items| items * Self::DEPTH);
        match blocks.into_iter().find(fits) {
            Some(block) if block > BLOCK / 4 => block,
            _ => inputs,
        }
    }

    #[inline(always)]
    fn left_len(rows: usize, depth: usize) -> usize {
        rows * Self::stride(depth)
    }

    #[inline(always)]
    fn left<'a, L: Lanes>(
        lanes: L,
        rows: &'a [f32],
        depth: usize,
        spread: Spread,
        room: LeftRoom<'a, u32>,
    ) -> Left<'a, u32> {
        let (items, stride) = (Self::items_in(depth), Self::stride(depth));
        let ranges = room.ranges.as_chunks_mut().0;
        let shared = Range::of(lanes, if spread == Spread::All { rows } else { &[] });
        ranges[0] = [shared.zero, shared.step];
        let all = rows
            .chunks_exact(depth)
            .zip(room.items.chunks_exact_mut(stride));
        for (index, (row, of_row)) in all.enumerate() {
            let range = match spread {
                Spread::All => shared,
                Spread::Row => {
                    let range = Range::of(lanes, row);
                    ranges[index] = [range.zero, range.step];
                    range
                }
            };
            range.write(lanes, row, &mut of_row[..items]);
        }
        let rows = rows.len() / depth;
        let (measured, every) = match spread {
            Spread::All => (1, 0),
            Spread::Row => (rows, 1),
        };
        Left {
            items: &room.items[..rows * stride],
            ranges: Ranges {
                all: &ranges[..measured],
                every,
            },
        }
    }

    /// With the scales and the sums of the weights, as integers, of every column behind them.
    #[inline(always)]
    fn right_len([runs, depth, width]: [usize; 3]) -> usize {
        (runs * Self::items_in(depth) + 2) * width
    }

    #[inline(always)]
    fn right<'a, L: Lanes>(
        lanes: L,
        panels: &'a [f32],
        [runs, depth, width]: [usize; 3],
        room: &'a mut [u32],
    ) -> &'a [u32] {
        let rows = Self::items_in(depth);
        let room = &mut room[..Self::right_len([runs, depth, width])];
        let (words, of_columns) = room.split_at_mut(runs * rows * width);
        let (scales, sums) = of_columns.split_at_mut(width);
        for at in (0..width).step_by(LANES) {
            let zero = lanes.splat(0.0);
            let (mut largest, mut wrong, mut sum) = (lanes.splat(NOTHING), zero, zero);
            for row in panels.chunks_exact(width) {
                let v = lanes.load_part(&row[at..at + LANES]);
                largest = lanes.max(largest, lanes.abs(v));
                wrong = lanes.fma(v, zero, wrong);
            }
            let by = lanes.div(lanes.splat(LARGEST), largest);
            for (run, panel) in panels.chunks_exact(depth * width).enumerate() {
                for item in 0..rows {
                    let mut four = [zero; 4];
                    for (k, weights) in four.iter_mut().enumerate() {
                        let from = (4 * item + k) * width + at;
                        if let Some(row) = panel.get(from..from + LANES) {
                            *weights = lanes.round(lanes.mul(lanes.load_part(row), by));
                        }
                        sum = lanes.add(sum, *weights);
                    }
                    let to = &mut words[(run * rows + item) * width + at..];
                    lanes.store_words(lanes.bytes(four), group(to));
                }
            }
            let scale = lanes.mul(largest, lanes.splat(1.0 / LARGEST));
            let scale = lanes.add(scale, wrong);
            lanes.store_words(scale, group(&mut scales[at..]));
            lanes.store_words(lanes.convert_numbers(sum), group(&mut sums[at..]));
        }
        room
    }

    #[inline(always)]
    fn multiply<L: Lanes>(lanes: L, tile: &Tile<'_, u32>, ranges: Ranges<'_>, sums: &mut [f32]) {
        let mut products = [0.0; TILE_MAX];
        let whole = Tile {
            pitch: L::WIDTH,
            fresh: true,
            ..*tile
        };
        lanes.multiply::<Self>(&whole, &mut products);
        let panel = tile.positions.len() * tile.depth * L::WIDTH;
        let (scales, weights) = tile.panel[panel..][..2 * L::WIDTH].split_at(L::WIDTH);
        for r in 0..tile.rows {
            let [zero, step] = ranges.all[r * ranges.every];
            let zero = lanes.splat_word(zero as u32);
            let step = lanes.splat(step);
            for at in (0..L::WIDTH).step_by(LANES) {
                let product: &Group = products[r * L::WIDTH + at..].first_chunk().expect(WIDE);
                let scale = lanes.load_words(scales[at..].first_chunk().expect(WIDE));
                let weights = lanes.load_words(weights[at..].first_chunk().expect(WIDE));
                let product = lanes.less_products(lanes.load(product), zero, weights);
                let product = lanes.convert_integers(product);
                let sums: &mut Group = sums[r * tile.pitch + at..].first_chunk_mut().expect(WIDE);
                let sum = lanes.fma(product, lanes.mul(step, scale), lanes.load(sums));
                lanes.store(sum, sums);
            }
        }
    }
}

const WIDE: &str = "panels are lane groups wide";

#[inline(always)]
fn group(words: &mut [u32]) -> &mut [u32; LANES] {
    words.first_chunk_mut().expect(WIDE)
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Level, Words};
    use super::*;

    /// All that is done with integers, with instructions for bytes where `NATIVE` and there are any.
    struct Step<'a, const NATIVE: bool> {
        words: [&'a Words; 3],
        integers: &'a [[f32; LANES]; 4],
    }

    impl<const NATIVE: bool> Kernel for Step<'_, NATIVE> {
        const FAST: Fast = if NATIVE { Fast::Int8 } else { Fast::None };
        type Output = Vec<u32>;
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> Vec<u32> {
            let [a, b, c] = self.words.map(|words| lanes.load_words(words));
            let [w, x, y, z] = self.integers;
            let four = [lanes.load(w), lanes.load(x), lanes.load(y), lanes.load(z)];
            let mut bits = Vec::new();
            for words in [
                lanes.dot_bytes(a, b, c),
                lanes.less_products(c, a, b),
                lanes.convert_integers(c),
                lanes.convert_numbers(four[0]),
                lanes.bytes(four),
            ] {
                let mut out = [0; LANES];
                lanes.store_words(words, &mut out);
                bits.extend(out);
            }
            let mut quarter = [0; LANES / 4];
            lanes.store_bytes(lanes.abs(four[1]), &mut quarter);
            bits.extend(quarter);
            bits
        }
    }

    fn random(state: &mut u64) -> u32 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 32) as u32
    }

    #[test]
    fn every_way_to_compute_a_step_gives_the_same_integers() {
        let mut state = 1;
        for _ in 0..4000 {
            let words: [Words; 3] = [0; 3].map(|_| std::array::from_fn(|_| random(&mut state)));
            let mut integer = |_| (random(&mut state) % 256) as f32 - 128.0;
            let integers: [[f32; LANES]; 4] = [0; 4].map(|_| [0; LANES].map(&mut integer));
            let words = words.each_ref();
            let integers = &integers;
            let want = Level::Portable.run(Step::<false> { words, integers });
            for level in Level::available() {
                let fast = level.run(Step::<true> { words, integers });
                let plain = level.run(Step::<false> { words, integers });
                assert_eq!(fast, want, "{level}");
                assert_eq!(plain, want, "{level}");
            }
        }
    }

    /// One row times one panel, both of `depth` numbers.
    struct Row<'a> {
        row: &'a [f32],
        column: &'a [f32],
    }

    impl Kernel for Row<'_> {
        const FAST: Fast = Fast::Int8;
        type Output = f32;
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> f32 {
            let depth = self.row.len();
            let mut panel = vec![0.0; depth * L::WIDTH];
            for (row, &weight) in panel.chunks_exact_mut(L::WIDTH).zip(self.column) {
                row[3] = weight;
            }
            let mut left = vec![0; Bytes::left_len(1, depth)];
            let room = LeftRoom {
                items: &mut left,
                ranges: &mut [0.0; 2],
            };
            let left = Bytes::left(lanes, self.row, depth, Spread::Row, room);
            let sizes = [1, depth, L::WIDTH];
            let mut right = vec![0; Bytes::right_len(sizes)];
            let tile = Tile {
                rows: 1,
                a: left.items,
                stride: 0,
                positions: &[0],
                depth: Bytes::items_in(depth),
                panel: Bytes::right(lanes, &panel, sizes, &mut right),
                pitch: L::WIDTH,
                fresh: false,
            };
            let mut sums = [1.0; TILE_MAX];
            Bytes::multiply(lanes, &tile, left.ranges, &mut sums);
            assert!(sums[..3].iter().all(|&sum| sum == 1.0 || sum.is_nan()));
            sums[3]
        }
    }

    fn product(row: &[f32], column: &[f32]) -> f32 {
        let all = Level::available();
        let all = all.iter().map(|level| level.run(Row { row, column }));
        let all: Vec<f32> = all.collect();
        assert!(
            all.iter()
                .all(|sum| sum.to_bits() == all[0].to_bits() || sum.is_nan())
        );
        all[0]
    }

    #[test]
    fn what_steps_can_say_is_exact() {
        assert_eq!(product(&[0.0; 5], &[0.3; 5]), 1.0, "zeros are zero");
        assert_eq!(product(&[0.7; 5], &[0.0; 5]), 1.0, "without weights");
        // 254 steps of 1 from -100 on, and weights of whole steps of 1 / 127.
        let row = [-100.0, 154.0, 0.0, 27.0, -3.0];
        let column = [127.0, -127.0, 5.0, 1.0, 64.0].map(|q| q / 127.0);
        let want = 1.0 + f64::from((-100 - 154) * 127 + 27 - 3 * 64) / 127.0;
        assert!((f64::from(product(&row, &column)) - want).abs() < 1e-4);
    }

    #[test]
    fn the_largest_sums_do_not_overflow() {
        let depth = 1 << 16;
        assert!(Bytes::can_sum(depth) && !Bytes::can_sum(depth + 1));
        for sign in [1.0, -1.0] {
            let got = product(&vec![3.0; depth], &vec![sign * 0.5; depth]);
            let want = 1.0 + sign * 1.5 * depth as f32;
            assert!((got / want - 1.0).abs() < 1e-5, "{got}, expected {want}");
        }
    }

    #[test]
    fn what_is_not_finite_is_told() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut numbers = [0.5; 40];
            numbers[17] = wrong;
            assert!(product(&numbers, &[0.1; 40]).is_nan(), "activation {wrong}");
            assert!(product(&[0.1; 40], &numbers).is_nan(), "weight {wrong}");
        }
    }

    #[test]
    fn blocks_divide_their_inputs() {
        for (inputs, block) in [
            (320, 320),
            (640, 640),
            (1280, 640),
            (5120, 640),
            (768, 384),
            (17, 17),
            (65_537, 65_537),
        ] {
            assert_eq!(Bytes::block(inputs), block, "{inputs}");
        }
    }
}
