//! Numbers of packed weights: 32 bits each, or 16 where that loses nothing.
//!
//! Most published weights were trained or saved in half precision. Kept so they take half the memory and half the
//! time to read; kernels widen them a panel at a time, which is exact, so the format changes no result.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use half::{bf16, f16};
use rayon::prelude::*;

use super::CpuBackend;
use super::pages::Pages;
use super::simd::{Group, Kernel, LANES, Lanes, Level};
use crate::{Saved, Weight};

/// Numbers that never change. Clones share them.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    F32(Arc<Pages<f32>>),
    /// Bits of IEEE half precision.
    F16(Arc<Pages<u16>>),
    /// The upper half of an f32's bits.
    Bf16(Arc<Pages<u16>>),
}

/// The smallest format that holds numbers exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    F32,
    F16,
    Bf16,
}

/// Whether half precision holds an f32, given by its bits, exactly. Infinities and NaNs are not held.
#[inline(always)]
fn is_half(bits: u32) -> bool {
    let (exponent, fraction) = (bits >> 23 & 0xff, bits & 0x7f_ffff);
    // Below 2^-14 halves lose a bit of their fraction with each power of two, down to 2^-24.
    let lost = 13 + 113u32.saturating_sub(exponent);
    let small_enough = exponent <= 142;
    let large_enough = exponent >= 103;
    let fits = fraction & !(u32::MAX << lost.min(31)) == 0;
    (small_enough & large_enough & fits) | (bits << 1 == 0)
}

/// The bits of half precision of an f32 that it holds exactly.
#[inline(always)]
fn to_half(number: f32) -> u16 {
    let bits = number.to_bits();
    let (sign, exponent) = ((bits >> 16 & 0x8000) as u16, bits >> 23 & 0xff);
    match exponent {
        0 => sign,
        1..113 => sign | ((bits & 0x7f_ffff | 0x80_0000) >> (126 - exponent).min(31)) as u16,
        _ => sign | ((bits & 0x7fff_ffff).wrapping_sub(112 << 23) >> 13) as u16,
    }
}

/// Whether bits of half precision are those of a finite number.
#[inline(always)]
fn is_finite_half(bytes: &[u8; 2]) -> bool {
    u16::from_le_bytes(*bytes) & 0x7c00 != 0x7c00
}

/// Whether an f32's upper bits are those of a finite number.
#[inline(always)]
fn is_finite_bfloat(bytes: &[u8; 2]) -> bool {
    u16::from_le_bytes(*bytes) & 0x7f80 != 0x7f80
}

/// Whether an f32 is finite and has bits in its upper half alone.
#[inline(always)]
fn is_bfloat(bits: u32) -> bool {
    (bits & 0xffff == 0) & (bits >> 23 & 0xff != 0xff)
}

/// Whether `holds` for all of `items`.
struct All<'a, T, F> {
    items: &'a [T],
    holds: F,
}

impl<T, F: Fn(&T) -> bool> Kernel for All<'_, T, F> {
    type Output = bool;

    /// In blocks without branches, which are quick, until one does not hold.
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> bool {
        let mut blocks = self.items.chunks(1 << 10);
        blocks.all(|block| {
            block
                .iter()
                .fold(true, |all, item| all & (self.holds)(item))
        })
    }
}

/// Whether `holds` for all of `items`, on the threads of the pool it is called in.
fn all<T: Sync>(level: Level, items: &[T], holds: impl Fn(&T) -> bool + Sync) -> bool {
    // Most weights tell by their first numbers.
    let (first, holds) = (&items[..items.len().min(64)], &holds);
    first.iter().all(holds)
        && items
            .par_chunks(1 << 18)
            .all(|items| level.run(All { items, holds }))
}

impl Format {
    /// Of numbers that `bits` takes from `items`.
    fn of<T: Sync>(level: Level, items: &[T], bits: impl Fn(&T) -> u32 + Sync) -> Self {
        if all(level, items, |item| is_half(bits(item))) {
            return Self::F16;
        }
        match all(level, items, |item| is_bfloat(bits(item))) {
            true => Self::Bf16,
            false => Self::F32,
        }
    }

    fn of_weight(level: Level, weight: &Weight<'_>) -> Self {
        match weight.numbers() {
            Saved::Tensor(numbers) => Self::of(level, numbers, |number| number.to_bits()),
            Saved::F32(bytes) => Self::of(level, bytes, |bytes| u32::from_le_bytes(*bytes)),
            Saved::F16(bytes) if all(level, bytes, is_finite_half) => Self::F16,
            Saved::Bf16(bytes) if all(level, bytes, is_finite_bfloat) => Self::Bf16,
            Saved::F16(_) | Saved::Bf16(_) => Self::F32,
        }
    }
}

