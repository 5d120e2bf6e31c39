//! The lanes in two 256-bit registers.

use std::arch::x86_64::*;

use super::{Group, Kernel, LANES, Lanes, Tile, tile};

/// Exists only where [`run`] was called, hence where the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Runs a kernel compiled for AVX2, FMA and F16C.
///
/// # Safety
/// The CPU must have all three.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

macro_rules! halves {
    ($f:ident($($arg:ident),+)) => {{
        // SAFETY: an `Avx2` value exists only where the CPU has AVX2, FMA and F16C.
        unsafe { [$f($($arg[0]),+), $f($($arg[1]),+)] }
    }};
}

impl Lanes for Avx2 {
    type V = [__m256; 2];
    // 12 sums, 2 columns and 1 broadcast fill 15 of 16 registers.
    const ROWS: usize = 6;
    const WIDTH: usize = LANES;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: as in `halves`.
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    fn load(self, from: &Group) -> Self::V {
        // SAFETY: `from` holds sixteen numbers; unaligned loads.
        unsafe {
            [
                _mm256_loadu_ps(from.as_ptr()),
                _mm256_loadu_ps(from.as_ptr().add(8)),
            ]
        }
    }
    #[inline(always)]
    fn store(self, value: Self::V, to: &mut Group) {
        // SAFETY: `to` holds sixteen numbers; unaligned stores.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), value[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), value[1]);
        }
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> Self::V {
        // SAFETY: `from` holds sixteen numbers; unaligned loads.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> Self::V {
        // SAFETY: `from` holds sixteen numbers; unaligned loads.
        unsafe {
            let wide =
                |bits| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)));
            [
                wide(_mm_loadu_si128(from.as_ptr().cast())),
                wide(_mm_loadu_si128(from.as_ptr().add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        halves!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: as in `halves`.
        unsafe {
            [
                _mm256_round_ps::<NEAREST>(a[0]),
                _mm256_round_ps::<NEAREST>(a[1]),
            ]
        }
    }
    #[inline(always)]
    fn exp2_integer(self, n: Self::V) -> Self::V {
        let one = |n: __m256| {
            // SAFETY: as in `halves`.
            unsafe {
                let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            }
        };
        [one(n[0]), one(n[1])]
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        let sign = self.splat(-0.0);
        halves!(_mm256_andnot_ps(sign, a))
    }
    #[inline(always)]
    fn copy_sign(self, a: Self::V, sign: Self::V) -> Self::V {
        let mask = self.splat(-0.0);
        let size = self.abs(a);
        let sign = halves!(_mm256_and_ps(mask, sign));
        halves!(_mm256_or_ps(size, sign))
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: as in `halves`.
        unsafe {
            let eight = _mm256_add_ps(a[0], a[1]);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    fn multiply(self, tile: &Tile<'_>, sums: &mut [f32]) {
        match tile.rows {
            6 => tile::multiply::<Self, 6, 1>(self, tile, sums),
            5 => tile::multiply::<Self, 5, 1>(self, tile, sums),
            4 => tile::multiply::<Self, 4, 1>(self, tile, sums),
            3 => tile::multiply::<Self, 3, 1>(self, tile, sums),
            2 => tile::multiply::<Self, 2, 1>(self, tile, sums),
            _ => tile::multiply::<Self, 1, 1>(self, tile, sums),
        }
    }
}
