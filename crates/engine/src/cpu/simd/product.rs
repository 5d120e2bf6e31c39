//! What a register tile multiplies: f32, words of two bfloats, or words of four bytes.

use super::{Fast, LANES, Lanes, pitch};

/// The factors of a product in memory, and one step of its sums. Sums are as large as f32.
pub(crate) trait Product: Copy + Send + Sync + 'static {
    /// What is read of a factor at once: `DEPTH` neighbours along the sum.
    type Item: Copy + Send + Sync + 'static;
    /// Numbers in an item.
    const DEPTH: usize;
    /// Which instructions make it faster.
    const FAST: Fast;

    fn splat<L: Lanes>(lanes: L, item: Self::Item) -> L::V;
    fn load<L: Lanes>(lanes: L, from: &[Self::Item; LANES]) -> L::V;
    /// `c` plus the product.
    fn step<L: Lanes>(lanes: L, a: L::V, b: L::V, c: L::V) -> L::V;

    /// Memory of numbers for items, as many.
    fn items(numbers: &mut [f32]) -> &mut [Self::Item];
    /// Items that are in memory of numbers.
    fn items_of(numbers: &[f32]) -> &[Self::Item];

    /// Items that `depth` numbers of a row take; the last one is filled up with zeros.
    #[inline(always)]
    fn items_in(depth: usize) -> usize {
        depth.div_ceil(Self::DEPTH)
    }

    /// How far apart rows of `depth` numbers are to lie in memory that a left factor is made of.
    #[inline(always)]
    fn laid(depth: usize) -> usize {
        depth
    }

    /// How far apart the items of two rows of `depth` numbers lie in a left factor.
    #[inline(always)]
    fn stride(depth: usize) -> usize {
        Self::items_in(depth)
    }
}

/// A product whose factors are numbers rounded each by itself.
pub(crate) trait Rounded: Product {
    /// Items of room that [`Rounded::rows`] and [`Rounded::columns`] need for so many of their results.
    fn room(items: usize) -> usize;

    /// Rows of `depth` numbers, each as `items_in(depth)` items: themselves, or rounded into `room`.
    fn rows<'a, L: Lanes>(
        lanes: L,
        rows: &'a [f32],
        depth: usize,
        room: &'a mut [Self::Item],
    ) -> &'a [Self::Item];

    /// What [`Rounded::rows`] gave of `rows` and `room`.
    fn rounded<'a>(rows: &'a [f32], room: &'a [f32]) -> &'a [Self::Item];

    /// Sixteen numbers of a row at most as the first items of `to`; what is not used of `value` is zero.
    fn put<L: Lanes>(lanes: L, value: L::V, used: usize, to: &mut [Self::Item]);

    /// Panels `[depth][width]`, any number of them, as `[items_in(depth)][width]`: themselves, or rounded into `room`. The
    /// width is a multiple of [`LANES`].
    fn columns<'a, L: Lanes>(
        lanes: L,
        panels: &'a [f32],
        depth_and_width: [usize; 2],
        room: &'a mut [Self::Item],
    ) -> &'a [Self::Item];
}

/// Memory of numbers for words, as many.
#[inline(always)]
pub(super) fn words_mut(numbers: &mut [f32]) -> &mut [u32] {
    // SAFETY: f32 and u32 have one size and alignment, and any bits are a value of both.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}

/// Words that are in memory of numbers.
#[inline(always)]
pub(super) fn words(numbers: &[f32]) -> &[u32] {
    // SAFETY: as in `words_mut`.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) }
}

/// f32, one fused multiply-add a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Singles;

impl Product for Singles {
    type Item = f32;
    const DEPTH: usize = 1;
    const FAST: Fast = Fast::None;

    #[inline(always)]
    fn laid(depth: usize) -> usize {
        pitch(depth)
    }
    #[inline(always)]
    fn stride(depth: usize) -> usize {
        pitch(depth)
    }
    #[inline(always)]
    fn splat<L: Lanes>(lanes: L, item: f32) -> L::V {
        lanes.splat(item)
    }
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[f32; LANES]) -> L::V {
        lanes.load(from)
    }
    #[inline(always)]
    fn step<L: Lanes>(lanes: L, a: L::V, b: L::V, c: L::V) -> L::V {
        lanes.fma(a, b, c)
    }
    #[inline(always)]
    fn items(numbers: &mut [f32]) -> &mut [f32] {
        numbers
    }
    #[inline(always)]
    fn items_of(numbers: &[f32]) -> &[f32] {
        numbers
    }
}

