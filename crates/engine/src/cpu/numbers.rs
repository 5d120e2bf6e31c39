//! Numbers of packed weights: 32 bits each, or 16 where that loses nothing.
//!
//! Most published weights were trained or saved in half precision. Kept so they take half the memory and half the
//! time to read; kernels widen them a panel at a time, which is exact, so the format changes no result.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};

use super::simd::{Group, LANES, Lanes};

/// Numbers that never change. Clones share them.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    F32(Arc<Vec<f32>>),
    /// Bits of IEEE half precision.
    F16(Arc<Vec<u16>>),
    /// The upper half of an f32's bits.
    Bf16(Arc<Vec<u16>>),
}

/// The smallest format that holds numbers exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    F32,
    F16,
    Bf16,
}

impl Format {
    fn of(numbers: &[f32]) -> Self {
        let halves = |number: &f32| {
            let half = f16::from_f32(*number);
            half.is_finite() && half.to_f32().to_bits() == number.to_bits()
        };
        if numbers.iter().all(halves) {
            return Self::F16;
        }
        let finite = |number: &f32| number.is_finite() && number.to_bits() & 0xffff == 0;
        match numbers.iter().all(finite) {
            true => Self::Bf16,
            false => Self::F32,
        }
    }
}

/// Bytes that the CPU backend keeps of a layer's weights, but for what fills up their last panel.
pub fn kept_bytes(weight: &[f32]) -> usize {
    match Format::of(weight) {
        Format::F32 => size_of_val(weight),
        Format::F16 | Format::Bf16 => size_of_val(weight) / 2,
    }
}

impl Numbers {
    pub(super) fn new(numbers: Vec<f32>) -> Self {
        match Format::of(&numbers) {
            Format::F32 => Self::F32(Arc::new(numbers)),
            Format::F16 => {
                let bits = numbers
                    .iter()
                    .map(|&number| f16::from_f32(number).to_bits());
                Self::F16(Arc::new(bits.collect()))
            }
            Format::Bf16 => {
                let bits = numbers
                    .iter()
                    .map(|&number| bf16::from_f32(number).to_bits());
                Self::Bf16(Arc::new(bits.collect()))
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
    use crate::cpu::simd::{Kernel, Level};

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

    fn comes_back(numbers: Vec<f32>) -> Numbers {
        let kept = Numbers::new(numbers.clone());
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
}