/// Bytes that the CPU backend keeps of a layer's weights, but for what fills up their last panel.
pub fn kept_bytes(weight: &Weight<'_>) -> usize {
    let count: usize = weight.shape().iter().product();
    match Format::of_weight(Level::best(), weight) {
        Format::F32 => 4 * count,
        Format::F16 | Format::Bf16 => 2 * count,
    }
}

/// Where numbers of a weight go.
pub(super) trait Order: Sync {
    /// How many there are in all, those that fill up included.
    fn len(&self) -> usize;
    /// How many are written in one go, by one thread; at least 1.
    fn piece(&self) -> usize;
    /// Writes the piece `index` of `numbers`, each by `narrow`, into `out`, which is zero.
    fn write<E: Copy, T>(
        &self,
        index: usize,
        numbers: &[E],
        narrow: impl Fn(E) -> T,
        out: &mut [T],
    );
}

/// All numbers as they stand.
pub(super) struct AsTheyStand(pub(super) usize);

impl Order for AsTheyStand {
    fn len(&self) -> usize {
        self.0
    }

    fn piece(&self) -> usize {
        1 << 16
    }

    #[inline(always)]
    fn write<E: Copy, T>(
        &self,
        index: usize,
        numbers: &[E],
        narrow: impl Fn(E) -> T,
        out: &mut [T],
    ) {
        let numbers = &numbers[index * self.piece()..];
        for (out, &number) in out.iter_mut().zip(numbers) {
            *out = narrow(number);
        }
    }
}

impl Numbers {
    /// The numbers of `weight` in `order`, written on all threads of `engine`.
    pub(super) fn pack(engine: &CpuBackend, weight: &Weight<'_>, order: &impl Order) -> Self {
        let halves = |bits: &[[u8; 2]]| Arc::new(packed(engine, bits, u16::from_le_bytes, order));
        let upper = |number: f32| (number.to_bits() >> 16) as u16;
        let format = || Format::of_weight(engine.level, weight);
        match (engine.pool.install(format), weight.numbers()) {
            (Format::F16, Saved::F16(bytes)) => Self::F16(halves(bytes)),
            (Format::Bf16, Saved::Bf16(bytes)) => Self::Bf16(halves(bytes)),
            (Format::F16, Saved::F32(bytes)) => {
                let narrow = |bytes| to_half(f32::from_le_bytes(bytes));
                Self::F16(Arc::new(packed(engine, bytes, narrow, order)))
            }
            (Format::Bf16, Saved::F32(bytes)) => {
                let narrow = |bytes| upper(f32::from_le_bytes(bytes));
                Self::Bf16(Arc::new(packed(engine, bytes, narrow, order)))
            }
            (Format::F32, Saved::F32(bytes)) => {
                Self::F32(Arc::new(packed(engine, bytes, f32::from_le_bytes, order)))
            }
            (Format::F16, Saved::Tensor(numbers)) => {
                Self::F16(Arc::new(packed(engine, numbers, to_half, order)))
            }
            (Format::Bf16, Saved::Tensor(numbers)) => {
                Self::Bf16(Arc::new(packed(engine, numbers, upper, order)))
            }
            (Format::F32, Saved::Tensor(numbers)) => {
                Self::F32(Arc::new(packed(engine, numbers, |number| number, order)))
            }
            // Not finite.
            (_, Saved::F16(bytes)) => {
                let widen = |bytes| f16::from_le_bytes(bytes).to_f32();
                Self::F32(Arc::new(packed(engine, bytes, widen, order)))
            }
            (_, Saved::Bf16(bytes)) => {
                let widen = |bytes| bf16::from_le_bytes(bytes).to_f32();
                Self::F32(Arc::new(packed(engine, bytes, widen, order)))
            }
        }
    }

    /// Copies the numbers from `start` on into `out`.
    pub(super) fn copy(&self, start: usize, out: &mut [f32]) {
        let range = start..start + out.len();
        match self {
            Self::F32(numbers) => out.copy_from_slice(&numbers[range]),
            Self::F16(bits) => {
                for (out, &bits) in out.iter_mut().zip(&bits[range]) {
                    *out = f16::from_bits(bits).to_f32();
                }
            }
            Self::Bf16(bits) => {
                for (out, &bits) in out.iter_mut().zip(&bits[range]) {
                    *out = bf16::from_bits(bits).to_f32();
                }
            }
        }
    }

