//! Sixteen virtual lanes on every instruction set, and the one place of this crate with unsafe code.
//!
//! A kernel is written once over [`Lanes`] and run at a [`Level`] by [`Level::run`]. Every level
//! computes the same operations on the same sixteen lanes in the same order, so results agree to
//! the bit. What differs is only how many registers a lane group takes and how many rows of a
//! product are kept in them.
#![allow(
    unsafe_code,
    reason = "vector intrinsics and unchecked tile loops live here, each explained"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod disjoint;
mod factors;
#[cfg(target_arch = "x86_64")]
mod operands;
mod portable;
mod product;
mod tile;

pub(crate) use bytes::Bytes;
pub(crate) use disjoint::{Rect, rectangles};
pub(crate) use factors::{Factors, Left, LeftRoom, Ranges, Ready, Spread};
pub(crate) use product::{Bfloats, Product, Rounded, Singles};
pub(crate) use tile::{ROWS_MAX, TILE_MAX, Tile, pitch};

use std::fmt;
use std::str::FromStr;

/// Numbers in a lane group.
pub(crate) const LANES: usize = 16;

/// One lane group's worth of numbers in memory.
pub(crate) type Group = [f32; LANES];

/// One lane group's worth of words: each two bfloats, the first of them in the lower half.
pub(crate) type Words = [u32; LANES];

/// Operations on sixteen f32 lanes.
///
/// A value of an implementing type is the proof that the CPU has its instructions: only
/// [`Level::run`] makes one.
pub(crate) trait Lanes: Copy {
    /// Sixteen numbers in registers.
    type V: Copy;
    /// Rows of a product held in registers at once.
    const ROWS: usize;
    /// Columns of a product held in registers at once, a multiple of [`LANES`].
    const WIDTH: usize;

    fn splat(self, value: f32) -> Self::V;
    fn load(self, from: &Group) -> Self::V;
    fn store(self, value: Self::V, to: &mut Group);
    /// Sixteen finite numbers from their bits in IEEE half precision.
    fn widen_f16(self, from: &[u16; LANES]) -> Self::V;
    /// Sixteen numbers from the upper halves of their bits.
    fn widen_bf16(self, from: &[u16; LANES]) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a` where `a > b`, else `b`.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a` where `a < b`, else `b`.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^n` for integers `n` in -126..=127.
    fn exp2_integer(self, n: Self::V) -> Self::V;
    /// `a * 2^n` for the same ones.
    #[inline(always)]
    fn scale_by_exp2(self, a: Self::V, n: Self::V) -> Self::V {
        self.mul(a, self.exp2_integer(n))
    }
    fn abs(self, a: Self::V) -> Self::V;
    /// The size of `a` with the sign of `sign`.
    fn copy_sign(self, a: Self::V, sign: Self::V) -> Self::V;
    /// Sum by halves: lane `i` and `i + 8`, then `+ 4`, `+ 2`, `+ 1`.
    fn sum(self, a: Self::V) -> f32;
    /// Runs the register tile; see [`Tile`].
    fn multiply<P: Product>(self, tile: &Tile<'_, P::Item>, sums: &mut [f32]);
    /// The same with a panel of [`LANES`] columns.
    #[inline(always)]
    fn multiply_narrow<P: Product>(self, tile: &Tile<'_, P::Item>, sums: &mut [f32]) {
        const {
            assert!(
                Self::WIDTH == LANES,
                "wider tiles have narrow ones of their own"
            )
        };
        self.multiply::<P>(tile, sums);
    }

    /// Sixteen words in registers, as bits.
    fn load_words(self, from: &Words) -> Self::V;
    fn store_words(self, value: Self::V, to: &mut Words);
    /// One word in every lane.
    fn splat_word(self, word: u32) -> Self::V;
    /// `c` plus two products of bfloats, in every lane: that of the upper halves, then that of the lower ones, each
    /// added with one rounding; denormal numbers are zero, as factors, as `c` and as results.
    fn dot_bf16(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Words whose lower halves are `low` and whose upper ones are `high`, rounded to bfloats: to nearest, ties to
    /// even, denormal numbers to zero.
    fn bf16_pairs(self, low: Self::V, high: Self::V) -> Self::V;
    /// The same numbers in the order of memory: sixteen words of neighbours from thirty-two numbers.
    fn bf16_neighbours(self, first: Self::V, second: Self::V) -> Self::V;
    /// The same of sixteen numbers.
    fn store_bf16(self, value: Self::V, to: &mut [u32; LANES / 2]);

    /// `c` plus four products in every lane: of the bytes of `a`, 0 to 255, with those of `b`, -128 to 127. All are integers of
    /// 32 bits, and nothing is rounded.
    fn dot_bytes(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Words whose bytes are four integers of -128 to 255, the first in the lowest.
    fn bytes(self, integers: [Self::V; 4]) -> Self::V;
    /// Sixteen integers of 0 to 255 as bytes in the order of memory. Zero for a NaN.
    fn store_bytes(self, value: Self::V, to: &mut [u32; LANES / 4]);
    /// The nearest numbers to integers of 32 bits.
    fn convert_integers(self, a: Self::V) -> Self::V;
    /// Integers of 32 bits from such as numbers.
    fn convert_numbers(self, a: Self::V) -> Self::V;
    /// `c - a * b` of integers of 32 bits.
    fn less_products(self, c: Self::V, a: Self::V, b: Self::V) -> Self::V;

    /// At most sixteen numbers, the rest zero.
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        if let Ok(group) = from.try_into() {
            return self.load(group);
        }
        let mut group = [0.0; LANES];
        group[..from.len()].copy_from_slice(from);
        self.load(&group)
    }

    /// The first lanes into a slice of at most sixteen numbers.
    #[inline(always)]
    fn store_part(self, value: Self::V, to: &mut [f32]) {
        if let Ok(group) = to.try_into() {
            return self.store(value, group);
        }
        let mut group = [0.0; LANES];
        self.store(value, &mut group);
        to.copy_from_slice(&group[..to.len()]);
    }
}

/// Work that runs at any level. `run` must be `#[inline(always)]`, so that it is compiled for the
/// instructions of the level that calls it.
pub(crate) trait Kernel {
    /// Which instructions make it faster, beside those of its level.
    const FAST: Fast = Fast::None;
    type Output;
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Instructions that not every CPU of a level has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fast {
    None,
    /// For products of bfloats.
    Bf16,
    /// For products of bytes.
    Int8,
}

/// An instruction set the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// AVX-512 F: 16 lanes in one register.
    Avx512,
    /// AVX2, FMA and F16C: 16 lanes in two registers.
    Avx2,
    /// Plain Rust the compiler vectorises. On x86 it is a correctness path: without the FMA
    /// instruction every fused multiply-add is a function call.
    Portable,
}

impl Level {
    /// Every level, fastest first.
    pub const ALL: [Level; 3] = [Level::Avx512, Level::Avx2, Level::Portable];

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => is_x86_feature_detected!("avx512f") && Level::Avx2.is_available(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx512 | Level::Avx2 => false,
            Level::Portable => true,
        }
    }

