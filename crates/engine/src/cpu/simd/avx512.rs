//! The lanes in one 512-bit register.

use std::arch::x86_64::*;

use super::{Group, Kernel, LANES, Lanes, Tile, tile};

/// Exists only where [`run`] was called, hence where the CPU has AVX-512 F.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

/// Runs a kernel compiled for AVX-512 F.
///
/// # Safety
/// The CPU must have AVX-512 F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

macro_rules! vector {
    ($e:expr) => {{
        // SAFETY: an `Avx512` value exists only where the CPU has AVX-512 F.
        unsafe { $e }
    }};
}

impl Lanes for Avx512 {
    type V = __m512;
    // 28 sums, 2 columns and 1 broadcast fill 31 of 32 registers.
    const ROWS: usize = 14;
    const WIDTH: usize = 2 * LANES;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        vector!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn load(self, from: &Group) -> __m512 {
        vector!(_mm512_loadu_ps(from.as_ptr()))
    }
    #[inline(always)]
    fn store(self, value: __m512, to: &mut Group) {
        vector!(_mm512_storeu_ps(to.as_mut_ptr(), value));
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> __m512 {
        vector!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> __m512 {
        vector!({
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        })
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        vector!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        vector!(_mm512_roundscale_ps::<NEAREST>(a))
    }
    #[inline(always)]
    fn exp2_integer(self, n: __m512) -> __m512 {
        vector!({
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        })
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        vector!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn copy_sign(self, a: __m512, sign: __m512) -> __m512 {
        vector!({
            let mask = _mm512_set1_epi32(i32::MIN);
            let size = _mm512_andnot_epi32(mask, _mm512_castps_si512(a));
            let sign = _mm512_and_epi32(mask, _mm512_castps_si512(sign));
            _mm512_castsi512_ps(_mm512_or_epi32(size, sign))
        })
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        vector!({
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a)));
            let eight = _mm256_add_ps(_mm512_castps512_ps256(a), high);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn multiply(self, tile: &Tile<'_>, sums: &mut [f32]) {
        macro_rules! rows {
            ($($r:literal)+) => {
                match tile.rows {
                    $($r => tile::multiply::<Self, $r, 2>(self, tile, sums),)+
                    _ => tile::multiply::<Self, 1, 2>(self, tile, sums),
                }
            };
        }
        rows!(14 13 12 11 10 9 8 7 6 5 4 3 2);
    }
}