    /// Numbers of room that [`Self::read`] needs for `count` of them.
    pub(super) fn room(&self, count: usize) -> usize {
        match self {
            Self::F32(_) => 0,
            Self::F16(_) | Self::Bf16(_) => count,
        }
    }

    /// The numbers of `range`, a multiple of [`LANES`] long: where they are kept, or widened into `room`.
    #[inline(always)]
    pub(super) fn read<'a, L: Lanes>(
        &'a self,
        lanes: L,
        range: Range<usize>,
        room: &'a mut [f32],
    ) -> &'a [f32] {
        match self {
            Self::F32(numbers) => &numbers[range],
            Self::F16(bits) => widen(lanes, F16(&bits[range]), room),
            Self::Bf16(bits) => widen(lanes, Bf16(&bits[range]), room),
        }
    }
}

/// `numbers` in `order`. Pages of the result are touched first by the thread that fills them.
fn packed<E: Copy + Sync, T: Pod + Send>(
    engine: &CpuBackend,
    numbers: &[E],
    narrow: impl Fn(E) -> T + Sync,
    order: &impl Order,
) -> Pages<T> {
    let mut out = Pages::zeros(order.len());
    let pieces = out.chunks_mut(order.piece()).enumerate().collect();
    engine.each(pieces, |(index, out)| {
        engine.level.run(Written {
            order,
            index,
            numbers,
            narrow: &narrow,
            out,
        });
    });
    out
}

/// One piece of packed numbers.
struct Written<'a, E, T, O, F> {
    order: &'a O,
    index: usize,
    numbers: &'a [E],
    narrow: &'a F,
    out: &'a mut [T],
}

impl<E: Copy, T, O: Order, F: Fn(E) -> T> Kernel for Written<'_, E, T, O, F> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        self.order
            .write(self.index, self.numbers, self.narrow, self.out);
    }
}

/// Numbers in one of the formats, read sixteen at a time.
pub(super) trait Stored: Copy {
    /// How many there are.
    fn len(self) -> usize;
    /// The sixteen from `at` on.
    fn group<L: Lanes>(self, lanes: L, at: usize) -> L::V;
}

#[derive(Clone, Copy)]
pub(super) struct F32<'a>(pub(super) &'a [f32]);
#[derive(Clone, Copy)]
pub(super) struct F16<'a>(pub(super) &'a [u16]);
#[derive(Clone, Copy)]
pub(super) struct Bf16<'a>(pub(super) &'a [u16]);

/// Sixteen items from `at` on.
#[inline(always)]
fn sixteen<T>(items: &[T], at: usize) -> &[T; LANES] {
    items[at..at + LANES]
        .first_chunk()
        .expect("the slice is sixteen items long")
}

impl Stored for F32<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn group<L: Lanes>(self, lanes: L, at: usize) -> L::V {
        lanes.load(sixteen(self.0, at))
    }
}

impl Stored for F16<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn group<L: Lanes>(self, lanes: L, at: usize) -> L::V {
        lanes.widen_f16(sixteen(self.0, at))
    }
}

impl Stored for Bf16<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn group<L: Lanes>(self, lanes: L, at: usize) -> L::V {
        lanes.widen_bf16(sixteen(self.0, at))
    }
}