    /// The levels this machine can run, fastest first.
    pub fn available() -> Vec<Level> {
        Level::ALL
            .into_iter()
            .filter(|level| level.is_available())
            .collect()
    }

    /// The fastest level this machine can run.
    pub fn best() -> Level {
        Level::ALL
            .into_iter()
            .find(|level| level.is_available())
            .unwrap_or(Level::Portable)
    }

    /// Whether this machine has instructions of its own for products of bfloats at this level.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            self == Level::Avx512
                && self.is_available()
                && is_x86_feature_detected!("avx512bf16")
                && is_x86_feature_detected!("avx512bw")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// Whether products of bfloats take less time than those of f32 on this machine at this level.
    ///
    /// Not on Intel's CPUs: networks were slower in bfloats on the one that was measured (see docs/precision.md), and what is
    /// fast in them on others are matrix units, which are not used here.
    pub fn is_fast_in_bf16(self) -> bool {
        self.has_bf16() && !is_intel()
    }

    /// Whether this machine has instructions of its own for products of bytes at this level.
    pub fn has_int8(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            self == Level::Avx512 && self.is_available() && is_x86_feature_detected!("avx512vnni")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// The name `--cpu` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Avx512 => "avx512",
            Level::Avx2 => "avx2",
            Level::Portable => "portable",
        }
    }

    /// Runs `kernel` compiled for this level.
    ///
    /// # Panics
    /// When the machine lacks the level; [`crate::CpuBackend`] is only made for levels it has.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.is_available(), "{self} is not available");
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level and the instructions for bfloats are available, as just checked.
            Level::Avx512 if K::FAST == Fast::Bf16 && self.has_bf16() => unsafe {
                avx512::run_bf16(kernel)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level and the instructions for bytes are available, as just checked.
            Level::Avx512 if K::FAST == Fast::Int8 && self.has_int8() => unsafe {
                avx512::run_int8(kernel)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is available, as just checked.
            Level::Avx512 => unsafe { avx512::run(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { avx2::run(kernel) },
            _ => portable::run(kernel),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = crate::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Level::ALL
            .into_iter()
            .find(|level| level.name() == name)
            .ok_or_else(|| crate::Error::value("cpu level", name, "avx512, avx2 or portable"))
    }
}

/// Whether the CPU says it is Intel's.
fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let said = std::arch::x86_64::__cpuid(0);
        let name = [said.ebx, said.edx, said.ecx].map(u32::to_le_bytes);
        name.as_flattened() == b"GenuineIntel"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