impl Rounded for Singles {
    #[inline(always)]
    fn room(_: usize) -> usize {
        0
    }
    #[inline(always)]
    fn rows<'a, L: Lanes>(_: L, rows: &'a [f32], _: usize, _: &'a mut [f32]) -> &'a [f32] {
        rows
    }
    #[inline(always)]
    fn rounded<'a>(rows: &'a [f32], _: &'a [f32]) -> &'a [f32] {
        rows
    }
    #[inline(always)]
    fn put<L: Lanes>(lanes: L, value: L::V, used: usize, to: &mut [f32]) {
        lanes.store_part(value, &mut to[..used]);
    }
    #[inline(always)]
    fn columns<'a, L: Lanes>(
        _: L,
        panels: &'a [f32],
        _: [usize; 2],
        _: &'a mut [f32],
    ) -> &'a [f32] {
        panels
    }
}

/// Words of two bfloats; see [`Lanes::dot_bf16`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bfloats;

impl Product for Bfloats {
    type Item = u32;
    const DEPTH: usize = 2;
    const FAST: Fast = Fast::Bf16;

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
        lanes.dot_bf16(a, b, c)
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

impl Rounded for Bfloats {
    #[inline(always)]
    fn room(items: usize) -> usize {
        items
    }
    #[inline(always)]
    fn rows<'a, L: Lanes>(
        lanes: L,
        rows: &'a [f32],
        depth: usize,
        room: &'a mut [u32],
    ) -> &'a [u32] {
        let words = Self::items_in(depth);
        let room = &mut room[..rows.len() / depth * words];
        if depth.is_multiple_of(2) {
            // Without fills between rows they are one run.
            neighbours(lanes, rows, room);
        } else {
            for (row, words) in rows.chunks_exact(depth).zip(room.chunks_exact_mut(words)) {
                neighbours(lanes, row, words);
            }
        }
        room
    }
    #[inline(always)]
    fn rounded<'a>(_: &'a [f32], room: &'a [f32]) -> &'a [u32] {
        Self::items_of(room)
    }
    #[inline(always)]
    fn put<L: Lanes>(lanes: L, value: L::V, used: usize, to: &mut [u32]) {
        match to.first_chunk_mut() {
            Some(words) if used == LANES => lanes.store_bf16(value, words),
            _ => {
                let mut words = [0; LANES / 2];
                lanes.store_bf16(value, &mut words);
                let used = Self::items_in(used);
                to[..used].copy_from_slice(&words[..used]);
            }
        }
    }
    #[inline(always)]
    fn columns<'a, L: Lanes>(
        lanes: L,
        panels: &'a [f32],
        [depth, width]: [usize; 2],
        room: &'a mut [u32],
    ) -> &'a [u32] {
        let words = Self::items_in(depth) * width;
        let room = &mut room[..panels.len() / (depth * width) * words];
        let panels = panels.chunks_exact(depth * width);
        for (panel, room) in panels.zip(room.chunks_exact_mut(words)) {
            let pairs = panel.chunks(2 * width);
            for (pair, words) in pairs.zip(room.chunks_exact_mut(width)) {
                for at in (0..width).step_by(LANES) {
                    let low = lanes.load_part(&pair[at..at + LANES]);
                    let high = match pair.get(width + at..width + at + LANES) {
                        Some(high) => lanes.load_part(high),
                        None => lanes.splat(0.0),
                    };
                    let words = words[at..].first_chunk_mut();
                    lanes.store_words(
                        lanes.bf16_pairs(low, high),
                        words.expect("a panel is lane groups wide"),
                    );
                }
            }
        }
        room
    }
}