#[inline(always)]
fn widen<L: Lanes>(lanes: L, stored: impl Stored, room: &mut [f32]) -> &[f32] {
    let room = &mut room[..stored.len()];
    for (index, group) in room.chunks_exact_mut(LANES).enumerate() {
        let group: &mut Group = group.try_into().expect("chunks are sixteen numbers");
        lanes.store(stored.group(lanes, index * LANES), group);
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    struct Read<'a>(&'a Numbers, usize);

    impl Kernel for Read<'_> {
        type Output = Vec<u32>;
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> Vec<u32> {
            let mut room = vec![f32::NAN; self.0.room(self.1)];
            let numbers = self.0.read(lanes, 0..self.1, &mut room);
            numbers.iter().map(|number| number.to_bits()).collect()
        }
    }

    fn weight(numbers: &[f32]) -> Weight<'static> {
        Tensor::new([numbers.len()], numbers.to_vec())
            .unwrap()
            .into()
    }

    fn kept_bytes(numbers: &[f32]) -> usize {
        super::kept_bytes(&weight(numbers))
    }

    fn kept(weight: &Weight<'_>) -> Numbers {
        let engine = CpuBackend::new(Level::Portable, 2).unwrap();
        let order = AsTheyStand(weight.shape().iter().product());
        Numbers::pack(&engine, weight, &order)
    }

    fn comes_back(numbers: Vec<f32>) -> Numbers {
        let kept = kept(&weight(&numbers));
        let bits: Vec<_> = numbers.iter().map(|number| number.to_bits()).collect();
        for level in Level::available() {
            assert_eq!(level.run(Read(&kept, bits.len())), bits, "{level}");
        }
        kept
    }

    #[test]
    fn every_finite_half_comes_back_to_the_bit() {
        let halves = (0..=u16::MAX).map(|bits| f16::from_bits(bits).to_f32());
        let finite: Vec<_> = halves.filter(|number| number.is_finite()).collect();
        assert_eq!(finite.len() % LANES, 0);
        assert_eq!(kept_bytes(&finite), 2 * finite.len());
        assert!(matches!(comes_back(finite), Numbers::F16(_)));
    }

    #[test]
    fn every_finite_bfloat_comes_back_to_the_bit() {
        let all = (0..=u16::MAX).map(|bits| bf16::from_bits(bits).to_f32());
        let finite: Vec<_> = all.filter(|number| number.is_finite()).collect();
        assert_eq!(finite.len() % LANES, 0);
        assert!(matches!(comes_back(finite), Numbers::Bf16(_)));
    }

    #[test]
    fn numbers_that_would_lose_a_bit_stay_as_they_are() {
        let last = f32::from_bits(1.0f32.to_bits() + 1);
        for odd in [
            last,
            65_536.0 + 1.0,
            f32::MIN_POSITIVE / 3.0,
            f32::INFINITY,
            f32::NAN,
        ] {
            let mut numbers = vec![0.5; 2 * LANES];
            numbers[LANES + 3] = odd;
            assert_eq!(kept_bytes(&numbers), 4 * numbers.len());
            assert!(matches!(comes_back(numbers), Numbers::F32(_)), "{odd}");
        }
    }

    #[test]
    fn what_is_half_is_told_from_bits() {
        let mut bits = 1u32;
        let random = std::iter::repeat_with(|| {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bits
        });
        let random: Vec<_> = random.take(1 << 16).collect();
        let halves = (0..=u16::MAX).map(|bits| f16::from_bits(bits).to_f32().to_bits());
        // Beside each half its neighbours, and numbers of few bits all over.
        let near = halves.flat_map(|bits| [bits.wrapping_sub(1), bits, bits.wrapping_add(1)]);
        let few = random.iter().map(|bits| bits & 0xffff_e000);
        for bits in near.chain(random.iter().copied()).chain(few) {
            let number = f32::from_bits(bits);
            let half = f16::from_f32(number);
            let held = half.is_finite() && half.to_f32().to_bits() == bits;
            assert_eq!(is_half(bits), held, "{number:e}");
            if held {
                assert_eq!(to_half(number), half.to_bits(), "{number:e}");
            }
        }
    }

    #[test]
    fn what_a_file_holds_is_kept_as_what_memory_holds() {
        let numbers: Vec<f32> = (0..5000).map(|k| (k % 97) as f32 / 64.0 - 0.5).collect();
        let single: Vec<_> = numbers.iter().map(|v| v.to_le_bytes()).collect();
        let half = |odd: Option<f16>| {
            let mut half: Vec<_> = numbers.iter().map(|&v| f16::from_f32(v)).collect();
            half.extend(odd);
            half.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>()
        };
        let brain: Vec<_> = numbers
            .iter()
            .map(|&v| bf16::from_f32(v).to_le_bytes())
            .collect();
        let saved = |saved: Saved<'_>, len: usize| {
            let kept = kept(&Weight::new([len], saved).unwrap());
            let mut read = vec![0.0; len];
            kept.copy(0, &mut read);
            assert_eq!(read[..5000], numbers[..]);
            (kept, read)
        };
        assert!(matches!(
            saved(Saved::F32(&single), 5000).0,
            Numbers::F16(_)
        ));
        assert!(matches!(
            saved(Saved::F16(&half(None)), 5000).0,
            Numbers::F16(_)
        ));
        assert!(matches!(
            saved(Saved::Bf16(&brain), 5000).0,
            Numbers::Bf16(_)
        ));
        for odd in [f16::INFINITY, f16::NAN] {
            let (kept, read) = saved(Saved::F16(&half(Some(odd))), 5001);
            assert!(matches!(kept, Numbers::F32(_)));
            assert_eq!(read[5000].to_bits(), odd.to_f32().to_bits());
        }
    }
}