/// A run of numbers as words of two; the last one is filled up with a zero.
#[inline(always)]
pub(crate) fn neighbours<L: Lanes>(lanes: L, numbers: &[f32], words: &mut [u32]) {
    for (numbers, words) in numbers.chunks(2 * LANES).zip(words.chunks_mut(LANES)) {
        let (first, second) = numbers.split_at(LANES.min(numbers.len()));
        let all = lanes.bf16_neighbours(lanes.load_part(first), lanes.load_part(second));
        match words.first_chunk_mut() {
            Some(words) => lanes.store_words(all, words),
            None => {
                let mut some = [0; LANES];
                lanes.store_words(all, &mut some);
                words.copy_from_slice(&some[..words.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Level, Words};
    use super::*;

    /// One step of sums and both ways of rounding, with instructions for bfloats where `NATIVE` and there are any.
    struct Step<'a, const NATIVE: bool> {
        factors: [&'a Words; 2],
        sums: &'a [f32; LANES],
        numbers: &'a [f32; 2 * LANES],
    }

    impl<const NATIVE: bool> Kernel for Step<'_, NATIVE> {
        const FAST: Fast = if NATIVE { Fast::Bf16 } else { Fast::None };
        type Output = Vec<u32>;
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> Vec<u32> {
            let [a, b] = self.factors.map(|words| lanes.load_words(words));
            let sum = lanes.dot_bf16(a, b, lanes.load(self.sums));
            let (first, second) = self.numbers.split_at(LANES);
            let (first, second) = (lanes.load_part(first), lanes.load_part(second));
            let mut bits = Vec::new();
            for words in [
                sum,
                lanes.bf16_pairs(first, second),
                lanes.bf16_neighbours(first, second),
            ] {
                let mut out = [0; LANES];
                lanes.store_words(words, &mut out);
                bits.extend(out);
            }
            let mut half = [0; LANES / 2];
            lanes.store_bf16(first, &mut half);
            bits.extend(half);
            bits
        }
    }

    /// Random bits, of which `spread` says how far their exponents lie apart.
    fn random(state: &mut u64, spread: u32) -> u32 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = (*state >> 32) as u32;
        let exponent = 127 - spread / 2 + (bits >> 23 & 0xff) % spread;
        bits & 0x807f_ffff | exponent << 23
    }

    #[test]
    fn every_way_to_compute_a_step_gives_the_same_bits() {
        let mut state = 1;
        // Near 1, where sums are rounded; far apart; and so far that factors, products and sums are denormal or infinite.
        for spread in [4, 24, 120, 254] {
            for _ in 0..4000 {
                let mut words = || {
                    std::array::from_fn(|_| {
                        let [low, high] = [0; 2].map(|_: u32| random(&mut state, spread));
                        low >> 16 | high & 0xffff_0000
                    })
                };
                let factors: [Words; 2] = [words(), words()];
                let sums = std::array::from_fn(|_| f32::from_bits(random(&mut state, spread)));
                let numbers = std::array::from_fn(|_| f32::from_bits(random(&mut state, spread)));
                let mut all = Vec::new();
                for level in Level::available() {
                    let factors = [&factors[0], &factors[1]];
                    let (sums, numbers) = (&sums, &numbers);
                    all.push(level.run(Step::<true> {
                        factors,
                        sums,
                        numbers,
                    }));
                    all.push(level.run(Step::<false> {
                        factors,
                        sums,
                        numbers,
                    }));
                }
                // The bits of a NaN are its own affair.
                let same = |one: &u32, other: &u32| {
                    let nan = |bits: u32| f32::from_bits(bits).is_nan();
                    one == other || nan(*one) && nan(*other)
                };
                for other in &all[1..] {
                    let off = all[0].iter().zip(other).position(|(a, b)| !same(a, b));
                    assert_eq!(off, None, "{factors:x?} {sums:?} {numbers:?} {all:x?}");
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_nearest_with_ties_to_even_and_without_denormal_numbers() {
        let cases = [
            (1.0, 0x3f80),
            (1.0 + 1.0 / 256.0, 0x3f80),
            (1.0 + 1.01 / 256.0, 0x3f81),
            (1.0 + 3.0 / 256.0, 0x3f82),
            (-f32::MAX, 0xff80),
            (f32::MIN_POSITIVE, 0x0080),
            (-f32::MIN_POSITIVE * 0.999, 0x8000),
            (f32::NAN, 0x7fc0),
        ];
        for (number, want) in cases {
            for level in Level::available() {
                let mut numbers = [0.0; 2 * LANES];
                numbers[3] = number;
                let zeros = [0; LANES];
                let step = Step::<true> {
                    factors: [&zeros; 2],
                    sums: &[0.0; LANES],
                    numbers: &numbers,
                };
                let pairs = level.run(step)[LANES + 3];
                assert_eq!(pairs, want, "{number:e} at {level}");
            }
        }
    }
}
